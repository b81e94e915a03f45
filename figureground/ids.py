"""Parts of ids from the names of files: lower-case letters, digits and hyphens, the same for the same name everywhere.

Ids never change, so no library makes them: why is written in decision 0006.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

_HASH_DIGITS = 8
ID_LENGTH_AT_MOST = 64
SLUG_LENGTH_AT_LEAST = 24
"""Room for a photo's name and hash, however long the name of its source is."""


def make_slug(name: str, at_most: int) -> str:
    """Turn a name into a readable part of an id.

    Parameters
    ----------
    name
        Any text. Accents are removed; a name without Latin letters or digits becomes a hash of itself.
    at_most
        Characters; a longer slug is cut and ends in a hash of the whole name.

    Examples
    --------
    >>> make_slug("IMG_0042 (Été)", 40), make_slug("公园", 40)
    ('img-0042-ete', 'e852dca9')
    """
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")
    if len(slug) > at_most:
        return f"{slug[: max(0, at_most - _HASH_DIGITS - 1)]}-{hash_name(name)}".strip("-")
    return slug or hash_name(name)


def make_distinct_slugs(names: Sequence[str], at_most: int) -> list[str]:
    """Give each file of a folder a slug of its own, from its name without extension.

    Parameters
    ----------
    names
        Names with ``/`` below one folder, all different.
    at_most
        Characters of one slug.

    Returns
    -------
    list of str
        In the order of `names`. All files that would share a slug get a hash of their name at the end, so that no slug
        depends on the order of the files.

    Examples
    --------
    >>> make_distinct_slugs(["a/1.jpg", "a/2.jpg", "A/2.png"], 40)
    ['a-1', 'a-2-34184620', 'a-2-35ca9372']
    """
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    slugs = [make_slug(stem, at_most) for stem in stems]
    counts = Counter(slugs)
    return [
        slug if counts[slug] == 1 else f"{make_slug(stem, at_most - _HASH_DIGITS - 1)}-{hash_name(name)}"
        for name, stem, slug in zip(names, stems, slugs, strict=True)
    ]


def make_frame_ids(source_id: str, names: Sequence[str]) -> list[str]:
    """Give each photo of a source the id of its frame, ``<source>-<slug>``; see `make_distinct_slugs`.

    >>> make_frame_ids("park", ["a.jpg", "b/c.jpg"])
    ['park-a', 'park-b-c']
    """
    at_most = max(ID_LENGTH_AT_MOST - len(source_id) - 1, SLUG_LENGTH_AT_LEAST)
    return [f"{source_id}-{slug}" for slug in make_distinct_slugs(names, at_most)]


def hash_name(name: str) -> str:
    """Give eight digits of a name's hash, which keep names with equal slugs apart.

    >>> hash_name("park")
    '4d3971de'
    """
    return hashlib.sha256(unicodedata.normalize("NFC", name).encode()).hexdigest()[:_HASH_DIGITS]


def find_entry(source_id: str, names: Iterable[str]) -> str:
    """Name the catalog's entry that a source comes from: its own, or that of the folder, glob or dataset it is a part of.

    >>> find_entry("walks-park", ["walks", "park"])
    'walks'
    """
    return max((name for name in names if source_id == name or source_id.startswith(f"{name}-")), key=len, default=source_id)
