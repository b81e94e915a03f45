"""Is the person hidden, by other people or by things."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from figureground import body, geometry
from figureground.types import PersonCrop

_SHRINK = 0.1  # of the box, on each side: what is near a box's corners is seldom the person in it
_DOUBT = 2.0  # doubt about half of the joints means hidden; with this weight both parts share one limit


@dataclass(frozen=True)
class Occlusion:
    """How much of the person others overlap or something hides."""

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.15

    def measure(self, crop: PersonCrop) -> float:
        """Give the larger of two shares: overlapped by other people, and hidden by anything.

        Overlapped is the share of the person's box inside other people's boxes, each shrunk by a tenth on its sides;
        who stands in front is not known, and either way two people are in one another's outline. Hidden is twice the
        mean doubt about the joints, where a pair of joints is as doubtful as the better seen one (of a person seen
        from the side half is always hidden by the person) and the head as its best seen point.

        Parameters
        ----------
        crop
            One person. Without keypoints only the overlap is known.

        Returns
        -------
        float
            0 (nothing in the way) to 1.
        """
        return max(_overlapped(crop), _hidden(crop))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def _overlapped(crop: PersonCrop) -> float:
    return geometry.covered(crop.person_inside, [geometry.grow(other, -_SHRINK) for other in crop.others])


def _hidden(crop: PersonCrop) -> float:
    if not len(crop.keypoints):
        return 0.0
    doubt = [1 - float(crop.keypoints[list(group), 2].max()) for group in body.GROUPS]
    return min(1.0, _DOUBT * max(0.0, float(np.mean(doubt))))
