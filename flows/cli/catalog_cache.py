"""The little of a catalog that `figureground status` needs, kept beside it once the whole was found right.

Checking a catalog means importing pydantic, numpy and every plug-in: seconds beside an ingest that wants the processor. A
catalog of the same bytes, read by the same version, is as right as it was.
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
class Gist:
    """Where the storage is and which sources there are; `tasks.operation.status` takes it for the catalog."""

    storage: str
    options: Mapping[str, Any]
    local: str
    sources: tuple[str, ...]

    @classmethod
    def of(cls, catalog: "Catalog") -> Self:
        """Take it from a whole catalog."""
        root = catalog.storage_root
        return cls(root.url, root.options, root.local_folder, tuple(catalog.sources))

    @property
    def storage_root(self) -> StorageAddress:
        """The storage as an absolute folder or a URL, with what opens it."""
        return StorageAddress(self.storage, self.options, self.local)

    def entry_of(self, source_id: str) -> str:
        """Name the entry that a source comes from."""
        return ids.find_entry(source_id, self.sources)


def remember(path: Path, catalog: "Catalog") -> Gist:
    """Keep the gist of a catalog that was found right, and give it. Where it cannot be kept, only time is lost.

    Parameters
    ----------
    path
        The catalog's file.
    catalog
        What was read from it.
    """
    found = Gist.of(catalog)
    if remembered(path) != found:
        try:
            write_file(_place(path), json.dumps({"of": _mark(path), **asdict(found)}).encode(), lasting=False)
        except (StoreError, OSError) as error:
            _log.info("the catalog's gist is not kept: %s", error)
    return found


def remembered(path: Path) -> Gist | None:
    """Give what is kept of a catalog of these bytes, None when nothing is."""
    try:
        told = json.loads(_place(path).read_text(encoding="utf-8"))
        found = Gist(told["storage"], told["options"], told["local"], tuple(told["sources"]))
        return found if told["of"] == _mark(path) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place(path: Path) -> Path:
    return Path(os.environ.get("PREFECT_HOME", path.resolve().parent / ".prefect")) / f"figureground-{path.name}.json"


def _mark(path: Path) -> str:
    """Hash all that decides what a catalog means: its bytes, its place and this program's version."""
    return hashlib.sha256(b"\0".join((__version__.encode(), os.fsencode(path.resolve()), path.read_bytes()))).hexdigest()
