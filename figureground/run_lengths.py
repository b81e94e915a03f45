"""A mask as COCO's run lengths: how long 0 and 1 take turns, column by column, as compressed text.

pycocotools does the work (Lin et al., "Microsoft COCO", ECCV 2014). Damaged text makes its 2.0.11 read memory that is not its
own or end the process, so text is looked at before and after.
"""

import re

import numpy as np
from pycocotools import mask as coco

from figureground.errors import ArrayError
from figureground.masks import check_mask
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
