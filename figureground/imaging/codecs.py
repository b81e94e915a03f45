"""The one place that decodes an image file from memory: everything that reads an image's bytes goes through here."""

import logging
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.imaging.file_headers import read_header
from figureground.shortage import refuse_short_memory, translate_shortage

_log = logging.getLogger(__name__)
_PIXEL_BYTES = 16  # four channels of 16 bits, twice
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
        not an image, or claim more than they can hold.

    Raises
    ------
    ShortageError
        When there is too little memory for it.
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
        (h, w, 3) uint8 BGR. None when the bytes are not an image, or claim more than they can hold.

    Raises
    ------
    ShortageError
        When there is too little memory for it.
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
        (h, w) uint8. None when the bytes are not an image, or claim more than they can hold.

    Raises
    ------
    ShortageError
        When there is too little memory for it.
    """
    return _decode(content, _GREY[shrink] | cv2.IMREAD_IGNORE_ORIENTATION)


def _decode(content: bytes, flags: int) -> NDArray[Any] | None:
    header = read_header(content)
    if header.fault:
        _log.info("an image file of %d bytes is not decoded: %s", len(content), header.fault)
        return None
    pixels, action = header.width * header.height, f"an image of {header.width}x{header.height} pixels cannot be decoded"
    try:
        with translate_shortage(action, pixels * _PIXEL_BYTES):
            image: NDArray[Any] | None = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        refuse_short_memory(action, pixels * _PIXEL_BYTES)  # OpenCV says the same for a damaged file
    return image
