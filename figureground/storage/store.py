"""Names and files: every byte the project keeps goes through here.

A file is written beside its place, hashed, flushed to disk and renamed, so a reader sees the old bytes or the new
bytes and never half of them. Reading checks the hash the caller expects. Below is fsspec, so a local folder and an
object store behave alike; an object store's own put is already all or nothing, and keeps the content's hash beside it, so
that asking whether a file is the right one costs one small request and no download. What lasts longer than a stage that
makes it again (tables, labels, originals, releases) is on the disk with its folder's list when a write returns.
"""

import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path, PurePosixPath
from typing import Any, Self, TypeAlias

from figureground.errors import StoreError
from figureground.parallel import ordered
from figureground.storage import remote
from figureground.storage.file_index import Listing


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


def hash_folder(folder: Path, *, known: Mapping[str, tuple[str, int]] | None = None, look: Look | None = None) -> Listing:
    """Hash every file below a local folder, hidden ones too, without holding a big one in memory.

    Parameters
    ----------
    folder
        A readable local folder.
    known
        Path to sha256 and size of files whose content was hashed when it was written, see `noting`: those of that size are
        not read again.
    look
        Is shown each file below 4 MB that is read, in threads: who wants to see its content besides need not read it again.

    Returns
    -------
    Listing
        Name in the folder, with ``/``, to sha256 and size in bytes; sorted by name.

    Raises
    ------
    OSError
        When a file cannot be read.
    """
    names, _ = _below(folder)
    noted = [_as_noted(f"{folder}/{name}", known) for name in names] if known else [None] * len(names)
    unknown = (name for name, one in zip(names, noted, strict=True) if one is None)
    hashed = ordered(lambda name: _hashed(folder, name, look), unknown, together=_TOGETHER)
    return Listing((name, one or next(hashed)) for name, one in zip(names, noted, strict=True))


def flush_folder(folder: Path) -> None:
    """Have the system bring every file below a local folder, and the folders' lists, to the disk.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    if _bring_down(folder):
        return
    names, folders = _below(folder)  # more threads wait for the disk than there are processors
    for _ in ordered(flush, (folder / name for name in names), _WAITING, together=_TOGETHER):
        continue
    for below in folders:
        flush(below)


@contextmanager
def flushing(folder: Path) -> Iterator[None]:
    """Have what was written below a folder brought to the disk while this block runs; at its end it is there.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(flush_folder, folder)
        yield
        done.result()


_TOGETHER, _WAITING = 32, 16
SMALL = 1 << 22
"""Files from this many bytes on are never held in memory to hash them."""
_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
"""Linux' own, which tells since 5.8 when a file could not be written; nothing of the kind elsewhere."""


def _bring_down(folder: Path) -> bool:
    """Have the system bring all of a folder's disk down at once: tens of thousands of files take a second, not five.

    False when this system cannot.
    """
    if _syncfs is None:
        return False
    handle = os.open(folder, os.O_RDONLY)
    try:
        if _syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)
    return True


def _below(folder: Path) -> tuple[list[str], list[Path]]:
    """List the files below a folder by name, and the folders, those inside before those around them."""
    names, folders = [], []
    for place, _, files in os.walk(folder, topdown=False, onerror=_raised):
        folders.append(Path(place))
        inside = Path(place).relative_to(folder).as_posix()
        names += files if inside == "." else [f"{inside}/{file}" for file in files]
    return sorted(names), folders


def _raised(error: OSError) -> None:
    raise error


def _as_noted(path: str, known: Mapping[str, tuple[str, int]]) -> tuple[str, int] | None:
    noted = known.get(path)
    return noted if noted and os.stat(path).st_size == noted[1] else None  # noqa: PTH116  as below


def _hashed(folder: Path, name: str, look: Look | None) -> tuple[str, int]:
    with open(f"{folder}/{name}", "rb", buffering=0) as file:  # noqa: PTH123  a path object for each would take longer
        size = os.fstat(file.fileno()).st_size
        if size >= SMALL:
            return hashlib.file_digest(file, "sha256").hexdigest(), size
        content = file.read()
    digest = sha256(content)
    if look:
        look(name, digest, content)
    return digest, size


def flush(path: Path) -> None:
    """Have the system bring one file, or a folder's list, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_when_dead(left: Path) -> None:
    """Remove a half-built folder, or a temporary file, unless the process that builds it still holds its lock.

    Parameters
    ----------
    left
        What was found; a builder holds `fcntl.flock` on it as long as it lives.

    Raises
    ------
    OSError
        When it cannot be removed.
    """
    try:
        handle = os.open(left, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    finally:
        os.close(handle)
    shutil.rmtree(left) if left.is_dir() else left.unlink()


@contextmanager
def bench(folder: Path, mark: str) -> Iterator[Path]:
    """Give a folder to build another in, held as long as this process lives; one that was left is taken up again.

    Parameters
    ----------
    folder
        What is built, beside which the bench lies.
    mark
        Of all that decides the result, at least 16 signs; benches of other marks that nobody holds are removed.

    Raises
    ------
    StoreError
        When another process is building the same, or the disk refuses.
    """
    place = folder.parent / f".tmp-{folder.name}-{mark[:16]}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        for left in sorted(folder.parent.glob(f".tmp-{folder.name}-*")):
            if left != place:
                remove_when_dead(left)
        handle = os.open(place, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield place
        except BlockingIOError as error:
            raise StoreError(f"another run is making {folder.name}; wait for it") from error
        finally:
            os.close(handle)
    except OSError as error:
        raise StoreError(
            f"cannot write {folder}: {error}. Expected a folder this user may write to with room left; "
            "free some space or change its permissions, then run again: it carries on"
        ) from error


def write_file(path: Path, content: bytes, *, lasting: bool = True) -> str:
    """Write a local file so that it is complete or absent.

    Parameters
    ----------
    path
        Where; its folder is made.
    content
        The whole file.
    lasting
        See `beside`.

    Returns
    -------
    str
        The content's sha256.

    Raises
    ------
    StoreError
        When the folder cannot be written to or the disk is full.
    """
    with beside(path, lasting=lasting) as temporary:
        temporary.write_bytes(content)
    return sha256(content)


@contextmanager
def beside(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Give a temporary file next to `path` that takes its place when the block ends well.

    The temporary file is removed when the block raises. Its name starts with ``.tmp-``.

    Parameters
    ----------
    path
        The final name; its folder is made.
    lasting
        Bring the folder's list to the disk, too, so that not even a power failure right after takes the new name away.
        The content is on the disk before the rename either way: a name never stands for half a file.

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
        flush(temporary)
        temporary.replace(path)
        if lasting:
            flush(path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror or error}. Expected a folder this user may write to with room left; "
        "free some space, change its permissions, or set another `storage:` in the catalog, then run again"
    )


_MADE_AGAIN = ("frames", "crops", "mattes", "reports", "shards")
"""Folders whose files the next run verifies and makes again: a power failure may take a name of theirs away."""

_HERE = ("releases", ".locks", ".studio")
"""Folders that are always on this machine: a release is a folder for other programs, locks and a server's home are local."""


class Root(str):
    """Where a storage lies, as text: a folder or an fsspec URL. It brings what opens it.

    Parameters
    ----------
    address
        The text itself.
    options
        What fsspec needs to open a URL besides the environment's variables, for example ``endpoint_url``.
    local
        The folder on this machine for what cannot lie behind a URL: ``releases``, ``.locks``, ``.studio``.

    Examples
    --------
    >>> Root("s3://bucket/prefix", local="/srv/here").local
    '/srv/here'
    """

    options: Mapping[str, Any]
    local: str

    def __new__(cls, address: str, options: Mapping[str, Any] | None = None, local: str = "") -> Self:
        """Make the text and keep the rest beside it."""
        made = super().__new__(cls, address)
        made.options, made.local = dict(options or {}), local
        return made


class Store:
    """The storage folder of a catalog.

    Parameters
    ----------
    root
        A local folder or an fsspec URL such as ``s3://bucket/prefix``, see `Root`. Names below are relative to it, with ``/``.

    Raises
    ------
    StoreError
        When the URL's protocol is unknown or its package is not installed.
    """

    def __init__(self, root: str) -> None:
        try:
            self._fs, base = remote.opened(str(root), root.options if isinstance(root, Root) else {})
        except (ImportError, ValueError, TypeError) as error:
            raise StoreError(f"storage {str(root)!r} cannot be opened: {error}") from error
        self.root = str(root)
        self.here = Path(root.local) if isinstance(root, Root) and root.local else None
        self._base = PurePosixPath(base)
        self._prefix = str(self._base / "x")[:-1]
        self.local_only = "file" in _protocols(self._fs)

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
        if self.here is None or PurePosixPath(name).parts[0] not in _HERE:
            raise StoreError(f"{name} in {self.root} has no local path: this storage is not a local folder")
        return self.here / name

    def served(self, name: str) -> Path:
        """Give the place on this machine from which another program can serve a file: its own, or its copy's in ``local``.

        Raises
        ------
        StoreError
            When the name leaves the storage, or the storage is no local folder and has no folder on this machine.
        """
        full = self._full(name)
        if self.local_only:
            return Path(full)
        if self.here is None:
            raise StoreError(f"{name} in {self.root} has no local path: this storage is not a local folder")
        return self.here / name

    def serve(self, name: str, expected: str) -> Path:
        """See to it that a file lies where `served` says; of a storage behind a URL a verified copy is kept there.

        Parameters
        ----------
        name
            The file's name in the storage.
        expected
            Its sha256.

        Returns
        -------
        Path
            See `served`.

        Raises
        ------
        StoreError
            When the file is missing or damaged, or its copy cannot be written.
        """
        place = self.served(name)
        if not self.local_only and not (place.is_file() and sha256_file(place) == expected):
            write_file(place, self.read(name, expected), lasting=False)
        return place

    def place(self, name: str) -> str:
        """Say where a name lies, for people: a path or a URL.

        Raises
        ------
        StoreError
            When the name leaves the storage.
        """
        full = self._full(name)
        return full if self.local_only else f"{self.root.rstrip('/')}/{name}"

    def _full(self, name: str) -> str:
        if _plain(name):  # nearly every name; taking it apart takes as long as opening a file
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
            return write_file(self.path(name), content, lasting=_lasts(name))
        with self._asking(f"write {name} to", writing=True):
            remote.put(self._fs, self._full(name), content, digest)
        return digest

    @contextmanager
    def receive(self, name: str) -> Iterator[Path]:
        """Give a local temporary file that becomes `name` when the block ends well: for files too big to hold in memory.

        Raises
        ------
        StoreError
            When the storage cannot be written to.
        """
        if self.local_only:
            with beside(self.path(name), lasting=_lasts(name)) as temporary:
                yield temporary
            return
        full = self._full(name)
        with _scratch() as folder:
            temporary = folder / PurePosixPath(name).name
            temporary.touch()
            yield temporary
            with self._asking(f"write {name} to", writing=True):
                remote.put_file(self._fs, full, temporary, sha256_file(temporary))

    @contextmanager
    def local(self, name: str, expected: str) -> Iterator[Path]:
        """Give a stored file as a local one: itself in a local folder, else a copy that lives as long as the block.

        Raises
        ------
        StoreError
            When the file is missing or its sha256 is not `expected`.
        """
        if self.local_only:
            if not self.verifies(name, expected):
                raise self._not_it(name, expected)
            yield self.path(name)
            return
        with _scratch() as folder:
            copy = folder / PurePosixPath(name).name
            try:
                with self._asking(f"read {name} from"):
                    remote.get_file(self._fs, self._full(name), copy)
            except FileNotFoundError as error:
                raise self._not_it(name, expected) from error
            if sha256_file(copy) != expected:
                raise self._not_it(name, expected)
            yield copy

    def _not_it(self, name: str, expected: str) -> StoreError:
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
            When a storage behind a URL does not answer now.
        """
        try:
            with self._asking(f"read {name} from"):
                content = remote.get(self._fs, self._full(name))
        except FileNotFoundError as error:
            raise StoreError(f"{name} is missing from {self.root}; run the stage that makes it again") from error
        if expected and (found := sha256(content)) != expected:
            raise StoreError(
                f"{name} in {self.root} is damaged: expected sha256 {expected}, found {found}; "
                "run the stage that makes it again"
            )
        return content

    def remove(self, name: str) -> None:
        """Remove one file; one that is not there is as good as removed."""
        with self._asking(f"remove {name} from"):
            remote.remove(self._fs, self._full(name))

    def exists(self, name: str) -> bool:
        """Tell whether a file is there."""
        with self._asking(f"look for {name} in"):
            return remote.kept(self._fs, self._full(name)) is not None

    def verifies(self, name: str, expected: str) -> bool:
        """Tell whether a file is there and has the expected sha256."""
        full = self._full(name)
        with self._asking(f"look at {name} in"):
            kept = remote.kept(self._fs, full)
            if kept is None or kept:
                return kept == expected
            try:
                with self._fs.open(full, "rb") as file:
                    return hashlib.file_digest(file, "sha256").hexdigest() == expected
            except FileNotFoundError:
                return False  # taken away since

    def put_if(self, name: str, content: bytes, *, if_none_match: str = "", if_match: str = "") -> str:
        """Write one object under a condition, on s3:// only; give its version, or "" when the condition does not hold."""
        with self._asking(f"write {name} to", writing=True):
            return remote.put_if(self._fs, self._full(name), content, if_none_match=if_none_match, if_match=if_match)

    def tag(self, name: str) -> str:
        """Give an object's version, on s3:// only; "" when there is none."""
        with self._asking(f"look at {name} in"):
            return remote.tag(self._fs, self._full(name))

    def names(self, folder: str) -> list[str]:
        """List the files below a folder, sorted, leaving temporary ones out."""
        full = self._full(folder)
        base = len(str(self._base)) + 1
        with self._asking(f"list {folder} in"):
            found = remote.names(self._fs, full)
        return sorted(name[base:] for name in found if not PurePosixPath(name).name.startswith(".tmp-"))

    def sizes(self, folder: str) -> list[tuple[str, int, float]]:
        """List the files below a folder with their bytes and when they changed (s since 1970), sorted by name."""
        with self._asking(f"list {folder} in"):
            found = self._fs.find(self._full(folder), detail=True)
        base = len(str(self._base)) + 1
        return sorted(
            (name[base:], int(told["size"]), _changed(told))
            for name, told in found.items()
            if not PurePosixPath(name).name.startswith(".tmp-")
        )

    def open(self, name: str) -> Any:
        """Open one file to read parts of it; nothing is checked."""
        return self._fs.open(self._full(name), "rb")

    def sweep(self) -> list[str]:
        """Remove the temporary files that killed processes of this machine left behind, and name them.

        Another machine's files on a shared folder are left alone: whether their process lives cannot be told from here.
        An object store has none; the copies it was read through or written from are swept from the folder for temporary files,
        and what was half copied for being served.
        """
        base = Path(self._base) if self.local_only else Path(tempfile.gettempdir())
        found = list(base.rglob(f".tmp-{_host()}-*") if self.local_only else base.glob(f"figureground.tmp-{_host()}-*"))
        if self.here is not None and not self.local_only:
            found += (self.here / "crops").rglob(f".tmp-{_host()}-*")
        orphans = [path for path in sorted(found) if not _lives(path.name)]
        try:
            for orphan in orphans:
                if orphan.is_dir():
                    shutil.rmtree(orphan)
                else:
                    orphan.unlink(missing_ok=True)
        except OSError as error:
            raise _cannot_write(orphan, error) from error
        return [str(orphan.relative_to(base)) if orphan.is_relative_to(base) else str(orphan) for orphan in orphans]

    @contextmanager
    def _asking(self, what: str, *, writing: bool = False) -> Iterator[None]:
        """Translate what a storage says when it cannot; that a file to read is not there is for the caller."""
        try:
            yield
        except remote.foreign() as error:
            if isinstance(error, FileNotFoundError) and not writing:
                raise
            raise remote.translated(error, f"cannot {what} {self.root}") from error


_plain = re.compile(r"[^./\x00][^/\x00]*(?:/[^./\x00][^/\x00]*)*").fullmatch


def _lasts(name: str) -> bool:
    return PurePosixPath(name).parts[0] not in _MADE_AGAIN


@contextmanager
def _scratch() -> Iterator[Path]:
    """Give a temporary folder that `Store.sweep` knows when its process is killed."""
    try:
        folder = tempfile.TemporaryDirectory(prefix=f"figureground.tmp-{_host()}-{os.getpid()}-")
    except OSError as error:
        raise _cannot_write(Path(tempfile.gettempdir()), error) from error
    with folder as name:
        yield Path(name)


def _changed(told: Mapping[str, Any]) -> float:
    """Give when a file changed, as a folder says it or as an object store does."""
    moment = told.get("mtime", told.get("LastModified", told.get("created", 0.0)))
    return float(moment.timestamp() if hasattr(moment, "timestamp") else moment)


def _host() -> str:
    return platform.node().replace("-", "_") or "localhost"


def _lives(temporary: str) -> bool:
    """Tell whether the process that a temporary file is named after still runs."""
    pid = temporary.partition(f".tmp-{_host()}-")[2].split("-", 1)[0]
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True  # somebody else's, or not named by us
    return True


def _protocols(fs: Any) -> tuple[str, ...]:
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
