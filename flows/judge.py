"""After a limit was moved: new verdicts from the stored measures, without Prefect's seconds."""

import functools
from collections.abc import Iterable

from figureground import tables
from figureground.catalog import Catalog
from figureground.storage.locks import hold_storage
from figureground.storage.store import Store
from flows.ingest import expand_sources, lock_sources
from flows.outcomes import Outcome, try_source
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.judge import judge


def rejudge(catalog: Catalog, names: Iterable[str] | None) -> list[Outcome]:
    """Judge every measured source again.

    Parameters
    ----------
    catalog
        Holds the limits.
    names
        Names of catalog sources; None or none means all.

    Returns
    -------
    list of Outcome
        One for each source that was measured, for each that failed, and for each that another run works on. A source that
        fails never stops the others.

    Raises
    ------
    StoreError
        When a source is being deleted.
    """
    with hold_storage(Store(catalog.storage_root).path(".locks"), "judge"):
        sources, outcomes = expand_sources(catalog, names)
        with lock_sources(sources, catalog, "make", "judge") as (free, busy):
            for source in free:
                judged, failed = try_source(source.source_id, functools.partial(_rejudge_source, source.source_id, catalog))
                outcomes += failed or ([Outcome(source.source_id, "")] if judged else [])
        return outcomes + busy


def _rejudge_source(source_id: str, catalog: Catalog) -> bool:
    """Judge a source again, and say whether it was measured at all."""
    measures = tables.find(Store(catalog.storage_root), "measures", source_id)
    if measures:
        judge.fn(deduplicate.fn(measures, catalog), catalog)
    return measures is not None
