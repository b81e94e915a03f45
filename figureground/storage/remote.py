"""What a storage behind a URL is asked, and how often: bounded patience with one that is busy, one clear message at its end.

Below is fsspec. S3 gets requests of its own where fsspec would make two of one: a file's sha256 is kept as the object's
metadata and asked for with one HEAD; a read is one GET. Listings are never remembered: other machines write, too.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from figureground.errors import FiguregroundError, StoreError, TransientError
from figureground.retry import retry

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds between one try and the next; each is drawn out by up to a half, so that many workers do not come back together."""

_NOT_NOW = frozenset({errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT, errno.ECONNRESET})
_NEVER = ("NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ProfileNotFound", "InvalidEndpoint")
_HASH = "sha256"


def open_filesystem(root: str, own: Mapping[str, Any]) -> tuple[Any, str]:
    """Open the file system that a storage lies in. A folder needs no fsspec, whose import takes `figureground status` too long.

    Parameters
    ----------
    root
        The folder or URL.
    own
        What the catalog says of it.

    Returns
    -------
    tuple
        The fsspec file system, and the root's name in it.

    Raises
    ------
    ImportError, ValueError, TypeError
        When it is not one that can be opened.
    """
    if "://" not in root and "::" not in root and not own:
        return LocalFolder(), str(Path(root).expanduser().resolve())
    import fsspec

    fs, base = fsspec.core.url_to_fs(root, **filesystem_options(root, own))
    if _s3(fs):
        fs.retries = 1  # tries are counted here, in one place: s3fs's own would multiply with ours
    return fs, str(base)


def filesystem_options(root: str, own: Mapping[str, Any]) -> dict[str, Any]:
    """Give what fsspec opens a storage with.

    Parameters
    ----------
    root
        The folder or URL.
    own
        What the catalog says; it goes before ours.

    Returns
    -------
    dict
        Keyword arguments of the file system.
    """
    if not root.startswith(("s3://", "s3a://")):
        return dict(own)
    # botocore's own tries would multiply with ours, too.
    wire = {"connect_timeout": 10, "read_timeout": 60, "retries": {"total_max_attempts": 1, "mode": "standard"}}
    ours = {"use_listings_cache": False, "default_cache_type": "none"}
    return {**ours, **own, "config_kwargs": {**wire, **own.get("config_kwargs", {})}}


def foreign_errors() -> tuple[type[BaseException], ...]:
    """Give the kinds of errors that file systems raise; those of S3's libraries are there only when something loaded them."""
    names = (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"), ("aiohttp", "ClientError"))
    return (OSError, *(getattr(sys.modules[module], name) for module, name in names if module in sys.modules))


def translate_error(error: BaseException, what: str) -> FiguregroundError:
    """Say what a file system could not do: what may work in a while is a `TransientError`, else a `StoreError`.

    Parameters
    ----------
    error
        What it raised.
    what
        The beginning of a sentence, such as "cannot read a.jpg from s3://bucket".
    """
    said = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if _is_temporary(error):
        return TransientError(
            f"{what}: {said}. It was tried {len(PAUSES) + 1} times in {sum(PAUSES):.0f} s; nothing is half-written. "
            "See to the storage, then run again: what is done is kept"
        )
    return StoreError(f"{what}: {said}. Check that it is there, and the name, key and rights this user opens it with")


def _is_temporary(error: BaseException) -> bool:
    if not isinstance(error, foreign_errors()):
        return False
    if isinstance(error, (PermissionError, FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError)):
        return False
    if isinstance(error, OSError):
        return isinstance(error, (TimeoutError, ConnectionError)) or error.errno in _NOT_NOW
    return type(error).__name__ not in _NEVER


def _retried(request: Callable[[], _T]) -> _T:
    return retry(request, PAUSES, should_retry=_is_temporary, log=_log.info, jitter=0.5)


class LocalFolder:
    """Files of this machine, in the words that fsspec has for them."""

    protocol = ("file",)

    def isfile(self, path: str) -> bool:
        """Tell whether there is such a file."""
        return Path(path).is_file()

    def cat_file(self, path: str) -> bytes:
        """Read a file whole."""
        return Path(path).read_bytes()

    def open(self, path: str, mode: str = "rb") -> Any:
        """Open a file."""
        return Path(path).open(mode)

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        Path(path).unlink()

    def find(self, path: str, detail: bool = False) -> Any:
        """List all files below a folder, with their sizes and times if wanted; one that goes meanwhile is left out."""
        found: dict[str, dict[str, float]] = {}
        for folder, _, files in os.walk(path, followlinks=True):
            for name in files:
                full, told = f"{folder}/{name}", None
                with suppress(FileNotFoundError):
                    told = Path(full).stat() if detail else None
                if told or not detail:
                    found[full] = {"size": told.st_size, "mtime": told.st_mtime} if told else {}
        return found if detail else list(found)


def _s3(fs: Any) -> bool:
    return hasattr(fs, "call_s3")


def _local(fs: Any) -> bool:
    return "file" in fs.protocol


def find_hash(fs: Any, full: str) -> str | None:
    """Ask for a file's sha256 without reading it.

    Returns
    -------
    str or None
        None when there is no file; "" when there is one and this storage does not know its hash.
    """
    if not _s3(fs):
        return "" if fs.isfile(full) else None
    try:
        return str(_retried(lambda: fs.metadata(full)).get(_HASH, ""))
    except FileNotFoundError:
        return None


def get(fs: Any, full: str) -> bytes:
    """Read a file whole.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    if _local(fs):
        with open(full, "rb", buffering=0) as file:  # noqa: PTH123  fsspec's own takes three times as long for a small file
            return file.read()
    more = {"max_concurrency": 1} if _s3(fs) else {}  # else s3fs asks for the size first
    return bytes(_retried(lambda: fs.cat_file(full, **more)))


def get_file(fs: Any, full: str, into: Path) -> None:
    """Copy a file to a local one.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    _retried(lambda: fs.get_file(full, str(into)))


def put(fs: Any, full: str, content: bytes, digest: str) -> None:
    """Write a file whole; its hash is kept beside it where that can be."""
    more = {"Metadata": {_HASH: digest}} if _s3(fs) else {}
    _retried(lambda: fs.pipe_file(full, content, **more))


def put_file(fs: Any, full: str, file: Path, digest: str) -> None:
    """Write a local file's copy whole; a big one goes in parts that nobody sees before the last one."""
    more = {"Metadata": {_HASH: digest}} if _s3(fs) else {}
    _retried(lambda: fs.put_file(str(file), full, **more))


def remove(fs: Any, full: str) -> None:
    """Remove a file; one that is not there is as good as removed."""
    if _s3(fs):
        bucket, key, _ = fs.split_path(full)
        # Not asked for first: fsspec's isfile takes a busy server for a file that is not there.
        _retried(lambda: fs.call_s3("delete_object", Bucket=bucket, Key=key))
    elif fs.isfile(full):
        fs.rm_file(full)


def list_files(fs: Any, folder: str) -> list[str]:
    """List the files below a folder, in any order."""
    if _local(fs):
        return list(fs.find(folder))
    return list(_retried(lambda: fs.find(folder)))


def write_if(fs: Any, full: str, content: bytes, *, if_none_match: str, if_match: str) -> str:
    """Write an object of S3 under a condition; give its new version (ETag), or "" when the condition does not hold."""
    bucket, key, _ = fs.split_path(full)
    condition = {"IfNoneMatch": if_none_match} if if_none_match else {"IfMatch": if_match}

    def put() -> str:
        try:
            return str(fs.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)["ETag"])
        except foreign_errors() as error:
            if _refused(error):
                return ""
            raise

    return _retried(put)


def _refused(error: BaseException) -> bool:
    """Tell whether a condition did not hold; s3fs makes different errors of that."""
    words = ("PreconditionFailed", "pre-conditions", "ConditionalRequestConflict")
    return isinstance(error, (FileExistsError, FileNotFoundError)) or any(word in str(error) for word in words)


def find_version(fs: Any, full: str) -> str:
    """Give the version (ETag) of an object of S3, "" when there is none."""
    bucket, key, _ = fs.split_path(full)
    try:
        return str(_retried(lambda: fs.call_s3("head_object", Bucket=bucket, Key=key))["ETag"])
    except FileNotFoundError:
        return ""
