"""The download archive: a clip that was fetched once from a page or a storage is never fetched again, even if its file is gone.

One small file a clip, ``downloads/<hash of site and id>.json``, written after the clip's own table. It holds that table's row,
so that a damaged table can be made again without the site; when a source is forgotten, only the clip's identity stays.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from figureground import documents
from figureground.errors import StoreError
from figureground.storage.store import Store

FOLDER = "downloads"


@dataclass(frozen=True, slots=True)
class Download:
    """A clip that was fetched: its identity, the id of its source, and its row, which is None once the source was forgotten."""

    site: str
    clip_id: str
    source_id: str
    row: Mapping[str, Any] | None


def name(site: str, clip_id: str) -> str:
    """Give the name of a clip's file in the archive.

    >>> name("Youtube", "dQw4w9WgXcQ")
    'downloads/d91dec9a0b4c2b26fed58bfe0bfde633.json'
    """
    return f"{FOLDER}/{sha256(json.dumps([site, clip_id]).encode()).hexdigest()[:32]}.json"


def record(store: Store, download: Download) -> None:
    """Record that a clip was fetched.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    fields = {"site": download.site, "clip_id": download.clip_id, "source_id": download.source_id, "row": download.row}
    store.write(name(download.site, download.clip_id), json.dumps(fields, sort_keys=True, ensure_ascii=False).encode())


def find(store: Store, site: str, clip_id: str) -> Download | None:
    """Give the record of a clip; None when it was never fetched.

    Raises
    ------
    StoreError
        When its file is damaged: then it is unknown whether the clip may be fetched.
    """
    file = name(site, clip_id)
    return _read(store, file) if store.exists(file) else None


def list_names(store: Store) -> frozenset[str]:
    """List the names of all files in the archive, see `name`."""
    return frozenset(store.names(FOLDER))


def forget(store: Store, sources: Collection[str]) -> int:
    """Remove the rows of these sources' clips, so that only their identity stays, and give how many there were."""
    downloads = [download for download in _read_all(store) if download.source_id in sources and download.row is not None]
    for download in downloads:
        record(store, replace(download, row=None))
    return len(downloads)


def _read_all(store: Store) -> Iterable[Download]:
    return (_read(store, file) for file in sorted(list_names(store)))


def _read(store: Store, file: str) -> Download:
    try:
        fields = documents.parse_json(store.read(file))
        return Download(fields["site"], fields["clip_id"], fields["source_id"], fields["row"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{file} in {store.root} is damaged ({error}): expected a clip's entry in the download archive. Remove it to let "
            "its clip be fetched again, or restore it from a copy"
        ) from error
