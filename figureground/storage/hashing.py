"""Hashes of bytes, files and folders, and the index of a folder's files: name → sha256 and size."""

import hashlib
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from pathlib import Path

from figureground.parallel import map_ordered

BATCH_SIZE = 32
"""Files that one thread takes at a time: most are so small that handing each over would cost more than reading it."""

LARGE_FILE_BYTES = 1 << 22
"""Files of at least this size are hashed piece by piece and never held in memory."""


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


class ReadLog:
    """Hashes of files that were read or written, so that `hash_folder` does not read them a second time.

    It is passed to what reads and writes; threads may share one.

    Parameters
    ----------
    on_read
        Called with the path, the sha256 and the content of each file that is read, possibly in several threads: a caller
        that needs the content besides does not read it again.
    """

    def __init__(self, on_read: Callable[[str, str, bytes], None] | None = None) -> None:
        self._on_read = on_read
        self._entries: dict[str, tuple[str, int]] = {}

    def add(self, path: Path | str, sha256: str, size: int) -> None:
        """Record the hash and the size in bytes of a file that was just written."""
        self._entries[str(path)] = sha256, size

    def add_read(self, path: Path | str, content: bytes) -> str:
        """Record a file that was just read, and give its sha256."""
        digest = sha256(content)
        self.add(path, digest, len(content))
        if self._on_read:
            self._on_read(str(path), digest, content)
        return digest

    def find(self, path: str) -> tuple[str, int] | None:
        """Give the recorded hash and size of a file that still has this size, else None.

        Raises
        ------
        OSError
            When a recorded file cannot be found.
        """
        entry = self._entries.get(path)
        return entry if entry and os.stat(path).st_size == entry[1] else None  # noqa: PTH116  as in `read_file`


def read_file(path: Path | str, log: ReadLog | None = None) -> bytes:
    """Read a local file whole and record its hash.

    Parameters
    ----------
    path
        A readable local file.
    log
        Where the hash is recorded; None records nothing.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  a path object for each would take longer
        content = file.read()
    if log is not None:
        log.add_read(path, content)
    return content


class FileIndex(Mapping[str, tuple[str, int]]):
    """File name to sha256 and size in bytes, sorted by name, in a third of the memory that a dict takes.

    Parameters
    ----------
    files
        Each name once, in sorted order.

    Raises
    ------
    ValueError
        When the names are not in order.

    Examples
    --------
    >>> dict(FileIndex([("a.txt", ("00" * 32, 5))]))["a.txt"][1]
    5
    """

    def __init__(self, files: Iterable[tuple[str, tuple[str, int]]]) -> None:
        self._names: list[str] = []
        self._digests, self._sizes = bytearray(), array("q")
        for name, (digest, size) in files:
            if self._names and name <= self._names[-1]:
                raise ValueError(f"{name} after {self._names[-1]}: expected names in order, each once")
            self._names.append(name)
            self._digests += bytes.fromhex(digest)
            self._sizes.append(size)

    def __getitem__(self, name: str) -> tuple[str, int]:
        index = bisect_left(self._names, name)
        if index == len(self._names) or self._names[index] != name:
            raise KeyError(name)
        return self._entry(index)

    def _entry(self, index: int) -> tuple[str, int]:
        return self._digests[32 * index : 32 * index + 32].hex(), self._sizes[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, FileIndex):
            return (self._names, self._digests, self._sizes) == (other._names, other._digests, other._sizes)
        return super().__eq__(other)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def items(self) -> ItemsView[str, tuple[str, int]]:
        """Give names with hashes and sizes without searching for each name."""
        return _Items(self)

    def pop(self, name: str) -> tuple[str, int]:
        """Remove one file from the index and give its hash and size.

        Raises
        ------
        KeyError
            When it is not there.
        """
        entry, index = self[name], bisect_left(self._names, name)
        del self._names[index], self._sizes[index], self._digests[32 * index : 32 * index + 32]
        return entry


class _Items(ItemsView[str, tuple[str, int]]):
    _mapping: FileIndex  # ItemsView keeps the mapping under this name

    def __iter__(self) -> Iterator[tuple[str, tuple[str, int]]]:
        index = self._mapping
        return ((name, index._entry(number)) for number, name in enumerate(index))


def hash_folder(folder: Path, log: ReadLog | None = None) -> FileIndex:
    """Hash every file below a local folder, hidden ones too, without holding a large one in memory.

    Parameters
    ----------
    folder
        A readable local folder.
    log
        Files that it holds with their present size are not read again; the others below `LARGE_FILE_BYTES` are recorded in it.

    Returns
    -------
    FileIndex
        Name in the folder, with ``/``, to sha256 and size in bytes; sorted by name.

    Raises
    ------
    OSError
        When a file cannot be read.
    """
    names, _ = list_folder(folder)
    logged = [log.find(f"{folder}/{name}") for name in names] if log else [None] * len(names)
    unknown = (f"{folder}/{name}" for name, entry in zip(names, logged, strict=True) if entry is None)
    hashed = map_ordered(lambda path: _hash(path, log), unknown, batch_size=BATCH_SIZE)
    return FileIndex((name, entry or next(hashed)) for name, entry in zip(names, logged, strict=True))


def list_folder(folder: Path) -> tuple[list[str], list[Path]]:
    """List the files below a local folder by name, and the folders, inner ones before those around them.

    Raises
    ------
    OSError
        When a folder cannot be read.
    """
    names, folders = [], []
    for subfolder, _, files in os.walk(folder, topdown=False, onerror=_raise):
        folders.append(Path(subfolder))
        inside = Path(subfolder).relative_to(folder).as_posix()
        names += files if inside == "." else [f"{inside}/{file}" for file in files]
    return sorted(names), folders


def find_irregular(folder: Path) -> list[str]:
    """Name the links and special files below a local folder, whose files are to be hashed; no file is opened.

    Raises
    ------
    OSError
        When a folder cannot be read.
    """
    problems: list[str] = []
    waiting = [folder]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(Path(entry.path))
                elif not entry.is_file(follow_symlinks=False):
                    place = Path(entry.path)
                    kind = f"a link to {place.readlink()}" if entry.is_symlink() else "a pipe, socket or device"
                    problems.append(f"{place.relative_to(folder).as_posix()} is {kind}; expected files and folders only")
    return sorted(problems)


def _raise(error: OSError) -> None:
    raise error


def _hash(path: str, log: ReadLog | None) -> tuple[str, int]:
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  as in `read_file`
        size = os.fstat(file.fileno()).st_size
        if size >= LARGE_FILE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest(), size
        content = file.read()
    return (log.add_read(path, content) if log else sha256(content)), size
