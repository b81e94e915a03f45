"""Is the person cut by the frame."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from figureground import body
from figureground.types import PersonCrop


@dataclass(frozen=True)
class Truncation:
    """How much of the body lies beyond the frame."""

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.15

    def measure(self, crop: PersonCrop) -> float:
        """Give the share of the body's joint groups that the frame cut off, 0 (whole) to 1.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0..1; exactly 0 when the box touches no edge of the frame.
        """
        if not _touches(crop):
            return 0.0
        if not len(crop.keypoints):
            return 1.0
        visible = np.array(body.seen(crop.keypoints))
        groups = (body.HEAD, body.SHOULDERS, body.ELBOWS, body.WRISTS, body.HIPS, body.KNEES, body.ANKLES)
        return float(np.mean([not visible[list(group)].any() for group in groups]))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def _touches(crop: PersonCrop) -> bool:
    near = max(1.5, 0.01 * max(crop.person.width, crop.person.height))
    right, bottom = crop.frame_width - crop.person.x1, crop.frame_height - crop.person.y1
    return min(crop.person.x0, crop.person.y0, right, bottom) <= near
