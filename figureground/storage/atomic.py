"""Files and folders that are complete or absent: written beside their place, flushed to the disk, then renamed.

Temporary names begin with ``.tmp-``. A temporary file names the machine and the process that writes it, a build folder is
locked by its process, so that what a killed process left can be recognised and removed.
"""

import ctypes
import fcntl
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from figureground.errors import FullStorageError, StoreError
from figureground.parallel import map_ordered
from figureground.shortage import describe_shortage, find_shortage
from figureground.storage.hashing import BATCH_SIZE, list_folder, sha256


def write_file(path: Path, content: bytes, *, lasting: bool = True) -> str:
    """Write a local file so that it is complete or absent.

    Parameters
    ----------
    path
        Where; its folder is made.
    content
        The whole file.
    lasting
        See `write_beside`.

    Returns
    -------
    str
        The content's sha256.

    Raises
    ------
    StoreError
        When the folder cannot be written to or the disk is full.
    """
    with write_beside(path, lasting=lasting) as temporary:
        temporary.write_bytes(content)
    return sha256(content)


@contextmanager
def write_beside(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Give a temporary file next to `path` that takes its place when the block ends well.

    The temporary file is removed when the block raises. Its name starts with ``.tmp-``.

    Parameters
    ----------
    path
        The final name; its folder is made.
    lasting
        Flush the folder's list to the disk, too, so that not even a power failure right after takes the new name away.
        The content is on the disk before the rename either way: a name never stands for half a file.

    Raises
    ------
    StoreError
        When the folder cannot be written to or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f"{own_prefix()}{os.getpid()}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
    except OSError as error:
        raise write_error(path, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        flush(temporary)
        temporary.replace(path)
        if lasting:
            flush(path.parent)
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_error(path: Path, error: OSError) -> StoreError:
    """Give the error that says why a path of the storage cannot be written and what to do."""
    if lacking := find_shortage(OSError(error.errno, error.strerror, str(path))):
        return FullStorageError(f"cannot write {path}: {error.strerror or error}. {describe_shortage(lacking)}")
    return StoreError(
        f"cannot write {path}: {error.strerror or error}. Expected a folder this user may write to with room left; "
        "free some space, change its permissions, or set another `storage:` in the catalog, then run again"
    )


def own_prefix() -> str:
    """Give the prefix of this machine's temporary files; the number of the process follows."""
    return f".tmp-{platform.node().replace('-', '_') or 'localhost'}-"


def in_use(temporary: str) -> bool:
    """Tell whether the process that a temporary file is named after still runs."""
    pid = temporary.partition(own_prefix())[2].split("-", 1)[0]
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, ValueError):
        return True  # another user's process, or a name that is not ours
    return True


@contextmanager
def build_folder(folder: Path, fingerprint: str = "") -> Iterator[Path]:
    """Give a folder beside `folder` in which it is built; the caller renames it when it is complete.

    The build folder is locked as long as this process lives. Those of dead processes are removed.

    Parameters
    ----------
    folder
        What is built; its parent is made.
    fingerprint
        Of all that decides the result, at least 16 characters. With it, the build folder stays when the block raises, and the
        next run with this fingerprint continues in it; then only what is left of the same `folder` is removed. Without it
        every build begins anew, and every unlocked build folder beside it is removed.

    Raises
    ------
    StoreError
        When another process is building the same, or the disk refuses.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        build = _make_build_folder(folder, fingerprint)
        handle = os.open(build, os.O_RDONLY)
        try:
            _lock_build_folder(handle, folder, fingerprint)
            for left in sorted(folder.parent.glob(f".tmp-{folder.name}-*" if fingerprint else ".tmp-*")):
                if left != build:
                    remove_unlocked(left)
            yield build
        finally:
            if not fingerprint:
                shutil.rmtree(build, ignore_errors=True)
            os.close(handle)
    except OSError as error:
        if lacking := find_shortage(error):
            raise FullStorageError(f"cannot write {folder}: {error}. {describe_shortage(lacking)}") from error
        raise StoreError(
            f"cannot write {folder}: {error}. Expected a folder this user may write to with room left; "
            "free some space or change its permissions, then run again"
        ) from error


def _make_build_folder(folder: Path, fingerprint: str) -> Path:
    if not fingerprint:
        return Path(tempfile.mkdtemp(prefix=f".tmp-{folder.name}-", dir=folder.parent))
    build = folder.parent / f".tmp-{folder.name}-{fingerprint[:16]}"
    build.mkdir(exist_ok=True)
    return build


def _lock_build_folder(handle: int, folder: Path, fingerprint: str) -> None:
    try:
        # one of a random name is only ever locked for the moment in which another process looks whether it is left over
        fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if fingerprint else 0))
    except BlockingIOError as error:
        raise StoreError(f"another run is making {folder.name}; wait for it") from error


def remove_unlocked(left: Path) -> None:
    """Remove a half-built folder, or a temporary file, unless the process that builds it still holds its lock.

    Parameters
    ----------
    left
        A path; the process that builds it holds `fcntl.flock` on it as long as it lives.

    Raises
    ------
    OSError
        When it cannot be removed.
    """
    if left.is_symlink() or not (left.is_dir() or left.is_file()):  # a link is never what a process builds, nor a pipe
        left.unlink(missing_ok=True)
        return
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


def flush(path: Path) -> None:
    """Have the system write one file, or a folder's list, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def flush_folder(folder: Path) -> None:
    """Have the system write every file below a local folder, and the folders' lists, to the disk.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    if _flush_disk(folder):
        return
    names, folders = list_folder(folder)
    for _ in map_ordered(flush, (folder / name for name in names), _FLUSH_THREADS, batch_size=BATCH_SIZE):
        continue
    for below in folders:
        flush(below)


@contextmanager
def flush_in_background(folder: Path) -> Iterator[None]:
    """Flush what was written below a folder while this block runs; at its end everything is on the disk.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    with ThreadPoolExecutor(1) as executor:
        flushed = executor.submit(flush_folder, folder)
        yield
        flushed.result()


_FLUSH_THREADS = 16  # more than processors: they wait for the disk
_syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
"""Linux only; since 5.8 it reports when a file could not be written."""


def _flush_disk(folder: Path) -> bool:
    """Flush the whole disk that a folder lies on: tens of thousands of files take a second, not five.

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
