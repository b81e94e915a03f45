"""Does another person reach into this one."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from figureground import body, geometry
from figureground.types import Box, PersonCrop

_SHRINK = 0.1  # of the box, on each side: what is near a box's corners is seldom the person in it


@dataclass(frozen=True)
class Overlap:
    """How much of the person lies inside other people's boxes."""

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.1

    def measure(self, crop: PersonCrop) -> float:
        """Give the larger of two shares: of the person's box, and of the body between its seen joints.

        Other people's boxes are shrunk by a tenth on their sides: somebody beside the person, whose box only touches,
        is nobody in the way. Who stands in front is not known; either way two people are in one another's outline.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0 (nobody else is near) to 1 (somebody else is all over).
        """
        others = [geometry.grow(other, -_SHRINK) for other in crop.others]
        return max(geometry.covered(crop.person_inside, others), _body_inside(crop, others)) if others else 0.0

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def _body_inside(crop: PersonCrop, others: list[Box]) -> float:
    area = body.area(crop)
    theirs = np.zeros_like(area)
    for other in others:
        corners = (round(other.x0), round(other.y0)), (round(other.x1) - 1, round(other.y1) - 1)
        if other.x0 < other.x1 and other.y0 < other.y1:
            cv2.rectangle(theirs, *corners, 1, -1)
    return float((area & theirs).sum() / max(1, int(area.sum())))
