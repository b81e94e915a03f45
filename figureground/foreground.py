"""The person's own colours where hair and motion mix them with the background: what a cutout needs.

Multi-level foreground estimation (Germer, Uelwer, Conrad, Harmeling, "Fast Multi-Level Foreground Estimation", ICPR 2020):
foreground and background that explain the picture and change little between neighbours, least where the alpha is flat;
found on small pictures first and carried to larger ones.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground import masks
from figureground.types import Alpha, Image

_REGULARISATION, _GRADIENT_WEIGHT = np.float32(1e-5), np.float32(1.0)
"""As published."""
_SMALL, _STEPS_SMALL, _STEPS = 32, 10, 3
"""Up to so many pixels a side take more steps. One more step than published: here all pixels move at once."""

_Plane = NDArray[np.float32]


def estimate(image: Image, alpha: Alpha) -> Image:
    """Estimate the foreground's colours.

    Parameters
    ----------
    image
        Shape (h, w, 3), uint8, RGB.
    alpha
        Shape (h, w), float32, 0..1.

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
    picture = image.astype(np.float32) / np.float32(255)
    mean: _Plane = picture.mean(axis=(0, 1), dtype=np.float64, keepdims=True).astype(np.float32)
    front, back = mean, mean
    for height, width in _levels(*alpha.shape):
        front, back, small, share = (_resized(plane, height, width) for plane in (front, back, picture, alpha))
        for _ in range(_STEPS_SMALL if max(height, width) <= _SMALL else _STEPS):
            front, back = _step(front, back, small, share)
    levels: Image = np.rint(front * 255).astype(np.uint8)
    levels[alpha == 0] = 0
    levels[alpha == 1] = image[alpha == 1]
    return levels


def _levels(height: int, width: int) -> list[tuple[int, int]]:
    """Give the sizes from one pixel to the whole, each twice the one before.

    >>> _levels(5, 3)
    [(1, 1), (1, 1), (2, 2), (5, 3)]
    """
    count = int(np.ceil(np.log2(max(height, width)))) if max(height, width) > 1 else 0
    shares = [0.5 ** (count - at) for at in range(count + 1)]
    return [(max(1, round(height * share)), max(1, round(width * share))) for share in shares]


def _resized(plane: _Plane, height: int, width: int) -> _Plane:
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST), np.float32)


def _step(front: _Plane, back: _Plane, picture: _Plane, alpha: _Plane) -> tuple[_Plane, _Plane]:
    """Solve every pixel's two colours for its neighbours' of the step before."""
    share = alpha[:, :, None]
    to_front, to_back = share * picture, (1 - share) * picture
    weights = np.zeros_like(share)
    around = [np.pad(plane, ((1, 1), (1, 1), (0, 0)), mode="edge") for plane in (share, front, back)]
    for rows, columns in ((0, 1), (2, 1), (1, 0), (1, 2)):
        here = np.s_[rows : rows + share.shape[0], columns : columns + share.shape[1]]
        weight = _REGULARISATION + _GRADIENT_WEIGHT * np.abs(share - around[0][here])
        weights += weight
        to_front += weight * around[1][here]
        to_back += weight * around[2][here]
    first, cross, last = share * share + weights, share * (1 - share), (1 - share) ** 2 + weights
    determinant = first * last - cross * cross
    solved = (last * to_front - cross * to_back) / determinant, (first * to_back - cross * to_front) / determinant
    return np.clip(solved[0], 0, 1), np.clip(solved[1], 0, 1)
