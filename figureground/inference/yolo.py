"""The raw outputs of YOLO networks as people and instances: non-maximum suppression, keypoints and masks.

The arithmetic is ultralytics' own (https://docs.ultralytics.com), without importing it; a test compares both. Networks come
from `figureground.inference.conversion`, inputs from `figureground.inference.letterbox`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.inference.letterbox import Letterbox
from figureground.types import Alpha, Box, Keypoints

_IOU_AT_MOST = 0.7
_BOXES_AT_MOST = 300
_CLASS_OFFSET = np.float32(1e4)  # px, farther than any box is wide

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Instance:
    """One instance from a segmentation network: its class, score and box, and its soft mask, 0 to 1."""

    class_name: str
    score: float
    box: Box
    alpha: Alpha


class RawInstance(NamedTuple):
    """One decoded prediction of a segmentation network: the class by number, the box in image pixels, the mask as log odds.

    ``log_odds`` is (H / 4, W / 4) over the input and good near the box only; see `mask_from_log_odds`.
    """

    class_number: int
    score: float
    box: Box
    log_odds: Floats


class DetectedPerson(NamedTuple):
    """One decoded prediction of a detection or pose network: box and keypoints, (17, 3) or (0, 3), in image pixels."""

    box: Box
    score: float
    keypoints: Keypoints


def suppress_overlaps(
    boxes: Floats, scores: Floats, iou_at_most: float = _IOU_AT_MOST, boxes_at_most: int = _BOXES_AT_MOST
) -> list[int]:
    """Choose boxes, best first, without those that overlap a better one: greedy non-maximum suppression.

    Parameters
    ----------
    boxes, scores
        (n, 4) corners and (n,) scores above 0.
    iou_at_most
        A box that overlaps a chosen one with a higher IoU is taken for the same object.
    boxes_at_most
        How many to choose.

    Examples
    --------
    >>> boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [20, 0, 30, 10]], np.float32)
    >>> suppress_overlaps(boxes, np.array([0.8, 0.9, 0.3], np.float32))
    [1, 2]
    """
    corners_and_sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    chosen = cv2.dnn.NMSBoxes(corners_and_sizes, scores.tolist(), score_threshold=0.0, nms_threshold=iou_at_most)
    return [int(number) for number in np.asarray(chosen).ravel()[:boxes_at_most]]


def decode_people(
    output: Floats, letterbox: Letterbox, person_class: int, class_count: int, score_at_least: float
) -> list[DetectedPerson]:
    """Read a detection or pose network's output for one image.

    Parameters
    ----------
    output
        (4 + class_count + 3 k, n): centre, size, class scores, keypoints, in the input's pixels.
    letterbox
        How the image lies in the input.
    person_class, class_count
        The number of the class person, and how many there are.
    score_at_least
        Predictions with this score or a lower one are left out.

    Returns
    -------
    list of DetectedPerson
        Best first; (0, 3) keypoints when the network gives none.
    """
    rows = output.T
    class_scores = rows[:, 4 : 4 + class_count]
    rows = rows[(class_scores.argmax(axis=1) == person_class) & (class_scores[:, person_class] > score_at_least)]
    boxes, scores = _corners(rows), rows[:, 4 + person_class]
    chosen = suppress_overlaps(boxes, scores)
    keypoints = rows[chosen][:, 4 + class_count :].reshape(len(chosen), (rows.shape[1] - 4 - class_count) // 3, 3)
    people = zip(chosen, letterbox.boxes_to_image(boxes[chosen]), letterbox.keypoints_to_image(keypoints), strict=True)
    decoded = [DetectedPerson(Box(*map(float, box)), float(scores[number]), points) for number, box, points in people]
    return [person for person in decoded if person.box.area > 0]


def decode_instances(
    output: Floats, prototypes: Floats, letterbox: Letterbox, class_count: int, score_at_least: float
) -> list[RawInstance]:
    """Read a segmentation network's output for one image.

    Bolya et al., "YOLACT: Real-time instance segmentation", ICCV 2019: a mask is a weighted sum of prototypes.

    Parameters
    ----------
    output
        (4 + class_count + k, n): centre, size, class scores, weights.
    prototypes
        (k, H/4, W/4).
    letterbox
        How the image lies in the input.
    class_count
        How many classes the network knows.
    score_at_least
        Predictions with this score or a lower one are left out.

    Returns
    -------
    list of RawInstance
        Best first.
    """
    rows = output.T
    class_scores = rows[:, 4 : 4 + class_count]
    classes, scores = class_scores.argmax(axis=1), class_scores.max(axis=1)
    kept = scores > score_at_least
    rows, classes, scores = rows[kept], classes[kept], scores[kept]
    boxes = _corners(rows)
    chosen = suppress_overlaps(boxes + classes[:, None] * _CLASS_OFFSET, scores)  # apart by class: a bag may lie on a person
    return [
        RawInstance(
            int(classes[number]),
            float(scores[number]),
            Box(*map(float, box)),
            np.tensordot(rows[number, 4 + class_count :], prototypes, axes=1).astype(np.float32),
        )
        for number, box in zip(chosen, letterbox.boxes_to_image(boxes[chosen]), strict=True)
    ]


def mask_from_log_odds(log_odds: Floats, box: Box, rim: float = 2) -> Alpha:
    """Make a soft mask: 0 outside the box, which grows by 3 % and `rim` for what the box cut off.

    Parameters
    ----------
    log_odds
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
    >>> mask_from_log_odds(np.zeros((4, 12), np.float32), Box(0, 0, 6, 4), rim=1)[0].tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]
    """
    grown = grow_box(box, rim)
    x0, y0, x1, y1 = max(0, int(grown.x0)), max(0, int(grown.y0)), int(np.ceil(grown.x1)), int(np.ceil(grown.y1))
    alpha = np.zeros_like(log_odds)
    alpha[y0:y1, x0:x1] = 1 / (1 + np.exp(-np.clip(log_odds[y0:y1, x0:x1], -30, 30)))
    return alpha


def grow_box(box: Box, rim: float = 2) -> Box:
    """Grow a box by 3 % and a rim on each side: `mask_from_log_odds` draws inside it."""
    by_x, by_y = 0.03 * box.width + rim, 0.03 * box.height + rim
    return Box(box.x0 - by_x, box.y0 - by_y, box.x1 + by_x, box.y1 + by_y)


def _corners(rows: Floats) -> Floats:
    half = rows[:, 2:4] / 2
    return np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
