"""A clip on a web page: what the page says of it, its licence, why it may not be used, and the id of its source."""

import html
import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from figureground import ids

GENERIC = "Generic"
"""The site of a clip whose site has no extractor of its own."""

_TEXT_AT_MOST = 300  # characters
_NUMBER_AT_MOST = 2**53
_CC_ADDRESS = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/(\d\.\d)", re.I)
_CC_NAME = re.compile(r"cc[ -]?((?:by|0|zero)(?:[ -](?:nc|sa|nd))*)[ -](\d\.\d)", re.I)
_OTHER_NAMES = {
    "creative commons attribution license (reuse allowed)": "CC-BY-3.0",  # as YouTube writes it
    "public domain": "Public-Domain",
    "public domain dedication": "CC0-1.0",
}
_TAG_BEGINS = re.compile(r"<(?:a|link)\b", re.I)
_TAG_AT_MOST = 4000  # characters
_ATTRIBUTE = re.compile(r"""([a-z]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""", re.I)
_LICENSE_WORD = re.compile(r"\blicen[sc]e\b", re.I)


class Limits(Protocol):
    """Which clips may be used, as the catalog says."""

    seconds_at_least: float
    seconds_at_most: float
    bytes_at_most: int


@dataclass(frozen=True, slots=True)
class Clip:
    """What a page says of one clip.

    ``site`` and ``clip_id`` are its identity: the extractor's name and the site's own id, or for `GENERIC` its address.
    ``page`` is its address without secrets, ``uploaded`` a date like 2026-11-21, ``seconds`` NaN and ``bytes`` 0
    when unknown.
    """

    site: str
    clip_id: str
    page: str
    title: str = ""
    uploader: str = ""
    license: str = ""
    uploaded: str = ""
    seconds: float = math.nan
    bytes: int = 0
    live: bool = False


def parse_clip(info: Mapping[str, Any], site: str, clip_id: str, page: str) -> Clip:
    """Parse what an extractor read about one clip; nothing in it is trusted.

    Parameters
    ----------
    info
        yt-dlp's info of a video.
    site, clip_id, page
        Its identity, and its address without secrets.
    """
    day = clean_text(info.get("upload_date") or info.get("release_date"))
    return Clip(
        site=site,
        clip_id=clip_id,
        page=page,
        title=clean_text(info.get("title")),
        uploader=clean_text(info.get("uploader") or info.get("creator") or info.get("channel")),
        license=normalize_license(info.get("license")),
        uploaded=f"{day[:4]}-{day[4:6]}-{day[6:]}" if re.fullmatch(r"\d{8}", day, re.ASCII) else "",
        seconds=_positive(info.get("duration")) or math.nan,
        bytes=int(_positive(info.get("filesize")) or _positive(info.get("filesize_approx"))),
        live=bool(info.get("is_live")) or str(info.get("live_status")) in ("is_live", "is_upcoming", "post_live"),
    )


def _positive(value: Any) -> float:
    """Give a number that a table can hold, or 0 for anything else."""
    return float(value) if isinstance(value, int | float) and 0 < value < _NUMBER_AT_MOST else 0.0


def clean_text(text: Any) -> str:
    r"""Give a text from outside as one line without control characters.

    >>> clean_text("a\x1b[31m  walk\n<b>"), clean_text(None)
    ('a[31m walk <b>', '')
    """
    known = str(text)[: 10 * _TEXT_AT_MOST] if isinstance(text, str | float | Exception) or _is_short(text) else ""
    line = " ".join(known.split())
    return "".join(letter for letter in line if not unicodedata.category(letter).startswith("C"))[:_TEXT_AT_MOST]


def _is_short(number: Any) -> bool:
    return isinstance(number, int) and 0 < abs(number) < _NUMBER_AT_MOST  # longer ones cannot be written as text


def normalize_license(text: Any) -> str:
    """Give a licence as SPDX writes it where that is known, else its text.

    >>> [normalize_license(text) for text in ("https://creativecommons.org/licenses/by-sa/4.0/", "CC BY 4.0", "Mine")]
    ['CC-BY-SA-4.0', 'CC-BY-4.0', 'Mine']
    """
    name = clean_text(text)
    if match := _CC_ADDRESS.search(name) or _CC_NAME.fullmatch(name):
        kind = match[1].upper().replace(" ", "-")
        return {"ZERO": "CC0-1.0", "0": "CC0-1.0", "MARK": "Public-Domain"}.get(kind, f"CC-{kind}-{match[2]}")
    return _OTHER_NAMES.get(name.casefold(), name)


def find_license(page: str) -> str:
    """Give the licence that a web page states with ``rel="license"``, or "".

    >>> find_license('<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">')
    'CC-BY-4.0'
    """
    licenses = set()
    for attributes in _read_links(page):
        words = attributes.get("href", "").split()
        if words and _LICENSE_WORD.search(attributes.get("rel", "")):
            licenses.add(normalize_license(html.unescape(words[0])))
    return licenses.pop() if len(licenses) == 1 else ""


def _read_links(page: str) -> Iterator[dict[str, str]]:
    """Give the attributes of a page's links. No character is read more than a few times, whatever is left open."""
    start = 0
    while begin := _TAG_BEGINS.search(page, start):
        end = page.find(">", begin.end(), begin.end() + _TAG_AT_MOST)
        start = begin.end() if end < 0 else end
        if end >= 0:
            found = _ATTRIBUTE.findall(page, begin.end(), end)
            yield {name.lower(): double or single or bare for name, double, single, bare in reversed(found)}


def rejection_reason(clip: Clip, licenses: Collection[str], limits: Limits) -> str:
    """Give the reason why a clip may not be used, or "".

    Parameters
    ----------
    clip
        Its licence is "" when unknown.
    licenses
        The allowed ones, in any case and as `license_name` reads them.
    limits
        Of the catalog's source.
    """
    allowed = {normalize_license(name).casefold() for name in licenses}
    if clip.license.casefold() not in allowed:
        return f"licence: {clip.license or 'unknown'}; allowed: {', '.join(sorted(licenses))}"
    if clip.live:
        return "live: it has not ended yet"
    if clip.seconds < limits.seconds_at_least:
        return f"length: {clip.seconds:g} seconds; seconds_at_least: {limits.seconds_at_least:g}"
    if clip.seconds > limits.seconds_at_most:
        return f"length: {clip.seconds:g} seconds; seconds_at_most: {limits.seconds_at_most:g}"
    if clip.bytes > limits.bytes_at_most:
        return f"size: {clip.bytes} bytes; bytes_at_most: {limits.bytes_at_most}"
    return ""


def make_source_id(source: str, clip_id: str, site: str, taken: Collection[str]) -> str:
    """Make the id of a clip's source, ``<source>-<slug>``; a clip has the same id whatever comes before it in the list.

    Parameters
    ----------
    source
        The id of the page, playlist or prefix in the catalog.
    clip_id, site
        The clip's identity.
    taken
        Ids of the other clips of this source.

    Examples
    --------
    >>> make_source_id("walks", "one", "Vimeo", ()), make_source_id("walks", "dQw4w9WgXcQ", "Youtube", ())
    ('walks-one', 'walks-dqw4w9wgxcq-75486c0c')
    """
    room = max(ids.ID_LENGTH_AT_MOST - len(source) - 1, ids.SLUG_LENGTH_AT_LEAST)
    own = PurePosixPath(clip_id.partition("?")[0].partition("#")[0]).stem if site == GENERIC else clip_id
    short = ids.make_slug(own, room)
    if short == own and f"{source}-{short}" not in taken and site != GENERIC:
        return f"{source}-{short}"
    digest = ids.hash_name(f"{site} {clip_id}")
    return f"{source}-{ids.make_slug(own, room - len(digest) - 1)}-{digest}"
