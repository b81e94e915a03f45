"""Names of files → parts of ids: lower-case letters, digits and hyphens, the same for the same name on every machine."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

_DIGITS = 8
LONGEST_ID = 64
SHORTEST_SLUG = 24  # a photo's name and hash, however long its source's name is


def slug(name: str, at_most: int) -> str:
    """Turn a name into a readable part of an id.

    Parameters
    ----------
    name
        Any text. Accents go; a name without Latin letters or digits becomes a hash of itself.
    at_most
        Characters; a longer slug is cut and ends in a hash of the whole name.

    Examples
    --------
    >>> slug("IMG_0042 (Été)", 40), slug("公园", 40)
    ('img-0042-ete', 'e852dca9')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    found = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if len(found) > at_most:
        return f"{found[: max(0, at_most - _DIGITS - 1)]}-{digest(name)}".strip("-")
    return found or digest(name)


def distinct(names: Sequence[str], at_most: int) -> list[str]:
    """Give each file of a folder a slug of its own, from its name without extension.

    Parameters
    ----------
    names
        Names with ``/`` below one folder, no two alike.
    at_most
        Characters of one slug.

    Returns
    -------
    list of str
        In the order of `names`. All that would share a slug get a hash of their name at the end, so none depends on the
        order in which files appear.

    Examples
    --------
    >>> distinct(["a/1.jpg", "a/2.jpg", "A/2.png"], 40)
    ['a-1', 'a-2-34184620', 'a-2-35ca9372']
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    first = [slug(stem, at_most) for stem in stems]
    count = Counter(first)
    return [
        found if count[found] == 1 else f"{slug(stem, at_most - _DIGITS - 1)}-{digest(name)}"
        for name, stem, found in zip(names, stems, first, strict=True)
    ]


def ids(source_id: str, names: Sequence[str]) -> list[str]:
    """Give each of a source's pictures the id of its frame, ``<source>-<slug>``; see `distinct`.

    >>> ids("park", ["a.jpg", "b/c.jpg"])
    ['park-a', 'park-b-c']
    """
    room = max(LONGEST_ID - len(source_id) - 1, SHORTEST_SLUG)
    return [f"{source_id}-{slug}" for slug in distinct(names, room)]


def digest(name: str) -> str:
    """Give eight digits of a name's hash: enough to keep names apart that look alike as slugs.

    >>> digest("park")
    '4d3971de'
    """
    return hashlib.sha256(unicodedata.normalize("NFC", name).encode()).hexdigest()[:_DIGITS]


def entry_of(source_id: str, names: Iterable[str]) -> str:
    """Name the catalog's entry that a source comes from: its own, or that of the folder, glob or dataset it is a part of.

    >>> entry_of("walks-park", ["walks", "park"])
    'walks'
    """
    return max((name for name in names if source_id == name or source_id.startswith(f"{name}-")), key=len, default=source_id)
