"""Names and files: every byte the project keeps goes through here.

A file is written beside its place, hashed, flushed to disk and renamed, so a reader sees the old bytes or the new
bytes and never half of them. Reading checks the hash the caller expects. Below is fsspec, so a local folder and an
object store behave alike; an object store's own put is already all or nothing.
"""

import hashlib
import os
import platform
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from figureground.errors import StoreError
from figureground.parallel import ordered


def sha256(content: bytes) -> str:
    """Hash bytes.

    >>> sha256(b"")[:12]
    'e3b0c44298fc'
    """
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """Hash a local file without holding it in memory.

    Parameters
    ----------
    path
        A readable local file.

    Raises
    ------
    OSError
        When the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_folder(folder: Path, *, flushed: bool = False) -> dict[str, tuple[str, int]]:
    """Hash every file below a local folder, hidden ones too, without holding a big one in memory.

    Parameters
    ----------
    folder
        A readable local folder.
    flushed
        Have the system bring every file, and the folders' lists, to the disk as well.

    Returns
    -------
    dict
        Name in the folder, with ``/``, to sha256 and size in bytes; sorted by name.

    Raises
    ------
    OSError
        When a file cannot be read, or the disk refuses.
    """
    names, folders = _below(folder)
    batches = [names[at : at + _TOGETHER] for at in range(0, len(names), _TOGETHER)]
    # The disk brings many files down at once as fast as one, so more threads wait for it than there are processors.
    hashed = ordered(lambda some: [_hashed(folder / name, flushed) for name in some], batches, _WAITING if flushed else None)
    found = {name: one for batch, done in zip(batches, hashed, strict=True) for name, one in zip(batch, done, strict=True)}
    for below in folders if flushed else ():
        flush(below)
    return found


_TOGETHER, _WAITING, _SMALL = 32, 16, 1 << 22


def _below(folder: Path) -> tuple[list[str], list[Path]]:
    """List the files below a folder by name, and the folders, those inside before those around them."""
    names, folders = [], []
    for place, _, files in os.walk(folder, topdown=False, onerror=_raised):
        folders.append(Path(place))
        inside = PurePosixPath(Path(place).relative_to(folder).as_posix())
        names += [str(inside / file) for file in files]
    return sorted(names), folders


def _raised(error: OSError) -> None:
    raise error


def _hashed(path: Path, flushed: bool) -> tuple[str, int]:
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        digest = sha256(file.read()) if size < _SMALL else hashlib.file_digest(file, "sha256").hexdigest()
        if flushed:
            os.fsync(file.fileno())
    return digest, size


def flush(path: Path) -> None:
    """Have the system bring one file, or a folder's list, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, content: bytes) -> str:
    """Write a local file so that it is complete or absent.

    Parameters
    ----------
    path
        Where; its folder is made.
    content
        The whole file.

    Returns
    -------
    str
        The content's sha256.

    Raises
    ------
    StoreError
        When the folder cannot be written to or the disk is full.
    """
    with beside(path) as temporary:
        temporary.write_bytes(content)
    return sha256(content)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a temporary file next to `path` that takes its place when the block ends well.

    The temporary file is removed when the block raises. Its name starts with ``.tmp-``.

    Raises
    ------
    StoreError
        When the folder cannot be written to or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".tmp-{_host()}-{os.getpid()}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror or error}. Expected a folder this user may write to with room left; "
        "free some space, change its permissions, or set another `storage:` in the catalog, then run again"
    )


class Store:
    """The storage folder of a catalog.

    Parameters
    ----------
    root
        A local folder or an fsspec URL such as ``s3://bucket/prefix``. Names below are relative to it, with ``/``.

    Raises
    ------
    StoreError
        When the URL's protocol is unknown or its package is not installed.
    """

    def __init__(self, root: str) -> None:
        import fsspec

        try:
            self._fs, base = fsspec.core.url_to_fs(root)
        except (ImportError, ValueError) as error:
            raise StoreError(f"storage {root!r} cannot be opened: {error}") from error
        self.root = root
        self._base = PurePosixPath(str(base))
        self._local = "file" in _protocols(self._fs)

    def path(self, name: str) -> Path:
        """Give the local path of a name.

        Raises
        ------
        StoreError
            When the storage is not a local folder or the name leaves it.
        """
        if not self._local:
            raise StoreError(f"{name} in {self.root} has no local path: this storage is not a local folder")
        return Path(self._full(name))

    def _full(self, name: str) -> str:
        parts = PurePosixPath(name)
        if parts.is_absolute() or ".." in parts.parts or not parts.parts:
            raise StoreError(f"{name!r} is not a name inside the storage {self.root}: names are relative and have no '..'")
        return str(self._base / parts)

    def write(self, name: str, content: bytes) -> str:
        """Write one file, whole or not at all, and give its sha256. Equal bytes are left untouched."""
        digest = sha256(content)
        if self.verifies(name, digest):
            return digest
        if self._local:
            return write_file(self.path(name), content)
        try:
            self._fs.pipe_file(self._full(name), content)
        except OSError as error:
            raise StoreError(f"cannot write {name} to {self.root}: {error}. Check the storage, then run again") from error
        return digest

    @contextmanager
    def receive(self, name: str) -> Iterator[Path]:
        """Give a local temporary file that becomes `name` when the block ends well: for files too big to hold in memory.

        Raises
        ------
        StoreError
            When the storage cannot be written to.
        """
        if self._local:
            with beside(self.path(name)) as temporary:
                yield temporary
            return
        with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
            temporary = Path(folder) / PurePosixPath(name).name
            temporary.touch()
            yield temporary
            try:
                self._fs.put_file(str(temporary), self._full(name))
            except OSError as error:
                raise StoreError(f"cannot write {name} to {self.root}: {error}. Check the storage, then run again") from error

    @contextmanager
    def local(self, name: str, expected: str) -> Iterator[Path]:
        """Give a stored file as a local one: itself in a local folder, else a copy that lives as long as the block.

        Raises
        ------
        StoreError
            When the file is missing or its sha256 is not `expected`.
        """
        if not self.verifies(name, expected):
            state = "damaged" if self.exists(name) else "missing"
            raise StoreError(f"{name} in {self.root} is {state}: expected sha256 {expected}; run the stage that makes it again")
        if self._local:
            yield self.path(name)
            return
        with tempfile.TemporaryDirectory(prefix="figureground-") as folder:
            copy = Path(folder) / PurePosixPath(name).name
            self._fs.get_file(self._full(name), str(copy))
            yield copy

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
        """
        try:
            content: bytes = self._fs.cat_file(self._full(name))
        except FileNotFoundError as error:
            raise StoreError(f"{name} is missing from {self.root}; run the stage that makes it again") from error
        except OSError as error:
            raise StoreError(f"{name} in {self.root} cannot be read: {error}") from error
        if expected and (found := sha256(content)) != expected:
            raise StoreError(
                f"{name} in {self.root} is damaged: expected sha256 {expected}, found {found}; "
                "run the stage that makes it again"
            )
        return content

    def remove(self, name: str) -> None:
        """Remove one file; one that is not there is as good as removed."""
        if self.exists(name):
            self._fs.rm_file(self._full(name))

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        return bool(self._fs.isfile(self._full(name)))

    def verifies(self, name: str, expected: str) -> bool:
        """Tell whether a file is there and has the expected sha256."""
        if not self.exists(name):
            return False
        with self._fs.open(self._full(name), "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == expected

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, sorted, leaving temporary ones out."""
        full = self._full(folder)
        base = len(str(self._base)) + 1
        found = self._fs.find(full) if self._fs.exists(full) else []
        return sorted(name[base:] for name in found if not PurePosixPath(name).name.startswith(".tmp-"))

    def sweep(self) -> list[str]:
        """Remove the temporary files that killed processes of this machine left behind, and name them.

        Another machine's files on a shared folder are left alone: whether their process lives cannot be told from here.
        An object store has none.
        """
        if not self._local or not Path(self._base).exists():
            return []
        orphans = [path for path in sorted(Path(self._base).rglob(f".tmp-{_host()}-*")) if not _lives(path.name)]
        try:
            for orphan in orphans:
                orphan.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(orphan, error) from error
        return [str(orphan.relative_to(self._base)) for orphan in orphans]


def _host() -> str:
    return platform.node().replace("-", "_") or "localhost"


def _lives(temporary: str) -> bool:
    """Tell whether the process that a temporary file is named after still runs."""
    pid = temporary.removeprefix(f".tmp-{_host()}-").split("-", 1)[0]
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True  # somebody else's, or not named by us
    return True


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
