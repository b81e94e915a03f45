"""A mask as COCO's run lengths: how long 0 and 1 take turns, column by column, as compressed text.

pycocotools does the work (Lin et al., "Microsoft COCO", ECCV 2014). Damaged text makes its 2.0.11 read memory that is not its
own or end the process, so text is looked at before and after.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from figureground.errors import ArrayError
from figureground.imaging.masks import check_mask
from figureground.types import Mask

_NUMBERS = re.compile(r"(?:[P-o]{0,5}[0-O])+")
"""Groups of five bits, all but a number's last with the bit that says more follow."""


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
    try:
        mask: Mask = np.ascontiguousarray(coco.decode({"size": [height, width], "counts": text.encode("ascii")}))
    except ValueError as error:
        raise ArrayError(f"run lengths do not fit a mask of {width}x{height}: {error}") from error
    if mask.max(initial=0) > 1 or _text(mask) != text:
        raise ArrayError(f"run lengths do not fill a mask of {width}x{height}")
    return mask


def union(shapes: Sequence[Any], height: int, width: int) -> Mask:
    """Draw what COCO's ``segmentation`` fields describe into one mask.

    Parameters
    ----------
    shapes
        Each a list of polygons (x and y in turn, pixels), or run lengths as compressed text or as numbers.
    height, width
        The mask's size in pixels.

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
    mask: Mask = np.zeros((height, width), np.uint8)
    for shape in shapes:
        mask |= _polygons(shape, height, width) if isinstance(shape, list) else _runs(shape, height, width)
    return mask


def _polygons(shape: Sequence[Sequence[float]], height: int, width: int) -> Mask:
    if not all(isinstance(one, list) and len(one) >= 6 and len(one) % 2 == 0 and np.isfinite(one).all() for one in shape):
        raise ArrayError("a polygon is no list of at least three points, x and y in turn")
    if not shape:
        return np.zeros((height, width), np.uint8)
    drawn = coco.frPyObjects([[float(number) for number in one] for one in shape], height, width)
    return np.ascontiguousarray(coco.decode(coco.merge(drawn)), np.uint8)


def _runs(shape: Mapping[str, Any], height: int, width: int) -> Mask:
    if list(shape.get("size", ())) != [height, width]:
        raise ArrayError(f"run lengths are of {shape.get('size')} pixels, the picture of {[height, width]}")
    counts = shape.get("counts")
    if isinstance(counts, str):
        return decode(counts, height, width)
    if not isinstance(counts, list) or not all(isinstance(one, int) and one >= 0 for one in counts):
        raise ArrayError("run lengths are neither text nor whole numbers")
    if sum(counts) != height * width:
        raise ArrayError(f"run lengths fill {sum(counts)} pixels, not {height * width}")
    runs = np.repeat(np.arange(len(counts)) % 2, counts).astype(np.uint8)
    return np.ascontiguousarray(runs.reshape(width, height).T)
