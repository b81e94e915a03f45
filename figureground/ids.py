"""Parts of ids from the names of files: lower-case letters, digits and hyphens, the same for the same name everywhere.

Ids never change, so no library makes them: why is written in decision 0006.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from figureground.escaping import escape_undecoded

_HASH_DIGITS = 8
_UNDECODED = re.compile("[\udc80-\udcff]")  # what `os.fsdecode` gives for bytes that are not UTF-8
_ordinary = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]|\.(?=[A-Za-z0-9_-]))*").fullmatch
_SPECIAL = frozenset('/\\:*?"<>|')
_FOLDERS_OF_DESKTOPS = frozenset({"__MACOSX", "@eaDir"})
ID_LENGTH_AT_MOST = 64
SLUG_LENGTH_AT_LEAST = 24
"""Room for a photo's name and hash, however long the name of its source is."""


def make_slug(name: str, at_most: int) -> str:
    r"""Turn a name into a readable part of an id.

    Parameters
    ----------
    name
        Any text. Accents are removed; a name without Latin letters or digits becomes a hash of itself. A name with bytes that
        are not UTF-8 (as surrogates, see `os.fsdecode`) keeps its readable part and ends in a hash.
    at_most
        Characters; a longer slug is cut and ends in a hash of the whole name.

    Examples
    --------
    >>> make_slug("IMG_0042 (Été)", 40), make_slug("公园", 40), make_slug("b\udce9b\udce9", 40)
    ('img-0042-ete', 'e852dca9', 'b-b-8fe27bc8')
    """
    ascii_name = unicodedata.normalize("NFKD", _UNDECODED.sub("-", name)).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")
    if len(slug) > at_most or _UNDECODED.search(name):
        return _with_hash(slug, hash_name(name), at_most)
    return slug or hash_name(name)


def _with_hash(slug: str, digits: str, at_most: int) -> str:
    return f"{slug[: max(0, at_most - len(digits) - 1)]}-{digits}".strip("-")


def is_file_name(text: str) -> bool:
    """Tell whether a text can be part of a file's name on every system and one line of a list: no path, no control sign.

    >>> is_file_name("park-000120-00"), is_file_name("../park"), is_file_name("été 2"), is_file_name("")
    (True, False, True, False)
    """
    if _ordinary(text):
        return True
    return bool(text) and text[0] not in ".- " and text[-1] not in ". " and text.isprintable() and not _SPECIAL & set(text)


def escape_name(name: str) -> str:
    r"""Write the bytes of a file's name that are not UTF-8 as ``\xe9``, and a backslash twice, so that any table can hold it.

    >>> print(escape_name("b\udce9.mp4"))
    b\xe9.mp4
    """
    return escape_undecoded(name.replace("\\", "\\\\"))


def assign_slugs(names: Mapping[str, str], at_most: int, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give each item of a source a slug of its own, which no other item of the source has or had.

    Parameters
    ----------
    names
        The path of each item below its source, to the readable name that its slug is made from.
    at_most
        Characters of one slug.
    given
        The slugs that items of the source were given before, by their paths. They stay, and no other item gets them.

    Returns
    -------
    dict
        Path to slug, in the order of `names`. All new items that would share a slug, or would take one that was given before,
        get a hash of their own path at the end: no slug depends on the order of the items, and none that was given on its
        neighbours.

    Examples
    --------
    >>> assign_slugs({"a/1.jpg": "a/1", "a/2.jpg": "a/2", "A/2.png": "A/2"}, 40)
    {'a/1.jpg': 'a-1', 'a/2.jpg': 'a-2-34184620', 'A/2.png': 'a-2-35ca9372'}
    >>> assign_slugs({"2.jpg": "2", "2.png": "2"}, 40, {"2.jpg": "2"})
    {'2.jpg': '2', '2.png': '2-33761a26'}
    """
    given = given or {}
    taken = set(given.values())
    digits = {path: 0 for path in names if path not in given}
    slugs: dict[str, str] = {}
    clashing: Collection[str] = digits
    while clashing:
        slugs |= {path: _slug_with_digits(path, names[path], digits[path], at_most) for path in clashing}
        counts = Counter(slugs.values())
        clashing = [path for path, slug in slugs.items() if counts[slug] > 1 or slug in taken]
        digits |= {path: digits[path] + _HASH_DIGITS for path in clashing}
    return {path: given[path] if path in given else slugs[path] for path in names}


def _slug_with_digits(path: str, name: str, digits: int, at_most: int) -> str:
    """Make a slug that ends in so many digits of its path's hash; from 16 on of the very bytes, which NFC may make equal."""
    if not digits:
        return make_slug(name, at_most)
    hashed = hash_name(path) if digits == _HASH_DIGITS else _hash(path)[:digits]
    readable = make_slug(name, at_most - _HASH_DIGITS - 1)
    return f"{readable}-{hashed}" if digits == _HASH_DIGITS else _with_hash(readable, hashed, max(at_most, digits))


def assign_item_ids(source_id: str, names: Mapping[str, str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give each item of a source its id, ``<source>-<slug>``; see `assign_slugs`.

    >>> assign_item_ids("park", {"a.jpg": "a", "b/c.jpg": "b/c"}, {"a.jpg": "park-a"})
    {'a.jpg': 'park-a', 'b/c.jpg': 'park-b-c'}
    """
    at_most = max(ID_LENGTH_AT_MOST - len(source_id) - 1, SLUG_LENGTH_AT_LEAST)
    begin = f"{source_id}-"
    slugs = assign_slugs(names, at_most, {path: item_id.removeprefix(begin) for path, item_id in (given or {}).items()})
    return {path: f"{begin}{slug}" for path, slug in slugs.items()}


def keep_renamed(paths: Iterable[str], given: Mapping[str, str]) -> dict[str, str]:
    """Let an id go with a file of which only the case or the Unicode form of its path changed, as some file systems do.

    Parameters
    ----------
    paths
        The paths that are there now.
    given
        The ids that were given before, by path.

    Returns
    -------
    dict
        `given`, the old path of such a file replaced by its new one.

    Examples
    --------
    >>> keep_renamed(["img.jpg", "b.jpg"], {"IMG.JPG": "park-img", "B.JPG": "park-b-1", "b.jpg": "park-b-2"})
    {'B.JPG': 'park-b-1', 'b.jpg': 'park-b-2', 'img.jpg': 'park-img'}
    """
    there = set(paths)
    new, old = (Counter(map(_fold, group)) for group in (there - given.keys(), given.keys() - there))
    renamed = {_fold(path): path for path in there - given.keys() if new[_fold(path)] == old[_fold(path)] == 1}
    kept = {path: item_id for path, item_id in given.items() if path in there or _fold(path) not in renamed}
    return kept | {renamed[_fold(path)]: item_id for path, item_id in given.items() if path not in kept}


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def readable_names(paths: Iterable[str]) -> dict[str, str]:
    """Give each file's path without its extension, which the file's slug is made from.

    >>> readable_names(["a/1.tar.gz"])
    {'a/1.tar.gz': 'a/1.tar'}
    """
    return {path: str(PurePosixPath(path).with_suffix("")) for path in paths}


def make_distinct_slugs(names: Sequence[str], at_most: int) -> list[str]:
    """Give each file of a folder a slug of its own, from its name without extension; see `assign_slugs`.

    Parameters
    ----------
    names
        Names with ``/`` below one folder, all different.
    at_most
        Characters of one slug.

    Examples
    --------
    >>> make_distinct_slugs(["a/1.jpg", "a/2.jpg", "A/2.png"], 40)
    ['a-1', 'a-2-34184620', 'a-2-35ca9372']
    """
    return list(assign_slugs(readable_names(names), at_most).values())


def make_frame_ids(source_id: str, names: Sequence[str]) -> list[str]:
    """Give each photo of a source the id of its frame, ``<source>-<slug>``; see `assign_item_ids`.

    >>> make_frame_ids("park", ["a.jpg", "b/c.jpg"])
    ['park-a', 'park-b-c']
    """
    return list(assign_item_ids(source_id, readable_names(names)).values())


def hash_name(name: str) -> str:
    """Give eight digits of a name's hash, which keep names with equal slugs apart.

    >>> hash_name("park")
    '4d3971de'
    """
    return _hash(unicodedata.normalize("NFC", name))[:_HASH_DIGITS]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_hidden(path: str) -> bool:
    """Tell whether a path below a source is hidden: it, or a folder of it, begins with a dot, or a desktop made the folder.

    >>> [is_hidden(path) for path in ("a/._clip.mp4", ".Trashes/clip.mp4", "__MACOSX/clip.mp4", "a.b/clip.mp4")]
    [True, True, True, False]
    """
    return any(part.startswith(".") or part in _FOLDERS_OF_DESKTOPS for part in PurePosixPath(path).parts)


def find_entry(source_id: str, names: Iterable[str]) -> str:
    """Name the catalog's entry that a source comes from: its own, or that of the folder, glob or dataset it is a part of.

    >>> find_entry("walks-park", ["walks", "park"])
    'walks'
    """
    return max((name for name in names if source_id == name or source_id.startswith(f"{name}-")), key=len, default=source_id)
