"""Plates: the part of a background that a composite shows, brought to its size."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.types import Box, Image


class Size(NamedTuple):
    """A picture's, in pixels."""

    width: int
    height: int


def covering(size: Size, of: Size, zoom: float, across: float, down: float) -> Box:
    """Choose the part of a background that fills a picture without being stretched.

    Parameters
    ----------
    size
        The background's.
    of
        The picture's.
    zoom
        1 shows as much as can be, 2 half as much in each direction.
    across, down
        Where in what is left to choose, 0..1.

    Examples
    --------
    >>> covering(Size(200, 100), Size(100, 100), 1.0, 0.5, 0.0)
    Box(x0=50, y0=0, x1=150, y1=100)
    """
    scale = min(size.width / of.width, size.height / of.height) / zoom
    width, height = max(1, round(of.width * scale)), max(1, round(of.height * scale))
    x, y = round((size.width - width) * across), round((size.height - height) * down)
    return Box(x, y, x + width, y + height)


def enlargement(size: Size, of: Size) -> float:
    """Say how many times a background has to be enlarged to cover a picture."""
    return max(of.width / size.width, of.height / size.height)


def shown(image: Image, part: Box, mirrored: bool, of: Size) -> Image:
    """Give a part of a background at the picture's size."""
    cut = image[round(part.y0) : round(part.y1), round(part.x0) : round(part.x1)]
    shrinks = part.width > of.width
    resized = cv2.resize(cut, tuple(of), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.ascontiguousarray(resized[:, ::-1]) if mirrored else np.asarray(resized, np.uint8)


def roughness(plate: Image, rows: int = 24) -> NDArray[np.float32]:
    """Say how restless a plate is, on a coarse grid: ground is mostly calm, furniture and leaves are not.

    Returns
    -------
    ndarray
        Shape (rows, about as many columns as are square), float32: mean length of the gradient, 0 and up.
    """
    columns = max(1, round(rows * plate.shape[1] / plate.shape[0]))
    small = cv2.resize(plate, (columns * 8, rows * 8), interpolation=cv2.INTER_LINEAR)
    gray = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    length = cv2.magnitude(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    return np.asarray(cv2.resize(length, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
