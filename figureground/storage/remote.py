"""Requests to a storage behind a URL: repeated a bounded number of times while it is busy, then one clear message.

Below is fsspec. S3 gets its own requests where fsspec would send two instead of one: a file's sha256 is stored as the object's
metadata and read with one HEAD; a read is one GET. Listings are never cached, because other machines write, too.
"""

import errno
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from figureground.errors import FiguregroundError, StoreError, TransientError
from figureground.retry import retry

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds after each failed request; each is lengthened by up to a half, so that many workers do not come back together."""

_TEMPORARY_ERRNOS = frozenset(
    {errno.EBUSY, errno.EIO, getattr(errno, "EREMOTEIO", errno.EIO), errno.ETIMEDOUT, errno.ECONNRESET}
)
_PERMANENT_ERRORS = frozenset(
    {"NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ProfileNotFound", "InvalidEndpoint"}
)
_HASH_KEY = "sha256"


def open_filesystem(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Open the file system of a storage. A folder needs no fsspec: its import would take `figureground status` too long.

    Parameters
    ----------
    url
        The folder or URL.
    options
        The catalog's options of the storage.

    Returns
    -------
    tuple
        The fsspec file system, and the path of the storage in it.

    Raises
    ------
    ImportError, ValueError, TypeError
        When it cannot be opened.
    """
    if "://" not in url and "::" not in url and not options:
        return LocalFolder(), str(Path(url).expanduser().resolve())
    import fsspec

    fs, base = fsspec.core.url_to_fs(url, **filesystem_options(url, options))
    if _is_s3(fs):
        fs.retries = 1  # retries are counted here, in one place: those of s3fs would multiply with ours
    return fs, str(base)


def filesystem_options(url: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Give the options with which fsspec opens a storage.

    Parameters
    ----------
    url
        The folder or URL.
    options
        The catalog's options; they override ours.

    Returns
    -------
    dict
        Keyword arguments of the file system.
    """
    if not url.startswith(("s3://", "s3a://")):
        return dict(options)
    # botocore's own retries would multiply with ours, too
    connection = {"connect_timeout": 10, "read_timeout": 60, "retries": {"total_max_attempts": 1, "mode": "standard"}}
    defaults = {"use_listings_cache": False, "default_cache_type": "none"}
    return {**defaults, **options, "config_kwargs": {**connection, **options.get("config_kwargs", {})}}


def foreign_errors() -> tuple[type[BaseException], ...]:
    """Give the errors that file systems raise; those of S3's libraries exist only when the libraries were imported."""
    names = (("botocore.exceptions", "BotoCoreError"), ("botocore.exceptions", "ClientError"), ("aiohttp", "ClientError"))
    return (OSError, *(getattr(sys.modules[module], name) for module, name in names if module in sys.modules))


def translate_error(error: BaseException, action: str) -> FiguregroundError:
    """Translate an error of a file system: into a `TransientError` when the same may succeed later, else a `StoreError`.

    Parameters
    ----------
    error
        What it raised.
    action
        The beginning of the message, such as "cannot read a.jpg from s3://bucket".
    """
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if _is_temporary(error):
        return TransientError(
            f"{action}: {reason}. It was tried {len(PAUSES) + 1} times in {sum(PAUSES):.0f} s; nothing is half-written. "
            "Check the storage, then run again: what is done is kept"
        )
    return StoreError(f"{action}: {reason}. Check that it exists, and the name, key and rights this user opens it with")


def _is_temporary(error: BaseException) -> bool:
    if not isinstance(error, foreign_errors()):
        return False
    if isinstance(error, (PermissionError, FileExistsError, FileNotFoundError, IsADirectoryError, NotADirectoryError)):
        return False
    if isinstance(error, OSError):
        return isinstance(error, (TimeoutError, ConnectionError)) or error.errno in _TEMPORARY_ERRNOS
    return type(error).__name__ not in _PERMANENT_ERRORS


def _retried(request: Callable[[], _T]) -> _T:
    return retry(request, PAUSES, should_retry=_is_temporary, log=_log.info, jitter=0.5)


class LocalFolder:
    """Files of this machine, with the methods of fsspec that are used here."""

    protocol = ("file",)

    def isfile(self, path: str) -> bool:
        """Tell whether a path is a file."""
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
        """List all files below a folder, with `detail` their sizes and times; a file that is removed meanwhile is skipped.

        Links are not followed, and special files are no files: who may write to the storage could have others deleted or read.
        """
        details: dict[str, dict[str, float]] = {}
        for full in _walk(path):
            status = None
            with suppress(FileNotFoundError):
                status = Path(full).stat(follow_symlinks=False) if detail else None
            if status or not detail:
                details[full] = {"size": status.st_size, "mtime": status.st_mtime} if status else {}
        return details if detail else list(details)


def _walk(folder: str) -> Iterator[str]:
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
        elif entry.is_file(follow_symlinks=False):
            yield entry.path


def _is_s3(fs: Any) -> bool:
    return "s3" in protocols(fs)


def _is_local(fs: Any) -> bool:
    return "file" in protocols(fs)


def protocols(fs: Any) -> tuple[str, ...]:
    """Give the protocols of a file system, such as ``("s3", "s3a")``; fsspec has text for a single one."""
    return (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)


def find_hash(fs: Any, full: str) -> str | None:
    """Find a file's stored sha256 without reading the file.

    Returns
    -------
    str or None
        None when there is no file; "" when there is one and this storage has no hash of it.
    """
    if not _is_s3(fs):
        return "" if fs.isfile(full) else None
    try:
        return str(_retried(lambda: fs.metadata(full)).get(_HASH_KEY, ""))
    except FileNotFoundError:
        return None


def get(fs: Any, full: str) -> bytes:
    """Read a file whole.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    if _is_local(fs):
        with open(full, "rb", buffering=0) as file:  # noqa: PTH123  fsspec takes three times as long for a small file
            return file.read()
    options = {"max_concurrency": 1} if _is_s3(fs) else {}  # else s3fs requests the size first
    return bytes(_retried(lambda: fs.cat_file(full, **options)))


def get_file(fs: Any, full: str, into: Path) -> None:
    """Copy a file to a local one.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    _retried(lambda: fs.get_file(full, str(into)))


def put(fs: Any, full: str, content: bytes, digest: str) -> None:
    """Write a file whole; its hash is stored with it where the storage can do that."""
    options = {"Metadata": {_HASH_KEY: digest}} if _is_s3(fs) else {}
    _retried(lambda: fs.pipe_file(full, content, **options))


def put_file(fs: Any, full: str, file: Path, digest: str) -> None:
    """Write a copy of a local file; a large one is sent in parts, and becomes visible with the last one."""
    options = {"Metadata": {_HASH_KEY: digest}} if _is_s3(fs) else {}
    _retried(lambda: fs.put_file(str(file), full, **options))


def remove(fs: Any, full: str) -> None:
    """Remove a file; nothing happens when it does not exist."""
    if _is_s3(fs):
        bucket, key, _ = fs.split_path(full)
        # without looking for it first: fsspec's isfile says that a file does not exist when the server is busy
        _retried(lambda: fs.call_s3("delete_object", Bucket=bucket, Key=key))
    elif fs.isfile(full):
        fs.rm_file(full)


def list_files(fs: Any, folder: str) -> list[str]:
    """List the files below a folder, in any order."""
    if _is_local(fs):
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
            if _is_failed_condition(error):
                return ""
            raise

    return _retried(put)


def _is_failed_condition(error: BaseException) -> bool:
    """Tell whether an error means that the condition did not hold; s3fs raises several kinds."""
    phrases = ("PreconditionFailed", "pre-conditions", "ConditionalRequestConflict")
    return isinstance(error, (FileExistsError, FileNotFoundError)) or any(phrase in str(error) for phrase in phrases)


def find_version(fs: Any, full: str) -> str:
    """Give the version (ETag) of an object of S3, "" when there is none."""
    bucket, key, _ = fs.split_path(full)
    try:
        return str(_retried(lambda: fs.call_s3("head_object", Bucket=bucket, Key=key))["ETag"])
    except FileNotFoundError:
        return ""
