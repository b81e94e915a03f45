"""A mask as one closed polygon, for formats that know nothing else.

Time and memory grow with the outline's length and the mask's size, not with their product: a mask of many small specks has as
many borders as pixels.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.imaging.masks import check_mask
from figureground.types import Mask

Points = NDArray[np.int32]
"""Shape (n, 2): x and y of pixels; the last is joined to the first."""

PARTS_AT_MOST = 256
"""So many parts, and so many areas between and in them, are drawn; of more, the smallest are left out."""

_AROUND = 8  # pixels; how far from a loop the line is searched for first


def outline(mask: Mask) -> Points:
    """Draw one line around all of a mask.

    Holes and separate parts are strung onto the largest part's outline, each by a line there and back between the closest
    points (as COCO-to-YOLO converters do). Of more than `PARTS_AT_MOST` parts or holes the largest are drawn: a mask like that
    is noise, and its specks have no outline worth a line.

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
    kept = 1 - _keep_largest(1 - _keep_largest((mask != 0).astype(np.uint8), neighbours=8), neighbours=4)
    contours, _ = cv2.findContours(kept, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = sorted((contour.reshape(-1, 2).astype(np.int32) for contour in contours), key=_size, reverse=True)
    if not loops:
        return np.empty((0, 2), np.int32)
    line, is_on_line = loops[0], np.zeros(mask.shape, np.uint8)
    is_on_line[line[:, 1], line[:, 0]] = 1
    for loop in loops[1:]:
        line = _strung(line, loop, is_on_line)
        is_on_line[loop[:, 1], loop[:, 0]] = 1
    return np.resize(line, (3, 2)) if len(line) < 3 else line


def _size(loop: Points) -> tuple[float, int]:
    return cv2.contourArea(loop), len(loop)


def _keep_largest(mask: Mask, neighbours: int) -> Mask:
    """Leave out all connected parts of a mask but the largest; a mask of few parts stays as it is."""
    above = np.array([[1, 1, 1], [1, 0, 0]] if neighbours == 8 else [[0, 1, 0], [1, 0, 0]], np.uint8)
    is_first = mask > cv2.dilate(mask, above, anchor=(1, 1), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if cv2.countNonZero(is_first.view(np.uint8)) <= PARTS_AT_MOST:  # each part has at least one; counting parts takes longer
        return mask
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(mask, connectivity=neighbours)
    if count - 1 <= PARTS_AT_MOST:
        return mask
    areas = statistics[1:, cv2.CC_STAT_AREA]
    is_kept = np.zeros(count, np.uint8)
    is_kept[1 + np.argsort(-areas, kind="stable")[:PARTS_AT_MOST]] = 1
    return np.asarray(is_kept[labels], np.uint8)


def _strung(line: Points, loop: Points, is_on_line: Mask) -> Points:
    """Go along the line to the point closest to the loop, over to it, around it, back, and on.

    Of several closest points the line's first is taken, then the loop's first.
    """
    apart, (left, top, right, bottom) = _distance(loop, is_on_line)
    window = np.ones((bottom - top, right - left), np.uint8)
    window[loop[:, 1] - top, loop[:, 0] - left] = 0
    is_closest = (_distances(window) == apart) & (is_on_line[top:bottom, left:right] != 0)
    inside = ((line >= (left, top)) & (line < (right, bottom))).all(axis=1)
    indices = np.flatnonzero(inside)
    near = line[indices]
    leave = int(indices[int(is_closest[near[:, 1] - top, near[:, 0] - left].argmax())])
    enter = int(np.abs(loop.astype(np.int64) - line[leave]).sum(axis=1).argmin())
    around = np.roll(loop, -enter, axis=0)
    return np.concatenate([line[: leave + 1], around, around[:1], line[leave:]])


def _distance(loop: Points, is_on_line: Mask) -> tuple[int, tuple[int, int, int, int]]:
    """Give how far the line is from a loop, along rows and columns, and a box that holds all of the line that is so close."""
    height, width = is_on_line.shape
    (first_x, first_y), (last_x, last_y) = loop.min(axis=0).tolist(), loop.max(axis=0).tolist()
    around = _AROUND
    while True:
        left, top = max(0, first_x - around), max(0, first_y - around)
        right, bottom = min(width, last_x + around + 1), min(height, last_y + around + 1)
        window = 1 - is_on_line[top:bottom, left:right]
        if not window.all():
            apart = int(_distances(window)[loop[:, 1] - top, loop[:, 0] - left].min())
            if apart <= around:
                return apart, (left, top, right, bottom)
            around = apart  # the closest of all is not farther than the closest in this window
        else:
            around *= 4


def _distances(window: Mask) -> NDArray[np.float32]:
    """Give each pixel's distance to the nearest 0, along rows and columns."""
    return np.asarray(cv2.distanceTransform(window, cv2.DIST_L1, 3), np.float32)


def fill(points: Points, height: int, width: int) -> Mask:
    """Draw a polygon's inside and its line, even-odd, as 0 and 1."""
    mask = np.zeros((height, width), np.uint8)
    return mask if not len(points) else np.asarray(cv2.fillPoly(mask, [points], 1), np.uint8)
