"""Is there a better crop that shows the same: the same shot again, or the same person half a second earlier or later."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground.inference import backends
from figureground.people import pose_regions, tracks
from figureground.similarity import duplicates
from figureground.types import PersonCrop, Weights

_COPY = np.array([0.09, 0.49, 0.42])
"""How much a picture's signs and the person's colours say about a copy, after a constant: together 1 for the same picture."""
_COPY_LEARNT = np.array([0.29, 0.30, 0.17, 0.24])
"""The same where there is a learned description too."""

_IN_WINDOW, _POSE = 0.8, 0.15  # the least for two of one window; a change of pose, in heights, from which on it is that
_SIDE = 288  # px: what the network takes
_SIGNATURE = np.dtype(
    [
        ("source", "<u8"),
        ("frame", "<u8"),
        ("track", "<i8"),
        ("seconds", "<f8"),
        ("bytes", "<i8"),
        ("signs", "i1", (256,)),
        ("colours", "<f2", (96,)),
        ("joints", "<f2", (17, 3)),
        ("look", "<f2", (512,)),
    ]
)
_Rows = NDArray[Any]
_Plane = NDArray[np.float32]


@dataclass(frozen=True)
class Duplicate:
    """How much a crop resembles a better one that is kept.

    Parameters
    ----------
    at_most
        Crops that resemble a better one more than this are dropped, 0..1.
    window
        Seconds within which crops of one track are one candidate.
    weights
        SSCD as ONNX: finds copies that were cut, or turned grey, too. Without it they are missed.
    """

    VERSION: ClassVar[int] = 1

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.78
    window: Annotated[float, Field(ge=0, le=60)] = 0.6
    weights: Weights | None = None

    def measure(self, crop: PersonCrop) -> float:  # noqa: ARG002
        """Say what it is for a crop that is alone; `among` says what it is for one among others.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0: like no other. Among others up to 1, for the same picture.
        """
        return 0.0

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most

    def signature(self, crop: PersonCrop) -> bytes:
        """Give where and when a crop was taken, how much detail it has, and how picture, person and pose look: 1,7 kB.

        Detail is the number of bytes it takes as a JPEG: less after every recompression, shrinking and blur.
        """
        row = np.zeros((), _SIGNATURE)
        row["source"], row["frame"] = _number(crop.source_id), _number(crop.frame_id)
        row["track"], row["seconds"] = crop.track, crop.seconds
        row["bytes"] = len(cv2.imencode(".jpg", crop.image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])
        row["signs"] = duplicates.compute_signature(crop.image)
        row["colours"] = tracks.count_colours(crop)
        row["joints"] = _joints(crop)
        if self.weights:
            row["look"] = _look(crop, self.weights)
        return row.tobytes()

    def among(self, signatures: Sequence[bytes], fit: Sequence[bool]) -> list[float]:
        """Give for each crop how much it resembles a better one, see `figureground.similarity.duplicates.compute_keep_limits`.

        Better is first who is fit, then who has more detail. Two people of one frame are never each other's copies.

        Parameters
        ----------
        signatures
            What `signature` gave, by crop id.
        fit
            Which of them no other check refuses.
        """
        rows = np.frombuffer(b"".join(signatures), _SIGNATURE)
        order = np.lexsort((np.arange(len(rows)), -rows["bytes"], ~np.array(fit, bool)))
        similarities = np.empty(len(rows))
        similarities[order] = duplicates.compute_keep_limits(
            len(rows), _Likeness(rows[order], self.window, self.weights is not None)
        )
        return [float(value) for value in similarities]


class _Likeness:
    """Compares each crop with those before it."""

    def __init__(self, rows: _Rows, window: float, by_network: bool) -> None:
        self.rows, self.window = rows, window
        self.parts = [
            np.sqrt(rows["colours"].astype(np.float32) / 2),
            *([rows["look"].astype(np.float32)] if by_network else []),
        ]
        self.weights = _COPY_LEARNT if by_network else _COPY
        self.followed: dict[tuple[int, int], list[int]] = {}
        for number, (source, track) in enumerate(zip(rows["source"].tolist(), rows["track"].tolist(), strict=True)):
            if track >= 0:
                self.followed.setdefault((source, track), []).append(number)

    def __call__(self, start: int, stop: int) -> _Plane:
        signs = duplicates.compute_similarities(self.rows["signs"][start:stop], self.rows["signs"][:stop])
        planes = [signs, *(part[start:stop] @ part[:stop].T for part in self.parts)]
        similarities = self.weights[0] + sum(weight * plane for weight, plane in zip(self.weights[1:], planes, strict=True))
        for number in range(start, stop):
            for other, value in self._in_window(number, stop):
                similarities[number - start, other] = max(similarities[number - start, other], value)
        similarities[self.rows["frame"][start:stop, None] == self.rows["frame"][None, :stop]] = 0
        return np.asarray(np.clip(similarities, 0, 1), np.float32)

    def _in_window(self, number: int, stop: int) -> Iterator[tuple[int, float]]:
        """Give the crops of the same track and window, and how alike the poses are."""
        row = self.rows[number]
        for other in self.followed.get((int(row["source"]), int(row["track"])), ()):
            if other < stop and other != number and abs(self.rows["seconds"][other] - row["seconds"]) <= self.window:
                moved = min(1.0, _moved(row["joints"], self.rows["joints"][other]) / _POSE)
                yield other, _IN_WINDOW + (1 - _IN_WINDOW) * (1 - moved)


def _number(name: str) -> int:
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])


def _joints(crop: PersonCrop) -> NDArray[np.float32]:
    """Give the joints from the middle of the head's height, in the person's heights, with their confidence."""
    if not len(crop.keypoints):
        return np.zeros((17, 3), np.float32)
    box = crop.person_inside
    origin = np.array([(box.x0 + box.x1) / 2, box.y0, 0])
    return np.asarray((crop.keypoints - origin) / np.array([box.height, box.height, 1]), np.float32)


def _moved(points: NDArray[Any], others: NDArray[Any]) -> float:
    """Give how far the joints that are seen in both have moved within the person, in heights; without any, far."""
    seen = (points[:, 2] >= pose_regions.VISIBLE_AT_LEAST) & (others[:, 2] >= pose_regions.VISIBLE_AT_LEAST)
    steps = np.hypot(*(points[seen, :2].astype(float) - others[seen, :2].astype(float)).T)
    return float(steps.mean()) if seen.any() else np.inf


def _look(crop: PersonCrop, weights: Weights) -> NDArray[np.float32]:
    """Ask the network, whose input is the picture as it is and whose scale does not matter."""
    shrinks = max(crop.image.shape[:2]) > _SIDE
    small = cv2.resize(crop.image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    (embeddings,) = backends.run_named(weights, {"image": small[None]}).values()
    return np.asarray(embeddings[0] / max(1e-9, float(np.linalg.norm(embeddings[0]))), np.float32)
