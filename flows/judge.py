"""After a limit was moved: new verdicts from what was measured, without Prefect's seconds."""

from collections.abc import Iterable

from figureground.catalog import Catalog
from flows.ingest import resolve
from tasks.ingest.deduplicate import compare
from tasks.ingest.judge import judge
from tasks.operation.find import find


def rejudge(catalog: Catalog, names: Iterable[str] | None) -> list[str]:
    """Judge every measured source again.

    Returns
    -------
    list of str
        The sources that were measured.
    """
    judged = []
    for source in resolve(catalog, names)[0]:
        if tables := find(source.source_id, catalog, "measures"):
            judge.fn(compare.fn(*tables, catalog), catalog)
            judged.append(source.source_id)
    return judged
