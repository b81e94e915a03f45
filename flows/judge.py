"""After a limit was moved: new verdicts from the stored scores, without Prefect's seconds."""

from collections.abc import Iterable

from figureground.catalog import Catalog
from flows.ingest import resolve
from tasks.find import find
from tasks.judge import judge


def rejudge(catalog: Catalog, names: Iterable[str] | None) -> list[str]:
    """Judge every measured source again.

    Returns
    -------
    list of str
        The sources that had scores to judge.
    """
    judged = []
    for source in resolve(catalog, names)[0]:
        if tables := find(source.source_id, catalog, "scores"):
            judge.fn(*tables, catalog)
            judged.append(source.source_id)
    return judged
