"""Finds faces with YuNet (Wu, Peng, Yu: *YuNet: A Tiny Millisecond-level Face Detector*, 2023), which OpenCV runs.

The weights' hash is checked before OpenCV opens them. One detector lives per process, behind a lock: it keeps the size of
the picture it works on.
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
from figureground.storage import assets
from figureground.types import Box, Image, Person, Weights

SCORE_AT_LEAST = 0.3
"""Below this nothing is called a face at all. What is good enough the check `face` says, from the stored score."""

_LONG_SIDE = 640  # pixels that the network sees; it finds faces of 10 to about 300
_OVERLAP = 0.3
_HEAD = slice(0, 5)  # nose, eyes, ears in COCO's order
_SEEN = 0.5
_AROUND_HEAD = 0.05  # of the person's box: how far its upper edge may cut into the hair

_detectors = Memo()


@dataclass(frozen=True, slots=True)
class Face:
    """A face: its box from forehead to chin in the picture's pixels, and the detector's confidence 0..1."""

    box: Box
    score: float


def of_people(image: Image, people: Sequence[Person], weights: Weights) -> list[Face | None]:
    """Find each person's own face.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    people
        Who is in it, in picture pixels. With keypoints a face must hold the head's seen joints; without, it must lie in
        the person's box. A face belongs to the first of two people who could have it.
    weights
        YuNet's ONNX file, in the cache.

    Returns
    -------
    list of Face or None
        One a person, None for who shows none. A face's box is clipped to the picture.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or no face detector.
    """
    given: list[Face] = []
    found: list[Face | None] = []
    for person in people:
        faces = [face for face in _in_box(image, person.box, weights) if _may_be(face, person) and not _taken(face, given)]
        best = max(faces, key=lambda face: face.score * face.box.width, default=None)
        given += [best] if best else []
        found.append(best)
    return found


def find(image: Image, weights: Weights) -> list[Face]:
    """Find all faces of a picture, best first.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB. The network sees it shrunk to 640 pixels at most.
    weights
        YuNet's ONNX file, in the cache.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or no face detector.
    """
    height, width = image.shape[:2]
    shrink = min(1.0, _LONG_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    rows = _yunet(weights).detect(small)
    bounds = Box(0, 0, width, height)
    faces = [_face(row, width / size[0], height / size[1], bounds) for row in rows]
    return sorted((face for face in faces if face), key=lambda face: -face.score)


def _face(row: Any, across: float, down: float, bounds: Box) -> Face | None:
    x, y, width, height, score = float(row[0]), float(row[1]), float(row[2]), float(row[3]), float(row[14])
    box = geometry.clip(Box(x * across, y * down, (x + width) * across, (y + height) * down), bounds)
    return Face(box, min(1.0, score)) if box else None


def _in_box(image: Image, box: Box, weights: Weights) -> list[Face]:
    bounds = Box(0, 0, image.shape[1], image.shape[0])
    region = geometry.clip(geometry.outward(geometry.grow(box, _AROUND_HEAD)), bounds)
    if region is None:
        return []
    x0, y0, x1, y1 = int(region.x0), int(region.y0), int(region.x1), int(region.y1)
    inside = find(np.ascontiguousarray(image[y0:y1, x0:x1]), weights)
    return [Face(geometry.shift(face.box, x0, y0), face.score) for face in inside]


def _may_be(face: Face, person: Person) -> bool:
    head = person.keypoints[_HEAD]
    seen = head[head[:, 2] >= _SEEN, :2] if len(head) else head
    if not len(head):
        x, y = (face.box.x0 + face.box.x1) / 2, (face.box.y0 + face.box.y1) / 2
        return bool(person.box.x0 <= x <= person.box.x1 and person.box.y0 <= y <= person.box.y1)
    if not len(seen):
        return False
    x, y = (float(value) for value in seen.mean(axis=0))
    near = geometry.grow(face.box, 0.25)
    return near.x0 <= x <= near.x1 and near.y0 <= y <= near.y1


def _taken(face: Face, given: Sequence[Face]) -> bool:
    return any(geometry.iou(face.box, other.box) > _OVERLAP for other in given)


class _YuNet:
    """An opened detector: it keeps the size of its picture, so one thread at a time uses it."""

    def __init__(self, weights: Weights) -> None:
        path = assets.locate(weights)
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (_LONG_SIDE, _LONG_SIDE), score_threshold=SCORE_AT_LEAST, nms_threshold=_OVERLAP, top_k=200
            )
        except cv2.error as error:
            raise AssetError(f"{weights.name} ({path}) is not a YuNet network OpenCV can open: {error}") from error
        self._lock = threading.Lock()

    def detect(self, image: NDArray[np.uint8]) -> Sequence[Any]:
        """Give YuNet's rows for a BGR picture."""
        with self._lock:
            self._detector.setInputSize((image.shape[1], image.shape[0]))
            _, rows = self._detector.detect(image)
        return () if rows is None else rows


def _yunet(weights: Weights) -> _YuNet:
    """Give the process's detector with these weights."""
    return _detectors.get(weights.sha256, lambda: _YuNet(weights))
