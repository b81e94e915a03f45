"""The download archive: what was fetched once from a page or a storage is never fetched again, even if its file is gone.

One small file a clip, ``downloads/<hash of site and id>.json``, written after the clip's own table. It keeps that table's row,
so that a damaged table is made again without the site; when a source is forgotten, only the identity stays.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from figureground.errors import StoreError
from figureground.storage.store import Store

FOLDER = "downloads"


@dataclass(frozen=True, slots=True)
class Download:
    """One clip that was fetched: its identity, the source it became, and its row; None once that was forgotten."""

    site: str
    clip_id: str
    source_id: str
    row: Mapping[str, Any] | None


def name(site: str, clip_id: str) -> str:
    """Name a clip's file in the archive.

    >>> name("Youtube", "dQw4w9WgXcQ")
    'downloads/d91dec9a0b4c2b26fed58bfe0bfde633.json'
    """
    return f"{FOLDER}/{sha256(json.dumps([site, clip_id]).encode()).hexdigest()[:32]}.json"


def record(store: Store, done: Download) -> None:
    """Write down that a clip was fetched.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    told = {"site": done.site, "clip_id": done.clip_id, "source_id": done.source_id, "row": done.row}
    store.write(name(done.site, done.clip_id), json.dumps(told, sort_keys=True, ensure_ascii=False).encode())


def find(store: Store, site: str, clip_id: str) -> Download | None:
    """Find what became of a clip that was fetched; None when it never was.

    Raises
    ------
    StoreError
        When its file is damaged: it is not known then whether it may be fetched.
    """
    file = name(site, clip_id)
    return _read(store, file) if store.exists(file) else None


def list_names(store: Store) -> frozenset[str]:
    """Give the names of all files in the archive, with one listing: see `name`."""
    return frozenset(store.names(FOLDER))


def forget(store: Store, sources: Collection[str]) -> int:
    """Keep of these sources' clips only that they were fetched, and give how many there are."""
    found = [done for done in _all(store) if done.source_id in sources and done.row is not None]
    for done in found:
        record(store, Download(done.site, done.clip_id, done.source_id, None))
    return len(found)


def _all(store: Store) -> Iterable[Download]:
    return (_read(store, file) for file in sorted(list_names(store)))


def _read(store: Store, file: str) -> Download:
    try:
        told = json.loads(store.read(file))
        return Download(told["site"], told["clip_id"], told["source_id"], told["row"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{file} in {store.root} is damaged ({error}): expected a clip's entry in the download archive. Remove it to let "
            "its clip be fetched again, or bring it back from a copy"
        ) from error
