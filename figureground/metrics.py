"""How far two masks or two alphas are apart.

Masks count as person wherever they are not 0. Both sides of a comparison must have the same size.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.masks import check_alpha, check_mask, check_same_size
from figureground.types import Alpha, Mask


def iou(mask: Mask, truth: Mask) -> float:
    """Intersection over union of two masks (the Jaccard index), 0 to 1; 1 when both are empty.

    Parameters
    ----------
    mask, truth
        Shape (h, w), uint8; anything but 0 is person.

    Raises
    ------
    ArrayError
        When one is no mask or the sizes differ.

    Examples
    --------
    >>> iou(np.array([[1, 1, 0]], np.uint8), np.array([[0, 1, 1]], np.uint8))
    0.3333333333333333
    """
    a, b = _pair(mask, truth)
    return _ratio(int((a & b).sum()), int((a | b).sum()))


def boundary_iou(mask: Mask, truth: Mask, ratio: float = 0.02) -> float:
    """Boundary IoU: the IoU of the two masks' inner boundary bands, 0 to 1; 1 when both are empty.

    It does not forgive a rough border on a large person as `iou` does. Cheng et al., "Boundary IoU: Improving
    object-centric image segmentation evaluation", CVPR 2021; as in its authors' code the picture's edge counts as
    border.

    Parameters
    ----------
    mask, truth
        Shape (h, w), uint8; anything but 0 is person.
    ratio
        The band's width over the picture's diagonal, above 0; at least one pixel is taken.

    Raises
    ------
    ArrayError
        When one is no mask, the sizes differ or `ratio` is not above 0.
    """
    a, b = _pair(mask, truth)
    if not ratio > 0:
        raise ArrayError(f"boundary_iou: expected a ratio above 0, found {ratio}")
    width = max(1, round(ratio * math.hypot(*mask.shape)))
    a, b = _band(a, width), _band(b, width)
    return _ratio(int((a & b).sum()), int((a | b).sum()))


def boundary_f(mask: Mask, truth: Mask, width: int = 3) -> float:
    """Boundary F: how much of each border lies near the other, 0 to 1; 1 when neither has a border.

    The harmonic mean of the precision and recall of border pixels, each within `width` pixels (a disc). Perazzi et al.,
    "A benchmark dataset and evaluation methodology for video object segmentation", CVPR 2016, after Martin et al., 2004.
    The picture's edge is no border.

    Parameters
    ----------
    mask, truth
        Shape (h, w), uint8; anything but 0 is person.
    width
        How far apart borders may lie, pixels, at least 1.

    Raises
    ------
    ArrayError
        When one is no mask, the sizes differ or `width` is below 1.
    """
    a, b = (_border(side) for side in _pair(mask, truth))
    if width < 1:
        raise ArrayError(f"boundary_f: expected a width of at least 1 pixel, found {width}")
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    precision = int((a & _near(b, width)).sum()) / int(a.sum())
    recall = int((b & _near(a, width)).sum()) / int(b.sum())
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def sad(alpha: Alpha, truth: Alpha) -> float:
    """Sum of absolute differences of two alphas, in thousands of pixels, as matting benchmarks give it.

    Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009.

    Parameters
    ----------
    alpha, truth
        Shape (h, w), float32, 0 to 1.

    Raises
    ------
    ArrayError
        When one is no alpha or the sizes differ.
    """
    return float(np.abs(_difference(alpha, truth)).sum() / 1000)


def mse(alpha: Alpha, truth: Alpha) -> float:
    """Mean squared difference of two alphas over all pixels, 0 to 1.

    Rhemann et al., "A perceptually motivated online benchmark for image matting", CVPR 2009.

    Parameters
    ----------
    alpha, truth
        Shape (h, w), float32, 0 to 1.

    Raises
    ------
    ArrayError
        When one is no alpha or the sizes differ.

    Examples
    --------
    >>> mse(np.array([[0.0, 1.0]], np.float32), np.array([[0.5, 1.0]], np.float32))
    0.125
    """
    return float(np.square(_difference(alpha, truth)).mean())


def _pair(mask: Mask, truth: Mask) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    check_mask(mask)
    check_mask(truth, "truth")
    check_same_size(mask, truth, "mask and truth")
    return mask > 0, truth > 0


def _difference(alpha: Alpha, truth: Alpha) -> NDArray[np.float64]:
    check_alpha(alpha)
    check_alpha(truth, "truth")
    check_same_size(alpha, truth, "alpha and truth")
    return alpha.astype(np.float64) - truth


def _ratio(shared: int, together: int) -> float:
    return shared / together if together else 1.0


def _band(mask: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    padded = np.pad(mask.astype(np.uint8), 1)
    inner: Mask = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    band: NDArray[np.bool_] = mask & (inner == 0)
    return band


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    inner: Mask = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8))
    border: NDArray[np.bool_] = mask & (inner == 0)
    return border


def _near(border: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    near: Mask = cv2.dilate(border.astype(np.uint8), disc)
    within: NDArray[np.bool_] = near > 0
    return within
