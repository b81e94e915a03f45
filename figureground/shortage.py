"""Tells a lack of memory, threads, open files or disk from a damaged input: the former may be gone at the next try.

Libraries report a shortage in many ways. FFmpeg and OpenCV give errors of their own, others only a text. Some hide it: their
answer for a file is then "not an image". `refuse_short_memory` is asked before such an answer is believed.
"""

import errno
import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from figureground.errors import ShortageError

_MEMORY, _THREADS, _FILES, _DISK, _INODES = "memory", "threads or processes", "open files", "room on the disk", "free inodes"

_ADVICE: Final = {
    _MEMORY: "end other programs, or allow this one more memory (`ulimit -v`, the container's limit)",
    _THREADS: "end other programs, or allow more threads (`ulimit -u`, the container's limit of processes)",
    _FILES: "allow more open files (`ulimit -n`)",
    _DISK: "free some space",
    _INODES: "remove some files: the disk has space left, but its number of files is used up (`df -i`)",
}

_ERRNOS: Final = {
    errno.ENOMEM: _MEMORY,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.ENOSPC: _DISK,
    errno.EDQUOT: _DISK,
    errno.EAGAIN: _THREADS,
}

_TEXTS: Final = {
    "bad_alloc": _MEMORY,
    "bad allocation": _MEMORY,
    "cannot allocate memory": _MEMORY,
    "failed to allocate": _MEMORY,
    "insufficient memory": _MEMORY,
    "failed to map segment": _MEMORY,
    "out of memory": _MEMORY,
    "start new thread": _THREADS,
    "resource temporarily unavailable": _THREADS,
    "too many open files": _FILES,
    "no space left on device": _DISK,
}
"""What libraries in C and C++ say, in lower case."""

_STATIC_TLS = "static tls block"  # the dynamic linker's words for libraries that were loaded in an unlucky order

_SPARE_BYTES = 64 << 20
"""What a process that has enough memory can always get."""


def find_shortage(error: BaseException) -> str:
    """Name what the machine lacks when that is why an error was raised.

    Parameters
    ----------
    error
        An error of any library; the errors that it was raised from are looked at, too.

    Returns
    -------
    str
        For example ``memory``; "" when the error has another reason.

    Examples
    --------
    >>> find_shortage(MemoryError()), find_shortage(OSError(24, "")), find_shortage(ValueError("out of memory"))
    ('memory', 'open files', '')
    """
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:  # a library may wrap an error of ours, which is then raised from its wrapper
        seen.append(cause)
        if lacking := _shortage_of(cause):
            return _MEMORY if lacking == _THREADS and not has_memory(0) else lacking  # a thread needs memory for its stack
        cause = cause.__cause__
    return ""


def _shortage_of(error: BaseException) -> str:
    if isinstance(error, MemoryError):
        return _MEMORY
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return _INODES if _ERRNOS[error.errno] == _DISK and _lacks_inodes(error.filename) else _ERRNOS[error.errno]
    if not isinstance(error, (RuntimeError, SystemError, ImportError)) and type(error).__module__ not in ("cv2", "cv2.cv2"):
        return ""
    text = str(error).lower()
    return "" if _STATIC_TLS in text else next((lacking for words, lacking in _TEXTS.items() if words in text), "")


def _lacks_inodes(file: object) -> bool:
    """Tell whether the disk of a file has bytes left, but no room for one more file."""
    if not isinstance(file, (str, bytes, os.PathLike)):
        return False
    folder = next((parent for parent in Path(os.fsdecode(file)).absolute().parents if parent.is_dir()), Path("/"))
    free = os.statvfs(folder)
    return free.f_files > 0 and free.f_favail == 0 and free.f_bavail > 0


def describe_shortage(lacking: str, error: BaseException | None = None) -> str:
    """Say what is lacking, and what to do.

    Parameters
    ----------
    lacking
        As `find_shortage` names it.
    error
        Its error, to name in brackets.
    """
    reason = "" if error is None else " ".join(str(error).split()) or type(error).__name__
    return (
        f"this machine lacks {lacking}{f' ({reason})' if reason else ''}. Nothing is noted about the input, and what is done "
        f"is kept: {_ADVICE[lacking]}, then run again"
    )


@contextmanager
def translate_shortage(action: str, needed_bytes: int | None = None) -> Iterator[None]:
    """Raise a `ShortageError` for every error in the block that a shortage is the reason of; other errors pass.

    Parameters
    ----------
    action
        What is done in the block, the beginning of the message.
    needed_bytes
        How much memory a healthy input needs at most. A decoder also says "no memory" for a damaged header that claims
        gigabytes: with this number such an error passes when there is memory enough.

    Raises
    ------
    ShortageError
        When the machine lacks something.
    """
    try:
        yield
    except ShortageError:
        raise
    except Exception as error:
        lacking = find_shortage(error)
        if lacking and not (lacking == _MEMORY and needed_bytes is not None and has_memory(needed_bytes)):
            raise ShortageError(f"{action}: {describe_shortage(lacking, error)}") from error
        raise


def has_memory(needed_bytes: int) -> bool:
    """Tell whether this process can get so much memory now, and 64 MiB more."""
    try:
        mmap.mmap(-1, _SPARE_BYTES + needed_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except (OSError, MemoryError):
        return False
    return True


def refuse_short_memory(action: str, needed_bytes: int) -> None:
    """Check that this process can still get memory, before "damaged" is believed of an input.

    Parameters
    ----------
    action
        What failed, the beginning of the message.
    needed_bytes
        How much a healthy input needs at most.

    Raises
    ------
    ShortageError
        When it cannot.
    """
    if not has_memory(needed_bytes):
        megabytes = (_SPARE_BYTES + needed_bytes) >> 20
        raise ShortageError(f"{action}: {describe_shortage(_MEMORY, MemoryError(f'{megabytes} MiB cannot be allocated'))}")
