"""The person's own colours where hair and motion mix them with the background: what a cutout needs.

Multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling, "Fast Multi-Level Foreground Estimation", ICPR 2020),
by its authors' pymatting. Importing that takes seconds (see docs/decisions/0003), so it is imported when it is needed.
"""

import threading
from functools import cache
from typing import Any

import numpy as np

from figureground.imaging import masks
from figureground.types import Alpha, Image

_ONE_AT_A_TIME = threading.Lock()
"""Where neither TBB nor OpenMP is installed, numba ends the process when two threads start a parallel kernel."""


def matte_foreground(image: Image, alpha: Alpha) -> Image:
    """Estimate the colours of what a matte keeps, without the share that the background has in them.

    Parameters
    ----------
    image
        Shape (h, w, 3), uint8, RGB.
    alpha
        Shape (h, w), float32, 0..1: the matte.

    Returns
    -------
    Image
        The picture where alpha is 1, black where it is 0, between them the colours without the background's share.

    Raises
    ------
    ArrayError
        When the arrays are not these or differ in size.
    """
    masks.check_image(image)
    masks.check_alpha(alpha)
    masks.check_same_size(image, alpha, "image and alpha")
    picture, colours = image.astype(np.float32) / np.float32(255), _pymatting()
    with _ONE_AT_A_TIME:
        front = colours(picture, alpha) if alpha.size > 1 else picture  # it divides by the levels above one pixel
    levels: Image = np.rint(np.clip(front, 0, 1) * 255).astype(np.uint8)
    levels[alpha == 0] = 0
    levels[alpha == 1] = image[alpha == 1]
    return levels


@cache
def _pymatting() -> Any:
    from pymatting.foreground.estimate_foreground_ml import estimate_foreground_ml

    return estimate_foreground_ml
