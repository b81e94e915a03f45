"""Images and masks of datasets from elsewhere: which belong together, and what is wrong with each pair.

Each check stands for a defect of published datasets: lists paired by their order, masks of another size or letterboxed with
interpolation, masks saved as JPEG, undeclared ids, images that are rotated by a tag, masks that a program thresholded.
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

IMAGES = (".jpg", ".jpeg", ".png")
_MASKS = (".png", ".mat")
_LOSSY = (".jpg", ".jpeg", ".webp")
_ORIENTATION = 274

Label: TypeAlias = Mask | Alpha
"""Shape (h, w): class ids (uint8), or how much of a pixel is person (float32, 0 to 1)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask; ``reason`` is "" or why they are not used.

    ``label`` reads this image's label from the mask's file. ``split`` is None where the dataset names none.
    """

    sample_id: str
    image_file: Path | None
    mask_file: Path | None
    reason: str = ""
    split: Split | None = None
    scenes: tuple[str, ...] = ()
    label: Callable[[], Label] | None = field(default=None, compare=False)


def pair_by_name(images: Path, masks: Path, split: Split | None = None) -> list[Pair]:
    """Pair images and masks by their names, never by their order; a file without partner, or with two, is named.

    Parameters
    ----------
    images, masks
        Folders; files of other kinds in them are not looked at. Masks are 8-bit PNG or Matlab's ``.mat``.
    split
        Where the dataset puts them.

    Returns
    -------
    list of Pair
        One for each name, sorted; none when there are no such folders.
    """
    image_files, mask_files = _by_name(images, IMAGES), _by_name(masks, (*_MASKS, *_LOSSY))
    names = sorted(image_files.keys() | mask_files.keys())
    return [_pair(name, image_files.get(name, []), mask_files.get(name, []), split) for name in names]


def _by_name(folder: Path, suffixes: Collection[str]) -> dict[str, list[Path]]:
    files: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if file.suffix.lower() in suffixes:
            files.setdefault(file.stem, []).append(file)
    return files


def _pair(sample_id: str, images: list[Path], masks: list[Path], split: Split | None) -> Pair:
    reason = ""
    for what, files in (("picture", images), ("mask", masks)):
        if not files:
            reason = reason or f"no {what}"
        elif len(files) > 1:
            reason = reason or f"{len(files)} files for one {what}: {', '.join(file.name for file in files)}"
    mask = masks[0] if masks else None
    return Pair(sample_id, images[0] if images else None, mask, reason, split, label=partial(ids, mask) if mask else None)


def shorten_reason(reason: str) -> str:
    """Give in a few words why an image was refused, so that reasons can be counted.

    >>> shorten_reason("7: 7.png: 60x90 pixels, its image 61x90; expected one size, and none is resized")
    'another size'
    """
    return next((short for part, short in _SHORT_REASONS.items() if part in reason), "unreadable")


_SHORT_REASONS = {
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
"""A part of a reason, and its short form."""


def from_list(image: Path, mask: Path, split: Split | None) -> Pair:
    """Give the pair that a line of a list names, which may be missing."""
    missing = [f"{file.name} is listed and missing" for file in (image, mask) if not file.is_file()]
    return Pair(image.stem, image, mask, "; ".join(missing), split, label=partial(ids, mask))


def examine(pairs: Collection[Pair], allowed: Collection[int]) -> Iterator[Pair]:
    """Check every complete pair and give it with its reason, in order.

    Parameters
    ----------
    pairs
        See `pair_by_name`.
    allowed
        The ids that masks may hold: {0, 1}, or {0, 255}, or those of `figureground.imaging.class_maps`.
    """
    yield from map_ordered(lambda pair: _examine(pair, allowed), pairs)


def _examine(pair: Pair, allowed: Collection[int]) -> Pair:
    if pair.reason:
        return pair
    try:
        read_label(pair, allowed)
    except ArrayError as error:
        return Pair(pair.sample_id, pair.image_file, pair.mask_file, str(error), pair.split, pair.scenes, pair.label)
    return pair


def read_label(pair: Pair, allowed: Collection[int]) -> Label:
    """Read a complete pair's label.

    Raises
    ------
    ArrayError
        When the mask's format is lossy, it is no mask, of another size than the image, or holds other ids.
    """
    if pair.image_file is None or pair.mask_file is None or pair.label is None:
        raise ArrayError(pair.reason)
    label, size = pair.label(), _size(pair.image_file)
    if label.shape != size[::-1]:
        raise ArrayError(
            f"{pair.mask_file.name}: {label.shape[1]}x{label.shape[0]} pixels, its image {size[0]}x{size[1]}; "
            "expected one size, and none is resized"
        )
    if label.dtype == np.uint8:
        _check_ids(label, frozenset(allowed), pair.mask_file.name)
    return label


def check_drawn(mask: Mask, specks_at_most: float, name: str) -> None:
    """Raise an `ArrayError` for a mask that a program seems to have made and that no person has checked.

    Thresholding the soft alpha of a background remover leaves specks and pinholes of a few pixels, which nobody draws.

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
    specks = _count_specks(mask, neighbours=8) + _count_specks(1 - mask, neighbours=4)
    border = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).sum() / 2
    share = 1000 * specks / max(1.0, float(border))
    if specks > _ALWAYS and share > specks_at_most:
        raise ArrayError(
            f"{name}: {specks} specks and pinholes, {share:.0f} for each 1000 pixels of border; expected at most "
            f"{specks_at_most:g}: it seems cut by a program, not drawn. Look at it; `specks_at_most` sets the limit"
        )


_ALWAYS, _SPECK = 3, 8


def _count_specks(mask: Mask, neighbours: int) -> int:
    """Count the connected parts of a mask that have at most `_SPECK` pixels."""
    _, _, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=neighbours)
    return int((statistics[1:, cv2.CC_STAT_AREA] <= _SPECK).sum())


def _check_ids(label: Label, allowed: frozenset[int], name: str) -> None:
    unexpected = sorted({int(value) for value in np.unique(label)} - allowed)
    if unexpected:
        share = 100 * float(np.isin(label, unexpected).mean())
        ids = ", ".join(map(str, unexpected[:8])) + (", …" if len(unexpected) > 8 else "")
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
        raise ArrayError(f"{file.name}: a mask in a lossy format, so its ids are not those that were drawn; expected a PNG")
    array = _matrix(file) if file.suffix.lower() == ".mat" else _levels(file)
    if array is None or array.ndim != 2 or array.dtype != np.uint8:
        found = "no picture" if array is None else f"{array.dtype} of shape {array.shape}"
        raise ArrayError(f"{file.name}: {found}; expected 8 bits and one channel")
    return np.asarray(array, np.uint8)


def _levels(file: Path) -> Any:
    """Give a PNG's own numbers: OpenCV would give the colours that a palette has for them."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return np.asarray(image)
    except (UnidentifiedImageError, OSError, SyntaxError):
        return None


def _matrix(file: Path) -> Any:
    from scipy.io import loadmat

    try:
        matrices = [matrix for name, matrix in loadmat(file).items() if not name.startswith("__")]
    except (ValueError, NotImplementedError, OSError, TypeError) as error:
        raise ArrayError(f"{file.name}: Matlab's file cannot be read: {error}") from error
    return matrices[0] if len(matrices) == 1 else None


def _size(file: Path) -> tuple[int, int]:
    """Give an image's size; an image that a tag rotates is refused, since its mask may be drawn either way."""
    if file.suffix.lower() == ".png":
        array = cv2.imread(str(file), cv2.IMREAD_COLOR)
        if array is None:
            raise ArrayError(f"{file.name}: no picture")
        return array.shape[1], array.shape[0]
    try:
        with JpegImageFile(file) as image:
            orientation, size = image.getexif().get(_ORIENTATION, 1), image.size
    except (OSError, SyntaxError) as error:
        raise ArrayError(f"{file.name}: no JPEG: {error}") from error
    if orientation not in (0, 1):
        raise ArrayError(f"{file.name}: rotated by its EXIF tag ({orientation}); rotate its pixels and remove the tag")
    return size
