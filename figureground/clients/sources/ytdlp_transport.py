"""yt-dlp's requests go through `guarded_http`: only http(s), only to allowed hosts, and never more bytes than allowed."""

import io
import json
import re
import ssl
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from email.message import Message
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
from yt_dlp.networking import Request as YtdlpRequest
from yt_dlp.networking import RequestHandler, Response
from yt_dlp.networking.common import Features
from yt_dlp.networking.exceptions import HTTPError, RequestError, TransportError
from yt_dlp.utils.networking import HTTPHeaderDict

from figureground.clients.sources.guarded_http import Request, open_url
from figureground.clients.sources.transfer import TransferLimits, check_size, check_speed, validator
from figureground.errors import SourceError, TransientError
from figureground.media import addresses

_PAGE_BYTES_AT_MOST = 1 << 25
"""Of what is read whole: a web page, a feed, a playlist."""

_BLOCK = 1 << 16
_GZIP_OR_ZLIB = 47
_LEGACY_SERVER_CONNECT = 0x4  # ssl.OP_LEGACY_SERVER_CONNECT, which Python 3.11 does not name
_OPEN_RANGE = re.compile(r"bytes=([1-9]\d*)-")


@dataclass(slots=True)
class SessionState:
    """What the requests of one session with yt-dlp share.

    ``folder`` is where a partial download waits; None while pages are only read. ``refusal`` is the first refusal: extractors
    may swallow the exception. ``validators`` tell whether the file of a partial download is still the same one.
    """

    limits: TransferLimits
    folder: Path | None = None
    refusal: SourceError | None = None
    validators: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.folder and (self.folder / "validators.json").exists():
            self.validators = json.loads((self.folder / "validators.json").read_text())

    def refuse(self, error: SourceError) -> RequestError:
        """Keep a refusal, and give it as an error that yt-dlp does not retry."""
        self.refusal = self.refusal or error
        return RequestError(str(error))

    def validator_of(self, url: str) -> str:
        """Give what ``If-Range`` may ask with, or ""."""
        return self.validators.get(_key(url), "")

    def keep_validator(self, url: str, headers: Mapping[str, str], *, resumed: bool) -> None:
        """Keep the validator of a response; that of a partial download stays until it is resumed."""
        partial = self.folder is not None and any(self.folder.glob("*.part"))
        if self.folder and (resumed or not partial) and (mark := validator(headers)):
            self.validators[_key(url)] = mark
            (self.folder / "validators.json").write_text(json.dumps(self.validators))


def _key(url: str) -> str:
    return sha256(addresses.identify(url).encode()).hexdigest()[:16]


class GuardedRH(RequestHandler):
    """The only handler of yt-dlp's requests. Its name ends as yt-dlp wants it."""

    RH_NAME = "figureground"
    _SUPPORTED_URL_SCHEMES = ("http", "https")
    _SUPPORTED_PROXY_SCHEMES = ("http", "https")
    _SUPPORTED_FEATURES = (Features.NO_PROXY, Features.ALL_PROXY)

    def __init__(self, state: SessionState, **settings: Any) -> None:
        super().__init__(**settings)
        self._state = state

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        super()._check_extensions(extensions)
        for name in ("cookiejar", "timeout", "legacy_ssl", "keep_header_casing"):
            extensions.pop(name, None)

    def _send(self, request: YtdlpRequest) -> Response:
        """Send one request; yt-dlp calls this."""
        resumed = bool(_OPEN_RANGE.fullmatch(request.headers.get("Range") or ""))
        offset = self._resume(request)
        with ExitStack() as ends:
            try:
                response = ends.enter_context(self._open(request))
                bounded = _bounded(response, addresses.hide_secrets(request.url), offset, self._state)
            except SourceError as error:
                raise self._state.refuse(error) from error
            except httpx.InvalidURL as error:
                raise RequestError(cause=error) from error
            except (httpx.HTTPError, OSError, zlib.error) as error:
                raise TransportError(cause=error) from error
            bounded.ends = ends.pop_all()
        if not response.is_success:
            raise HTTPError(bounded)
        self._state.keep_validator(request.url, response.headers, resumed=resumed)
        return bounded

    def _open(self, request: YtdlpRequest) -> Any:
        cookies = request.extensions.get("cookiejar")
        return open_url(
            Request(request.url, request.method, dict(HTTPHeaderDict(self.headers, request.headers)), _content(request.data)),
            self._state.limits.hosts,
            timeout=float(request.extensions.get("timeout") or self.timeout),
            cookies=self.cookiejar if cookies is None else cookies,
            tls=self._legacy_tls if request.extensions.get("legacy_ssl") else self._tls,
        )

    def _resume(self, request: YtdlpRequest) -> int:
        """Let a partial download be resumed only if the file is still the same one; give how many bytes of it are here."""
        open_range = _OPEN_RANGE.fullmatch(request.headers.get("Range") or "")
        if open_range is None:
            return 0
        if mark := self._state.validator_of(request.url):
            request.headers["If-Range"] = mark
            return int(open_range[1])
        del request.headers["Range"]  # nothing tells of which file the part is
        return 0

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context()

    @cached_property
    def _legacy_tls(self) -> ssl.SSLContext:
        context = httpx.create_ssl_context()
        context.options |= _LEGACY_SERVER_CONNECT
        return context


def _bounded(response: httpx.Response, shown: str, offset: int, state: SessionState) -> "_BoundedResponse":
    """Give a response as yt-dlp wants it, unless it announces too many bytes; `offset` bytes of its file are here already."""
    offset = offset if response.status_code == 206 else 0
    length = response.headers.get("Content-Length", "")
    if length.isdigit():
        check_size(shown, offset + int(length), state.limits.bytes_at_most)
    body = io.BufferedReader(_Body(_plain_blocks(response, shown)))
    headers = Message()
    for name, value in response.headers.multi_items():
        headers.add_header(name, value)
    bounded = _BoundedResponse(body, str(response.url), headers, response.status_code, response.reason_phrase)
    bounded.shown, bounded.state, bounded.offset, bounded.began = shown, state, offset, time.monotonic()
    return bounded


class _BoundedResponse(Response):
    """A response that counts what is read of it: a page up to a page's size, a file up to what the limits allow."""

    shown: str
    state: SessionState
    offset: int
    began: float
    received = 0
    ends: ExitStack | None = None

    def read(self, amt: int | None = None) -> bytes:
        """Read at most `amt` bytes, as soon as some are there, or all."""
        at_most = self.state.limits.bytes_at_most
        try:
            if amt is not None and amt >= 0:
                return self._counted(self.fp.read1(amt), at_most)
            return b"".join(iter(lambda: self._counted(self.fp.read1(_BLOCK), min(_PAGE_BYTES_AT_MOST, at_most)), b""))
        except SourceError as error:
            raise self.state.refuse(error) from error
        except (httpx.HTTPError, httpx.StreamError, OSError, TransientError) as error:
            raise TransportError(cause=error) from error

    def _counted(self, block: bytes, at_most: int) -> bytes:
        self.received += len(block)
        check_size(self.shown, self.offset + self.received, at_most)
        if block:
            check_speed(self.shown, self.began, self.received, self.state.limits.bytes_per_second_at_most)
        return block

    def close(self) -> None:
        """Close the connection too."""
        if self.ends:
            self.ends.close()
        super().close()


class _Body(io.RawIOBase):
    """The blocks of a body as a file; a block is given on as soon as it is there, so that a slow server is noticed."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks, self._left = blocks, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            block = next(self._blocks, None)
            if block is None:
                return 0
            self._left = memoryview(block)
        size = min(len(buffer), len(self._left))
        buffer[:size] = self._left[:size]
        self._left = self._left[size:]
        return size


def _plain_blocks(response: httpx.Response, shown: str) -> Iterator[bytes]:
    """Give a body decompressed; one that is compressed although the request forbids that is no longer than a page."""
    if response.headers.get("Content-Encoding", "identity") in ("", "identity"):
        return response.iter_raw()
    packed = b""
    for block in response.iter_raw():
        packed += block
        check_size(shown, len(packed), _PAGE_BYTES_AT_MOST)
    plain = zlib.decompressobj(_GZIP_OR_ZLIB).decompress(packed, _PAGE_BYTES_AT_MOST + 1) if packed else b""
    check_size(shown, len(plain), _PAGE_BYTES_AT_MOST)
    return iter([plain])


def _content(data: Any) -> bytes | None:
    """Give the body of a request, which yt-dlp may have as a file or in parts."""
    if data is None or isinstance(data, bytes):
        return data
    return data.read() if isinstance(data, io.IOBase) else b"".join(data)
