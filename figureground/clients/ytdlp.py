"""Web pages, playlists, channels and feeds through yt-dlp: what they hold, what is told of a clip, one clip brought here."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from figureground.clients import ytdlp_transport
from figureground.clients.http_download import ASK_AGAIN_LATER, Rules, Tell, refuse_size, unfinished
from figureground.errors import SourceError, TransientError
from figureground.media import addresses, clips
from figureground.media.clips import Clip
from figureground.media.decoding import SUFFIXES

_log = logging.getLogger(__name__)

LISTED_AT_MOST = 10_000
_DEEP = 3
_NAMELESS = (clips.GENERIC, "HTML5MediaEmbed", "QuotedHTML")  # these number what is on a page: no identity
_WIRES = "[protocol~='^(https?|m3u8_native|http_dash_segments)$']"
"""What yt-dlp downloads by itself; for anything else it would start a program whose connections nobody looks at."""
_FORMAT = f"bv*{_WIRES}/b{_WIRES}"  # the best picture; sound is not needed


@dataclass(frozen=True, slots=True)
class Entry:
    """One clip on a list: its identity, where it is (with all secrets: never kept or told), and what is known of it already.

    ``title`` is what the list calls it. ``found`` is yt-dlp's info when the list itself had the clip, else None.
    """

    site: str
    clip_id: str
    address: str
    title: str = ""
    found: Mapping[str, Any] | None = None


class _Quiet:
    """What yt-dlp says, without addresses, and only to who asks for it."""

    def debug(self, message: str) -> None:
        _log.debug("%s", addresses.hidden(message))

    info = warning = error = debug


def listing(address: str, rules: Rules) -> list[Entry]:
    """List what a page, playlist, channel or feed holds, without asking for each clip.

    Parameters
    ----------
    address
        ``http(s)://...``; of a single clip the list has that one.
    rules
        Hosts and sizes.

    Returns
    -------
    list of Entry
        In the page's order, no clip twice, `LISTED_AT_MOST` at most.

    Raises
    ------
    SourceError
        When nothing is found there, or a host is not allowed.
    TransientError
        When the site does not answer now.
    """
    found: dict[tuple[str, str], Entry] = {}
    with _session(address, rules) as session:
        for entry in _entries(session, address, 0):
            found.setdefault((entry.site, entry.clip_id), entry)
    return list(found.values())


def examine(entry: Entry, rules: Rules) -> Clip | list[Entry]:
    """Ask a clip's page what it is; one that turns out to be a list gives its entries.

    Raises
    ------
    SourceError
        When it cannot be had, or there is nothing that can be downloaded.
    TransientError
        When the site does not answer now.
    """
    with _session(entry.address, rules) as session:
        found = entry.found or session.ask(entry.address, flat=True)
        if found.get("_type") in ("playlist", "multi_video"):
            return list(_entries(session, entry.address, 1, found))
        clip = _clip(entry, found)
        return replace(clip, license=session.stated(found)) if entry.site == clips.GENERIC and not clip.license else clip


@contextmanager
def brought(entry: Entry, rules: Rules, tell: Tell) -> Iterator[tuple[Path, str, Clip]]:
    """Download one clip; half of one is carried on, and a whole one waits until the block ends well.

    Parameters
    ----------
    entry
        As `listing` gives it now: addresses may be signed and short-lived.
    rules
        Hosts, size and pace.
    tell
        Hears how far it is.

    Yields
    ------
    tuple
        The complete file, the suffix it should have, such as ``.mp4``, and what is told of it.

    Raises
    ------
    SourceError
        When it cannot be had, is too big, or a host is not allowed.
    TransientError
        When it broke off; what came is kept, and only the rest is asked for next time.
    """
    with unfinished(f"{entry.site} {entry.clip_id}") as folder, _session(entry.address, rules, folder, tell) as session:
        found = session.take(entry)
        file = folder / "clip"
        if not file.is_file():
            session.refuse("nothing came")
        refuse_size(addresses.shown(entry.address), file.stat().st_size, rules.bytes_at_most)
        suffix = f".{found.get('ext') or ''}".lower()
        yield file, suffix if suffix in SUFFIXES else ".mp4", _clip(entry, found)


def _entries(session: "_Session", address: str, depth: int, found: Mapping[str, Any] | None = None) -> Iterator[Entry]:
    """Walk a list; a list on a list, as a channel's tabs are, is walked too."""
    found = found or session.ask(address, flat=True)
    if found.get("_type") not in ("playlist", "multi_video"):
        yield _entry(found, address)
        return
    for one in found.get("entries") or ():
        if one is None:
            continue
        if one.get("_type") in ("playlist", "multi_video"):
            if depth < _DEEP:
                yield from _entries(session, address, depth + 1, one)
            continue
        yield _entry(one, address)


def _clip(entry: Entry, found: Mapping[str, Any]) -> Clip:
    where = addresses.page(str(found.get("webpage_url") or entry.address))
    clip = clips.read(found, entry.site, entry.clip_id, where)
    return replace(clip, title=entry.title or clip.title) if entry.site == clips.GENERIC else clip


def _entry(found: Mapping[str, Any], around: str) -> Entry:
    """Give an entry its identity: what the site calls it, or where nobody knows the site its address."""
    if found.get("_type") in ("url", "url_transparent"):
        address = str(found["url"])
        site, clip_id = _site(address, str(found.get("ie_key") or ""), str(found.get("id") or ""))
        whole, title = None, clips.plain(found.get("title"))
    else:
        site, clip_id = str(found.get("extractor_key") or clips.GENERIC), str(found.get("id") or "")
        # of several clips on one page each is told by its file
        address = (_media(found) if site in _NAMELESS else str(found.get("webpage_url") or "")) or around
        whole, title = found, ""
    if site in _NAMELESS or not clip_id:
        return Entry(clips.GENERIC, addresses.identity(address), address, title, whole)
    return Entry(clips.plain(site), clips.plain(clip_id), address, title, whole)


def _site(address: str, key: str, clip_id: str) -> tuple[str, str]:
    """Find whose extractor an address is for, and the id it reads from the address alone."""
    found = _extractors().get(key) or next(one for one in _extractors().values() if one.suitable(address))  # the last suits all
    return found.ie_key(), clip_id or str(found.get_temp_id(address) or "")


@cache
def _extractors() -> dict[str, Any]:
    from yt_dlp.extractor import list_extractor_classes

    return {one.ie_key(): one for one in list_extractor_classes()}


def _media(found: Mapping[str, Any]) -> str:
    formats = found.get("requested_downloads") or found.get("formats") or [found]
    return str(formats[-1].get("url") or "")


class _Session:
    """yt-dlp with our own wire: no configuration, cookies, cache, plug-in downloader or other program."""

    def __init__(self, shown: str, journal: ytdlp_transport.Journal, tell: Tell | None) -> None:
        self._shown, self._journal, self._tell = shown, journal, tell

    def _options(self, **more: Any) -> dict[str, Any]:
        rules, folder = self._journal.rules, self._journal.folder
        return {
            "quiet": True, "no_warnings": True, "noprogress": True, "logger": _Quiet(), "color": "no_color",
            "cachedir": False, "updatetime": False, "overwrites": False, "continuedl": True, "fixup": "never",
            "external_downloader": {"default": "native"}, "hls_prefer_native": True, "ffmpeg_location": "/nowhere",
            "skip_unavailable_fragments": False, "format": _FORMAT, "format_sort": ["res:1080", "proto"],
            "socket_timeout": 30, "retries": 2, "fragment_retries": 2, "extractor_retries": 1, "file_access_retries": 0,
            "ratelimit": rules.bytes_per_second, "playlistend": LISTED_AT_MOST, "progress_hooks": [self._progress],
            "outtmpl": {"default": f"{str(folder).replace('%', '%%')}/clip"},
        } | more  # fmt: skip

    @contextmanager
    def _open(self, **more: Any) -> Iterator[Any]:
        """Open yt-dlp, and say in our words what it could not do."""
        import yt_dlp
        from yt_dlp.utils import YoutubeDLError

        journal = self._journal

        class Guarded(yt_dlp.YoutubeDL):
            def build_request_director(self, *_: Any) -> Any:
                return super().build_request_director([ytdlp_transport.handler(journal)])

        try:
            with Guarded(self._options(**more)) as ydl:
                yield ydl
        except (YoutubeDLError, OSError, ValueError) as error:
            raise self._told(error) from error

    def ask(self, address: str, *, flat: bool) -> dict[str, Any]:
        with self._open(extract_flat="in_playlist" if flat else False) as ydl:
            found = ydl.extract_info(address, download=False)
            found = dict(found or {})
            if "entries" in found:
                found["entries"] = list(found["entries"] or ())
        return found or self.refuse("nothing was found there")

    def refuse(self, what: str) -> NoReturn:
        """Say why nothing came of it: a refusal that an extractor swallowed, or what there is to say."""
        raise self._journal.refusal or SourceError(f"{self._shown}: {what}; look at the page in a browser")

    def stated(self, found: Mapping[str, Any]) -> str:
        """Read the licence that a page without an extractor of its own states."""
        page = str(found.get("webpage_url") or "")
        if found.get("direct") or not page:
            return ""
        with self._open() as ydl, ydl.urlopen(page) as answer:
            return clips.license_in(answer.read().decode("utf-8", "replace"))

    def take(self, entry: Entry) -> dict[str, Any]:
        with self._open(noplaylist=True) as ydl:
            found = entry.found or ydl.extract_info(entry.address, download=False) or {}
            if found.get("_type", "video") != "video" or not found:
                self.refuse("expected one clip, found a list or nothing")
            return dict(ydl.process_ie_result(dict(found), download=True))

    def _progress(self, state: Mapping[str, Any]) -> None:
        done = int(state.get("downloaded_bytes") or 0)
        refuse_size(self._shown, done, self._journal.rules.bytes_at_most)
        if self._tell:
            self._tell(done, int(state.get("total_bytes") or state.get("total_bytes_estimate") or 0))

    def _told(self, error: BaseException) -> SourceError | TransientError:
        if self._journal.refusal:
            return self._journal.refusal
        from yt_dlp.networking.exceptions import HTTPError, TransportError

        why = addresses.hidden(clips.plain(getattr(error, "orig_msg", None) or error)).removeprefix("ERROR: ")
        for cause in _causes(error):
            if (
                "Giving up after" in why
                or isinstance(cause, TransportError)
                or (isinstance(cause, HTTPError) and cause.status in ASK_AGAIN_LATER)
            ):
                return TransientError(f"{self._shown}: it broke off or does not answer now ({why}); run again in a while")
        return SourceError(f"{self._shown}: cannot be had ({why}). Look at the page in a browser, and whether it needs a login")


@contextmanager
def _session(address: str, rules: Rules, folder: Path | None = None, tell: Tell | None = None) -> Iterator[_Session]:
    yield _Session(addresses.shown(address), ytdlp_transport.Journal(rules, folder), tell)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Give an error with all that led to it: yt-dlp keeps them in several places."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, one.__context__, getattr(one, "cause", None), *(getattr(one, "exc_info", None) or ())[1:2]]
        waiting += [more for more in inner if isinstance(more, BaseException)]
