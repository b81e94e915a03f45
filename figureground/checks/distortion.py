"""Is the person stretched sideways, as at the edge of a wide angle or high up in a 360° picture."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from figureground.types import PersonCrop

_LONG_SIDE = 256  # px: detail is compared at the same size for everyone


@dataclass(frozen=True)
class Distortion:
    """How many times coarser the picture's detail is sideways than upright."""

    at_most: Annotated[float, Field(ge=0)] = 2.0

    def measure(self, crop: PersonCrop) -> float:
        """Compare the picture's detail along both axes.

        Stretching a picture by s along one axis divides its second derivative along that axis by s², of a step edge by
        s. What a person's proportions say is much weaker: poses change a box's shape more than lenses do. Only a
        stretch along the picture's rows is measured, a person smeared sideways looks like one, and a lens that bends
        straight lines without stretching anybody is not noticed.

        Parameters
        ----------
        crop
            One person with its margin: what is around is stretched like the person.

        Returns
        -------
        float
            Mean second difference down the columns over that along the rows, a factor > 0: median 1.0 for people as a
            camera sees them, 1.8 stretched to 1.4 or 1.6 times the width, 2.4 at twice; NaN when there is no detail.
        """
        scale = min(1.0, _LONG_SIDE / max(crop.image.shape[:2]))
        size = (max(8, round(crop.image.shape[1] * scale)), max(8, round(crop.image.shape[0] * scale)))
        grey = cv2.resize(cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
        along_rows = float(np.abs(cv2.Sobel(grey, cv2.CV_32F, 2, 0)).mean())
        down_columns = float(np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 2)).mean())
        return down_columns / along_rows if along_rows > 0 else float("nan")

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most
