"""Web pages, playlists, channels and feeds through yt-dlp: what they list, what a clip's page says, and one clip downloaded."""

import functools
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import yt_dlp
from yt_dlp.extractor import list_extractor_classes
from yt_dlp.networking.exceptions import HTTPError, TransportError

from figureground.clients.sources.transfer import RETRIED_STATUSES, OnProgress, TransferLimits, check_size, partial_download
from figureground.clients.sources.ytdlp_transport import GuardedRH, SessionState
from figureground.errors import FiguregroundError, ShortageError, SourceError, TransientError
from figureground.media import addresses, clips
from figureground.media.clips import Clip
from figureground.media.decoding import SUFFIXES
from figureground.shortage import describe_shortage, find_shortage

_log = logging.getLogger(__name__)

LISTED_AT_MOST = 10_000
_NESTED_AT_MOST = 3
_NAMELESS = (clips.GENERIC, "HTML5MediaEmbed", "QuotedHTML")  # these number what is on a page, which is no identity
_PROTOCOLS = "[protocol~='^(https?|m3u8_native|http_dash_segments)$']"
"""What yt-dlp downloads itself. For anything else it would start a program whose connections are not checked."""
_FORMAT = f"bv*{_PROTOCOLS}/b{_PROTOCOLS}"  # the best video; sound is not needed


@dataclass(frozen=True, slots=True)
class ListedClip:
    """One clip on a list: its identity, and its address with all secrets, which is never stored or logged.

    ``title`` is the one on the list. ``info`` is yt-dlp's when the list itself holds the clip, else None.
    """

    site: str
    clip_id: str
    address: str
    title: str = ""
    info: Mapping[str, Any] | None = None


class _Logger:
    """Takes yt-dlp's messages, without addresses, as debug messages."""

    def debug(self, message: str) -> None:
        _log.debug("%s", addresses.hide_addresses(message))

    info = warning = error = debug


def list_clips(address: str, limits: TransferLimits) -> list[ListedClip]:
    """List the clips of a page, playlist, channel or feed without reading each clip's page.

    Parameters
    ----------
    address
        ``http(s)://...``; the list of a single clip has that clip only.
    limits
        Hosts and sizes.

    Returns
    -------
    list of ListedClip
        In the page's order, no clip twice, `LISTED_AT_MOST` at most.

    Raises
    ------
    SourceError
        When there is nothing, or a host is not allowed.
    TransientError
        When the site does not answer now.
    """
    session, listed = _Session(address, limits), dict[tuple[str, str], ListedClip]()
    for clip in _walk(session, address, 0):
        listed.setdefault((clip.site, clip.clip_id), clip)
    return list(listed.values())


def read_page(listed: ListedClip, limits: TransferLimits) -> Clip | list[ListedClip]:
    """Read what a clip's page says of it; a clip that turns out to be a list gives the clips of that list.

    Raises
    ------
    SourceError
        When it cannot be read, or has nothing that can be downloaded.
    TransientError
        When the site does not answer now.
    """
    session = _Session(listed.address, limits)
    info = listed.info or session.extract(listed.address, flat=True)
    if info.get("_type") in ("playlist", "multi_video"):
        return list(_walk(session, listed.address, 1, info))
    clip = _clip(listed, info)
    stated = session.stated_license(info) if listed.site == clips.GENERIC and not clip.license else clip.license
    return replace(clip, license=stated)


@contextmanager
def download_clip(
    listed: ListedClip, limits: TransferLimits, on_progress: OnProgress
) -> Iterator[tuple[Path, str, Clip]]:
    """Download one clip. A partial download is resumed, and a complete one is kept until the block ends without an error.

    Parameters
    ----------
    listed
        As `list_clips` gives it now: addresses may be signed and short-lived.
    limits
        Hosts, size and pace.
    on_progress
        Called with the bytes that have come.

    Yields
    ------
    tuple
        The complete file, the suffix that it should have, such as ``.mp4``, and what its page says of it.

    Raises
    ------
    SourceError
        When it cannot be downloaded, is too big, or a host is not allowed.
    TransientError
        When it broke off; what came is kept, and only the rest is requested next time.
    """
    with partial_download(f"{listed.site} {listed.clip_id}") as folder:
        session = _Session(listed.address, limits, folder, on_progress)
        info = session.download(listed)
        file = folder / "clip"
        if not file.is_file():
            session.fail("nothing was downloaded")
        check_size(addresses.hide_secrets(listed.address), file.stat().st_size, limits.bytes_at_most)
        suffix = f".{info.get('ext') or ''}".lower()
        yield file, suffix if suffix in SUFFIXES else ".mp4", _clip(listed, info)


def _walk(
    session: "_Session", address: str, depth: int, info: Mapping[str, Any] | None = None
) -> Iterator[ListedClip]:
    """Walk a list, and the lists on it, such as the tabs of a channel."""
    info = info or session.extract(address, flat=True)
    if info.get("_type") not in ("playlist", "multi_video"):
        yield _listed_clip(info, address)
        return
    entries = info.get("entries")
    for entry in entries if isinstance(entries, list | tuple) else ():
        if not isinstance(entry, Mapping):
            continue
        if entry.get("_type") in ("playlist", "multi_video"):
            if depth < _NESTED_AT_MOST:
                yield from _walk(session, address, depth + 1, entry)
            continue
        yield _listed_clip(entry, address)


def _clip(listed: ListedClip, info: Mapping[str, Any]) -> Clip:
    page = addresses.make_public(_text(info, "webpage_url") or listed.address)
    clip = clips.parse_clip(info, listed.site, listed.clip_id, page)
    return replace(clip, title=listed.title or clip.title) if listed.site == clips.GENERIC else clip


def _listed_clip(info: Mapping[str, Any], page: str) -> ListedClip:
    """Give a clip its identity: the id on its site, or for an unknown site its address."""
    if info.get("_type") in ("url", "url_transparent"):
        address = _text(info, "url")
        site, clip_id = _site(address, _text(info, "ie_key"), _text(info, "id"))
        whole, title = None, clips.clean_text(info.get("title"))
    else:
        site, clip_id = _text(info, "extractor_key") or clips.GENERIC, _text(info, "id")
        # several clips on one page have the same page: their files tell them apart
        address = (_media_address(info) if site in _NAMELESS else _text(info, "webpage_url")) or page
        whole, title = info, ""
    if site in _NAMELESS or not clip_id:
        return ListedClip(clips.GENERIC, addresses.identify(address), address, title, whole)
    return ListedClip(clips.clean_text(site), clips.clean_text(clip_id), address, title, whole)


def _site(address: str, key: str, clip_id: str) -> tuple[str, str]:
    """Give the name of the extractor for an address, and the clip's id that it reads from the address alone."""
    extractors = _extractors()
    extractor = extractors.get(key)
    if extractor is None:
        extractor = next(each for each in extractors.values() if each.suitable(address))  # the last is suitable for all
    return extractor.ie_key(), clip_id or str(extractor.get_temp_id(address) or "")


@cache
def _extractors() -> dict[str, Any]:
    return {extractor.ie_key(): extractor for extractor in list_extractor_classes()}


def _media_address(info: Mapping[str, Any]) -> str:
    formats = info.get("requested_downloads") or info.get("formats")
    last = formats[-1] if isinstance(formats, list) and formats else info
    return _text(last, "url") if isinstance(last, Mapping) else ""


def _text(info: Mapping[str, Any], key: str) -> str:
    """Give a text or number of an extractor; what a page puts there instead, such as a list, is no text."""
    value = info.get(key)
    known = value and (isinstance(value, str) or (type(value) is int and abs(value) < 2**63))
    return str(value).encode("utf-8", "replace").decode() if known else ""  # half a character is in no address or id


class _GuardedYoutubeDL(yt_dlp.YoutubeDL):
    """yt-dlp whose requests all go through our handler."""

    def __init__(self, state: SessionState, options: Mapping[str, Any]) -> None:
        self._state = state
        super().__init__(dict(options))

    def build_request_director(self, *_: Any) -> Any:
        return super().build_request_director([functools.partial(GuardedRH, self._state)])


class _Session:
    """Some calls of yt-dlp for one clip or list: without its configuration, cookies, cache, downloaders or other programs."""

    def __init__(
        self,
        address: str,
        limits: TransferLimits,
        folder: Path | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._shown, self._on_progress = addresses.hide_secrets(address), on_progress
        self._state = SessionState(limits, folder)

    def extract(self, address: str, *, flat: bool) -> dict[str, Any]:
        """Read what is at an address; `flat` leaves the pages of a list's clips alone."""
        with self._open(extract_flat="in_playlist" if flat else False) as ydl:
            info = dict(ydl.extract_info(address, download=False) or {})
            if "entries" in info:
                info["entries"] = list(info["entries"] or ())
        return info or self.fail("nothing is there")

    def stated_license(self, info: Mapping[str, Any]) -> str:
        """Read the licence that a page without an extractor of its own states."""
        page = _text(info, "webpage_url")
        if info.get("direct") or not page:
            return ""
        with self._open() as ydl, ydl.urlopen(page) as response:
            return clips.find_license(response.read().decode("utf-8", "replace"))

    def download(self, listed: ListedClip) -> dict[str, Any]:
        """Download one clip into the session's folder, and give yt-dlp's info of it."""
        with self._open(noplaylist=True) as ydl:
            info = listed.info or ydl.extract_info(listed.address, download=False) or {}
            if info.get("_type", "video") != "video" or not info:
                self.fail("expected one clip, found a list or nothing")
            return dict(ydl.process_ie_result(dict(info), download=True))

    def fail(self, what: str) -> NoReturn:
        """Raise the refusal that an extractor swallowed, or else an error that says `what`."""
        raise self._state.refusal or SourceError(f"{self._shown}: {what}; look at the page in a browser")

    def _options(self) -> dict[str, Any]:
        limits, folder = self._state.limits, self._state.folder
        return {
            "quiet": True, "no_warnings": True, "noprogress": True, "logger": _Logger(), "color": "no_color",
            "cachedir": False, "updatetime": False, "overwrites": False, "continuedl": True, "fixup": "never",
            "external_downloader": {"default": "native"}, "hls_prefer_native": True, "ffmpeg_location": "/nowhere",
            "skip_unavailable_fragments": False, "format": _FORMAT, "format_sort": ["res:1080", "proto"],
            "socket_timeout": 30, "retries": 2, "fragment_retries": 2, "extractor_retries": 1, "file_access_retries": 0,
            "ratelimit": limits.bytes_per_second_at_most, "playlistend": LISTED_AT_MOST, "progress_hooks": [self._progress],
            "outtmpl": {"default": f"{str(folder).replace('%', '%%')}/clip"},
        }  # fmt: skip

    @contextmanager
    def _open(self, **options: Any) -> Iterator[Any]:
        """Open yt-dlp, and translate its errors."""
        try:
            with _GuardedYoutubeDL(self._state, self._options() | options) as ydl:
                yield ydl
        except FiguregroundError:
            raise
        except Exception as error:
            if lacking := find_shortage(error):
                raise ShortageError(f"{self._shown}: {describe_shortage(lacking, error)}") from error
            raise self._translated(error) from error

    def _progress(self, state: Mapping[str, Any]) -> None:
        received = int(state.get("downloaded_bytes") or 0)
        check_size(self._shown, received, self._state.limits.bytes_at_most)
        if self._on_progress:
            self._on_progress(received, int(state.get("total_bytes") or state.get("total_bytes_estimate") or 0))

    def _translated(self, error: BaseException) -> SourceError | TransientError:
        if self._state.refusal:
            return self._state.refusal
        why = addresses.hide_addresses(clips.clean_text(getattr(error, "orig_msg", None) or error)).removeprefix("ERROR: ")
        if "Giving up after" in why or any(_may_pass(cause) for cause in _causes(error)):
            return TransientError(f"{self._shown}: it broke off or does not answer now ({why}); run again in a while")
        return SourceError(f"{self._shown}: cannot be had ({why}). Look at the page in a browser, and whether it needs a login")


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, TransportError) or (isinstance(error, HTTPError) and error.status in RETRIED_STATUSES)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error and all that led to it: yt-dlp keeps them in several attributes."""
    waiting, seen = [error], set[int]()
    while waiting:
        cause = waiting.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        of_ytdlp = [getattr(cause, "cause", None), *(getattr(cause, "exc_info", None) or ())[1:2]]
        inner = [cause.__cause__, cause.__context__, *of_ytdlp]
        waiting += [each for each in inner if isinstance(each, BaseException)]
