"""yt-dlp's requests, each through the gate: only http(s), only to hosts that are allowed, and never more bytes than agreed."""

import http.client
import io
import json
import re
import time
import urllib.error
import urllib.request
import urllib.response
import zlib
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from figureground.clients import host_allowlist
from figureground.clients.http_download import Rules, refuse_drip, refuse_size, validator
from figureground.errors import SourceError, TransientError
from figureground.media import addresses

_PAGE = 1 << 25  # bytes of what is read whole: a web page, a feed, a playlist
_BLOCK = 1 << 16
_GZIP_OR_ZLIB = 47
_OPEN_RANGE = re.compile(r"bytes=([1-9]\d*)-")


@dataclass(slots=True)
class Journal:
    """What the requests of one session met: the first refusal, and what carries half a download on.

    ``folder`` is where half a download waits, None while pages are only looked at.
    """

    rules: Rules
    folder: Path | None = None
    refusal: SourceError | None = None
    validators: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folder and (self.folder / "validators.json").exists():
            self.validators = json.loads((self.folder / "validators.json").read_text())

    def refuse(self, error: SourceError) -> SourceError:
        """Keep a refusal: extractors may swallow what they are told."""
        self.refusal = self.refusal or error
        return error

    def known(self, url: str) -> str:
        """Give what ``If-Range`` may ask with, or ""."""
        return self.validators.get(_key(url), "")

    def remember(self, url: str, headers: Any, *, resumed: bool) -> None:
        """Keep what tells the file at this address from a later one; what half a download came with stays until it goes on."""
        half = self.folder is not None and any(self.folder.glob("*.part"))
        if self.folder and (resumed or not half) and (mark := validator(headers)):
            self.validators[_key(url)] = mark
            (self.folder / "validators.json").write_text(json.dumps(self.validators))


def _key(url: str) -> str:
    return sha256(addresses.identity(url).encode()).hexdigest()[:16]


def handler(journal: Journal) -> type:
    """Make the class that yt-dlp sends its requests with.

    Parameters
    ----------
    journal
        Gives the rules and is told of refusals.
    """
    from yt_dlp.networking._urllib import HTTPHandler, RedirectHandler, UrllibRH
    from yt_dlp.networking.exceptions import HTTPError, RequestError

    class Guarded(HTTPHandler):
        """Connects only to what passed the gate; decompresses no further than a page may go."""

        def do_open(self, http_class: Any, req: Any, **given: Any) -> Any:
            gate = journal.rules.gate
            if req.has_proxy() or req._tunnel_host:
                target = urlsplit(req.selector if req.has_proxy() else f"https://{req._tunnel_host}")
                gate.check(target.hostname or "", target.port or (443 if target.scheme == "https" else 80))
                return super().do_open(http_class, req, **given)

            def make(*arguments: Any, **options: Any) -> http.client.HTTPConnection:
                connection: http.client.HTTPConnection = http_class(*arguments, **options)
                connection._create_connection = gate.connect  # type: ignore[attr-defined]
                return connection

            return super().do_open(make, req, **given)

        def http_response(self, req: Any, resp: Any) -> Any:
            if resp.headers.get("Content-Encoding", "identity") in ("", "identity"):
                return resp
            packed = resp.read(_PAGE + 1)
            plain = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(packed, _PAGE + 1)
            refuse_size(addresses.shown(req.full_url), max(len(packed), len(plain)), _PAGE)
            made = urllib.response.addinfourl(io.BytesIO(plain), resp.headers, resp.url, resp.code)
            made.msg = resp.msg  # type: ignore[attr-defined]
            return made

        https_response = http_response

    class Careful(RedirectHandler):
        """Takes no password along to another host."""

        def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
            if urlsplit(newurl).scheme not in ("http", "https"):
                where = newurl.partition(":")[0]
                raise SourceError(f"{addresses.shown(req.full_url)}: leads to {where!r}, which is not an address on the web")
            made = super().redirect_request(req, fp, code, msg, headers, newurl)
            if urlsplit(newurl).hostname != urlsplit(req.full_url).hostname:
                made.remove_header("Authorization")
            return made

    class GuardedRH(UrllibRH):
        _SUPPORTED_URL_SCHEMES = ("http", "https")
        _SUPPORTED_PROXY_SCHEMES = ("http",)
        RH_NAME = "figureground"

        def _create_instance(self, proxies: Any, cookiejar: Any, legacy_ssl_support: Any = None) -> Any:
            opener = super()._create_instance(proxies, cookiejar, legacy_ssl_support)
            context = self._make_sslcontext(legacy_ssl_support=legacy_ssl_support)
            own = urllib.request.OpenerDirector()
            own.addheaders = []
            unwanted = ("HTTPHandler", "FTPHandler", "FileHandler", "DataHandler", "RedirectHandler")
            kept = [one for one in opener.handlers if type(one).__name__ not in unwanted]
            for one in [Guarded(context=context, source_address=self.source_address), Careful(), *kept]:
                own.add_handler(one)
            return own

        def _prepare_headers(self, _: Any, headers: Any) -> None:
            headers["Accept-Encoding"] = "identity"

        def _send(self, request: Any) -> Any:
            resumed = bool(_OPEN_RANGE.fullmatch(request.headers.get("Range") or ""))
            asked = _carried_on(request, journal)
            try:
                answer = super()._send(request)
                _bound(answer, asked, request.url, journal)
            except HTTPError as error:
                _bound(error.response, asked, request.url, journal)
                raise
            except SourceError as error:
                known = isinstance(error, host_allowlist.HostError)
                told = host_allowlist.HostError(f"{addresses.shown(request.url)}: {error}") if known else error
                raise RequestError(str(journal.refuse(told))) from error
            journal.remember(request.url, answer.headers, resumed=resumed)
            return answer

    return GuardedRH


def _carried_on(request: Any, journal: Journal) -> int:
    """Let half a download be carried on only if the file is still the same one; give how many bytes of it are here."""
    found = _OPEN_RANGE.fullmatch(request.headers.get("Range") or "")
    if found is None:
        return 0
    if mark := journal.known(request.url):
        request.headers["If-Range"] = mark
        return int(found[1])
    del request.headers["Range"]  # the server does not say which file half of is here
    return 0


def _some(answer: Any, amount: int) -> bytes:
    """Read what is there, at most so much: who drips is noticed at the next byte, not at the next block."""
    from yt_dlp.networking._urllib import handle_response_read_exceptions

    if answer.closed:
        return b""
    try:
        return bytes(answer.fp.read1(amount))
    except Exception as error:
        handle_response_read_exceptions(error)
        raise


def _bound(answer: Any, begun: int, url: str, journal: Journal) -> None:
    """Count what is read: a page that is read whole up to a page's size, a file up to what its source allows."""
    from yt_dlp.networking.exceptions import RequestError, TransportError

    shown, at_most = addresses.shown(url), journal.rules.bytes_at_most
    length, began = answer.headers.get("Content-Length") or "", time.monotonic()
    came = first = begun if answer.status == 206 else 0
    if length.isdigit():
        refuse_size(shown, came + int(length), at_most)

    def counted(amount: int | None = None) -> bytes:
        nonlocal came
        whole = amount is None or amount < 0
        parts = []
        while block := _some(answer, _BLOCK if amount is None or amount < 0 else amount):
            came += len(block)
            try:
                refuse_size(shown, came, min(_PAGE, at_most) if whole else at_most)
                refuse_drip(shown, began, came - first, journal.rules.bytes_per_second)
            except SourceError as error:
                raise RequestError(str(journal.refuse(error))) from error
            except TransientError as error:
                raise TransportError(str(error)) from error
            parts.append(block)
            if not whole:
                break
        return b"".join(parts)

    answer.read = counted
