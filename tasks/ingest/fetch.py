"""The path of a source → its video or photos in the storage, verified, and the videos table."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from figureground import ids, progress, tables
from figureground.catalog import Catalog
from figureground.clients.sources import identity, local_files
from figureground.clients.sources.fetching import (
    OWN_INDEXES,
    PackageIndexes,
    fetch_listed,
    fetch_photo,
    fetch_video,
    unfetched_row,
)
from figureground.errors import SourceError, StoreError
from figureground.media import addresses
from figureground.parallel import map_ordered
from figureground.storage import downloads
from figureground.storage.hashing import sha256_file
from figureground.storage.store import Store
from figureground.tables import ListingRow, VideoRow
from figureground.types import Source, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the videos table or its files change for the same inputs."""


@retried_task
def fetch(source: Source, catalog: Catalog, indexes: PackageIndexes = OWN_INDEXES) -> TableRef:
    """Bring one source's video, or its photos, into the storage.

    A local file is fetched again when its size, time and content changed. An address is fetched once; a clip of a page or a
    file of a prefix not even again when its file is gone.

    Parameters
    ----------
    source
        As `figureground.clients.sources.identity.expand` gives it: one file or one address.
    catalog
        Gives the storage.
    indexes
        Where packages are downloaded from.

    Returns
    -------
    TableRef
        The videos table, one row; the file is ``videos/<source>/<name>``. For photos one row each, sorted by path; its
        facts are the ``frame_ids`` in that order, and the ``unreadable`` ones with their reasons, which have no file.

    Raises
    ------
    SourceError
        When it is not there, cannot be fetched, or is not the pinned file.
    TransientError
        When a server does not answer now.
    StoreError
        When the storage cannot be written to.
    """
    store = Store(catalog.storage_root)
    if listed := identity.listing_row(source, catalog):
        return _fetch_listed(source, listed, catalog, store)
    if source.kind == "images" and not addresses.is_address(source.path):
        return _fetch_photos(source, catalog, store)
    row, state = unfetched_row(source), local_files.source_state(source, catalog)
    named = {"source_id": row.source_id, "path": source.path, "license": row.license, "file": row.file}
    mark = tables.fingerprint("videos", [], version=VERSION, **named, pinned=source.sha256, found=state)
    if ref := tables.fresh(store, "videos", source.source_id, mark) or _with_same_content(source, row, catalog, store):
        return ref
    row = fetch_video(source, catalog, store, indexes)
    facts: dict[str, Any] = {}
    if source.kind == "images":
        facts = {"frame_ids": ids.make_frame_ids(source.source_id, [addresses.file_name(source.path)]), "unreadable": {}}
    return tables.write_rows(store, "videos", source.source_id, [row], fingerprint=mark, facts=facts)


def _with_same_content(source: Source, row: VideoRow, catalog: Catalog, store: Store) -> TableRef | None:
    """Find the table of a file that was only touched or copied anew: then nothing after it needs to be done again."""
    ref = tables.find(store, "videos", source.source_id)
    if ref is None or addresses.is_address(source.path):
        return None
    digest = sha256_file(local_files.resolve_path(source.path, catalog))
    before = tables.read_rows(store, ref, VideoRow)
    same = [_catalog_columns(each) for each in before] == [_catalog_columns(replace(row, sha256=digest))]
    return ref if same and source.sha256 in ("", digest) and store.verifies(row.file, digest) else None


def _catalog_columns(row: VideoRow) -> tuple[str, ...]:
    return row.source_id, row.path, row.license, row.file, row.sha256


def _fetch_listed(source: Source, listed: ListingRow, catalog: Catalog, store: Store) -> TableRef:
    """Fetch a clip once and never again; the download archive, not the file, says that it was fetched."""
    identity_of_clip = {"source_id": source.source_id, "site": listed.site, "clip_id": listed.clip_id}
    mark = tables.fingerprint("videos", [], version=VERSION, **identity_of_clip)
    download = downloads.find(store, listed.site, listed.clip_id)
    if download and download.row is not None:
        return _from_archive(source, download, mark, store)
    ref = tables.fresh(store, "videos", source.source_id, mark)
    if ref is None:
        row = fetch_listed(source, listed, catalog, store)
        ref = tables.write_rows(store, "videos", source.source_id, [row], fingerprint=mark)
    else:  # the run was killed before the archive was written
        row = tables.read_rows(store, ref, VideoRow)[0]
    downloads.record(store, downloads.Download(listed.site, listed.clip_id, source.source_id, asdict(row)))
    return ref


def _from_archive(source: Source, download: downloads.Download, mark: tables.Fingerprint, store: Store) -> TableRef:
    """Give the table of a clip that was fetched before; a damaged one is made again from the download archive."""
    try:
        row = VideoRow(**(download.row or {}))
    except TypeError as error:
        file = downloads.name(download.site, download.clip_id)
        raise StoreError(
            f"{file} in {store.root} is damaged ({error}): expected the row of a clip. Remove it to let its clip be fetched "
            "again, or bring it back from a copy"
        ) from error
    before = tables.find(store, "videos", source.source_id)
    if before and tables.read_rows(store, before, VideoRow) == [row]:
        return before
    return tables.write_rows(store, "videos", source.source_id, [row], fingerprint=mark)


def _fetch_photos(source: Source, catalog: Catalog, store: Store) -> TableRef:
    """Bring every photo of a folder or glob into the storage; one that cannot be read keeps its row and says why."""
    files = local_files.list_photos(source, catalog)
    named = identity.give_ids_to_files(source, files, catalog)
    if named.refused and len(named.refused) == len(files):
        raise SourceError("; ".join(named.refused.values()))
    names = [named.ids[path] for path in files]
    states = [[str(path), *local_files.file_state(path)] for path in files]
    settings = {"license": source.license, "ids": names, "pinned": source.sha256, "found": states}
    mark = tables.fingerprint("videos", [], version=VERSION, **settings)
    if ref := tables.fresh(store, "videos", source.source_id, mark):
        return ref

    def bring(path: Path) -> tuple[VideoRow, str]:
        if reason := named.refused.get(path):
            shown = local_files.catalog_path(path, source, catalog)
            return VideoRow(source_id=source.source_id, path=shown, license=source.license, file="", sha256=""), reason
        return fetch_photo(source, named.ids[path], path, catalog, store)

    fetched = map_ordered(bring, files)
    photos = list(progress.track(fetched, "fetch", source.source_id, len(files)))
    facts = {"frame_ids": names, "unreadable": {name: why for name, (_, why) in zip(names, photos, strict=True) if why}}
    rows = [row for row, _ in photos]
    before = tables.find(store, "videos", source.source_id)
    if before and tables.read_facts(store, before) == facts and tables.read_rows(store, before, VideoRow) == rows:
        return before  # only touched or copied anew: nothing after it needs to be done again
    return tables.write_rows(store, "videos", source.source_id, rows, fingerprint=mark, facts=facts)
