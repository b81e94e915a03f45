"""Letterboxing as ultralytics does it: an image is scaled into a network's input and padded with gray."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.types import Box, Image

STRIDE = 32
"""Height and width of a network's input are multiples of it, pixels."""

_GRAY = 114

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Letterbox:
    """How an image lies in a network's input: scaled by ``scale`` to ``width`` × ``height``, moved by ``left`` and ``top``."""

    scale: float
    left: int
    top: int
    width: int
    height: int
    image_width: int
    image_height: int
    input_width: int
    input_height: int

    def boxes_to_image(self, boxes: Floats) -> Floats:
        """Convert (n, 4) corners from the input to the image's pixels, clipped to it."""
        moved = (boxes - [self.left, self.top, self.left, self.top]) / self.scale
        return np.clip(moved, 0, [self.image_width, self.image_height] * 2).astype(np.float32)

    def box_to_input(self, box: Box) -> Box:
        """Convert a box from the image to the input."""
        x0, x1 = (x * self.scale + self.left for x in (box.x0, box.x1))
        y0, y1 = (y * self.scale + self.top for y in (box.y0, box.y1))
        return Box(x0, y0, x1, y1)

    def keypoints_to_image(self, keypoints: Floats) -> Floats:
        """Convert (n, k, 3) keypoints from the input to the image's pixels, clipped to it."""
        moved = (keypoints[..., :2] - [self.left, self.top]) / self.scale
        inside = np.clip(moved, 0, [self.image_width, self.image_height])
        return np.concatenate([inside, keypoints[..., 2:]], axis=-1).astype(np.float32)

    def plane_to_image(self, plane: Floats, stride: int) -> Floats:
        """Resize a (h / stride, w / stride) plane over the input to the image's size, without the padding."""
        size = (plane.shape[1] * stride, plane.shape[0] * stride)
        on_input = cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR)
        inside = on_input[self.top : self.top + self.height, self.left : self.left + self.width]
        return np.asarray(cv2.resize(inside, (self.image_width, self.image_height), interpolation=cv2.INTER_LINEAR), np.float32)


def letterbox_image(image: Image, size: int, padded_sides: Sequence[int] = ()) -> tuple[Floats, Letterbox]:
    """Scale an image until its longer side is `size`, and pad it with gray to multiples of the stride.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    size
        Pixels, a multiple of 32.
    padded_sides
        Pad each side to the next of these instead, ascending up to `size`, multiples of 32: a network has to be prepared for
        each new shape, which takes as long as running it several times.

    Returns
    -------
    ndarray, Letterbox
        (1, 3, H, W) float32, 0 to 1; and how to convert coordinates back.
    """
    height, width = image.shape[:2]
    letterbox = fit_letterbox(width, height, size, padded_sides)
    scaled = image
    if (letterbox.width, letterbox.height) != (width, height):
        scaled = cv2.resize(image, (letterbox.width, letterbox.height), interpolation=cv2.INTER_LINEAR)
    padded = np.full((letterbox.input_height, letterbox.input_width, 3), _GRAY, np.uint8)
    left, top = letterbox.left, letterbox.top
    padded[top : top + letterbox.height, left : left + letterbox.width] = scaled
    return np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255), letterbox


def fit_letterbox(image_width: int, image_height: int, size: int, padded_sides: Sequence[int] = ()) -> Letterbox:
    """Compute how `letterbox_image` lays an image of that width and height into the input.

    Examples
    --------
    >>> letterbox = fit_letterbox(100, 200, 416, (160, 224, 416))
    >>> letterbox.width, letterbox.height, letterbox.left, letterbox.top, letterbox.input_width, letterbox.input_height
    (208, 416, 8, 0, 224, 416)
    """
    scale = min(size / image_height, size / image_width)
    width, height = max(1, round(image_width * scale)), max(1, round(image_height * scale))
    input_width, input_height = (
        next((padded for padded in padded_sides if padded >= side), side + -side % STRIDE) for side in (width, height)
    )
    left, top = (round((padded - side) / 2 - 0.1) for padded, side in ((input_width, width), (input_height, height)))
    return Letterbox(scale, left, top, width, height, image_width, image_height, input_width, input_height)
