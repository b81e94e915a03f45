"""Is the person in focus and still."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground.people import pose_regions
from figureground.types import Mask, PersonCrop

_Plane = NDArray[np.float32]

_LONG_SIDE = 256  # px: everyone is measured at this height, so blur counts as a share of the person, not in pixels
_DENOISE = 0.7  # px, sigma: takes sensor noise and JPEG blocks away, which would pass for detail
_REBLUR = 7  # px, length of the second blur
_RIM = 0.03  # of the person's height: how far the outline is taken in


@dataclass(frozen=True)
class Sharpness:
    """How much of the person's detail a second blur would take away: from what is blurred already, little."""

    VERSION: ClassVar[int] = 1

    at_least: Annotated[float, Field(ge=0, le=1)] = 0.38

    def measure(self, crop: PersonCrop) -> float:
        """Measure the person, not the picture, at a standard size.

        A second blur flattens sharp edges and hardly changes soft ones (Crete, Dolmiere, Ladret, Nicolas: The blur
        effect, 2007). Here it is asked of the strong edges on the person's body and outline only, in four directions,
        and the worst direction counts: a moving person is sharp across one of them.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            The share of the edges' energy that the second blur takes away, 0 (blurred) to about 0.65 (sharp); NaN when
            the person's area has no edge at all.
        """
        grey, area = _standard(crop)
        rim = max(1, round(_RIM * min(_LONG_SIDE, _long_side(crop))))
        outline = cv2.dilate(area, np.ones((2 * rim + 1, 2 * rim + 1), np.uint8))
        losses = [_loss(grey, kernel, step, (area, outline)) for kernel, step in _directions()]
        return float(np.min(losses))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at least the limit; NaN is not."""
        return value >= self.at_least


def _standard(crop: PersonCrop) -> tuple[_Plane, Mask]:
    """Give the crop in grey and the person's area, shrunk to the standard height; smaller people are left as they are."""
    scale = min(1.0, _LONG_SIDE / _long_side(crop))
    size = (max(8, round(crop.image.shape[1] * scale)), max(8, round(crop.image.shape[0] * scale)))
    grey = cv2.resize(cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    area = cv2.resize(pose_regions.person_area(crop), size, interpolation=cv2.INTER_NEAREST)
    return cv2.GaussianBlur(grey.astype(np.float32), (0, 0), _DENOISE), np.asarray(area, np.uint8)


def _long_side(crop: PersonCrop) -> float:
    return max(crop.person_inside.width, crop.person_inside.height)


def _directions() -> Iterator[tuple[_Plane, tuple[int, int]]]:
    """Give for each direction the second blur's kernel and the step (dy, dx) to the next pixel."""
    slant = round(_REBLUR / np.sqrt(2)) | 1
    yield np.full((1, _REBLUR), 1 / _REBLUR, np.float32), (0, 1)
    yield np.full((_REBLUR, 1), 1 / _REBLUR, np.float32), (1, 0)
    yield np.eye(slant, dtype=np.float32) / slant, (1, 1)
    yield np.fliplr(np.eye(slant, dtype=np.float32)).copy() / slant, (1, -1)


def _loss(grey: _Plane, kernel: _Plane, step: tuple[int, int], areas: tuple[Mask, Mask]) -> float:
    """Give the smallest share, over the areas, of edge energy along `step` that blurring with `kernel` takes away."""
    before = _edges(grey, step)
    taken = before * np.maximum(0, before - _edges(cv2.filter2D(grey, -1, kernel), step))
    energy = before * before
    with np.errstate(invalid="ignore"):
        return float(np.min([np.divide(taken[area > 0].sum(), energy[area > 0].sum()) for area in areas]))


def _edges(grey: _Plane, step: tuple[int, int]) -> _Plane:
    """Give how much each pixel differs from the one at `step`; 0 where there is none."""
    (dy, dx), (height, width) = step, grey.shape
    here, there = slice(max(0, -dx), width - max(0, dx)), slice(max(0, dx), width - max(0, -dx))
    edges = np.zeros_like(grey)
    edges[: height - dy, here] = np.abs(grey[dy:, there] - grey[: height - dy, here])
    return edges
