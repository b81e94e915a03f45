"""Counting how many frames, people, crops and labels of a source remain after each stage."""

from figureground import tables
from figureground.catalog import Catalog
from figureground.datasets import funnel
from figureground.datasets.funnel import Funnel
from figureground.storage.store import Store


def summarise(source_id: str, catalog: Catalog) -> Funnel:
    """Count a source's rows from frame to label; a stage that has not run counts nothing.

    Parameters
    ----------
    source_id
        The source.
    catalog
        Gives the storage.

    Raises
    ------
    StoreError
        When a table is damaged or of another schema.
    """
    store = Store(catalog.storage_root)
    latest = {stage: tables.latest(store, stage, source_id) for stage in funnel.STAGES}
    return funnel.count(source_id, {stage: table for stage, table in latest.items() if table is not None})
