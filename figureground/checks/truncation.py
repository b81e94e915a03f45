"""Is the person cut by the frame."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground.people import backbone_features, pose_regions
from figureground.people.backbone_features import Head
from figureground.types import PersonCrop, PinnedHead

_REACH = np.array([0.084] * 5 + [0.07] * 2 + [0.042] * 2 + [0.07] * 2 + [0.07] * 2 + [0.056] * 2 + [0.091] * 2)
"""How far the body goes on beyond each joint (crown, shoulder, elbow, fingers, hip, knee, toes), of the person's height."""
_NEAR = 0.06  # of the person's height: no side of the frame that is farther from the detected box cuts anybody
_OUTLINE = 0.06  # share of the box's outline on the frame's edge that makes even odds where no joints are known
SIDES = ("left", "right", "above", "below")
"""The frame's sides in the order of their numbers."""
_HEAD = PinnedHead("truncation", version=1, sha256="01346319e5e0c453d61b64ae9a125d01da488826f9f0358f5bf024d8712085f8")


@dataclass(frozen=True)
class Truncation:
    """How likely the frame cuts the person."""

    VERSION: ClassVar[int] = 1
    HEAD: ClassVar[PinnedHead] = _HEAD

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.5

    def measure(self, crop: PersonCrop) -> float:
        """Give how likely a side of the frame cuts something of the person off.

        Each side of the frame that is near is judged alone, the likeliest decides. What speaks for a cut: the box ends
        at the frame; joints have less room than what goes on beyond them needs, the ankle for the foot, the wrist for
        the hand; and joints there are not seen. The weights were learned on people who were cut on purpose
        (``figureground/checks/heads/train_truncation.py``) and on the same people whole, with the frame's edge touching them.

        Parameters
        ----------
        crop
            One person. Without keypoints only the box is known.

        Returns
        -------
        float
            0 (whole) to 1, a likelihood where cut and whole sides are as frequent. Without keypoints it grows with the
            share of the box's outline that lies on the frame's edge, a much weaker measure.
        """
        if not len(crop.keypoints):
            share = _outline_on_edge(crop)
            return share / (share + _OUTLINE)
        return likelihood(backbone_features.load_head(_HEAD.name, _HEAD.sha256), crop)

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def likelihood(head: Head, crop: PersonCrop) -> float:
    """Give how likely the likeliest of the near sides cuts the person, 0 to 1; 0 when none is near.

    Parameters
    ----------
    head
        What was learned of one side.
    crop
        One person with keypoints.
    """
    scores = [head.score(evidence(crop, side)) + float(head.calibration[0]) for side in near_sides(crop)]
    return backbone_features.to_likelihood(max(scores)) if scores else 0.0


def near_sides(crop: PersonCrop) -> list[int]:
    """Give the numbers of the `SIDES` of the frame near the detected box."""
    return [side for side, gap in enumerate(_gaps(crop)) if gap < _NEAR * _height(crop)]


def evidence(crop: PersonCrop, side: int) -> NDArray[np.float32]:
    """Describe how the person stands to one side of the frame.

    Parameters
    ----------
    crop
        One person with keypoints.
    side
        As `near_sides` gives it.

    Returns
    -------
    ndarray
        (82,) float32: the box's distance and shape, and of each group of joints how little room it has, seen or not;
        once for the sides left and right, once for above and below, 0 for the others.
    """
    gap = _gaps(crop)[side] / _height(crop)
    shape = np.log(np.clip(crop.person.width / crop.person.height, 0.2, 3))
    features = [min(gap, _NEAR), float(gap < 0.002), float(gap < 0.008), shape, crop.score]
    cramped = 1 - np.clip(_rooms(crop)[side] / _height(crop) / _REACH, 0, 1)
    seen = crop.keypoints[:, 2]
    for group in map(list, pose_regions.GROUPS):
        short, sure = cramped[group], seen[group]
        features += [short.max(), (short * sure).max(), (short * (1 - sure)).max(), sure.min(), sure.max()]
    level, upright = side < 2, side >= 2
    row = np.array(features)
    return np.concatenate([row * level, row * upright, [level, side == 2]]).astype(np.float32)


def _height(crop: PersonCrop) -> float:
    return max(crop.person.width, crop.person.height)


def _rooms(crop: PersonCrop) -> NDArray[np.floating]:
    """Give each joint's distance to the frame's left, right, upper and lower side, in frame pixels."""
    x, y = crop.keypoints[:, 0] / crop.scale + crop.box.x0, crop.keypoints[:, 1] / crop.scale + crop.box.y0
    return np.stack([x, crop.frame_width - x, y, crop.frame_height - y])


def _gaps(crop: PersonCrop) -> tuple[float, float, float, float]:
    person = crop.person
    return person.x0, crop.frame_width - person.x1, person.y0, crop.frame_height - person.y1


def _outline_on_edge(crop: PersonCrop) -> float:
    near = [gap <= 0.01 * _height(crop) for gap in _gaps(crop)]
    sides = (crop.person.height, crop.person.height, crop.person.width, crop.person.width)
    return sum(side for side, cut in zip(sides, near, strict=True) if cut) / sum(sides)
