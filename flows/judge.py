"""After a limit was moved: new verdicts from the stored measures, without Prefect's seconds."""

from collections.abc import Iterable

from figureground import tables
from figureground.catalog import Catalog
from figureground.storage.store import Store
from flows.ingest import expand_sources
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.judge import judge


def rejudge(catalog: Catalog, names: Iterable[str] | None) -> list[str]:
    """Judge every measured source again.

    Parameters
    ----------
    catalog
        Holds the limits.
    names
        Names of catalog sources; None or none means all.

    Returns
    -------
    list of str
        The ids of the sources that were measured.
    """
    store, judged = Store(catalog.storage_root), []
    for source in expand_sources(catalog, names)[0]:
        if measures := tables.find(store, "measures", source.source_id):
            judge.fn(deduplicate.fn(measures, catalog), catalog)
            judged.append(source.source_id)
    return judged
