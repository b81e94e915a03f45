"""A person's edits fused into the matte's soft alpha.

People edit a hard mask, because it is light; the matte behind it is soft. What somebody changed against the mask that
was pushed is their word and is taken. What they left alone keeps the matte's alpha bit by bit: hair that nobody touched
stays as the network saw it. Only the border that the edits made is softened again, from the picture, and passes into the
matte over a few pixels: fewer around a thin edit, so that a dab leaves no blot in a grey place.

The softening is a guided filter: K. He, J. Sun, X. Tang, *Guided Image Filtering*, ECCV 2010, on the picture's grey
values. Closed-form matting (A. Levin et al., 2008) follows single hairs better but solves a linear system a label; here a
band of few pixels is wanted, next to a border that a hand drew, thousands of times a pull.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.imaging import masks
from figureground.types import Alpha, Image, Mask

REACH = 4
_SMOOTHNESS = 1e-4
_SURE = np.float32(128 / 255), np.float32(127 / 255)
Where = NDArray[np.bool_]


def fuse(alpha: Alpha, pushed: Mask, painted: Mask, image: Image, reach: int = REACH) -> Alpha:
    """Apply what a person changed to a stored alpha.

    Parameters
    ----------
    alpha
        Shape (h, w), float32, 0 to 1: the matte.
    pushed
        Shape (h, w), uint8, 0..255: the mask that was made from it and given to the person.
    painted
        Shape (h, w), uint8, 0..255: what came back; a brush leaves values between at a stroke's rim.
    image
        Shape (h, w, 3), uint8, RGB: the picture both belong to.
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
        When one is not what it should be or the sizes differ.

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
        part = _around(changed, 3 * reach)
        fused[part] = _edited(alpha[part], pushed[part], painted[part], image[part], reach)
    return fused


def _check(alpha: Alpha, pushed: Mask, painted: Mask, image: Image, reach: int) -> None:
    masks.check_alpha(alpha)
    masks.check_mask(pushed, "pushed mask")
    masks.check_mask(painted, "painted mask")
    masks.check_image(image)
    for other, what in ((pushed, "pushed mask"), (painted, "painted mask"), (image, "picture")):
        masks.check_same_size(alpha, other, f"alpha and {what}")
    if reach < 1:
        raise ArrayError(f"reach of an edit: expected at least 1 pixel, found {reach}")


def _around(changed: Where, margin: int) -> tuple[slice, slice]:
    """Give the part of the picture that an edit can act on, so that a dab costs a dab's work."""
    rows, columns = (np.flatnonzero(changed.any(axis=axis)) for axis in (1, 0))
    top, left = max(0, int(rows[0]) - margin), max(0, int(columns[0]) - margin)
    return slice(top, int(rows[-1]) + margin + 1), slice(left, int(columns[-1]) + margin + 1)


def _edited(alpha: Alpha, pushed: Mask, painted: Mask, image: Image, reach: int) -> Alpha:
    changed, inside = painted != pushed, painted >= 128
    border, word = _border(inside), inside.astype(np.float32)
    made = border & _grown(changed, 1)
    # a border that was painted over leaves its softness behind on both sides: that is the edit's, too
    gone = _grown(_border(pushed >= 128) & ~border, reach) & ((alpha >= np.float32(0.5)) == inside)
    wanted = np.where(changed | gone, word, alpha)
    wanted = np.where(_grown(made, reach), _softened(inside, image, reach), wanted)
    weight = np.where(changed, np.float32(1), _weight(changed, reach))
    return np.where(weight == 1, wanted, alpha + weight * (wanted - alpha)).astype(np.float32)


def _weight(changed: Where, reach: int) -> NDArray[np.float32]:
    """Say how much an edit has a say beyond its own pixels, 0 to 1: the thicker the edit, the farther, `reach` at most."""
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


def _softened(inside: Where, image: Image, reach: int) -> Alpha:
    """Soften a hard mask's border by the picture; each pixel stays on the side of one half where it was put."""
    guide = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64) / 255
    # half the width twice: the filter averages windows that are averages themselves
    soft = guided(guide, inside.astype(np.float64), max(1, reach // 2)).astype(np.float32)
    person, ground = _SURE
    return np.where(inside, np.clip(soft, person, 1), np.clip(soft, 0, ground)).astype(np.float32)


def guided(guide: NDArray[np.float64], values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
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
    together = _mean(guide * values, radius) - _mean(guide, radius) * _mean(values, radius)
    slope = together / (np.maximum(variance, 0) + _SMOOTHNESS)
    offset = _mean(values, radius) - slope * _mean(guide, radius)
    return _mean(slope, radius) * guide + _mean(offset, radius)


def _mean(values: NDArray[np.float64], radius: int) -> NDArray[np.float64]:
    size = 2 * radius + 1
    averaged: NDArray[np.float64] = cv2.blur(values, (size, size), borderType=cv2.BORDER_REPLICATE)
    return averaged


def _border(inside: Where) -> Where:
    """Give the pixels on both sides of a border; the picture's own edge is none."""
    hard, cross = inside.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    touched: Where = cv2.dilate(hard, cross) != cv2.erode(hard, cross)
    return touched


def _grown(where: Where, radius: int) -> Where:
    """Give everything within `radius` pixels, in both directions."""
    kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    grown: Where = cv2.dilate(where.astype(np.uint8), kernel) > 0
    return grown
