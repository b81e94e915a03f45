"""Boxes: arithmetic without pixels.

A `Box` is half-open and counts pixels from the upper left corner of the upper left pixel, so a picture of w×h pixels is
``Box(0, 0, w, h)``. Every function gives a new box and leaves its arguments alone.
"""

import itertools
import math
from collections.abc import Iterable, Sequence

from figureground.types import Box


def clip(box: Box, bounds: Box) -> Box | None:
    """Give the part of a box inside `bounds`, or None when they share no area.

    >>> clip(Box(-5, 0, 10, 20), Box(0, 0, 8, 8))
    Box(x0=0, y0=0, x1=8, y1=8)
    """
    x0, y0 = max(box.x0, bounds.x0), max(box.y0, bounds.y0)
    x1, y1 = min(box.x1, bounds.x1), min(box.y1, bounds.y1)
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def grow(box: Box, margin: float) -> Box:
    """Move every side outward by `margin` times the box's width (left, right) or height (top, bottom).

    >>> grow(Box(10, 10, 20, 30), 0.1)
    Box(x0=9.0, y0=8.0, x1=21.0, y1=32.0)
    """
    dx, dy = margin * box.width, margin * box.height
    return Box(box.x0 - dx, box.y0 - dy, box.x1 + dx, box.y1 + dy)


def outward(box: Box) -> Box:
    """Give the smallest box with whole-pixel sides that holds `box`.

    >>> outward(Box(0.2, 1.0, 3.1, 4.0))
    Box(x0=0, y0=1, x1=4, y1=4)
    """
    return Box(math.floor(box.x0), math.floor(box.y0), math.ceil(box.x1), math.ceil(box.y1))


def shift(box: Box, dx: float, dy: float) -> Box:
    """Move a box right by `dx` and down by `dy` pixels.

    >>> shift(Box(0, 0, 2, 2), 1, -1)
    Box(x0=1, y0=-1, x1=3, y1=1)
    """
    return Box(box.x0 + dx, box.y0 + dy, box.x1 + dx, box.y1 + dy)


def short_side(box: Box) -> float:
    """Give the smaller of width and height, pixels."""
    return min(box.width, box.height)


def iou(a: Box, b: Box) -> float:
    """Give intersection over union, 0..1; 0 when both are empty.

    >>> iou(Box(0, 0, 2, 2), Box(1, 0, 3, 2))
    0.3333333333333333
    """
    both = clip(a, b)
    shared = both.area if both else 0.0
    union = a.area + b.area - shared
    return shared / union if union > 0 else 0.0


def covered(box: Box, others: Iterable[Box]) -> float:
    """Give the share of a box's area that the union of others covers, 0..1; 0 for an empty box.

    >>> covered(Box(0, 0, 4, 4), [Box(0, 0, 2, 4), Box(1, 0, 2, 9)])
    0.5
    """
    parts = [part for other in others if (part := clip(other, box))]
    return _union(parts) / box.area if box.area > 0 else 0.0


def _union(boxes: Sequence[Box]) -> float:
    """Area of a union: the few distinct x edges cut the plane into strips, in each strip intervals are merged."""
    edges = sorted({x for box in boxes for x in (box.x0, box.x1)})
    total = 0.0
    for left, right in itertools.pairwise(edges):
        end, height = -math.inf, 0.0
        for box in sorted((b for b in boxes if b.x0 <= left and b.x1 >= right), key=lambda b: b.y0):
            height += max(0.0, box.y1 - max(box.y0, end))
            end = max(end, box.y1)
        total += (right - left) * height
    return total
