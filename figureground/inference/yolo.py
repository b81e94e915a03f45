"""What goes into a YOLO network and what its answers mean: letterboxing, non-maximum suppression, joints and masks.

The arithmetic is ultralytics' own (https://docs.ultralytics.com), without importing it; a test holds both against each
other. Networks come from `figureground.inference.conversion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.types import Alpha, Box, Image, Keypoints

STRIDE = 32
_GRAY = 114
_OVERLAP = 0.7
_AT_MOST = 300

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How a picture was laid into a network's input: scaled by ``scale``, moved by ``left`` and ``top`` pixels."""

    scale: float
    left: int
    top: int
    width: int
    height: int
    picture_width: int
    picture_height: int
    input_width: int
    input_height: int

    def boxes(self, boxes: Floats) -> Floats:
        """Bring (n, 4) corners from the input back to the picture's pixels, clipped to it."""
        moved = (boxes - [self.left, self.top, self.left, self.top]) / self.scale
        return np.clip(moved, 0, [self.picture_width, self.picture_height] * 2).astype(np.float32)

    def into(self, box: Box) -> Box:
        """Bring a box of the picture into the input."""
        x0, x1 = (x * self.scale + self.left for x in (box.x0, box.x1))
        y0, y1 = (y * self.scale + self.top for y in (box.y0, box.y1))
        return Box(x0, y0, x1, y1)

    def keypoints(self, points: Floats) -> Floats:
        """Bring (n, k, 3) joints from the input back to the picture's pixels, clipped to it."""
        moved = (points[..., :2] - [self.left, self.top]) / self.scale
        inside = np.clip(moved, 0, [self.picture_width, self.picture_height])
        return np.concatenate([inside, points[..., 2:]], axis=-1).astype(np.float32)

    def plane(self, plane: Floats, stride: int) -> Floats:
        """Bring a (h / stride, w / stride) plane over the input back to the picture's size."""
        wide, high = plane.shape[1] * stride, plane.shape[0] * stride
        whole = cv2.resize(plane, (wide, high), interpolation=cv2.INTER_LINEAR)
        part = whole[self.top : self.top + self.height, self.left : self.left + self.width]
        size = (self.picture_width, self.picture_height)
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_LINEAR), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One thing a segmentation network found: its class, score and box, and its soft mask, 0 to 1."""

    name: str
    score: float
    box: Box
    alpha: Alpha


def letterboxed(image: Image, size: int, sides: Sequence[int] = ()) -> tuple[Floats, Letterbox]:
    """Scale a picture until its longer side is `size`, and pad it with gray to multiples of the stride.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    size
        Pixels, a multiple of 32.
    sides
        Pad each side to the next of these instead, ascending up to `size`, multiples of 32: a network has to be prepared for
        each new shape, which takes as long as running it several times.

    Returns
    -------
    ndarray, Letterbox
        (1, 3, H, W) float32, 0 to 1; and how to come back.
    """
    high, wide = image.shape[:2]
    place = laid(wide, high, size, sides)
    width, height = place.width, place.height
    small = image if (width, height) == (wide, high) else cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
    padded = np.full((place.input_height, place.input_width, 3), _GRAY, np.uint8)
    padded[place.top : place.top + height, place.left : place.left + width] = small
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255), place


def laid(wide: int, high: int, size: int, sides: Sequence[int] = ()) -> Letterbox:
    """Tell how `letterboxed` lays a picture of that width and height.

    Examples
    --------
    >>> place = laid(100, 200, 416, (160, 224, 416))
    >>> place.width, place.height, place.left, place.top, place.input_width, place.input_height
    (208, 416, 8, 0, 224, 416)
    """
    scale = min(size / high, size / wide)
    width, height = max(1, round(wide * scale)), max(1, round(high * scale))
    wider, higher = (next((one for one in sides if one >= side), side + -side % STRIDE) for side in (width, height))
    left, top = (round((whole - side) / 2 - 0.1) for whole, side in ((wider, width), (higher, height)))
    return Letterbox(scale, left, top, width, height, wide, high, wider, higher)


def suppressed(boxes: Floats, scores: Floats, overlap: float = _OVERLAP, at_most: int = _AT_MOST) -> list[int]:
    """Choose boxes, best first, leaving out each that overlaps a better one: greedy non-maximum suppression.

    Parameters
    ----------
    boxes, scores
        (n, 4) corners and (n,) scores.
    overlap
        Boxes with a higher IoU are taken for the same thing.
    at_most
        How many to choose.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]], np.float32)
    >>> [int(n) for n in suppressed(boxes, np.array([0.8, 0.9, 0.3], np.float32))]
    [1, 2]
    """
    rest = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(rest) and len(kept) < at_most:
        best, rest = rest[0], rest[1:]
        kept.append(int(best))
        rest = rest[_iou(boxes[best], boxes[rest]) <= overlap]
    return kept


def _iou(one: Floats, others: Floats) -> Floats:
    low, high = np.maximum(one[:2], others[:, :2]), np.minimum(one[2:], others[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(one[2:] - one[:2])
    return np.asarray(shared / np.maximum(areas - shared, 1e-9), np.float32)


def people(answer: Floats, place: Letterbox, person: int, classes: int, at_least: float) -> list[tuple[Box, float, Keypoints]]:
    """Read a detection or pose network's answer.

    Parameters
    ----------
    answer
        (4 + classes + 3 k, n): centre, size, class scores, joints, in the input's pixels.
    place
        How the picture lies in the input.
    person, classes
        The place of the class person, and how many there are.
    at_least
        Lower scores are left out.

    Returns
    -------
    list of tuple
        Box and score, best first, with (17, 3) keypoints, or (0, 3) when the network gives none; all in picture pixels.
    """
    rows = answer.T
    scores = rows[:, 4 : 4 + classes]
    rows = rows[(scores.argmax(axis=1) == person) & (scores[:, person] > at_least)]
    boxes, found = _corners(rows), rows[:, 4 + person]
    chosen = suppressed(boxes, found)
    joints = place.keypoints(rows[chosen][:, 4 + classes :].reshape(len(chosen), (rows.shape[1] - 4 - classes) // 3, 3))
    places = [Box(*map(float, box)) for box in place.boxes(boxes[chosen])]
    return [(box, float(found[n]), points) for n, box, points in zip(chosen, places, joints, strict=True) if box.area > 0]


def found(
    answer: Floats, prototypes: Floats, place: Letterbox, classes: int, at_least: float
) -> list[tuple[int, float, Box, Floats]]:
    """Read a segmentation network's answer.

    Bolya et al., "YOLACT: Real-time instance segmentation", ICCV 2019: a mask is a weighted sum of prototypes.

    Parameters
    ----------
    answer
        (4 + classes + k, n): centre, size, class scores, weights.
    prototypes
        (k, H/4, W/4).
    place
        How the picture lies in the input.
    classes
        How many the network knows.
    at_least
        Lower scores are left out.

    Returns
    -------
    list of tuple
        Best first: the place of the class, the score, the box in the picture's pixels, and the mask's logarithm of odds,
        (H/4, W/4), good near the box only; see `soft`.
    """
    rows = answer.T
    numbers, scores = rows[:, 4 : 4 + classes].argmax(axis=1), rows[:, 4 : 4 + classes].max(axis=1)
    keep = scores > at_least
    rows, numbers, scores = rows[keep], numbers[keep], scores[keep]
    boxes = _corners(rows)
    chosen = suppressed(boxes + numbers[:, None] * np.float32(1e4), scores)  # apart by class: a bag may lie on a person
    places = place.boxes(boxes[chosen])
    return [
        (
            int(numbers[n]),
            float(scores[n]),
            Box(*map(float, box)),
            np.tensordot(rows[n, 4 + classes :], prototypes, axes=1).astype(np.float32),
        )
        for n, box in zip(chosen, places, strict=True)
    ]


def soft(logits: Floats, box: Box, rim: float = 2) -> Alpha:
    """Make odds a mask: 0 outside the box, which is given a rim of 3 % and `rim` for what the box cut off.

    Parameters
    ----------
    logits
        (h, w), logarithms of odds.
    box
        On the same plane.
    rim
        In the plane's pixels.

    Returns
    -------
    ndarray
        (h, w) float32, 0 to 1.

    Examples
    --------
    >>> soft(np.zeros((4, 12), np.float32), Box(0, 0, 6, 4), rim=1).round(1)[0]
    array([0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0. , 0. , 0. , 0. ],
          dtype=float32)
    """
    left, top, right, bottom = rimmed(box, rim)
    x0, y0, x1, y1 = max(0, int(left)), max(0, int(top)), int(np.ceil(right)), int(np.ceil(bottom))
    alpha = np.zeros_like(logits)
    alpha[y0:y1, x0:x1] = 1 / (1 + np.exp(-np.clip(logits[y0:y1, x0:x1], -30, 30)))
    return alpha


def rimmed(box: Box, rim: float = 2) -> tuple[float, float, float, float]:
    """Give a box with the rim of `soft`: x0, y0, x1, y1."""
    by_x, by_y = 0.03 * box.width + rim, 0.03 * box.height + rim
    return box.x0 - by_x, box.y0 - by_y, box.x1 + by_x, box.y1 + by_y


def _corners(rows: Floats) -> Any:
    half = rows[:, 2:4] / 2
    return np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
