"""Layers over a plate: a person's colours and alpha brought to their place, nearer ones before farther ones.

The "over" of Porter and Duff, "Compositing Digital Images", SIGGRAPH 1984. The alpha that weighs the colours is the 8-bit alpha
that is written as the ground truth, so both say the same to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.synthesis.backgrounds import Size
from figureground.synthesis.cutouts import Cutout, Levels
from figureground.synthesis.placement import Placed
from figureground.types import Box, Image

Blend = Literal["display", "linear"]
"""``display`` mixes the values as they are stored, ``linear`` the light they stand for (IEC 61966-2-1, sRGB)."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What of a person is inside the picture: its upper left corner there, colours (h, w, 3) and alpha (h, w), uint8."""

    x: int
    y: int
    image: Image
    levels: Levels

    @property
    def window(self) -> tuple[slice, slice]:
        """The rows and columns of the picture that it covers."""
        return slice(self.y, self.y + self.levels.shape[0]), slice(self.x, self.x + self.levels.shape[1])


def layer(cutout: Cutout, placed: Placed, size: Size) -> Layer:
    """Bring a cutout to its place: mirrored, resized to the box, turned, cut at the picture's edges.

    Colours and alpha go the same way, each by itself.
    """
    image, levels = cutout.image, cutout.levels
    if placed.mirrored:
        image, levels = (np.ascontiguousarray(layer[:, ::-1]) for layer in (image, levels))
    wide, high = round(placed.box.width), round(placed.box.height)
    corner = round(placed.box.x0), round(placed.box.y0)
    image, levels = (_resized(layer, wide, high) for layer in (image, levels))
    if placed.turned:
        image, levels, corner = _turned(image, levels, placed.turned, corner)
    return _inside(image, levels, corner, size)


def _resized(layer: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    if layer.shape[:2] == (height, width):
        return layer
    shrinks = width < layer.shape[1]
    return np.asarray(
        cv2.resize(layer, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8
    )


def _turned(
    image: Image, levels: Levels, degrees: float, corner: tuple[int, int]
) -> tuple[Image, Levels, tuple[int, int]]:
    """Turn around the middle, into a frame just large enough."""
    height, width = levels.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = int(np.ceil(width * cosine + height * sine)), int(np.ceil(width * sine + height * cosine))
    dx, dy = (wide - width) // 2, (high - height) // 2
    matrix[:, 2] += dx, dy
    colours = cv2.warpAffine(image, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.warpAffine(levels, matrix, (wide, high), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    return colours, alpha, (corner[0] - dx, corner[1] - dy)


def _inside(image: Image, levels: Levels, corner: tuple[int, int], size: Size) -> Layer:
    height, width = levels.shape
    left, top = max(0, -corner[0]), max(0, -corner[1])
    right, bottom = min(width, size.width - corner[0]), min(height, size.height - corner[1])
    rows, columns = slice(top, max(top, bottom)), slice(left, max(left, right))
    return Layer(corner[0] + left, corner[1] + top, image[rows, columns], np.ascontiguousarray(levels[rows, columns]))


def over(canvas: Image, layer: Layer, blend: Blend = "display") -> None:
    """Paint a layer on a canvas; only where it is partly clear anything is computed."""
    below, levels = canvas[layer.window], layer.levels
    cv2.copyTo(layer.image, cv2.compare(levels, 255, cv2.CMP_EQ), below)
    soft = (levels > 0) & (levels < 255)
    weight = levels[soft].astype(np.float32)[:, None] / np.float32(255)
    if blend == "linear":
        light = _to_light()
        mixed = light[layer.image[soft]] * weight + light[below[soft]] * (1 - weight)
        below[soft] = _to_levels()[np.rint(mixed * 65535).astype(np.uint16)]
    else:
        below[soft] = np.rint(layer.image[soft] * weight + below[soft] * (1 - weight)).astype(np.uint8)


def truths(layers: Sequence[Layer], size: Size) -> tuple[Levels, list[Levels]]:
    """Give the alpha of everybody together, and what is to be seen of each, all of the picture's size.

    Parameters
    ----------
    layers
        From the farthest to the nearest.
    """
    together = np.zeros((size.height, size.width), np.uint8)
    each: list[Levels] = []
    for layer in layers:
        clear = 255 - layer.levels
        for behind in [*each, together]:
            behind[layer.window] = _times(behind[layer.window], clear)
        own = np.zeros_like(together)
        own[layer.window] = layer.levels
        together[layer.window] += layer.levels
        each.append(own)
    return together, each


def inside(layer: Layer) -> Box | None:
    """Give the box of what is more than half opaque, in the picture's pixels; None when nothing is."""
    rows, columns = (np.flatnonzero((layer.levels >= 128).any(axis)) for axis in (1, 0))
    if not len(rows):
        return None
    return Box(layer.x + int(columns[0]), layer.y + int(rows[0]), layer.x + int(columns[-1]) + 1, layer.y + int(rows[-1]) + 1)


def _times(first: Levels, others: Levels) -> Levels:
    product: NDArray[np.uint16] = first.astype(np.uint16) * others.astype(np.uint16) + np.uint16(127)
    rounded: Levels = np.asarray(product // np.uint16(255)).astype(np.uint8)
    return rounded


@cache
def _to_light() -> NDArray[np.float32]:
    shown = np.arange(256, dtype=np.float64) / 255
    return np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4).astype(np.float32)


@cache
def _to_levels() -> NDArray[np.uint8]:
    light = np.arange(65536, dtype=np.float64) / 65535
    shown = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(shown * 255).astype(np.uint8)
    return levels
