"""Is the person hidden, by other people or by things."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from figureground import body, geometry
from figureground.types import PersonCrop


@dataclass(frozen=True)
class Occlusion:
    """How much of the person others overlap or something hides."""

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.3

    def measure(self, crop: PersonCrop) -> float:
        """Give the larger of: the share of the person's box that others' boxes cover; the share of joint groups hidden.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0 (nothing in the way) to 1.
        """
        person = geometry.shift(crop.person, -crop.box.x0, -crop.box.y0)
        overlapped = geometry.covered(person, crop.others)
        if not len(crop.keypoints):
            return overlapped
        visible = np.array(body.seen(crop.keypoints))
        groups = (body.HEAD, body.SHOULDERS, body.ELBOWS, body.WRISTS, body.HIPS, body.KNEES, body.ANKLES)
        return max(overlapped, float(np.mean([not visible[list(group)].any() for group in groups])))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most
