"""Pictures and masks as others left them: which belong together, and what is wrong with each pair.

Each guard stands for a defect of published datasets: listings zipped in sorted order, masks of another size or letterboxed with
interpolation, masks saved as JPEG, ids nobody announced, pictures that are turned by a tag, masks that a program cut.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from figureground.datasets.splits import Split
from figureground.errors import ArrayError
from figureground.parallel import map_ordered
from figureground.types import Alpha, Mask

PICTURES = (".jpg", ".jpeg", ".png")
_MASKS = (".png", ".mat")
_LOSSY = (".jpg", ".jpeg", ".webp")
_ORIENTATION = 274

Label: TypeAlias = Mask | Alpha
"""Shape (h, w): class ids (uint8), or how much of a pixel is person (float32, 0 to 1)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its mask; ``reason`` is "" or why they are not taken.

    ``label`` reads what the mask's file says of this picture. ``split`` is None where the dataset names none.
    """

    sample_id: str
    picture: Path | None
    mask: Path | None
    reason: str = ""
    split: Split | None = None
    scenes: tuple[str, ...] = ()
    label: Callable[[], Label] | None = field(default=None, compare=False)


def paired(pictures: Path, masks: Path, split: Split | None = None) -> list[Pair]:
    """Pair by stem, never by order; what has no partner, or two, is named.

    Parameters
    ----------
    pictures, masks
        Folders; files of other kinds in them are not looked at. Masks are 8-bit PNG or Matlab's ``.mat``.
    split
        Where the dataset puts them.

    Returns
    -------
    list of Pair
        One a stem, sorted; none when there are no such folders.
    """
    found = _by_stem(pictures, PICTURES), _by_stem(masks, (*_MASKS, *_LOSSY))
    stems = sorted(found[0].keys() | found[1].keys())
    return [_pair(stem, found[0].get(stem, []), found[1].get(stem, []), split) for stem in stems]


def _by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix.lower() in suffixes:
            files.setdefault(file.stem, []).append(file)
    return files


def _pair(stem: str, pictures: list[Path], masks: list[Path], split: Split | None) -> Pair:
    reason = ""
    for what, files in (("picture", pictures), ("mask", masks)):
        if not files:
            reason = reason or f"no {what}"
        elif len(files) > 1:
            reason = reason or f"{len(files)} files for one {what}: {', '.join(file.name for file in files)}"
    mask = masks[0] if masks else None
    return Pair(stem, pictures[0] if pictures else None, mask, reason, split, label=partial(ids, mask) if mask else None)


def kind(reason: str) -> str:
    """Give in a few words what a picture was refused for, so that reasons can be counted.

    >>> kind("7: 7.png: 60x90 pixels, its image 61x90; expected one size, and none is resized")
    'another size'
    """
    return next((words for sign, words in _KINDS.items() if sign in reason), "unreadable")


_KINDS = {
    "expected one size": "another size",
    "has the ids": "unknown ids",
    "cut by a program": "cut by a program",
    "lossy format": "lossy mask",
    "EXIF tag": "turned by a tag",
    "no person": "no person",
    "no mask": "no partner",
    "no matting": "no partner",
    "no picture": "no partner",
    "listed and missing": "no partner",
    "files for one": "two of one name",
}
"""What a reason says, and that in two or three words."""


def listed(picture: Path, mask: Path, split: Split | None) -> Pair:
    """Give the pair that a line of a list names, which may be missing."""
    missing = [f"{file.name} is listed and missing" for file in (picture, mask) if not file.is_file()]
    return Pair(picture.stem, picture, mask, "; ".join(missing), split, label=partial(ids, mask))


def examined(pairs: Collection[Pair], allowed: Collection[int]) -> Iterator[Pair]:
    """Look at every complete pair and give it with its reason, in order.

    Parameters
    ----------
    pairs
        See `paired`.
    allowed
        The ids that masks may hold: {0, 1}, or {0, 255}, or those of `figureground.imaging.class_maps`.
    """
    yield from map_ordered(lambda pair: _examined(pair, allowed), pairs)


def _examined(pair: Pair, allowed: Collection[int]) -> Pair:
    if pair.reason:
        return pair
    try:
        opened(pair, allowed)
    except ArrayError as error:
        return Pair(pair.sample_id, pair.picture, pair.mask, str(error), pair.split, pair.scenes, pair.label)
    return pair


def opened(pair: Pair, allowed: Collection[int]) -> Label:
    """Read a complete pair's label.

    Raises
    ------
    ArrayError
        When the mask's format is lossy, it is no mask, of another size than the picture, or holds other ids.
    """
    if pair.picture is None or pair.mask is None or pair.label is None:
        raise ArrayError(pair.reason)
    found, size = pair.label(), _size(pair.picture)
    if found.shape != size[::-1]:
        raise ArrayError(
            f"{pair.mask.name}: {found.shape[1]}x{found.shape[0]} pixels, its image {size[0]}x{size[1]}; expected one size, "
            "and none is resized"
        )
    if found.dtype == np.uint8:
        _check_ids(found, frozenset(allowed), pair.mask.name)
    return found


def check_drawn(mask: Mask, specks_at_most: float, name: str) -> None:
    """Raise an `ArrayError` for a mask that looks cut by a program and never looked at.

    Where a background remover's soft alpha was cut at a level it leaves specks and pinholes of a few pixels, which nobody
    draws.

    Parameters
    ----------
    mask
        Shape (h, w), uint8, 0 or 1.
    specks_at_most
        How many pieces or holes of at most 8 pixels there may be for each 1000 pixels of border; 3 in all are always let
        pass.
    name
        Of the mask's file.
    """
    found = sum(_few_pixels(kind) for kind in ((mask, 8), (1 - mask, 4)))
    border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).sum() / 2
    share = 1000 * found / max(1.0, float(border))
    if found > _ALWAYS and share > specks_at_most:
        raise ArrayError(
            f"{name}: {found} specks and pinholes, {share:.0f} for each 1000 pixels of border; expected at most "
            f"{specks_at_most:g}: it looks cut by a program, not drawn. Look at it; `specks_at_most` moves the limit"
        )


_ALWAYS, _SPECK = 3, 8


def _few_pixels(kind: tuple[Mask, int]) -> int:
    """Count the pieces of at most `_SPECK` pixels of a mask, with its neighbourhood; the rest of the picture is none."""
    mask, neighbours = kind
    _, _, told, _ = cv2.connectedComponentsWithStats(mask, connectivity=neighbours)
    return int((told[1:, cv2.CC_STAT_AREA] <= _SPECK).sum())


def _check_ids(found: Label, allowed: frozenset[int], name: str) -> None:
    strange = sorted({int(one) for one in np.unique(found)} - allowed)
    if strange:
        share = 100 * float(np.isin(found, strange).mean())
        ids = ", ".join(map(str, strange[:8])) + (", …" if len(strange) > 8 else "")
        raise ArrayError(f"{name}: {share:.2g} % of it has the ids {ids}; expected only {_listed(allowed)}")


def _listed(allowed: frozenset[int]) -> str:
    numbers = sorted(allowed)
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))


def ids(file: Path) -> Mask:
    """Read class ids as they are stored.

    Parameters
    ----------
    file
        An 8-bit PNG of one channel, with or without a palette, or a ``.mat`` with one matrix.

    Raises
    ------
    ArrayError
        When it is something else, or in a lossy format.
    """
    if file.suffix.lower() in _LOSSY:
        raise ArrayError(f"{file.name}: a mask in a lossy format, so its ids are not what was drawn; expected a PNG")
    found = _matrix(file) if file.suffix.lower() == ".mat" else _levels(file)
    if found is None or found.ndim != 2 or found.dtype != np.uint8:
        words = "no picture" if found is None else f"{found.dtype} of shape {found.shape}"
        raise ArrayError(f"{file.name}: {words}; expected 8 bits and one channel")
    return np.asarray(found, np.uint8)


def _levels(file: Path) -> Any:
    """Give a PNG's own numbers: OpenCV would give the colours that a palette has for them."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as picture:
            return np.asarray(picture)
    except (UnidentifiedImageError, OSError, SyntaxError):
        return None


def _matrix(file: Path) -> Any:
    from scipy.io import loadmat

    try:
        held = [found for name, found in loadmat(file).items() if not name.startswith("__")]
    except (ValueError, NotImplementedError, OSError, TypeError) as error:
        raise ArrayError(f"{file.name}: Matlab's file cannot be read: {error}") from error
    return held[0] if len(held) == 1 else None


def _size(file: Path) -> tuple[int, int]:
    """Give a picture's size, refusing one that a tag turns: its mask may be drawn either way."""
    if file.suffix.lower() == ".png":
        found = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if found is None:
            raise ArrayError(f"{file.name}: no picture")
        return found.shape[1], found.shape[0]
    try:
        with JpegImageFile(file) as picture:
            turned, size = picture.getexif().get(_ORIENTATION, 1), picture.size
    except (OSError, SyntaxError) as error:
        raise ArrayError(f"{file.name}: no JPEG: {error}") from error
    if turned not in (0, 1):
        raise ArrayError(f"{file.name}: turned by its EXIF tag ({turned}); bake the rotation in and strip the tag")
    return size
