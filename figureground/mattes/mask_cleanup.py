"""The first thing a careful annotator does to a mask: drop what lies apart, fill small holes, round the border.

The demo's stand-in annotator corrects with it. Morphology on binary masks: P. Soille, *Morphological Image Analysis*,
2nd ed., Springer 2003.
"""

import cv2
import numpy as np

from figureground.errors import ArrayError
from figureground.imaging import masks
from figureground.types import Mask

_HOLE_AT_MOST = 0.01

def corrected(mask: Mask) -> Mask:
    """Give a mask that differs from the given one: tidied, and where that changes nothing, a dab of paint on its top.

    Parameters
    ----------
    mask
        Shape (h, w), uint8; anything but 0 is person, at least one pixel.

    Returns
    -------
    Mask
        The same size, 0 or 255; the same for the same mask.

    Raises
    ------
    ArrayError
        When `mask` is none or empty.

    Examples
    --------
    >>> int(np.count_nonzero(corrected(np.array([[0, 0, 0], [0, 9, 0], [0, 0, 0]], np.uint8))))
    5
    """
    before = np.where(mask > 0, 255, 0).astype(np.uint8)
    after = tidied(mask)
    return after if not np.array_equal(before, after) else _dabbed(after)


def tidied(mask: Mask) -> Mask:
    """Keep the largest connected part, fill its small holes and round its border.

    Parameters
    ----------
    mask
        Shape (h, w), uint8; anything but 0 is person, at least one pixel.

    Returns
    -------
    Mask
        The same size, 0 or 255.

    Raises
    ------
    ArrayError
        When `mask` is none or empty.
    """
    masks.check_mask(mask)
    if not mask.any():
        raise ArrayError("mask to tidy: expected a person, found not one pixel")
    largest = _largest(np.where(mask > 0, 255, 0).astype(np.uint8))
    radius = max(1, round(min(mask.shape) / 150))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    rounded = cv2.morphologyEx(cv2.morphologyEx(_filled(largest), cv2.MORPH_CLOSE, disc), cv2.MORPH_OPEN, disc)
    return _largest(rounded) if rounded.any() else _filled(largest)


def _largest(mask: Mask) -> Mask:
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return np.where(parts == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA])), 255, 0).astype(np.uint8)


def _filled(mask: Mask) -> Mask:
    """Fill small holes: enclosed background of at most a hundredth of the person. Between arm and body it stays open."""
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(np.pad(255 - mask, 1, constant_values=255), connectivity=4)
    small = sizes[:, cv2.CC_STAT_AREA] <= np.count_nonzero(mask) * _HOLE_AT_MOST
    small[[0, parts[0, 0]]] = False
    return np.where(small[parts[1:-1, 1:-1]], 255, mask).astype(np.uint8)


def _dabbed(mask: Mask) -> Mask:
    """Paint a disc over the topmost pixel, or cut one out where there is nothing left to paint."""
    y, x = (int(at) for at in np.argwhere(mask)[0])
    radius = max(1, round(min(mask.shape) / 40))
    dab: Mask = cv2.circle(mask.copy(), (x, y), radius, 255, -1)
    if np.array_equal(dab, mask):
        dab = cv2.circle(mask.copy(), (x, y), radius, 0, -1)
    return dab
