"""Files in an object store, or in any other storage that fsspec knows: those below a prefix, and one of them downloaded."""

import errno
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from figureground import ids
from figureground.clients.sources.transfer import OnProgress, TransferLimits, check_size, keep_pace, partial_download
from figureground.errors import SourceError, TransientError
from figureground.media import addresses

_BLOCK = 1 << 23
_BUSY = frozenset({errno.EBUSY, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.EAGAIN})
_FINAL = ("NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ProfileNotFound", "InvalidEndpoint")
_S3_CONFIG = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"total_max_attempts": 1, "mode": "standard"},  # s3fs retries itself
}


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One file of a storage: its address, its name below the prefix, its size in bytes, and what tells it from a later one."""

    address: str
    name: str
    size: int
    version: str


def list_objects(prefix: str, options: Mapping[str, Any]) -> list[StoredObject]:
    """List the files below a prefix, sorted by name.

    Parameters
    ----------
    prefix
        Such as ``s3://bucket/prefix``.
    options
        Options of the storage besides the environment's variables.

    Raises
    ------
    SourceError
        When there are none, or they cannot be listed with this user's rights.
    TransientError
        When the storage does not answer now.
    """
    with _translated(prefix):
        files, base = _open(prefix, options)
        files.invalidate_cache()
        objects = [
            _object(files.unstrip_protocol(name), name.removeprefix(base).lstrip("/"), info)
            for name, info in sorted(files.find(base, detail=True).items())
        ]
    if not objects:
        raise SourceError(
            f"{addresses.hide_secrets(prefix)}: nothing lies there; expected files below this prefix. Check the address"
        )
    return objects


def download(
    address: str, into: Path, options: Mapping[str, Any], limits: TransferLimits, on_progress: OnProgress
) -> None:
    """Download one file in ranged reads. A partial download is resumed while the storage has the same file.

    Parameters
    ----------
    address
        Such as ``s3://bucket/prefix/a.mp4``.
    into
        The file; it is written only when the download is complete.
    options
        Options of the storage besides the environment's variables.
    limits
        Size and pace; the host is the user's own choice here.
    on_progress
        Called with the bytes that have come.

    Raises
    ------
    SourceError
        When it is not there, too big, or may not be read.
    TransientError
        When the storage does not answer now, or the file changed while it was read.
    """
    shown = addresses.hide_secrets(address)
    with _translated(address):
        files, name = _open(address, options)
        wanted = _object(address, "", files.info(name))
    check_size(shown, wanted.size, limits.bytes_at_most)
    with partial_download(f"{shown} {wanted.version}") as folder:
        part = folder / "part"
        with part.open("ab") as file:
            offset, began, received = file.tell(), time.monotonic(), 0
            while offset + received < wanted.size:
                start = offset + received
                with _translated(address):
                    block = files.cat_file(name, start=start, end=min(wanted.size, start + _BLOCK))
                file.write(block)
                file.flush()
                received += len(block)
                on_progress(offset + received, wanted.size)
                keep_pace(began, received, limits.bytes_per_second_at_most)
                if not block:
                    raise TransientError(f"{shown}: expected {wanted.size} bytes, {start} came; run again")
        with _translated(address):
            files.invalidate_cache()
            if _object(address, "", files.info(name)) != wanted:
                part.unlink()
                raise TransientError(f"{shown}: was replaced while it was read; run again")
        shutil.move(part, into)


def _open(address: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    s3 = address.startswith(("s3://", "s3a://"))
    own = {"use_listings_cache": False, "config_kwargs": _S3_CONFIG} if s3 else {}
    files, name = fsspec.core.url_to_fs(address, **{**own, **options})
    return files, str(name)


def _object(address: str, name: str, info: Mapping[str, Any]) -> StoredObject:
    version = next((info[key] for key in ("ETag", "etag", "LastModified", "mtime", "created") if info.get(key)), "")
    return StoredObject(address, name, int(info.get("size") or 0), ids.hash_name(f"{version} {info.get('size')}"))


@contextmanager
def _translated(address: str) -> Iterator[None]:
    """Translate the errors of a storage into ours."""
    botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    foreign: tuple[type[BaseException], ...] = (OSError, ImportError, ValueError, TimeoutError)
    foreign += (botocore.BotoCoreError, botocore.ClientError) if botocore else ()
    foreign += (aiohttp.ClientError,) if aiohttp else ()
    try:
        yield
    except foreign as error:
        why = addresses.hide_addresses(" ".join(str(error).split())) or type(error).__name__
        shown = addresses.hide_secrets(address)
        if _may_pass(error):
            raise TransientError(f"{shown}: the storage does not answer now ({why}); run again in a while") from error
        raise SourceError(f"{shown}: cannot be read ({why}). Check the address and this user's rights") from error


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, ImportError, ValueError)):
        return False
    if isinstance(error, OSError) and not isinstance(error, (TimeoutError, ConnectionError)):
        return error.errno in _BUSY or type(error).__module__.startswith("aiohttp")
    return type(error).__name__ not in _FINAL
