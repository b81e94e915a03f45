"""The part of a catalog that `figureground status` needs, cached beside the catalog after the whole was validated.

Validating a catalog imports pydantic, numpy and every plug-in, which takes seconds beside a running ingest. A catalog with the
same bytes, read by the same version of figureground, is still valid.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from figureground import __version__, ids
from figureground.errors import StoreError
from figureground.storage.atomic import write_file
from figureground.storage.store import StorageAddress

if TYPE_CHECKING:
    from figureground.catalog import Catalog

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CachedCatalog:
    """The storage and the sources of a catalog; a `tasks.operation.status.CatalogInfo`.

    Parameters
    ----------
    storage, options, local
        See `figureground.storage.store.StorageAddress`.
    sources
        The names of the entries.
    """

    storage: str
    options: Mapping[str, Any]
    local: str
    sources: tuple[str, ...]

    @classmethod
    def from_catalog(cls, catalog: "Catalog") -> Self:
        """Take the part that is cached out of a catalog."""
        root = catalog.storage_root
        return cls(root.url, root.options, root.local_folder, tuple(catalog.sources))

    @property
    def storage_root(self) -> StorageAddress:
        """The address of the storage."""
        return StorageAddress(self.storage, self.options, self.local)

    def entry_of(self, source_id: str) -> str:
        """Give the name of the catalog entry that a source comes from."""
        return ids.find_entry(source_id, self.sources)


def write_cache(path: Path, catalog: "Catalog") -> CachedCatalog:
    """Cache a validated catalog. When the cache cannot be written, the catalog is only validated again next time.

    Parameters
    ----------
    path
        The catalog's file.
    catalog
        The catalog that was read from it.
    """
    cached = CachedCatalog.from_catalog(catalog)
    if read_cache(path) != cached:
        try:
            content = json.dumps({"digest": _digest(path), **asdict(cached)})
            write_file(_cache_file(path), content.encode(), lasting=False)
        except (StoreError, OSError) as error:
            _log.info("the catalog is not cached: %s", error)
    return cached


def read_cache(path: Path) -> CachedCatalog | None:
    """Read the cache of a catalog file; None when there is none for the file's present content."""
    try:
        content = json.loads(_cache_file(path).read_text(encoding="utf-8"))
        cached = CachedCatalog(content["storage"], content["options"], content["local"], tuple(content["sources"]))
        return cached if content["digest"] == _digest(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _cache_file(path: Path) -> Path:
    return Path(os.environ.get("PREFECT_HOME", path.resolve().parent / ".prefect")) / f"figureground-{path.name}.json"


def _digest(path: Path) -> str:
    """Hash what decides the meaning of a catalog: its bytes, its folder and the version of figureground."""
    return hashlib.sha256(b"\0".join((__version__.encode(), os.fsencode(path.resolve()), path.read_bytes()))).hexdigest()
