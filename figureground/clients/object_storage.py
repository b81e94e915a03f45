"""Files in an object store, or any other storage that fsspec knows: what lies below a prefix, and one of them brought here."""

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
from figureground.clients.http_download import Rules, Tell, pace, refuse_size, unfinished
from figureground.errors import SourceError, TransientError
from figureground.media import addresses

_BLOCK = 1 << 23
_BUSY = frozenset({errno.EBUSY, errno.EIO, errno.ETIMEDOUT, errno.ECONNRESET, errno.EAGAIN})
_NEVER = ("NoCredentialsError", "PartialCredentialsError", "ParamValidationError", "ProfileNotFound", "InvalidEndpoint")
_PATIENT = {
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"total_max_attempts": 1, "mode": "standard"},
}  # s3fs asks again itself


@dataclass(frozen=True, slots=True)
class Held:
    """One file of a storage: its address, name below the prefix, size in bytes, and what tells it from a later one."""

    address: str
    name: str
    size: int
    version: str


def listed(path: str, options: Mapping[str, Any]) -> list[Held]:
    """List what lies below a prefix, sorted by name.

    Parameters
    ----------
    path
        Such as ``s3://bucket/prefix``.
    options
        What opens the storage besides the environment's variables.

    Raises
    ------
    SourceError
        When there is nothing, or it cannot be listed with this user's rights.
    TransientError
        When the storage does not answer now.
    """
    with _told(path):
        files, base = _opened(path, options)
        files.invalidate_cache()
        found = files.find(base, detail=True)
        held = [
            _held(files.unstrip_protocol(name), name.removeprefix(base).lstrip("/"), entry)
            for name, entry in sorted(found.items())
        ]
    if not held:
        raise SourceError(f"{addresses.shown(path)}: nothing lies there; expected files below this prefix. Check the address")
    return held


def bring(path: str, into: Path, options: Mapping[str, Any], rules: Rules, tell: Tell) -> None:
    """Bring one file here in ranged reads; half of one is carried on while the storage has the same file.

    Parameters
    ----------
    path
        Such as ``s3://bucket/prefix/a.mp4``.
    into
        Where; only written when the file is complete.
    options
        What opens the storage besides the environment's variables.
    rules
        Size and pace; the hosts are the user's own choice here.
    tell
        Hears how far it is.

    Raises
    ------
    SourceError
        When it is not there, too big, or may not be read.
    TransientError
        When the storage does not answer now, or the file changed while it was read.
    """
    shown = addresses.shown(path)
    with _told(path):
        files, name = _opened(path, options)
        held = _held(path, "", files.info(name))
    refuse_size(shown, held.size, rules.bytes_at_most)
    with unfinished(f"{shown} {held.version}") as folder:
        part = folder / "part"
        with part.open("ab") as file:
            have, begun, came = file.tell(), time.monotonic(), 0
            while have + came < held.size:
                with _told(path):
                    block = files.cat_file(name, start=have + came, end=min(held.size, have + came + _BLOCK))
                file.write(block)
                file.flush()
                came += len(block)
                tell(have + came, held.size)
                pace(begun, came, rules.bytes_per_second)
                if not block:
                    raise TransientError(f"{shown}: expected {held.size} bytes, {have + came} came; run again")
        with _told(path):
            files.invalidate_cache()
            if _held(path, "", files.info(name)) != held:
                part.unlink()
                raise TransientError(f"{shown}: was replaced while it was read; run again")
        shutil.move(part, into)


def _opened(path: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    s3 = path.startswith(("s3://", "s3a://"))
    ours = {"use_listings_cache": False, "config_kwargs": _PATIENT} if s3 else {}
    files, name = fsspec.core.url_to_fs(path, **{**ours, **options})
    return files, str(name)


def _held(address: str, name: str, entry: Mapping[str, Any]) -> Held:
    when = next((entry[key] for key in ("ETag", "etag", "LastModified", "mtime", "created") if entry.get(key)), "")
    return Held(address, name, int(entry.get("size") or 0), ids.hash_name(f"{when} {entry.get('size')}"))


@contextmanager
def _told(path: str) -> Iterator[None]:
    """Say what a storage could not do, once and clearly."""
    botocore, aiohttp = sys.modules.get("botocore.exceptions"), sys.modules.get("aiohttp")
    foreign: tuple[type[BaseException], ...] = (OSError, ImportError, ValueError, TimeoutError)
    foreign += (botocore.BotoCoreError, botocore.ClientError) if botocore else ()
    foreign += (aiohttp.ClientError,) if aiohttp else ()
    try:
        yield
    except foreign as error:
        why = addresses.hidden(" ".join(str(error).split())) or type(error).__name__
        shown = addresses.shown(path)
        if _may_work_later(error):
            raise TransientError(f"{shown}: the storage does not answer now ({why}); run again in a while") from error
        raise SourceError(f"{shown}: cannot be read ({why}). Check the address and this user's rights") from error


def _may_work_later(error: BaseException) -> bool:
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, ImportError, ValueError)):
        return False
    if isinstance(error, OSError) and not isinstance(error, (TimeoutError, ConnectionError)):
        return error.errno in _BUSY or type(error).__module__.startswith("aiohttp")
    return type(error).__name__ not in _NEVER
