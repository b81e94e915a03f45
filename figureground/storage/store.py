"""A catalog's storage: names ↔ files, in a local folder or behind an fsspec URL.

A file is written beside its place, hashed, flushed to disk and renamed, so a reader sees the old bytes or the new
bytes and never half of them. Reading checks the hash the caller expects. Below is fsspec, so a local folder and an
object store behave alike; an object store's own put is already all or nothing, and keeps the content's hash beside it, so
that asking whether a file is the right one costs one small request and no download. What lasts longer than a stage that
makes it again (tables, labels, originals, releases) is on the disk with its folder's list when a write returns.
"""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

from figureground.errors import StoreError
from figureground.storage import remote
from figureground.storage.atomic import in_use, own_prefix, write_beside, write_error, write_file
from figureground.storage.hashing import sha256, sha256_file

_REPRODUCIBLE_FOLDERS = ("frames", "crops", "mattes", "reports", "shards")
"""The next run verifies these files and makes them again: after a power failure one of their names may be missing."""

_LOCAL_FOLDERS = ("releases", ".locks", ".studio")
"""Folders that are always on this machine: other programs read a release as a folder, locks and a server's home are local."""


@dataclass(frozen=True, slots=True)
class StorageAddress:
    """Where a storage lies and what opens it.

    Attributes
    ----------
    url
        A local folder or an fsspec URL.
    options
        What fsspec needs to open a URL besides the environment's variables, for example ``endpoint_url``.
    local_folder
        The folder on this machine for what cannot lie behind a URL, ``releases``, ``.locks``, ``.studio``; "" means none.

    Examples
    --------
    >>> str(StorageAddress("s3://bucket/prefix", local_folder="/srv/here"))
    's3://bucket/prefix'
    """

    url: str
    options: Mapping[str, Any] = field(default_factory=dict)
    local_folder: str = ""

    def __str__(self) -> str:
        return self.url


class Store:
    """The storage folder of a catalog.

    Parameters
    ----------
    address
        Where it lies; plain text is a local folder or an fsspec URL such as ``s3://bucket/prefix`` that needs no options.
        Names below are relative to it, with ``/``.

    Raises
    ------
    StoreError
        When the URL's protocol is unknown or its package is not installed.
    """

    def __init__(self, address: StorageAddress | str) -> None:
        if isinstance(address, str):
            address = StorageAddress(address)
        try:
            self._fs, base = remote.open_filesystem(address.url, address.options)
        except (ImportError, ValueError, TypeError) as error:
            raise StoreError(f"storage {address.url!r} cannot be opened: {error}") from error
        self.root = address.url
        self.local_folder = Path(address.local_folder) if address.local_folder else None
        self._base = PurePosixPath(base)
        self._prefix = str(self._base / "x")[:-1]
        self.local_only = "file" in remote.protocols(self._fs)

    def path(self, name: str) -> Path:
        """Give the local path of a name.

        Raises
        ------
        StoreError
            When the name leaves the storage; or the storage is not a local folder and the name is none of what then lies
            in the catalog's ``local``: releases, locks, Label Studio's home.
        """
        full = self._full(name)
        if self.local_only:
            return Path(full)
        if self.local_folder is None or PurePosixPath(name).parts[0] not in _LOCAL_FOLDERS:
            raise StoreError(f"{name} in {self.root} has no local path: this storage is not a local folder")
        return self.local_folder / name

    def served_path(self, name: str) -> Path:
        """Give the path on this machine from which another program can serve a file: its own, or its copy's in ``local``.

        Raises
        ------
        StoreError
            When the name leaves the storage, or the storage is not a local folder and has no folder on this machine.
        """
        full = self._full(name)
        if self.local_only:
            return Path(full)
        if self.local_folder is None:
            raise StoreError(f"{name} in {self.root} has no local path: this storage is not a local folder")
        return self.local_folder / name

    def serve(self, name: str, expected: str) -> Path:
        """Have a file at its `served_path`; for a storage behind a URL a verified copy is made there.

        Parameters
        ----------
        name
            The file's name in the storage.
        expected
            Its sha256.

        Returns
        -------
        Path
            See `served_path`.

        Raises
        ------
        StoreError
            When the file is missing or damaged, or its copy cannot be written.
        """
        path = self.served_path(name)
        if not self.local_only and not (path.is_file() and sha256_file(path) == expected):
            write_file(path, self.read(name, expected), lasting=False)
        return path

    def location(self, name: str) -> str:
        """Give the path or the URL of a name, for messages.

        Raises
        ------
        StoreError
            When the name leaves the storage.
        """
        full = self._full(name)
        return full if self.local_only else f"{self.root.rstrip('/')}/{name}"

    def _full(self, name: str) -> str:
        if _is_plain_name(name):  # nearly every name; parsing it takes as long as opening a file
            return f"{self._prefix}{name}"
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise StoreError(f"{name!r} is not a name inside the storage {self.root}: names are relative and have no '..'")
        return str(self._base / parts)

    def write(self, name: str, content: bytes) -> str:
        """Write one file, whole or not at all, and give its sha256. Equal bytes are left untouched."""
        digest = sha256(content)
        if self.verifies(name, digest):
            return digest
        if self.local_only:
            return write_file(self.path(name), content, lasting=_is_lasting(name))
        with self._translate_errors(f"write {name} to", writing=True):
            remote.put(self._fs, self._full(name), content, digest)
        return digest

    @contextmanager
    def write_large(self, name: str) -> Iterator[Path]:
        """Give a local temporary file that becomes `name` when the block ends well: for files too large for the memory.

        Raises
        ------
        StoreError
            When the storage cannot be written to.
        """
        if self.local_only:
            with write_beside(self.path(name), lasting=_is_lasting(name)) as temporary:
                yield temporary
            return
        full = self._full(name)
        with _temporary_folder() as folder:
            temporary = folder / PurePosixPath(name).name
            temporary.touch()
            yield temporary
            with self._translate_errors(f"write {name} to", writing=True):
                remote.put_file(self._fs, full, temporary, sha256_file(temporary))

    @contextmanager
    def local_file(self, name: str, expected: str) -> Iterator[Path]:
        """Give a stored file as a local one: in a local folder the file itself, else a copy that exists during the block.

        Raises
        ------
        StoreError
            When the file is missing or its sha256 is not `expected`.
        """
        if self.local_only:
            if not self.verifies(name, expected):
                raise self._unverified_error(name, expected)
            yield self.path(name)
            return
        with _temporary_folder() as folder:
            copy = folder / PurePosixPath(name).name
            try:
                with self._translate_errors(f"read {name} from"):
                    remote.get_file(self._fs, self._full(name), copy)
            except FileNotFoundError as error:
                raise self._unverified_error(name, expected) from error
            if sha256_file(copy) != expected:
                raise self._unverified_error(name, expected)
            yield copy

    def _unverified_error(self, name: str, expected: str) -> StoreError:
        state = "damaged" if self.exists(name) else "missing"
        return StoreError(f"{name} in {self.root} is {state}: expected sha256 {expected}; run the stage that makes it again")

    def read(self, name: str, expected: str = "") -> bytes:
        """Read one file and check it.

        Parameters
        ----------
        name
            The file's name in the storage.
        expected
            Its sha256, or "" to skip the check.

        Raises
        ------
        StoreError
            When the file is missing or its bytes are not the expected ones.
        TransientError
            When a storage behind a URL does not respond now.
        """
        try:
            with self._translate_errors(f"read {name} from"):
                content = remote.get(self._fs, self._full(name))
        except FileNotFoundError as error:
            raise StoreError(f"{name} is missing from {self.root}; run the stage that makes it again") from error
        if expected and (digest := sha256(content)) != expected:
            raise StoreError(
                f"{name} in {self.root} is damaged: expected sha256 {expected}, found {digest}; "
                "run the stage that makes it again"
            )
        return content

    def remove(self, name: str) -> None:
        """Remove one file; nothing happens when it does not exist.

        Raises
        ------
        StoreError
            When it lies behind a link, or cannot be removed.
        """
        if self._is_behind_link(str(PurePosixPath(name).parent)):
            raise StoreError(f"{name} in {self.root} lies behind a link, which is not followed; remove the link yourself")
        with self._translate_errors(f"remove {name} from"):
            remote.remove(self._fs, self._full(name))

    def exists(self, name: str) -> bool:
        """Tell whether a file exists."""
        with self._translate_errors(f"look for {name} in"):
            return remote.find_hash(self._fs, self._full(name)) is not None

    def verifies(self, name: str, expected: str) -> bool:
        """Tell whether a file exists and has the expected sha256."""
        full = self._full(name)
        with self._translate_errors(f"look at {name} in"):
            known = remote.find_hash(self._fs, full)
            if known is None or known:
                return known == expected
            try:
                with self._fs.open(full, "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest() == expected
            except FileNotFoundError:
                return False  # removed meanwhile

    def write_if(self, name: str, content: bytes, *, if_none_match: str = "", if_match: str = "") -> str:
        """Write one object under a condition, on s3:// only; give its version, or "" when the condition does not hold."""
        with self._translate_errors(f"write {name} to", writing=True):
            return remote.write_if(self._fs, self._full(name), content, if_none_match=if_none_match, if_match=if_match)

    def find_version(self, name: str) -> str:
        """Give an object's version, on s3:// only; "" when there is none."""
        with self._translate_errors(f"look at {name} in"):
            return remote.find_version(self._fs, self._full(name))

    def names(self, folder: str) -> list[str]:
        """List the files below a folder by name, sorted, without temporary ones.

        The storage's own folders (``crops``, ``tables``, …) may be links to another disk; links inside them are not followed.
        """
        full = self._full(folder)
        if self._is_behind_link(folder):
            return []
        base = len(str(self._base)) + 1
        with self._translate_errors(f"list {folder} in"):
            paths = remote.list_files(self._fs, full)
        return sorted(path[base:] for path in paths if not PurePosixPath(path).name.startswith(".tmp-"))

    def list_sizes(self, folder: str) -> list[tuple[str, int, float]]:
        """List the files below a folder with their bytes and when they changed (s since 1970), sorted by name."""
        if self._is_behind_link(folder):
            return []
        with self._translate_errors(f"list {folder} in"):
            files = self._fs.find(self._full(folder), detail=True)
        base = len(str(self._base)) + 1
        return sorted(
            (path[base:], int(details["size"]), _changed_at(details))
            for path, details in files.items()
            if not PurePosixPath(path).name.startswith(".tmp-")
        )

    def _is_behind_link(self, folder: str) -> bool:
        """Tell whether a folder inside one of the storage's own folders is a link, or lies behind one."""
        parts = PurePosixPath(folder).parts
        return self.local_only and any(Path(self._base, *parts[:end]).is_symlink() for end in range(2, len(parts) + 1))

    def open(self, name: str) -> Any:
        """Open one file to read parts of it; nothing is checked."""
        return self._fs.open(self._full(name), "rb")

    def remove_temporary_files(self) -> list[str]:
        """Remove the temporary files that killed processes of this machine left behind, and name them.

        Another machine's files on a shared folder stay: whether their process lives cannot be known here. An object store
        has none; then the local copies that were read or written through are removed from the system's temporary folder, and
        unfinished copies from the folder they are served from.
        """
        base = Path(self._base) if self.local_only else Path(tempfile.gettempdir())
        paths = list(base.rglob(f"{own_prefix()}*") if self.local_only else base.glob(f"figureground{own_prefix()}*"))
        if self.local_folder is not None and not self.local_only:
            paths += (self.local_folder / "crops").rglob(f"{own_prefix()}*")
        left = [path for path in sorted(paths) if not in_use(path.name)]
        try:
            for path in left:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise write_error(path, error) from error
        return [str(path.relative_to(base)) if path.is_relative_to(base) else str(path) for path in left]

    @contextmanager
    def _translate_errors(self, action: str, *, writing: bool = False) -> Iterator[None]:
        """Translate errors of the file system; that a file to read does not exist is left to the caller."""
        try:
            yield
        except remote.foreign_errors() as error:
            if isinstance(error, FileNotFoundError) and not writing:
                raise
            raise remote.translate_error(error, f"cannot {action} {self.root}") from error


_is_plain_name = re.compile(r"[^./\x00][^/\x00]*(?:/[^./\x00][^/\x00]*)*").fullmatch


def _is_lasting(name: str) -> bool:
    return PurePosixPath(name).parts[0] not in _REPRODUCIBLE_FOLDERS


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """Give a temporary folder that `Store.remove_temporary_files` recognises when its process was killed."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"figureground{own_prefix()}{os.getpid()}-")
    except OSError as error:
        raise write_error(Path(tempfile.gettempdir()), error) from error
    with folder as name:
        yield Path(name)


def _changed_at(details: Mapping[str, Any]) -> float:
    """Give when a file changed, from the details of a local folder (seconds) or of an object store (a datetime)."""
    moment = details.get("mtime", details.get("LastModified", details.get("created", 0.0)))
    return moment.timestamp() if isinstance(moment, datetime) else float(moment)
