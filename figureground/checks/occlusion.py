"""Is the person hidden, by other people or by things."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from figureground import body, geometry
from figureground.types import PersonCrop

_SHRINK = 0.1  # of the box, on each side: what is near a box's corners is seldom the person in it
_WEIGHTS = {body.HEAD: 1.1, body.SHOULDERS: 4.9, body.WRISTS: 4.56, body.ANKLES: 7.54}
"""What doubt about a group of joints weighs; hips, knees and elbows are guessed with confidence and say nothing more."""
_UNSURE = 11.03  # the detector's doubt
_OVERLAPPED, _ENOUGH = 19.15, 0.2  # more than a fifth overlapped is no worse
_USUAL = -2.74


@dataclass(frozen=True)
class Occlusion:
    """How likely others overlap the person or something hides it."""

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.75

    def measure(self, crop: PersonCrop) -> float:
        """Weigh the overlap with other people, doubt about the joints and the detector's own doubt.

        Overlapped is the share of the person's box inside other people's boxes, each shrunk by a tenth on its sides;
        who stands in front is not known, and either way two people are in one another's outline. A pair of joints is as
        doubtful as the better seen one (of a person seen from the side half is always hidden by the person) and the
        head as its best seen point. The weights are a logistic regression's, none allowed to be negative.

        Parameters
        ----------
        crop
            One person. Without keypoints only the overlap and the detector's score are known.

        Returns
        -------
        float
            A likelihood, 0 (nothing in the way) to 1, where free and hindered people are as frequent.
        """
        evidence = _USUAL + _OVERLAPPED * min(_ENOUGH, _overlapped(crop)) + _UNSURE * (1 - crop.score) + _doubt(crop)
        return float(1 / (1 + np.exp(-np.clip(evidence, -30, 30))))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def _overlapped(crop: PersonCrop) -> float:
    return geometry.covered(crop.person_inside, [geometry.grow(other, -_SHRINK) for other in crop.others])


def _doubt(crop: PersonCrop) -> float:
    if not len(crop.keypoints):
        return 0.0
    return sum(weight * (1 - float(crop.keypoints[list(group), 2].max())) for group, weight in _WEIGHTS.items())
