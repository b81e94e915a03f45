"""Clearing away what a killed run left half-written."""

import logging

from figureground.catalog import Catalog
from figureground.storage.store import Store

_log = logging.getLogger(__name__)


def sweep(catalog: Catalog) -> list[str]:
    """Remove temporary files whose process is gone.

    Returns
    -------
    list of str
        What was removed, relative to the storage.

    Raises
    ------
    StoreError
        When the storage cannot be written to.
    """
    orphans = Store(catalog.storage_root).sweep()
    for orphan in orphans:
        _log.info("removed %s, left by a run that was killed", orphan)
    return orphans
