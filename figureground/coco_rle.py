"""COCO's run lengths: a mask as the lengths of its runs of 0 and 1, column by column, first 0.

The compressed text writes each length, or its difference to the one two before, in groups of five bits; see
``maskApi.c`` of pycocotools (Lin et al., "Microsoft COCO", ECCV 2014).
"""

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.masks import check_mask
from figureground.types import Mask


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
    return _text(_counts(mask))


def _counts(mask: Mask) -> list[int]:
    column_by_column = (mask != 0).ravel(order="F")
    edges = np.flatnonzero(np.diff(column_by_column)) + 1
    bounds = np.concatenate([[0], edges, [column_by_column.size]])
    counts = np.diff(bounds).tolist()
    return [0, *counts] if column_by_column[0] else counts


def _text(counts: list[int]) -> str:
    text = bytearray()
    for at, count in enumerate(counts):
        rest = count - counts[at - 2] if at > 2 else count
        more = True
        while more:
            group = rest & 0x1F
            rest >>= 5
            more = rest != (-1 if group & 0x10 else 0)
            text.append(48 + (group | (0x20 if more else 0)))
    return text.decode()


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
    counts = _runs(text)
    if (counts.size and counts.min() < 0) or counts.sum() != height * width:
        raise ArrayError(f"run lengths of {counts.sum()} pixels; expected {height * width} for a mask of {width}x{height}")
    values = (np.arange(counts.size) % 2).astype(np.uint8)
    return np.repeat(values, counts).reshape((height, width), order="F")


def _runs(text: str) -> NDArray[np.int64]:
    counts: list[int] = []
    value = shift = 0
    for group in text.encode("ascii", errors="replace"):
        group -= 48
        if not 0 <= group < 64:
            raise ArrayError(f"run lengths hold the character {chr(group + 48)!r}; expected '0' to 'o'")
        value |= (group & 0x1F) << shift
        shift += 5
        if group & 0x20:
            continue
        value -= (1 << shift) if group & 0x10 else 0
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ArrayError("run lengths end in the middle of a number")
    return np.array(counts, dtype=np.int64)
