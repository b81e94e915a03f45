"""The one place that decodes an image file from memory: everything that reads an image's bytes goes through here."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_GREY = {
    1: cv2.IMREAD_GRAYSCALE,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
}


def decode_unchanged(content: bytes) -> NDArray[Any] | None:
    """Decode an image file as it is stored.

    Parameters
    ----------
    content
        The whole file.

    Returns
    -------
    numpy.ndarray or None
        (h, w) or (h, w, channels), channels in OpenCV's order BGR or BGRA, uint8 or uint16 as stored. None when the bytes are
        not an image.
    """
    return _decode(content, cv2.IMREAD_UNCHANGED)


def decode_bgr(content: bytes) -> NDArray[np.uint8] | None:
    """Decode an image file to colour; a rotation tag is ignored.

    Parameters
    ----------
    content
        The whole file.

    Returns
    -------
    numpy.ndarray or None
        (h, w, 3) uint8 BGR. None when the bytes are not an image.
    """
    return _decode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)


def decode_grey(content: bytes, shrink: int = 1) -> NDArray[np.uint8] | None:
    """Decode an image file to grey; a rotation tag is ignored.

    Parameters
    ----------
    content
        The whole file.
    shrink
        1, 2, 4 or 8: decode at this fraction of the width and height, which is faster for a JPEG.

    Returns
    -------
    numpy.ndarray or None
        (h, w) uint8. None when the bytes are not an image.
    """
    return _decode(content, _GREY[shrink] | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode(content: bytes, flags: int) -> NDArray[Any] | None:
    image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), flags) if content else None
    return image
