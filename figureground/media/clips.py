"""A clip on somebody else's page: what is told of it, under which licence, whether it may be taken, and its id here."""

import html
import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Protocol

from figureground import ids

GENERIC = "Generic"
"""The site of a clip that no extractor of its own knows."""

_LONGEST_WORDS = 300
_CC_ADDRESS = re.compile(r"creativecommons\.org/(?:licenses|publicdomain)/([a-z-]+)/(\d\.\d)", re.I)
_CC_WORDS = re.compile(r"cc[ -]?((?:by|0|zero)(?:[ -](?:nc|sa|nd))*)[ -](\d\.\d)", re.I)
_SAID = {
    "creative commons attribution license (reuse allowed)": "CC-BY-3.0",  # YouTube's words for it
    "public domain": "Public-Domain",
    "public domain dedication": "CC0-1.0",
}
_TAG = re.compile(r"<(?:a|link)\b[^>]*>", re.I)
_REL = re.compile(r"\brel\s*=\s*[\"']?[^\"'>]*\blicen[sc]e\b", re.I)
_HREF = re.compile(r"\bhref\s*=\s*[\"']?([^\"'\s>]+)", re.I)


class Limits(Protocol):
    """What may be taken, as the catalog says."""

    seconds_at_least: float
    seconds_at_most: float
    bytes_at_most: int


@dataclass(frozen=True, slots=True)
class Clip:
    """What a page says of one clip.

    ``site`` and ``clip_id`` are its identity: the extractor's name and the site's own id, or for `GENERIC` its address.
    ``page`` is its address without secrets, ``uploaded`` a date like 2026-11-21, ``seconds`` NaN and ``bytes`` 0
    when nobody says.
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


def read(found: Mapping[str, Any], site: str, clip_id: str, page: str) -> Clip:
    """Read what an extractor found out about one clip; nothing in it is trusted.

    Parameters
    ----------
    found
        yt-dlp's info of a video.
    site, clip_id, page
        Its identity and where it is.
    """
    day = str(found.get("upload_date") or found.get("release_date") or "")
    size = found.get("filesize") or found.get("filesize_approx") or 0
    length = found.get("duration")
    return Clip(
        site=site,
        clip_id=clip_id,
        page=page,
        title=plain(found.get("title")),
        uploader=plain(found.get("uploader") or found.get("creator") or found.get("channel")),
        license=license_name(found.get("license")),
        uploaded=f"{day[:4]}-{day[4:6]}-{day[6:]}" if re.fullmatch(r"\d{8}", day) else "",
        seconds=float(length) if isinstance(length, int | float) and 0 < length < math.inf else math.nan,
        bytes=int(size) if isinstance(size, int | float) and 0 < size < math.inf else 0,
        live=bool(found.get("is_live")) or found.get("live_status") in ("is_live", "is_upcoming", "post_live"),
    )


def plain(words: Any) -> str:
    r"""Give somebody else's words as one line without control characters.

    >>> plain("a\x1b[31m  walk\n<b>"), plain(None)
    ('a[31m walk <b>', '')
    """
    text = " ".join(str(words or "").split())
    return "".join(letter for letter in text if not unicodedata.category(letter).startswith("C"))[:_LONGEST_WORDS]


def license_name(words: Any) -> str:
    """Give a licence as SPDX writes it where that is known, else its words.

    >>> license_name("https://creativecommons.org/licenses/by-sa/4.0/"), license_name("CC BY 4.0"), license_name("Mine")
    ('CC-BY-SA-4.0', 'CC-BY-4.0', 'Mine')
    """
    said = plain(words)
    if found := _CC_ADDRESS.search(said) or _CC_WORDS.fullmatch(said):
        kind = found[1].upper().replace(" ", "-")
        return {"ZERO": "CC0-1.0", "0": "CC0-1.0", "MARK": "Public-Domain"}.get(kind, f"CC-{kind}-{found[2]}")
    return _SAID.get(said.casefold(), said)


def license_in(text: str) -> str:
    """Give the licence that a web page states with ``rel="license"``, or "".

    >>> license_in('<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">')
    'CC-BY-4.0'
    """
    links = (_HREF.search(tag) for tag in _TAG.findall(text) if _REL.search(tag))
    found = {license_name(html.unescape(link[1])) for link in links if link}
    return found.pop() if len(found) == 1 else ""


def refusal(clip: Clip, licenses: Collection[str], limits: Limits) -> str:
    """Say why a clip is not taken, or "".

    Parameters
    ----------
    clip
        With the licence it has; "" when nobody knows.
    licenses
        The allowed ones, in any case and as `license_name` reads them.
    limits
        Of the catalog's source.
    """
    allowed = {license_name(one).casefold() for one in licenses}
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


def source_id(source: str, clip_id: str, site: str, taken: Collection[str]) -> str:
    """Name a clip's source ``<source>-<slug>``; the same clip gets the same name whatever stands before it in the list.

    Parameters
    ----------
    source
        The catalog's name of the page, playlist or prefix.
    clip_id, site
        The clip's identity.
    taken
        Names that other clips of this source have.

    Examples
    --------
    >>> source_id("walks", "one", "Vimeo", ()), source_id("walks", "dQw4w9WgXcQ", "Youtube", ())
    ('walks-one', 'walks-dqw4w9wgxcq-75486c0c')
    """
    room = max(ids.ID_LENGTH_AT_MOST - len(source) - 1, ids.SLUG_LENGTH_AT_LEAST)
    own = PurePosixPath(clip_id.partition("?")[0].partition("#")[0]).stem if site == GENERIC else clip_id
    short = ids.make_slug(own, room)
    if short == own and f"{source}-{short}" not in taken and site != GENERIC:
        return f"{source}-{short}"
    digest = ids.hash_name(f"{site} {clip_id}")
    return f"{source}-{ids.make_slug(own, room - len(digest) - 1)}-{digest}"
