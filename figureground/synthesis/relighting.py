"""A person's light and colour moved towards those of the place: mean and contrast in L*a*b*.

Reinhard, Ashikhmin, Gooch, Shirley, "Color Transfer between Images", IEEE Computer Graphics and Applications, 2001, by part: a
person in a red shirt stays one. That mean and contrast are what makes composites look right: Xue, Agarwala, Dorsey, Rushmeier,
"Understanding and Improving the Realism of Image Composites", SIGGRAPH 2012.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.synthesis.cutouts import Levels
from figureground.types import Image

_CONTRAST = (0.6, 1.6)
_SHIFT = (60.0, 14.0, 14.0)
"""The farthest that a mean is moved in L*, a* and b*, levels of 255."""
_SMALL = 96


def matched(image: Image, levels: Levels, surroundings: Image, mean: float, contrast: float) -> Image:
    """Move a person's colours towards a place's.

    Parameters
    ----------
    image, levels
        The person: (h, w, 3) and (h, w), uint8. Only where it is opaque it is measured.
    surroundings
        What is around it, (h', w', 3) uint8.
    mean, contrast
        How far to go, 0 (not at all) to 1 (the place's own).

    Returns
    -------
    Image
        New, of the person's size.
    """
    if not (mean or contrast) or not levels.size:
        return image.copy()
    small = _shrunk(levels) >= 250
    if not small.any():
        return image.copy()
    own = _statistics(_lab(_shrunk(image))[small])
    there = _statistics(_lab(_shrunk(surroundings)).reshape(-1, 3))
    return _mapped(image, _curves(own, there, mean, contrast))


_Moments = tuple[NDArray[np.float64], NDArray[np.float64]]


def _curves(own: _Moments, there: _Moments, mean: float, contrast: float) -> NDArray[np.uint8]:
    """Give what each level of each channel becomes, (256, 3): all means are moved, the contrast is L*'s alone."""
    shift = np.clip(there[0] - own[0], -np.array(_SHIFT), np.array(_SHIFT)) * mean
    ratio = np.ones(3)
    ratio[0] = np.clip(there[1][0] / max(float(own[1][0]), 1.0), *_CONTRAST) ** contrast
    values = (np.arange(256)[:, None] - own[0]) * ratio + own[0] + shift
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def _mapped(image: Image, curves: NDArray[np.uint8]) -> Image:
    lab = cv2.LUT(_lab(image), curves.reshape(256, 1, 3))
    return np.asarray(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), np.uint8)


def _lab(image: Image) -> Any:
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2LAB)


def _statistics(pixels: NDArray[np.uint8]) -> _Moments:
    return pixels.mean(axis=0, dtype=np.float64), pixels.std(axis=0, dtype=np.float64)


def _shrunk(channel: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scale = _SMALL / max(channel.shape[:2])
    if scale >= 1:
        return channel
    size = max(1, round(channel.shape[1] * scale)), max(1, round(channel.shape[0] * scale))
    return np.asarray(cv2.resize(channel, size, interpolation=cv2.INTER_AREA), np.uint8)
