"""Images and masks of datasets from elsewhere: which belong together, and what is wrong with each pair.

Each check stands for a defect of published datasets: lists paired by their order, masks of another size or letterboxed with
interpolation, masks saved as JPEG, undeclared ids, images that are rotated by a tag, masks that a program thresholded.

An image's size is read first, from its header, and a mask of another size is refused before it is decoded: so no mask takes
more memory than its image.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from figureground.datasets import matlab, scene_lists
from figureground.datasets.splits import Split
from figureground.errors import ArrayError, FiguregroundError
from figureground.ids import is_hidden
from figureground.parallel import map_ordered
from figureground.shortage import find_shortage
from figureground.types import Alpha, Mask

_log = logging.getLogger(__name__)

IMAGES = (".jpg", ".jpeg", ".png")
_MASKS = (".png", ".mat")
_LOSSY = (".jpg", ".jpeg", ".webp")
_ORIENTATION = 274
_FORMATS = ("PNG", "BMP", "GIF", "TIFF")
PIXELS_AT_MOST = 100_000_000
"""The largest image of a dataset that is read."""

Label: TypeAlias = Mask | Alpha
"""Shape (h, w): class ids (uint8), or how much of a pixel is person (float32, 0 to 1)."""
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its mask; ``reason`` is "" or why they are not used.

    ``label`` reads this image's label from the mask's file; it is given the image's size, and refuses a label of another size
    before it decodes it. ``split`` is None where the dataset names none.
    """

    sample_id: str
    image_file: Path | None
    mask_file: Path | None
    reason: str = ""
    split: Split | None = None
    scenes: tuple[str, ...] = ()
    label: Callable[[Size], Label] | None = field(default=None, compare=False)


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
        if file.suffix.lower() in suffixes and not is_hidden(file.name):
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


def from_list(image: Path, mask: Path, split: Split | None, sample_id: str = "") -> Pair:
    """Give the pair that a line of a list names, which may be missing; without a sample id it is called as the image's file."""
    missing = [f"{file.name} is listed and missing" for file in (image, mask) if not is_file(file)]
    return Pair(sample_id or image.stem, image, mask, "; ".join(missing), split, label=partial(ids, mask))


def is_file(path: Path) -> bool:
    """Tell whether a path that a dataset names is a file; a name that no file can have, such as one too long, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def with_scenes(pairs: Iterable[Pair], lists: Path) -> Iterator[Pair]:
    """Give pairs with the scenes of their ids, then a pair without files for each list of scenes that cannot be read.

    Parameters
    ----------
    pairs
        Their ids are those in the lists.
    lists
        The folder of the lists, see `figureground.datasets.scene_lists`.
    """
    scenes, problems = scene_lists.read_what_is_there(lists)
    for pair in pairs:
        yield replace(pair, scenes=scenes.get(pair.sample_id, ()))
    for number, problem in enumerate(problems, 1):
        yield Pair(f"{lists.name}-{number}", None, None, problem)


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
    with refuse_unreadable(f"{pair.image_file.name} or {pair.mask_file.name}"):
        size = _size(pair.image_file)
        label = pair.label(size)
        refuse_other_size(label.shape[::-1], size, pair.mask_file.name)
    if label.dtype == np.uint8:
        _check_ids(label, frozenset(allowed), pair.mask_file.name)
    return label


@contextmanager
def refuse_unreadable(name: str) -> Iterator[None]:
    """Turn whatever a decoder raises for a file from elsewhere into an `ArrayError`: decoders of other projects raise anything.

    Parameters
    ----------
    name
        Of the file, for the message.

    Raises
    ------
    ArrayError
        When the file cannot be read. A lack of memory or disk space is no property of the file, and is raised as it is.
    """
    try:
        yield
    except FiguregroundError:
        raise
    except Exception as error:
        if find_shortage(error):
            raise
        _log.info("%s: the traceback of %s", name, type(error).__name__, exc_info=error)
        reason = " ".join(str(error).split())[:200]
        raise ArrayError(f"{name}: cannot be read ({type(error).__name__}{f': {reason}' if reason else ''})") from error


def refuse_other_size(actual: tuple[int, ...], size: Size, name: str) -> None:
    """Raise an `ArrayError` when a label's width and height are not its image's."""
    if tuple(actual) != size:
        shown = f"{actual[0]}x{actual[1]} pixels" if len(actual) == 2 else f"of shape {actual[::-1]}"
        raise ArrayError(f"{name}: {shown}, its image {size[0]}x{size[1]}; expected one size, and none is resized")


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


def ids(file: Path, size: Size) -> Mask:
    """Read class ids as they are stored.

    Parameters
    ----------
    file
        An 8-bit PNG of one channel, with or without a palette, or a ``.mat`` with one matrix.
    size
        Of its image; nothing larger is decoded.

    Raises
    ------
    ArrayError
        When it is something else, of another size, or in a lossy format.
    """
    if file.suffix.lower() in _LOSSY:
        raise ArrayError(f"{file.name}: a mask in a lossy format, so its ids are not those that were drawn; expected a PNG")
    array = matlab.read_matrix(file, size) if file.suffix.lower() == ".mat" else _levels(file, size)
    if array is None or array.ndim != 2 or array.dtype != np.uint8:
        actual = "no picture" if array is None else f"{array.dtype} of shape {array.shape}"
        raise ArrayError(f"{file.name}: {actual}; expected 8 bits and one channel")
    return np.asarray(array, np.uint8)


def _levels(file: Path, size: Size) -> Any:
    """Give a PNG's own numbers: OpenCV would give the colours that a palette has for them."""
    try:
        with Image.open(file, formats=_FORMATS) as image:
            refuse_other_size(image.size, size, file.name)
            return np.asarray(image)
    except UnidentifiedImageError:
        return None


def _size(file: Path) -> Size:
    """Give an image's size; an image that a tag rotates is refused, since its mask may be drawn either way."""
    kind = PngImageFile if file.suffix.lower() == ".png" else JpegImageFile
    try:
        with kind(file) as image:
            size = image.size
            if size[0] * size[1] > PIXELS_AT_MOST:
                raise ArrayError(f"{file.name}: {size[0]}x{size[1]} pixels; expected at most {PIXELS_AT_MOST:,} in all")
            orientation = image.getexif().get(_ORIENTATION, 1)
    except (OSError, SyntaxError) as error:
        if find_shortage(error):
            raise
        kind_name = "JPEG" if kind is JpegImageFile else "PNG"
        raise ArrayError(f"{file.name}: no {kind_name}: {error}") from error
    if orientation not in (0, 1):
        raise ArrayError(f"{file.name}: rotated by its EXIF tag ({orientation}); rotate its pixels and remove the tag")
    return size
