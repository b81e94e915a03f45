"""Cutouts as they are composed: a person's colours without the old background's share, known also beyond the border.

Beyond the border the colours go on smoothly (pull-push: Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", SIGGRAPH 1996),
so that colours and alpha can be resized apart and no colour of nothing ever mixes into a border.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError, SourceError
from figureground.imaging import codecs, foreground, masks
from figureground.types import Image

Levels = NDArray[np.uint8]
"""Shape (h, w), an alpha of 0 to 255."""

_MARGIN = 2
_SURE = 13
"""From this alpha on, a twentieth, a colour is known well enough to go on beyond the border."""
_SEEN = 128
_OLD_BACKGROUND = 0.05
"""Colours under this share of the clear pixels say that the old background is still in the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Cutout:
    """A person cut out, the picture cut to the person.

    ``image`` (h, w, 3) has colours everywhere, ``levels`` (h, w) is the alpha. ``sides`` are those of ``top``, ``right``,
    ``bottom``, ``left`` where the person went on beyond the picture.
    """

    image: Image
    levels: Levels
    sides: tuple[str, ...]


def read(content: bytes, name: str) -> tuple[Image, Levels]:
    """Read an RGBA picture.

    Parameters
    ----------
    content
        A PNG, WebP or TIFF with 8 or 16 bits a channel.
    name
        What messages call it.

    Returns
    -------
    tuple
        Colours (h, w, 3) and alpha (h, w), both uint8.

    Raises
    ------
    SourceError
        When it cannot be read, has no alpha, or the alpha is empty or hides nothing.
    """
    bgra = codecs.decode_unchanged(content)
    if bgra is None:
        raise SourceError(f"not readable: {name} holds {len(content)} bytes that are no picture; get it again")
    if bgra.ndim != 3 or bgra.shape[2] != 4:
        channels = 1 if bgra.ndim == 2 else bgra.shape[2]
        raise SourceError(f"no alpha: {name} has {channels} of the 4 channels of RGBA; save the person with transparency")
    if bgra.dtype == np.uint16:
        bgra = (bgra >> 8).astype(np.uint8)
    levels = np.ascontiguousarray(bgra[:, :, 3])
    if bgra.dtype != np.uint8:
        raise SourceError(f"not readable: {name} holds {bgra.dtype}; expected 8 or 16 bits a channel")
    if not (levels >= _SEEN).any():
        raise SourceError(f"empty alpha: nothing of {name} is more than half opaque; leave it out")
    if (levels == 255).all():
        raise SourceError(f"opaque alpha: {name} hides nothing, so nobody is cut out; cut the person out first")
    return np.ascontiguousarray(bgra[:, :, 2::-1]), levels


def prepared(image: Image, levels: Levels) -> Cutout:
    """Take the old background's share out of the colours, continue them beyond the border, and cut to the person.

    Where clear pixels hold colours, the old background is still there and the colours are estimated
    (`figureground.imaging.foreground`); where they are black, somebody did that already, as the layout ``cutouts`` does.

    Parameters
    ----------
    image, levels
        As `read` gives them.

    Raises
    ------
    ArrayError
        When sizes differ or nothing is opaque.
    """
    masks.check_image(image)
    masks.check_same_size(image, levels, "image and alpha")
    if not (levels >= _SEEN).any():
        raise ArrayError("expected an alpha that is more than half opaque somewhere; found none")
    if has_old_background(image, levels):
        image = foreground.matte_foreground(image, masks.from_levels(levels))
    y, x = (_window(np.flatnonzero((levels > 0).any(1 - axis)), levels.shape[axis]) for axis in (0, 1))
    sides = _cut_sides(levels)
    return Cutout(extended(image[y, x], levels[y, x]), np.ascontiguousarray(levels[y, x]), sides)


def has_old_background(image: Image, levels: Levels) -> bool:
    """Tell whether clear pixels still hold the colours that stood there."""
    clear = levels == 0
    return bool(clear.any() and np.mean(image[clear].max(axis=1) > 0) > _OLD_BACKGROUND)


def extended(image: Image, levels: Levels) -> Image:
    """Continue the colours smoothly where alpha is 0.

    Parameters
    ----------
    image
        Shape (h, w, 3), uint8; what it holds where ``levels`` is 0 is not looked at.
    levels
        Shape (h, w), uint8.

    Returns
    -------
    Image
        The same where alpha is above 0.
    """
    weight = (levels >= min(_SURE, int(levels.max()))).astype(np.float32)[:, :, None]
    far = _pulled(image.astype(np.float32) * weight, weight)
    clear = levels == 0
    extended: Image = image.copy()
    extended[clear] = np.clip(np.rint(far[clear]), 0, 255).astype(np.uint8)
    return extended


def _pulled(sums: NDArray[Any], weights: NDArray[Any]) -> NDArray[np.float32]:
    """Average into ever coarser pictures, then fill what has no weight from the next coarser one."""
    known = 1 - (1 - np.minimum(weights, 1)) ** 4  # a quarter of a coarse pixel is enough to know its colour
    own = sums / np.maximum(weights, 1e-6)
    if max(sums.shape[:2]) <= 1:
        return np.asarray(own, np.float32)
    size = (sums.shape[1] + 1) // 2, (sums.shape[0] + 1) // 2
    coarser = _pulled(_halved(sums, size), _halved(weights, size))
    behind = cv2.resize(coarser, (sums.shape[1], sums.shape[0]), interpolation=cv2.INTER_LINEAR).reshape(sums.shape)
    return np.asarray(own * known + behind * (1 - known), np.float32)


def _halved(channel: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    small = cv2.resize(channel, size, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).reshape(size[1], size[0], -1)


def shrunk(cutout: Cutout, height_at_most: int) -> Cutout:
    """Make a cutout no higher than needed; one that is not higher stays as it is."""
    height, width = cutout.levels.shape
    if height <= height_at_most:
        return cutout
    size = max(1, round(width * height_at_most / height)), height_at_most
    image, levels = (cv2.resize(channel, size, interpolation=cv2.INTER_AREA) for channel in (cutout.image, cutout.levels))
    return Cutout(image, levels, cutout.sides)


def encode(cutout: Cutout) -> bytes:
    """Write an RGBA PNG, fast rather than small."""
    bgra = np.dstack([cutout.image[:, :, ::-1], cutout.levels])
    return bytes(cv2.imencode(".png", bgra, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1].tobytes())


def decode(content: bytes, sides: tuple[str, ...] = ()) -> Cutout:
    """Read what `encode` wrote."""
    bgra = codecs.decode_unchanged(content)
    if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4:
        raise ArrayError(f"{len(content)} bytes that are no RGBA PNG")
    return Cutout(np.ascontiguousarray(bgra[:, :, 2::-1]), np.ascontiguousarray(bgra[:, :, 3]), sides)


def _window(indices: NDArray[np.intp], size: int) -> slice:
    return slice(max(0, int(indices[0]) - _MARGIN), min(size, int(indices[-1]) + 1 + _MARGIN))


def _cut_sides(levels: Levels) -> tuple[str, ...]:
    """Name the sides of the picture that the person touches with more than a grazing pixel or two."""
    edges = {"top": levels[0], "right": levels[:, -1], "bottom": levels[-1], "left": levels[:, 0]}
    return tuple(name for name, edge in edges.items() if int((edge >= _SEEN).sum()) > 0.02 * len(edge) + 2)
