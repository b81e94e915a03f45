"""Mask cleanup as a careful annotator begins: drop separate parts, fill small holes, round the border.

The demo's simulated annotator corrects with it. Morphology on binary masks: P. Soille, *Morphological Image Analysis*,
2nd ed., Springer 2003.
"""

import cv2
import numpy as np

from figureground.errors import ArrayError
from figureground.imaging import masks
from figureground.types import Mask

_HOLE_AT_MOST = 0.01  # of the person's area


def correct_mask(mask: Mask) -> Mask:
    """Give a mask that differs from the given one: cleaned, and where that changes nothing, a disc painted on its top.

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
        When `mask` is no mask or empty.

    Examples
    --------
    >>> int(np.count_nonzero(correct_mask(np.array([[0, 0, 0], [0, 9, 0], [0, 0, 0]], np.uint8))))
    5
    """
    binary = np.where(mask > 0, 255, 0).astype(np.uint8)
    cleaned = clean_mask(mask)
    return cleaned if not np.array_equal(binary, cleaned) else _paint_disc(cleaned)


def clean_mask(mask: Mask) -> Mask:
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
        When `mask` is no mask or empty.
    """
    masks.check_mask(mask)
    if not mask.any():
        raise ArrayError("mask to clean: expected a person, found not one pixel")
    largest = _largest_part(np.where(mask > 0, 255, 0).astype(np.uint8))
    filled = _fill_small_holes(largest)
    radius = max(1, round(min(mask.shape) / 150))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    rounded = cv2.morphologyEx(cv2.morphologyEx(filled, cv2.MORPH_CLOSE, disc), cv2.MORPH_OPEN, disc)
    return _largest_part(rounded) if rounded.any() else filled


def _largest_part(mask: Mask) -> Mask:
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    return np.where(parts == 1 + int(np.argmax(sizes[1:, cv2.CC_STAT_AREA])), 255, 0).astype(np.uint8)


def _fill_small_holes(mask: Mask) -> Mask:
    """Fill enclosed background of at most a hundredth of the person's area. Between arm and body it stays open."""
    _, parts, sizes, _ = cv2.connectedComponentsWithStats(np.pad(255 - mask, 1, constant_values=255), connectivity=4)
    small = sizes[:, cv2.CC_STAT_AREA] <= np.count_nonzero(mask) * _HOLE_AT_MOST
    small[[0, parts[0, 0]]] = False
    return np.where(small[parts[1:-1, 1:-1]], 255, mask).astype(np.uint8)


def _paint_disc(mask: Mask) -> Mask:
    """Paint a disc over the topmost pixel, or erase one where there is nothing left to paint."""
    y, x = (int(coordinate) for coordinate in np.argwhere(mask)[0])
    radius = max(1, round(min(mask.shape) / 40))
    painted: Mask = cv2.circle(mask.copy(), (x, y), radius, 255, -1)
    if np.array_equal(painted, mask):
        painted = cv2.circle(mask.copy(), (x, y), radius, 0, -1)
    return painted
