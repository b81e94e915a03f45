"""Download one file from a web server: bounded, paced, and resumed where it broke off if the server still has the same file."""

import shutil
import time
from pathlib import Path

import httpx

from figureground.clients.sources.guarded_http import Request, open_url
from figureground.clients.sources.transfer import (
    RETRIED_STATUSES,
    OnProgress,
    TransferLimits,
    check_size,
    check_speed,
    keep_pace,
    partial_download,
    validator,
)
from figureground.errors import SourceError, TransientError
from figureground.media import addresses

_BROKE_OFF = (httpx.TimeoutException, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


def download(url: str, into: Path, limits: TransferLimits, on_progress: OnProgress) -> None:
    """Download one file.

    Parameters
    ----------
    url
        ``http(s)://...``
    into
        The file; it is written only when the download is complete.
    limits
        Hosts, size and pace.
    on_progress
        Called with the bytes that have come.

    Raises
    ------
    SourceError
        When there is no such file, it is too big, its host or one it redirects to is not allowed, or it is a web page.
    TransientError
        When the transfer broke off; what came is kept, and only the rest is requested next time.
    """
    shown = addresses.hide_secrets(url)
    with partial_download(addresses.identify(url)) as folder:
        try:
            _resume(url, folder, limits, on_progress)
        except _BROKE_OFF as error:
            raise TransientError(f"{shown}: the transfer broke off ({_reason(error)}); run again") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SourceError(f"{shown}: cannot be reached ({_reason(error)}); check the address, network and proxy") from error
        shutil.move(folder / "part", into)


def _resume(url: str, folder: Path, limits: TransferLimits, on_progress: OnProgress) -> None:
    part, validator_file = folder / "part", folder / "validator"
    offset = part.stat().st_size if part.exists() and validator_file.exists() else 0
    rest = {"Range": f"bytes={offset}-", "If-Range": validator_file.read_text()} if offset else {}
    shown = addresses.hide_secrets(url)
    with open_url(Request(url, headers=rest), limits.hosts) as response:
        if offset and response.status_code == 416:
            validator_file.unlink()
            raise TransientError(f"{shown}: the server cannot resume after {offset} bytes; run again to begin anew")
        partial = response.status_code == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {offset}-")
        _check_response(shown, response, resumed=bool(offset) and partial)
        offset = offset if partial else 0
        if mark := validator(response.headers):
            validator_file.write_text(mark)
        else:
            validator_file.unlink(missing_ok=True)  # without it nothing tells whether a later file is the same one
        _receive(shown, response, part, offset, limits, on_progress)


def _receive(
    shown: str, response: httpx.Response, part: Path, offset: int, limits: TransferLimits, on_progress: OnProgress
) -> None:
    length = response.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdigit() else 0
    check_size(shown, total, limits.bytes_at_most)
    began, received = time.monotonic(), 0
    with part.open("ab" if offset else "wb") as file:
        for block in response.iter_raw():
            received += len(block)
            check_size(shown, offset + received, limits.bytes_at_most)
            file.write(block)
            on_progress(offset + received, total)
            check_speed(shown, began, received, limits.bytes_per_second_at_most)
            keep_pace(began, received, limits.bytes_per_second_at_most)
    if total and offset + received != total:
        raise TransientError(f"{shown}: the transfer broke off: expected {total} bytes, {offset + received} came; run again")


def _check_response(shown: str, response: httpx.Response, *, resumed: bool) -> None:
    status = f"{response.status_code} {response.reason_phrase}".strip()
    if response.status_code in RETRIED_STATUSES:
        raise TransientError(f"{shown}: the server answered {status}; run again in a while")
    if response.status_code != 200 and not resumed:
        raise SourceError(f"{shown}: the server answered {status}; check the address, and whether it needs a login")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError(
            f"{shown}: expected a file, found a web page. Give the address of the file itself, or say kind: web in the catalog"
        )


def _reason(error: Exception) -> str:
    return addresses.hide_addresses(str(error)) or type(error).__name__
