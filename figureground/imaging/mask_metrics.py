"""How far two masks or two alphas are apart.

Masks count as person wherever they are not 0. Both sides of a comparison must have the same size.
"""

import itertools
import math

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.imaging.masks import check_alpha, check_mask, check_same_size
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


def grad(alpha: Alpha, truth: Alpha, sigma: float = 1.4) -> float:
    """Gradient error: the squared difference of the two alphas' gradient lengths, summed, in thousands of pixels.

    It punishes edges that are missing, extra or of the wrong softness. Rhemann et al., "A perceptually motivated online
    benchmark for image matting", CVPR 2009: derivatives of a Gaussian, each kernel of Euclidean length 1.

    Parameters
    ----------
    alpha, truth
        Shape (h, w), float32, 0 to 1.
    sigma
        The Gaussian's width, pixels, above 0; the benchmark's is 1.4.

    Raises
    ------
    ArrayError
        When one is no alpha, the sizes differ or `sigma` is not above 0.
    """
    _difference(alpha, truth)
    if not sigma > 0:
        raise ArrayError(f"grad: expected a sigma above 0, found {sigma}")
    return float(np.square(_slope(alpha, sigma) - _slope(truth, sigma)).sum() / 1000)


def conn(alpha: Alpha, truth: Alpha, step: float = 0.1) -> float:
    """Measure connectivity: how differently the two alphas hang together with their common body, in thousands of pixels.

    At each level the largest 4-connected region where both alphas reach it is the body; a pixel's degree of connectedness
    is one minus how far its alpha lies above the level at which it left the body, unless by less than 0.15. Rhemann et
    al., "A perceptually motivated online benchmark for image matting", CVPR 2009.

    Parameters
    ----------
    alpha, truth
        Shape (h, w), float32, 0 to 1.
    step
        Between two levels, above 0 and at most 1; the benchmark's is 0.1.

    Raises
    ------
    ArrayError
        When one is no alpha, the sizes differ or `step` is out of range.

    Examples
    --------
    >>> far = np.array([[1, 1, 0, 0, 1]], np.float32)  # the speck on the right belongs to nothing
    >>> conn(far, np.array([[1, 1, 0, 0, 0]], np.float32)) * 1000
    1.0
    """
    _difference(alpha, truth)
    if not 0 < step <= 1:
        raise ArrayError(f"conn: expected a step above 0 and at most 1, found {step}")
    level = _left_at(np.minimum(alpha, truth).astype(np.float64), step)
    return float(np.abs(_connectedness(alpha, level) - _connectedness(truth, level)).sum() / 1000)


def _slope(alpha: Alpha, sigma: float) -> NDArray[np.float64]:
    reach = math.ceil(sigma * math.sqrt(max(0.0, -2 * math.log(math.sqrt(2 * math.pi) * sigma * 0.01))))
    at = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-np.square(at) / (2 * sigma**2))
    kernel = np.outer(bell, at * bell)
    kernel /= np.linalg.norm(kernel)
    across, down = (cv2.filter2D(alpha.astype(np.float64), -1, k, borderType=cv2.BORDER_REPLICATE) for k in (kernel, kernel.T))
    return np.asarray(np.hypot(across, down), np.float64)


def _left_at(both: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    """Give the level at which each pixel leaves the common body, 1 where it never does."""
    levels = np.arange(0, 1 + step / 2, step)
    left = np.full(both.shape, -1.0)
    for before, level in itertools.pairwise(levels):
        left[(left < 0) & ~_largest(both >= level - 1e-9)] = before
    left[left < 0] = 1
    return left


def _largest(region: NDArray[np.bool_]) -> NDArray[np.bool_]:
    count, labels, facts, _ = cv2.connectedComponentsWithStats(region.astype(np.uint8), connectivity=4)
    if count == 1:
        return np.zeros_like(region)
    body: NDArray[np.bool_] = labels == 1 + int(np.argmax(facts[1:, cv2.CC_STAT_AREA]))
    return body


def _connectedness(alpha: Alpha, level: NDArray[np.float64]) -> NDArray[np.float64]:
    above = alpha.astype(np.float64) - level
    return 1 - above * (above >= 0.15)


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
