"""A mask as COCO's run lengths: how long 0 and 1 take turns, column by column, as compressed text.

pycocotools writes the text and draws polygons (Lin et al., "Microsoft COCO", ECCV 2014). Damaged text makes its 2.0.11 read
memory
that is not its own, a point far outside an image ends the process, and a long line takes gigabytes: so text is read here, and
points are checked before it sees them.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from figureground import documents
from figureground.errors import ArrayError
from figureground.imaging.masks import check_mask
from figureground.types import Mask

_NUMBERS = re.compile(r"(?:[P-o]{0,5}[0-O])+")
"""Groups of five bits, all but a number's last with the bit that says more follow."""

SHAPES_AT_MOST = 2_000
"""In one image."""
POINTS_AT_MOST = 1_000_000
LENGTH_AT_MOST = 2_000_000
"""Of one polygon, the second in pixels along its line; pycocotools takes 100 bytes a pixel."""
_LENGTH_IN_ALL = 5 * LENGTH_AT_MOST


def encode(mask: Mask) -> str:
    """Write a mask as COCO's compressed text.

    Parameters
    ----------
    mask
        Shape (h, w), uint8, 0 and anything else.

    Examples
    --------
    >>> encode(np.array([[0, 1], [1, 1]], np.uint8))
    '13'
    """
    check_mask(mask)
    return _text(mask != 0)


def _text(mask: Mask | np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> str:
    text: str = coco.encode(np.asfortranarray(mask, np.uint8))["counts"].decode("ascii")
    return text


def decode(text: str, height: int, width: int) -> Mask:
    """Read COCO's compressed text.

    Parameters
    ----------
    text
        As `encode` writes it.
    height, width
        The mask's size in pixels.

    Returns
    -------
    Mask
        0 and 1.

    Raises
    ------
    ArrayError
        When the text is damaged or its runs do not fill the size.

    Examples
    --------
    >>> decode("13", 2, 2)
    array([[0, 1],
           [1, 1]], dtype=uint8)
    """
    if not _NUMBERS.fullmatch(text):
        raise ArrayError(f"run lengths {text[:40]!r} are no numbers; expected whole groups of the characters '0' to 'o'")
    _check_runs(_parse(text), height, width)
    mask: Mask = np.ascontiguousarray(coco.decode({"size": [height, width], "counts": text.encode("ascii")}))
    if _text(mask) != text:
        raise ArrayError(f"run lengths do not fill a mask of {width}x{height}: they are not the shortest text for it")
    return mask


def _parse(text: str) -> NDArray[np.int64]:
    """Give the runs that a text of whole groups says. From the fourth on they stand as differences to the last run but one."""
    groups = np.frombuffer(text.encode("ascii"), np.uint8).astype(np.int64) - 48
    is_last = groups < 32
    ends = np.flatnonzero(is_last)
    starts = np.concatenate(([0], ends[:-1] + 1))
    digit = np.arange(groups.size) - np.repeat(starts, ends - starts + 1)
    numbers = np.add.reduceat((groups & 31) << (5 * digit), starts)
    is_negative = (groups[ends] & 16) > 0
    numbers -= np.where(is_negative, np.int64(1) << (5 * (ends - starts + 1)), 0)
    runs = numbers.copy()
    runs[1::2] = np.cumsum(numbers[1::2])
    runs[2::2] = np.cumsum(numbers[2::2])
    return runs


def _check_runs(runs: NDArray[np.int64], height: int, width: int) -> None:
    if runs.min(initial=0) < 0 or int(runs.sum()) != height * width:
        raise ArrayError(f"run lengths do not fill a mask of {width}x{height}: they are of {int(runs.sum())} pixels in all")


def _from_runs(runs: NDArray[np.int64], height: int, width: int) -> Mask:
    """Lay runs of 0 and 1 column by column; they are checked first, so that nothing larger than the mask is made."""
    _check_runs(runs, height, width)
    values = (np.arange(runs.size) % 2).astype(np.uint8)
    mask: Mask = np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)
    return mask


def union(shapes: Sequence[Any], height: int, width: int, names: Sequence[str] = ()) -> Mask:
    """Draw what COCO's ``segmentation`` fields describe into one mask.

    Parameters
    ----------
    shapes
        Each a list of polygons (x and y in turn, pixels), or run lengths as compressed text or as numbers.
    height, width
        The mask's size in pixels.
    names
        What each shape is called in a message.

    Returns
    -------
    Mask
        0 and 1; polygons as pycocotools draws them.

    Raises
    ------
    ArrayError
        When a shape is damaged or of another size.

    Examples
    --------
    >>> union([[[0, 0, 2, 0, 2, 1, 0, 1]], {"size": [2, 3], "counts": [5, 1]}], 2, 3)
    array([[1, 1, 0],
           [0, 0, 1]], dtype=uint8)
    """
    if len(shapes) > SHAPES_AT_MOST:
        raise ArrayError(f"{len(shapes):,} shapes in one image; expected at most {SHAPES_AT_MOST:,}")
    mask: Mask = np.zeros((height, width), np.uint8)
    length = 0.0
    for number, shape in enumerate(shapes):
        try:
            polygons = [_check_polygon(points, height, width) for points in shape] if isinstance(shape, list) else []
            length += sum(map(_length, polygons))
            if length > _LENGTH_IN_ALL:
                message = f"the polygons up to here have lines of {length:,.0f} pixels; expected at most {_LENGTH_IN_ALL:,}"
                raise ArrayError(f"{message} in one image")
            mask |= _draw(polygons, height, width) if isinstance(shape, list) else _runs(shape, height, width)
        except ArrayError as error:
            raise ArrayError(f"{names[number]}: {error}" if names else str(error)) from error
    return mask


def _name(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {documents.abridge(value)}"


def _draw(polygons: Sequence[NDArray[np.float64]], height: int, width: int) -> Mask:
    if not polygons:
        return np.zeros((height, width), np.uint8)
    drawn = coco.frPyObjects([corners.ravel().tolist() for corners in polygons], height, width)
    return np.ascontiguousarray(coco.decode(coco.merge(drawn)), np.uint8)


def _length(corners: NDArray[np.float64]) -> float:
    return float(np.abs(np.diff(corners, axis=0, append=corners[:1])).max(axis=1).sum())


def _check_polygon(points: Any, height: int, width: int) -> NDArray[np.float64]:
    """Give a polygon's points, shape (n, 2); refuse what pycocotools has no memory for, or what makes it end the process."""
    if not (isinstance(points, list) and len(points) >= 6 and len(points) % 2 == 0):
        raise ArrayError("a polygon is no list of at least three points, x and y in turn")
    if len(points) > 2 * POINTS_AT_MOST:
        raise ArrayError(f"a polygon has {len(points) // 2:,} points; expected at most {POINTS_AT_MOST:,}")
    if not all(_is_number(number) for number in points):
        wrong = next(number for number in points if not _is_number(number))
        raise ArrayError(f"a polygon has the coordinate {_name(wrong)}; expected numbers of pixels, x and y in turn")
    corners = np.array(points, np.float64).reshape(-1, 2)
    size = np.array([width, height])
    outside = ((corners < -size) | (corners > 2 * size)).any(axis=1)
    if outside.any():
        x, y = corners[int(outside.argmax())].tolist()
        raise ArrayError(f"a polygon has a point at x = {x:g}, y = {y:g}, far outside its image of {width}x{height}")
    if (length := _length(corners)) > LENGTH_AT_MOST:
        raise ArrayError(f"a polygon's line is {length:,.0f} pixels long; expected at most {LENGTH_AT_MOST:,}")
    return corners


def _is_number(value: object) -> bool:
    """Tell whether a coordinate is a number that is not too large for an image."""
    return (type(value) is int and abs(value) < 2**53) or (isinstance(value, float) and math.isfinite(value))


def _runs(shape: Any, height: int, width: int) -> Mask:
    if not isinstance(shape, Mapping):
        raise ArrayError(f"its segmentation is {_name(shape)}; expected polygons or run lengths")
    size, counts = shape.get("size"), shape.get("counts")
    if size != [height, width]:
        raise ArrayError(f"run lengths are of {documents.abridge(size)} pixels, the image of {[height, width]}")
    if isinstance(counts, str):
        return decode(counts, height, width)
    if not isinstance(counts, list) or not all(type(run) is int and 0 <= run <= height * width for run in counts):
        raise ArrayError(f"run lengths are neither text nor whole numbers from 0 to {height * width}")
    return _from_runs(np.array(counts, np.int64), height, width)
