"""Finds faces with YuNet (Wu, Peng, Yu: *YuNet: A Tiny Millisecond-level Face Detector*, 2023), which OpenCV runs.

The weights' hash is checked before OpenCV opens them. A process opens one detector for each weights.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import AssetError
from figureground.imaging import geometry
from figureground.memo import Memo
from figureground.people import pose_regions
from figureground.storage import assets
from figureground.types import Box, Image, Person, Weights

SCORE_AT_LEAST = 0.3
"""A detection with a lower score is no face at all. Which score is good enough is decided by the check `face`."""

_IMAGE_SIZE = 640  # px of the longer side of the network's input; it finds faces of 10 to about 300
_IOU_AT_MOST = 0.3
_AROUND_HEAD = 0.05  # of the person's box: how far its upper edge may cut into the hair

_detectors = Memo()
"""The detectors this process has opened."""


@dataclass(frozen=True, slots=True)
class Face:
    """A face: its box from forehead to chin in the image's pixels, and the detector's confidence 0..1."""

    box: Box
    score: float


def find_face_of_each(image: Image, people: Sequence[Person], weights: Weights) -> list[Face | None]:
    """Find each person's own face.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    people
        The people in it, in image pixels. With keypoints a face must hold the head's visible joints; without, it must lie in
        the person's box. A face belongs to the first of two people that could have it.
    weights
        YuNet's ONNX file, in the cache.

    Returns
    -------
    list of Face or None
        One a person, None for a person that shows none. A face's box is clipped to the image.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or no face detector.
    """
    taken: list[Face] = []
    chosen: list[Face | None] = []
    for person in people:
        faces = _find_in_box(image, person.box, weights)
        candidates = [face for face in faces if _may_belong(face, person) and not _overlaps_any(face, taken)]
        best = max(candidates, key=lambda face: face.score * face.box.width, default=None)
        taken += [best] if best else []
        chosen.append(best)
    return chosen


def find(image: Image, weights: Weights) -> list[Face]:
    """Find all faces of an image, best first.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB. It is scaled down to 640 pixels at most for the network.
    weights
        YuNet's ONNX file, in the cache.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or no face detector.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _IMAGE_SIZE / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    rows = _find_or_open(weights).detect(small)
    bounds = Box(0, 0, width, height)
    faces = [_to_face(row, width / size[0], height / size[1], bounds) for row in rows]
    return sorted((face for face in faces if face), key=lambda face: -face.score)


def _to_face(row: Any, scale_x: float, scale_y: float, bounds: Box) -> Face | None:
    x, y, width, height, score = float(row[0]), float(row[1]), float(row[2]), float(row[3]), float(row[14])
    box = geometry.clip(Box(x * scale_x, y * scale_y, (x + width) * scale_x, (y + height) * scale_y), bounds)
    return Face(box, min(1.0, score)) if box else None


def _find_in_box(image: Image, box: Box, weights: Weights) -> list[Face]:
    bounds = Box(0, 0, image.shape[1], image.shape[0])
    region = geometry.clip(geometry.outward(geometry.grow(box, _AROUND_HEAD)), bounds)
    if region is None:
        return []
    x0, y0, x1, y1 = int(region.x0), int(region.y0), int(region.x1), int(region.y1)
    inside = find(np.ascontiguousarray(image[y0:y1, x0:x1]), weights)
    return [Face(geometry.shift(face.box, x0, y0), face.score) for face in inside]


def _may_belong(face: Face, person: Person) -> bool:
    head = person.keypoints[list(pose_regions.HEAD)] if len(person.keypoints) else person.keypoints
    visible = head[head[:, 2] >= pose_regions.VISIBLE_AT_LEAST, :2] if len(head) else head
    if not len(head):
        x, y = (face.box.x0 + face.box.x1) / 2, (face.box.y0 + face.box.y1) / 2
        return bool(person.box.x0 <= x <= person.box.x1 and person.box.y0 <= y <= person.box.y1)
    if not len(visible):
        return False
    x, y = (float(value) for value in visible.mean(axis=0))
    near = geometry.grow(face.box, 0.25)
    return near.x0 <= x <= near.x1 and near.y0 <= y <= near.y1


def _overlaps_any(face: Face, others: Sequence[Face]) -> bool:
    return any(geometry.iou(face.box, other.box) > _IOU_AT_MOST for other in others)


class _YuNet:
    """An opened detector. It keeps the size of the current image, so one thread at a time uses it."""

    def __init__(self, weights: Weights) -> None:
        path = assets.locate(weights)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (_IMAGE_SIZE, _IMAGE_SIZE), score_threshold=SCORE_AT_LEAST, nms_threshold=_IOU_AT_MOST, top_k=200
            )
        except cv2.error as error:
            raise AssetError(f"{weights.name} ({path}) is not a YuNet network OpenCV can open: {error}") from error
        self._lock = threading.Lock()

    def detect(self, image: NDArray[np.uint8]) -> Sequence[Any]:
        """Give YuNet's rows for a BGR image."""
        with self._lock:
            self._detector.setInputSize((image.shape[1], image.shape[0]))
            _, rows = self._detector.detect(image)
        return () if rows is None else rows


def _find_or_open(weights: Weights) -> _YuNet:
    """Give the process's detector with these weights; the first call opens it."""
    return _detectors.get(weights.sha256, lambda: _YuNet(weights))
