"""Is the person too dark or too bright to see its border."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from figureground.people import pose_regions
from figureground.types import PersonCrop

_WHITE = 250  # grey level of 255 from which on nothing can be told apart
_BRIGHTEST = 98  # percentile: in black clothes too, skin is brighter than that


@dataclass(frozen=True)
class Exposure:
    """How dark the brightest of the person is, or how much of the person is burnt out."""

    VERSION: ClassVar[int] = 1

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.82

    def measure(self, crop: PersonCrop) -> float:
        """Give the larger of two: how far the person's brightest parts stay below white, and the share that is white.

        Only the person counts: a dark stage or a white sky behind somebody well lit is no fault. Nor are dark clothes,
        because of what shows beside them.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0 (well lit) to 1 (all black, or all burnt out); NaN when the person has no area in the crop.
        """
        grey = cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)[pose_regions.person_area(crop) > 0]
        if not grey.size:
            return float("nan")
        return float(max(1 - np.percentile(grey, _BRIGHTEST) / 255, np.mean(grey >= _WHITE)))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most
