"""Hashes of bytes, files and folders, and the index of a folder's files: name → sha256 and size."""

import hashlib
import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypeAlias

from figureground.parallel import ordered

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


Look: TypeAlias = Callable[[str, str, bytes], None]
"""Is shown a file's name, hash and content."""
Noted: TypeAlias = dict[str, tuple[str, int]]
_noted: ContextVar[tuple[Noted, Look | None] | None] = ContextVar("noted", default=None)


@contextmanager
def noting(look: Look | None = None) -> Iterator[Noted]:
    """Remember what `note` is told and `content` reads in this block, in the threads of `figureground.parallel.ordered` too.

    Parameters
    ----------
    look
        Is shown what `content` reads.

    Yields
    ------
    dict
        Path to sha256 and size in bytes, for `hash_folder`.
    """
    found: Noted = {}
    token = _noted.set((found, look))
    try:
        yield found
    finally:
        _noted.reset(token)


def note(file: Path | str, sha256: str, size: int) -> None:
    """Tell which hash the content has that was just written to a file; heard only while somebody is `noting`."""
    if (hearing := _noted.get()) is not None:
        hearing[0][str(file)] = sha256, size


def content(file: Path | str) -> bytes:
    """Read a local file whole; who is `noting` gets its hash and need not read it again.

    Raises
    ------
    OSError
        When it cannot be read.
    """
    with open(file, "rb", buffering=0) as opened:  # noqa: PTH123  a path object for each would take longer
        found = opened.read()
    if (hearing := _noted.get()) is not None:
        digest = sha256(found)
        note(file, digest, len(found))
        if look := hearing[1]:
            look(str(file), digest, found)
    return found


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


def hash_folder(folder: Path, *, known: Mapping[str, tuple[str, int]] | None = None, look: Look | None = None) -> FileIndex:
    """Hash every file below a local folder, hidden ones too, without holding a large one in memory.

    Parameters
    ----------
    folder
        A readable local folder.
    known
        Path to sha256 and size of files whose content was hashed when it was written, see `noting`: those of that size are
        not read again.
    look
        Is shown each file below `LARGE_FILE_BYTES` that is read, in threads: who wants to see its content besides need not
        read it again.

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
    logged = [_logged(f"{folder}/{name}", known) for name in names] if known else [None] * len(names)
    unknown = (name for name, entry in zip(names, logged, strict=True) if entry is None)
    hashed = ordered(lambda name: _hash(folder, name, look), unknown, together=BATCH_SIZE)
    return FileIndex((name, entry or next(hashed)) for name, entry in zip(names, logged, strict=True))


def list_folder(folder: Path) -> tuple[list[str], list[Path]]:
    """List the files below a local folder by name, and the folders, inner ones before those around them.

    Raises
    ------
    OSError
        When a folder cannot be read.
    """
    names, folders = [], []
    for place, _, files in os.walk(folder, topdown=False, onerror=_raise):
        folders.append(Path(place))
        inside = Path(place).relative_to(folder).as_posix()
        names += files if inside == "." else [f"{inside}/{file}" for file in files]
    return sorted(names), folders


def _raise(error: OSError) -> None:
    raise error


def _logged(path: str, known: Mapping[str, tuple[str, int]]) -> tuple[str, int] | None:
    entry = known.get(path)
    return entry if entry and os.stat(path).st_size == entry[1] else None  # noqa: PTH116  as below


def _hash(folder: Path, name: str, look: Look | None) -> tuple[str, int]:
    with open(f"{folder}/{name}", "rb", buffering=0) as file:  # noqa: PTH123  a path object for each would take longer
        size = os.fstat(file.fileno()).st_size
        if size >= LARGE_FILE_BYTES:
            return hashlib.file_digest(file, "sha256").hexdigest(), size
        content = file.read()
    digest = sha256(content)
    if look:
        look(name, digest, content)
    return digest, size
