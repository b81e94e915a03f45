"""An annotator's edits fused into the matte's soft alpha.

Annotators edit a hard mask, because it is small; the matte behind it is soft. Pixels that the annotator changed against the
pushed mask are taken from the annotator. All other pixels keep the matte's alpha bit by bit: hair that was not edited
stays as the network predicted it. Only the border that the edits made is softened again, from the image, and blends into the
matte over a few pixels: fewer around a thin edit, so that a small dab leaves no spot in a grey area.

The softening is a guided filter: K. He, J. Sun, X. Tang, *Guided Image Filtering*, ECCV 2010, on the image's grey
values. Closed-form matting (A. Levin et al., 2008) follows single hairs better but solves a linear system for each label; here
only a band of a few pixels is needed, along a border drawn by hand, for thousands of labels in a pull.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.imaging import masks
from figureground.types import Alpha, Image, Mask

REACH = 4
_SMOOTHNESS = 1e-4
_HALF = np.float32(128 / 255), np.float32(127 / 255)
Where = NDArray[np.bool_]


def fuse(alpha: Alpha, pushed: Mask, painted: Mask, image: Image, reach: int = REACH) -> Alpha:
    """Apply an annotator's changes to a stored alpha.

    Parameters
    ----------
    alpha
        Shape (h, w), float32, 0 to 1: the matte.
    pushed
        Shape (h, w), uint8, 0..255: the mask that was made from it and pushed.
    painted
        Shape (h, w), uint8, 0..255: the annotator's mask; a brush leaves values in between at a stroke's border.
    image
        Shape (h, w, 3), uint8, RGB: the crop.
    reach
        How far an edit may act beyond its own pixels, and how wide its border is made, in pixels, >= 1.

    Returns
    -------
    Alpha
        Identical to `alpha` farther than `reach` from every changed pixel (everywhere when nothing was changed). With
        `pushed` cut from `alpha` at one half, it is at least one half exactly where `painted` is at least 128.

    Raises
    ------
    ArrayError
        When an array has another shape or type, or the sizes differ.

    Examples
    --------
    >>> alpha = np.array([[0.0, 0.7, 1.0]], np.float32)
    >>> pushed = np.array([[0, 255, 255]], np.uint8)
    >>> bool((fuse(alpha, pushed, pushed.copy(), np.zeros((1, 3, 3), np.uint8)) == alpha).all())
    True
    """
    _check(alpha, pushed, painted, image, reach)
    changed = painted != pushed
    fused = alpha.copy()
    if changed.any():
        part = _crop_around(changed, 3 * reach)
        fused[part] = _fuse_part(alpha[part], pushed[part], painted[part], image[part], reach)
    return fused


def _check(alpha: Alpha, pushed: Mask, painted: Mask, image: Image, reach: int) -> None:
    masks.check_alpha(alpha)
    masks.check_mask(pushed, "pushed mask")
    masks.check_mask(painted, "painted mask")
    masks.check_image(image)
    for other, what in ((pushed, "pushed mask"), (painted, "painted mask"), (image, "image")):
        masks.check_same_size(alpha, other, f"alpha and {what}")
    if reach < 1:
        raise ArrayError(f"reach of an edit: expected at least 1 pixel, found {reach}")


def _crop_around(changed: Where, margin: int) -> tuple[slice, slice]:
    """Crop to the pixels that an edit can affect, so that a small edit takes little time."""
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
    return slice(top, int(rows[-1]) + margin + 1), slice(left, int(columns[-1]) + margin + 1)


def _fuse_part(alpha: Alpha, pushed: Mask, painted: Mask, image: Image, reach: int) -> Alpha:
    changed, inside = painted != pushed, painted >= 128
    border, hard = _find_border(inside), inside.astype(np.float32)
    new_border = border & _dilate(changed, 1)
    # a border that was painted over leaves soft pixels on both sides: they belong to the edit, too
    old_border = _dilate(_find_border(pushed >= 128) & ~border, reach) & ((alpha >= np.float32(0.5)) == inside)
    edited = np.where(changed | old_border, hard, alpha)
    edited = np.where(_dilate(new_border, reach), _soften(inside, image, reach), edited)
    weight = np.where(changed, np.float32(1), _compute_weight(changed, reach))
    return np.where(weight == 1, edited, alpha + weight * (edited - alpha)).astype(np.float32)


def _compute_weight(changed: Where, reach: int) -> NDArray[np.float32]:
    """Compute an edit's weight beyond its own pixels, 0 to 1: the thicker the edit, the farther, `reach` at most."""
    _, parts = cv2.connectedComponents(changed.astype(np.uint8), connectivity=8)
    depth = cv2.distanceTransform(np.pad(changed, 1).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    deepest = np.zeros(int(parts.max()) + 1, np.float32)
    np.maximum.at(deepest, parts.ravel(), depth.ravel())
    radii = np.minimum(np.ceil(deepest), reach)
    weight = np.zeros(changed.shape, np.float32)
    for radius in sorted({float(radius) for radius in radii[1:]}):
        apart = cv2.distanceTransform(
            ((radii[parts] != radius) | ~changed).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE
        )
        np.maximum(weight, np.clip((radius + 1 - apart) / max(1.0, radius / 2), 0, 1), out=weight)
    return weight


def _soften(inside: Where, image: Image, reach: int) -> Alpha:
    """Soften a hard mask's border by the image; each pixel stays on its side of one half."""
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    # half the width twice: the filter averages windows that are averages themselves
    soft = guided_filter(guide, inside.astype(np.float64), max(1, reach // 2)).astype(np.float32)
    person, background = _HALF
    return np.where(inside, np.clip(soft, person, 1), np.clip(soft, 0, background)).astype(np.float32)


def guided_filter(guide: NDArray[np.float64], values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    """Filter values so that their edges follow the guide's: He, Sun and Tang 2010, grey guide.

    Parameters
    ----------
    guide, values
        Shape (h, w), float64, 0 to 1.
    radius
        Of the square windows, pixels, >= 1.

    Returns
    -------
    ndarray
        Shape (h, w), float64; may leave 0 to 1 by a little.
    """
    variance = _mean(guide * guide, radius) - _mean(guide, radius) ** 2
    covariance = _mean(guide * values, radius) - _mean(guide, radius) * _mean(values, radius)
    slope = covariance / (np.maximum(variance, 0) + _SMOOTHNESS)
    offset = _mean(values, radius) - slope * _mean(guide, radius)
    return _mean(slope, radius) * guide + _mean(offset, radius)


def _mean(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    size = 2 * radius + 1
    averaged: NDArray[np.float64] = cv2.blur(values, (size, size), borderType=cv2.BORDER_REPLICATE)
    return averaged


def _find_border(inside: Where) -> Where:
    """Find the pixels on both sides of a border; the edge of the image is no border."""
    hard, cross = inside.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    border: Where = cv2.dilate(hard, cross) != cv2.erode(hard, cross)
    return border


def _dilate(where: Where, radius: int) -> Where:
    """Dilate by a square of `radius` pixels in each direction."""
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    dilated: Where = cv2.dilate(where.astype(np.uint8), kernel) > 0
    return dilated
