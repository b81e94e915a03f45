"""One file from a web server: bounded, paced, and carried on where it broke off when the server still has the same file."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from figureground.catalog import Catalog, LimitsEntry
from figureground.clients import host_allowlist
from figureground.clients.host_allowlist import Gate
from figureground.errors import SourceError, TransientError
from figureground.media import addresses
from figureground.storage import assets

TIMEOUT = httpx.Timeout(30, connect=10)  # seconds without a byte, not in all
ASK_AGAIN_LATER = frozenset({408, 425, 429, 500, 502, 503, 504})
PATIENCE, SLOWEST = 60.0, 1000.0  # seconds, bytes a second
_HOPS = 10
_KEPT_SECONDS = 30 * 86400
_BROKEN = (httpx.TimeoutException, httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)


class SizeError(SourceError):
    """More bytes were announced or came than its source allows."""


Tell = Callable[[int, int], None]
"""Called with bytes done and bytes in all (0 when unknown)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Which hosts are allowed, how many bytes a file may have, and how many may come in a second (None: all it can)."""

    gate: Gate
    bytes_at_most: int
    bytes_per_second: int | None = None


def rules_of(source_id: str, catalog: Catalog) -> Rules:
    """Give the rules of a source: its own limits, or those of the page, prefix, folder or glob that it is a part of."""
    entry = catalog.sources.get(catalog.entry_of(source_id))
    limits = entry.limits if entry else LimitsEntry()
    return Rules(Gate.of(catalog.allow_hosts), limits.bytes_at_most, limits.bytes_per_second_at_most)


@contextmanager
def unfinished(what: str) -> Iterator[Path]:
    """Give the folder where half a download waits to be carried on; it goes when the block ends well.

    Parameters
    ----------
    what
        What is downloaded; the same words give the same folder. One process at a time has it.
    """
    folder = assets.cache_folder() / "unfinished" / sha256(what.encode()).hexdigest()[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        folder.mkdir(exist_ok=True)
        try:
            yield folder
        except SizeError:
            shutil.rmtree(folder)
            raise
        shutil.rmtree(folder)


def sweep_unfinished() -> None:
    """Drop what nobody carried on for a month."""
    folder = assets.cache_folder() / "unfinished"
    for half in sorted(folder.iterdir()) if folder.is_dir() else ():
        if half.is_dir() and time.time() - max(path.stat().st_mtime for path in (half, *half.iterdir())) > _KEPT_SECONDS:
            with suppress(Timeout), FileLock(f"{half}.lock", timeout=0):
                shutil.rmtree(half)


def download(url: str, into: Path, rules: Rules, tell: Tell) -> None:
    """Bring one file here.

    Parameters
    ----------
    url
        ``http(s)://...``
    into
        Where; only written when the file is complete.
    rules
        Hosts, size and pace.
    tell
        Hears how far it is.

    Raises
    ------
    SourceError
        When there is no such file, it is too big, its host or one it redirects to is not allowed, or it is a web page.
    TransientError
        When the transfer broke off; what came is kept, and only the rest is asked for next time.
    """
    shown = addresses.shown(url)
    with unfinished(addresses.identity(url)) as folder:
        try:
            _complete(url, folder, rules, tell)
        except _BROKEN as error:
            raise TransientError(f"{shown}: the transfer broke off ({_why(error)}); run again") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise SourceError(f"{shown}: cannot be reached ({_why(error)}); check the address, network and proxy") from error
        shutil.move(folder / "part", into)


def _complete(url: str, folder: Path, rules: Rules, tell: Tell) -> None:
    part, note = folder / "part", folder / "validator"
    have = part.stat().st_size if part.exists() and note.exists() else 0
    rest = {"Range": f"bytes={have}-", "If-Range": note.read_text()} if have else {}
    shown = addresses.shown(url)
    with answered(url, rules.gate, rest) as answer:
        if have and answer.status_code == 416:
            note.unlink()
            raise TransientError(f"{shown}: the server cannot carry on after {have} bytes; run again to begin anew")
        begun = answer.headers.get("Content-Range", "").startswith(f"bytes {have}-") if answer.status_code == 206 else False
        _refuse(shown, answer, carried_on=bool(have) and begun)
        have = have if begun else 0
        _remember(note, answer)
        _receive(shown, answer, part, have, rules, tell)


def _receive(shown: str, answer: httpx.Response, part: Path, have: int, rules: Rules, tell: Tell) -> None:
    length = answer.headers.get("Content-Length", "")
    total = have + int(length) if length.isdigit() else 0
    refuse_size(shown, total, rules.bytes_at_most)
    begun, came = time.monotonic(), 0
    with part.open("ab" if have else "wb") as file:
        for block in answer.iter_raw():
            came += len(block)
            refuse_size(shown, have + came, rules.bytes_at_most)
            file.write(block)
            tell(have + came, total)
            refuse_drip(shown, begun, came, rules.bytes_per_second)
            pace(begun, came, rules.bytes_per_second)
    if total and have + came != total:
        raise TransientError(f"{shown}: the transfer broke off: expected {total} bytes, {have + came} came; run again")


def refuse_size(shown: str, found: int, at_most: int) -> None:
    """Refuse what is too big.

    Raises
    ------
    SizeError
        When more than `at_most` bytes were announced or came.
    """
    if found > at_most:
        raise SizeError(
            f"{shown}: too big: expected at most {at_most} bytes, {found} were announced or came; nothing of it is kept. "
            "Raise limits.bytes_at_most of its source, or remove it"
        )


def refuse_drip(shown: str, begun: float, came: int, per_second: int | None) -> None:
    """Break off what would take for ever: a server that sends a byte now and then holds up a whole night.

    Raises
    ------
    TransientError
        When a minute's worth came slower than `SLOWEST` bytes a second, and no slower pace was asked for.
    """
    seconds = time.monotonic() - begun
    if seconds > PATIENCE and came / seconds < min(SLOWEST, (per_second or SLOWEST) / 2):
        raise TransientError(f"{shown}: the transfer broke off: {came} bytes came in {seconds:.0f} seconds; run again")


def pace(begun: float, came: int, per_second: int | None) -> None:
    """Wait until so many bytes may have come since `begun` (of `time.monotonic`)."""
    ahead = came / per_second - (time.monotonic() - begun) if per_second else 0.0
    if ahead > 0:
        time.sleep(ahead)


def _remember(note: Path, answer: httpx.Response) -> None:
    """Keep what tells this file from a later one of the same name; without it half a file cannot be carried on."""
    if mark := validator(answer.headers):
        note.write_text(mark)
    else:
        note.unlink(missing_ok=True)


def validator(headers: "httpx.Headers | dict[str, str]") -> str:
    """Give what ``If-Range`` may ask with: a strong ETag, else the date, else ""."""
    tag = str(headers.get("ETag") or "")
    return tag if tag and not tag.startswith("W/") else str(headers.get("Last-Modified") or "")


@contextmanager
def answered(url: str, gate: Gate, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Ask for an address and follow where it leads; each host on the way goes through the gate.

    Raises
    ------
    SourceError
        When a host is not allowed, or it leads on for ever or somewhere that is not the web.
    """
    shown, target = addresses.shown(url), httpx.URL(url)
    for _ in range(_HOPS):
        if target.scheme not in ("http", "https") or not target.host:
            raise SourceError(f"{shown}: leads to {addresses.shown(str(target))!r}, which is not an address on the web")
        with _asked(shown, target, gate, headers) as answer:
            if not answer.has_redirect_location:
                yield answer
                return
            target = target.join(answer.headers["Location"])
    raise SourceError(f"{shown}: leads on more than {_HOPS} times; check the address")


@contextmanager
def _asked(shown: str, target: httpx.URL, gate: Gate, headers: dict[str, str]) -> Iterator[httpx.Response]:
    """Ask one server: one of the numbers that passed the gate, by the name that the address has."""
    port = target.port or (443 if target.scheme == "https" else 80)
    asking = {"Accept-Encoding": "identity", **headers}
    try:
        if by_proxy := host_allowlist.proxied(target.scheme, target.host):
            gate.check(target.host, port)
            places, more = [target.host], {}
        else:
            places = list(dict.fromkeys(str(one[4][0]) for one in gate.numbers(target.host, port)))
            asking["Host"] = target.netloc.decode()
            more = {"sni_hostname": target.host}
    except host_allowlist.HostError as error:
        raise host_allowlist.HostError(f"{shown}: {error}") from error
    verify = httpx.create_ssl_context()  # the environment's own certificates count, whatever `trust_env` is
    with httpx.Client(timeout=TIMEOUT, trust_env=by_proxy, verify=verify) as client:
        for place in places:
            try:
                answer = client.send(
                    client.build_request("GET", target.copy_with(host=place), headers=asking, extensions=more), stream=True
                )
            except httpx.ConnectError:
                if place == places[-1]:
                    raise
            else:
                break
        try:
            yield answer
        finally:
            answer.close()


def _refuse(shown: str, answer: httpx.Response, *, carried_on: bool) -> None:
    status = f"{answer.status_code} {answer.reason_phrase}".strip()
    if answer.status_code in ASK_AGAIN_LATER:
        raise TransientError(f"{shown}: the server answered {status}; run again in a while")
    if answer.status_code != 200 and not carried_on:
        raise SourceError(f"{shown}: the server answered {status}; check the address, and whether it needs a login")
    if answer.headers.get("Content-Type", "").startswith("text/html"):
        raise SourceError(
            f"{shown}: expected a file, found a web page. Give the address of the file itself, or say kind: web in the catalog"
        )


def _why(error: Exception) -> str:
    return addresses.hidden(str(error)) or type(error).__name__
