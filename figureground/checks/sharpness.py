"""Is the person in focus and still."""

from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from pydantic import Field

from figureground import body
from figureground.types import PersonCrop


@dataclass(frozen=True)
class Sharpness:
    """How much of the person's detail a further blur would take away."""

    at_least: Annotated[float, Field(ge=0, le=1)] = 0.3

    def measure(self, crop: PersonCrop) -> float:
        """Give the share of gradients on the person that a small blur removes (after Crete et al. 2007), 0..1."""
        scale = min(1.0, 384 / max(crop.person.width, crop.person.height))
        grey = cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        size = (max(8, round(grey.shape[1] * scale)), max(8, round(grey.shape[0] * scale)))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(body.area(crop), size, interpolation=cv2.INTER_NEAREST) > 0
        if not mask.any():
            return float("nan")
        kept = []
        for axis, kernel in ((1, (5, 1)), (0, (1, 5))):
            before = np.abs(np.diff(grey, axis=axis, append=0))[mask]
            after = np.abs(np.diff(cv2.blur(grey, kernel), axis=axis, append=0))[mask]
            kept.append(float(np.maximum(0, before - after).sum() / max(1e-6, before.sum())))
        return min(kept)

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at least the limit; NaN is not."""
        return value >= self.at_least
