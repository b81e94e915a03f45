"""What a page, playlist, channel, feed or a storage's prefix holds now → the listings table, one row for each clip."""

import logging
from collections import Counter
from collections.abc import Sequence

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources.listing import list_source
from figureground.clients.sources.transfer import remove_abandoned_downloads
from figureground.storage.store import Store
from figureground.tables import ListingRow
from figureground.types import Source, TableRef
from tasks import retried_task

_log = logging.getLogger(__name__)

_LOGGED_SINGLY_AT_MOST = 20


@retried_task
def discover(source: Source, catalog: Catalog) -> TableRef:
    """List what is on a page or below a prefix, and which of it may be taken.

    Parameters
    ----------
    source
        Of ``kind: web``, or with a prefix such as ``s3://bucket/prefix`` as its path.
    catalog
        Gives the storage, the limits, the allowed licences and hosts.

    Returns
    -------
    TableRef
        The listings table: one row for each clip that is or was there, with the reason why it is not taken, or "".

    Raises
    ------
    SourceError
        When the list cannot be had, or a host is not allowed.
    TransientError
        When the site or storage does not answer now.
    StoreError
        When the storage cannot be written to.
    """
    store = Store(catalog.storage_root)
    remove_abandoned_downloads()
    last = tables.find(store, "listings", source.source_id)
    before = tables.read_rows(store, last, ListingRow) if last else []
    rows = list_source(source, catalog, before)
    _log_new_refusals(source, rows, before)
    return tables.write_rows(store, "listings", source.source_id, rows, fingerprint="")


def describe_refusals(listings: TableRef, catalog: Catalog) -> str:
    """Say in one line how many clips of a listing are not taken, and why; "" when all are.

    Parameters
    ----------
    listings
        As `discover` gives it.
    catalog
        Gives the storage.
    """
    rows = tables.read_rows(Store(catalog.storage_root), listings, ListingRow)
    kinds = Counter(_kind(row) for row in rows if row.reason)
    if not kinds:
        return ""
    counts = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    return f"{kinds.total()} of {listings.rows} are not taken ({counts}); {listings.file} says why"


def _kind(row: ListingRow) -> str:
    return row.reason.partition(":")[0]


def _log_new_refusals(source: Source, rows: Sequence[ListingRow], before: Sequence[ListingRow]) -> None:
    """Log what is not taken and was not logged by the last listing; many of one kind are counted."""
    known = {(row.site, row.clip_id): row.reason for row in before}
    new = [row for row in rows if row.reason and known.get((row.site, row.clip_id)) != row.reason]
    kinds = Counter(map(_kind, new))
    for row in new:
        if kinds[_kind(row)] <= _LOGGED_SINGLY_AT_MOST:
            _log.warning("%s: %s is not taken: %s", source.source_id, row.page, row.reason)
    for kind, count in sorted(kinds.items()):
        if count > _LOGGED_SINGLY_AT_MOST:
            _log.warning(
                "%s: %d are not taken: %s; see tables/listings/%s.parquet", source.source_id, count, kind, source.source_id
            )
    _log.info("%s: %d listed, %d taken", source.source_id, len(rows), sum(not row.reason for row in rows))
