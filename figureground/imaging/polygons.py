"""A mask as one closed polygon, for formats that know nothing else."""

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.imaging.masks import check_mask
from figureground.types import Mask

Points = NDArray[np.int32]
"""Shape (n, 2): x and y of pixels; the last is joined to the first."""


def outline(mask: Mask) -> Points:
    """Draw one line around all of a mask.

    Holes and separate parts are strung onto the largest part's outline, each by a line there and back between the closest
    points (as COCO-to-YOLO converters do).

    Parameters
    ----------
    mask
        Shape (h, w), uint8, 0 and anything else.

    Returns
    -------
    Points
        Shape (0, 2) for an empty mask, otherwise at least 3 points: a single pixel is given three times.
    """
    check_mask(mask)
    found, _ = cv2.findContours((mask != 0).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = sorted((contour.reshape(-1, 2).astype(np.int32) for contour in found), key=_size, reverse=True)
    if not loops:
        return np.empty((0, 2), np.int32)
    line = loops[0]
    for loop in loops[1:]:
        line = _strung(line, loop)
    return np.resize(line, (3, 2)) if len(line) < 3 else line


def _size(loop: Points) -> tuple[float, int]:
    return cv2.contourArea(loop), len(loop)


def _strung(line: Points, loop: Points) -> Points:
    """Go along the line to the point closest to the loop, over to it, around it, back, and on."""
    apart = np.abs(line[:, None].astype(np.int64) - loop[None]).sum(axis=2)
    leave, enter = np.unravel_index(int(apart.argmin()), apart.shape)
    around = np.roll(loop, -int(enter), axis=0)
    return np.concatenate([line[: leave + 1], around, around[:1], line[leave:]])


def fill(points: Points, height: int, width: int) -> Mask:
    """Draw a polygon's inside and its line, even-odd, as 0 and 1."""
    mask = np.zeros((height, width), np.uint8)
    return mask if not len(points) else np.asarray(cv2.fillPoly(mask, [points], 1), np.uint8)
