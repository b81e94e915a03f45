"""Which tables an earlier run left."""

from figureground import tables
from figureground.catalog import Catalog
from figureground.storage.store import Store
from figureground.types import TableRef


def find(source_id: str, catalog: Catalog, *stages: str) -> list[TableRef] | None:
    """Find a source's tables of some stages.

    Returns
    -------
    list of TableRef or None
        One a stage, in the order asked for; None when one of them is not there yet.
    """
    store = Store(catalog.storage_root)
    found = [tables.find(store, stage, source_id) for stage in stages]
    there = [ref for ref in found if ref is not None]
    return there if len(there) == len(stages) else None
