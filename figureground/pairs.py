"""Pictures and masks as others left them: which belong together, and what is wrong with each pair.

Each guard stands for a defect of published datasets: listings zipped in sorted order, masks of another size or letterboxed with
interpolation, masks saved as JPEG, ids nobody announced, pictures that are turned by a tag.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from figureground.errors import ArrayError
from figureground.parallel import ordered
from figureground.types import Mask

_PICTURES, _MASKS = (".jpg", ".jpeg"), (".png",)
_LOSSY = (".jpg", ".jpeg", ".webp")
_ORIENTATION = 274


@dataclass(frozen=True, slots=True)
class Pair:
    """A picture and its mask; ``reason`` is "" or why they are not taken."""

    stem: str
    picture: Path | None
    mask: Path | None
    reason: str


def paired(pictures: Path, masks: Path) -> list[Pair]:
    """Pair by stem, never by order; what has no partner, or two, is named.

    Parameters
    ----------
    pictures, masks
        Folders; files of other kinds in them are not looked at.

    Returns
    -------
    list of Pair
        One a stem, sorted.
    """
    found = _by_stem(pictures, (*_PICTURES, ".png")), _by_stem(masks, (*_MASKS, *_LOSSY))
    return [_pair(stem, found[0].get(stem, []), found[1].get(stem, [])) for stem in sorted(found[0].keys() | found[1].keys())]


def _by_stem(folder: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in suffixes:
            files.setdefault(file.stem, []).append(file)
    return files


def _pair(stem: str, pictures: list[Path], masks: list[Path]) -> Pair:
    reason = ""
    for what, files in (("picture", pictures), ("mask", masks)):
        if not files:
            reason = reason or f"no {what}"
        elif len(files) > 1:
            reason = reason or f"{len(files)} files for one {what}: {', '.join(file.name for file in files)}"
    return Pair(stem, pictures[0] if pictures else None, masks[0] if masks else None, reason)


def examined(pairs: Collection[Pair], allowed: Collection[int]) -> Iterator[Pair]:
    """Look at every complete pair and give it with its reason, in order.

    Parameters
    ----------
    pairs
        See `paired`.
    allowed
        The ids that masks may hold: {0, 1}, or {0, 255}, or those of `figureground.parsing`.
    """
    yield from ordered(lambda pair: _examined(pair, frozenset(allowed)), pairs)


def _examined(pair: Pair, allowed: frozenset[int]) -> Pair:
    if pair.reason or pair.picture is None or pair.mask is None:
        return pair
    try:
        _check(pair.picture, pair.mask, allowed)
    except ArrayError as error:
        return Pair(pair.stem, pair.picture, pair.mask, str(error))
    return pair


def _check(picture: Path, mask: Path, allowed: frozenset[int]) -> None:
    if mask.suffix.lower() in _LOSSY:
        raise ArrayError(f"{mask.name}: a mask in a lossy format, so its ids are not what was drawn; expected a PNG")
    ids = _mask(mask)
    size = _size(picture)
    if ids.shape != size[::-1]:
        raise ArrayError(
            f"{mask.name}: {ids.shape[1]}x{ids.shape[0]} pixels, its picture {size[0]}x{size[1]}; expected one size, "
            "and none is resized"
        )
    strange = sorted({int(one) for one in np.unique(ids)} - allowed)
    if strange:
        share = 100 * float(np.isin(ids, strange).mean())
        listed = ", ".join(map(str, strange[:8])) + (", …" if len(strange) > 8 else "")
        raise ArrayError(f"{mask.name}: {share:.2g} % of it has the ids {listed}; expected only {_listed(allowed)}")


def _listed(allowed: frozenset[int]) -> str:
    numbers = sorted(allowed)
    whole = numbers == list(range(numbers[0], numbers[-1] + 1))
    return f"{numbers[0]} to {numbers[-1]}" if whole else ", ".join(map(str, numbers))


def _mask(file: Path) -> Mask:
    content = np.fromfile(file, np.uint8)
    ids = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if ids is None or ids.ndim != 2 or ids.dtype != np.uint8:
        found = "no picture" if ids is None else f"{ids.dtype} of shape {ids.shape}"
        raise ArrayError(f"{file.name}: {found}; expected 8 bits and one channel")
    return np.asarray(ids, np.uint8)


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


def letterboxed(image: Mask, side: int, fill: int, *, label: bool) -> Mask:
    """Fit a picture or label into a square, its aspect kept, what is left filled.

    Parameters
    ----------
    image
        Shape (h, w) or (h, w, 3), uint8.
    side
        The square's, pixels, at least 1.
    fill
        The level around it: 128 for pictures, 0 for labels.
    label
        Labels are taken from the nearest pixel, so that no id is invented; pictures are averaged or interpolated.

    Returns
    -------
    Mask
        Shape (side, side) or (side, side, 3), the original in the middle.
    """
    if side < 1:
        raise ArrayError(f"letterbox: expected a side of at least 1 pixel, found {side}")
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    how = cv2.INTER_NEAREST_EXACT if label else cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square: Mask = np.full((side, side, *image.shape[2:]), fill, np.uint8)
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    square[top : top + size[1], left : left + size[0]] = cv2.resize(image, size, interpolation=how)
    return square
