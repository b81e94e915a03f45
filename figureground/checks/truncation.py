"""Is the person cut by the frame."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground import body
from figureground.types import PersonCrop

_REACH = np.array([0.084] * 5 + [0.07] * 2 + [0.042] * 2 + [0.07] * 2 + [0.07] * 2 + [0.056] * 2 + [0.091] * 2)
"""How far the body goes on beyond each joint (crown, shoulder, elbow, fingers, hip, knee, toes), of the person's height."""
_WEIGHTS = {
    body.HEAD: 0.2,
    body.SHOULDERS: 0.15,
    body.ELBOWS: 0.1,
    body.WRISTS: 0.1,
    body.HIPS: 0.15,
    body.KNEES: 0.15,
    body.ANKLES: 0.15,
}
_NEAR = 0.03  # of the person's height: a box closer than this to the frame's edge may have been cut there


@dataclass(frozen=True)
class Truncation:
    """How much of the body lies beyond the frame."""

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.06

    def measure(self, crop: PersonCrop) -> float:
        """Give the share of the body that the frame cuts off.

        Every joint needs room for what goes on beyond it, the ankle for the foot, the wrist for the hand: the part of
        it that the frame leaves no room for is cut. Near the frame's edge a joint that is not seen is cut too, unless
        its twin on the other side is whole. Someone whose toes just reach the edge keeps the room their ankles need.

        Parameters
        ----------
        crop
            One person. Without keypoints only the box is known.

        Returns
        -------
        float
            0 (whole) to 1 (nothing of it is left). Without keypoints: the share of the box's outline that lies on the
            frame's edge, a much weaker measure.
        """
        if not len(crop.keypoints):
            return _outline_on_edge(crop)
        room = np.clip(_distances(crop) / _REACH, 0, 1)
        seen = np.clip((crop.keypoints[:, 2] - 0.1) / 0.8, 0, 1) if _gap(crop) < _NEAR else np.ones(17)
        return float(sum(weight * (1 - _whole(room, seen, list(group))) for group, weight in _WEIGHTS.items()))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def _whole(room: NDArray[np.float64], seen: NDArray[np.float64], group: list[int]) -> float:
    """Give how whole one group of joints is, 0..1; of the head one joint is enough, turned away it shows no more."""
    whole = room[group] * seen[group]
    if len(group) > 2:
        return float(whole.max())
    return float(np.where(room[group] >= 1, whole.max(), whole).mean())


def _height(crop: PersonCrop) -> float:
    return max(crop.person.width, crop.person.height)


def _distances(crop: PersonCrop) -> NDArray[np.float64]:
    """Give each joint's distance to the frame's nearest edge, of the person's height; 0 on or beyond it."""
    x, y = crop.keypoints[:, 0] / crop.scale + crop.box.x0, crop.keypoints[:, 1] / crop.scale + crop.box.y0
    nearest = np.min([x, crop.frame_width - x, y, crop.frame_height - y], axis=0)
    return np.asarray(np.maximum(0, nearest) / _height(crop), np.float64)


def _gaps(crop: PersonCrop) -> tuple[float, float, float, float]:
    person = crop.person
    return person.x0, person.y0, crop.frame_width - person.x1, crop.frame_height - person.y1


def _gap(crop: PersonCrop) -> float:
    """Give the distance from the detected box to the frame's nearest edge, of the person's height."""
    return min(_gaps(crop)) / _height(crop)


def _outline_on_edge(crop: PersonCrop) -> float:
    near = [gap <= 0.01 * _height(crop) for gap in _gaps(crop)]
    sides = (crop.person.height, crop.person.width) * 2
    return sum(side for side, cut in zip(sides, near, strict=True) if cut) / sum(sides)
