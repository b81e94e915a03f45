"""What every transfer keeps to: allowed hosts, size, pace and patience, and where a partial download waits to be resumed."""

import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TypeAlias

from filelock import FileLock, Timeout

from figureground.catalog import Catalog, LimitsEntry
from figureground.clients.sources.host_allowlist import HostAllowlist
from figureground.errors import SourceError, TransientError
from figureground.storage import assets

RETRIED_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
"""HTTP statuses after which the same request may work in a while."""

PATIENCE_SECONDS = 60.0
SLOWEST_BYTES_PER_SECOND = 1000.0
_KEPT_SECONDS = 30 * 86400

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes that have come and the bytes in all; 0 when their number is unknown."""


class SizeError(SourceError):
    """More bytes were announced or came than the limits of the source allow."""


@dataclass(frozen=True, slots=True)
class TransferLimits:
    """Which hosts are allowed, how many bytes a file may have, and how many may come in a second; None means any number."""

    hosts: HostAllowlist
    bytes_at_most: int
    bytes_per_second_at_most: int | None = None


def limits_of(source_id: str, catalog: Catalog) -> TransferLimits:
    """Give the limits of a source: its own, or those of the page, prefix, folder or glob that it is a part of."""
    entry = catalog.sources.get(catalog.entry_of(source_id))
    limits = entry.limits if entry else LimitsEntry()
    return TransferLimits(HostAllowlist.of(catalog.allow_hosts), limits.bytes_at_most, limits.bytes_per_second_at_most)


@contextmanager
def partial_download(identity: str) -> Iterator[Path]:
    """Give the folder where a partial download waits to be resumed. It is removed when the block ends without an error.

    Parameters
    ----------
    identity
        What is downloaded. The same identity gives the same folder; one process at a time has it.

    Yields
    ------
    Path
        The folder.
    """
    folder = assets.cache_folder() / "unfinished" / sha256(identity.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except SizeError:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def remove_abandoned_downloads() -> None:
    """Remove partial downloads that were not resumed for a month."""
    parent = assets.cache_folder() / "unfinished"
    for folder in sorted(parent.iterdir()) if parent.is_dir() else ():
        if folder.is_dir() and time.time() - max(path.stat().st_mtime for path in (folder, *folder.iterdir())) > _KEPT_SECONDS:
            with suppress(Timeout), FileLock(f"{folder}.lock", timeout=0):
                shutil.rmtree(folder)


def check_size(shown: str, size: int, at_most: int) -> None:
    """Refuse a file that is too big.

    Parameters
    ----------
    shown
        Its address, without secrets.
    size
        Bytes that were announced or came.
    at_most
        Bytes that are allowed.

    Raises
    ------
    SizeError
        When `size` is more than `at_most`.
    """
    if size > at_most:
        raise SizeError(
            f"{shown}: too big: expected at most {at_most} bytes, {size} were announced or came; nothing of it is kept. "
            "Raise limits.bytes_at_most of its source, or remove it"
        )


def check_speed(shown: str, began: float, received: int, per_second_at_most: int | None) -> None:
    """Break off a transfer that is so slow that it would hold up the whole run.

    Parameters
    ----------
    shown
        Its address, without secrets.
    began
        When it began, by `time.monotonic`.
    received
        Bytes that have come since.
    per_second_at_most
        The pace that the catalog asks for; None for none.

    Raises
    ------
    TransientError
        When it took more than `PATIENCE_SECONDS` and was slower than `SLOWEST_BYTES_PER_SECOND`, or than half the pace.
    """
    seconds = time.monotonic() - began
    slowest = min(SLOWEST_BYTES_PER_SECOND, (per_second_at_most or SLOWEST_BYTES_PER_SECOND) / 2)
    if seconds > PATIENCE_SECONDS and received / seconds < slowest:
        raise TransientError(f"{shown}: the transfer broke off: {received} bytes came in {seconds:.0f} seconds; run again")


def keep_pace(began: float, received: int, per_second_at_most: int | None) -> None:
    """Sleep until `received` bytes may have come since `began`, which is a time of `time.monotonic`."""
    early = received / per_second_at_most - (time.monotonic() - began) if per_second_at_most else 0.0
    if early > 0:
        time.sleep(early)


def validator(headers: Mapping[str, str]) -> str:
    """Give the value that ``If-Range`` may ask with: a strong ETag, else the date of the last change, else ""."""
    etag = headers.get("ETag") or ""
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified") or ""
