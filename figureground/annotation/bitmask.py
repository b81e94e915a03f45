"""Label Studio's bitmask format, both ways: a PNG in a data URL, black with the mask as its transparency.

This is what ``BitmaskLabels`` stores where ``BrushLabels`` stores a packed stream (see `figureground.annotation.brush_rle`):
the editor's canvas, as large as the picture. Only its alpha channel counts.
"""

import base64
import binascii
import io
import struct
import zlib

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from figureground.errors import ArrayError, LabelError
from figureground.imaging.file_headers import read_header
from figureground.types import Mask

PREFIX = "data:image/png;base64,"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FAST = 3
_NO_PICTURE = (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error)


def encode(mask: Mask) -> str:
    """Write a mask the way Label Studio stores a bitmask region.

    Parameters
    ----------
    mask
        Shape (h, w), uint8: 0 is outside, 255 inside, values between are soft.

    Returns
    -------
    str
        A data URL. A hard mask of a megapixel takes a few kilobytes, a soft one some tens.

    Raises
    ------
    ArrayError
        When the mask is not a two-dimensional, non-empty uint8 array.

    Examples
    --------
    >>> decode(encode(np.array([[0, 7, 255]], np.uint8)), width=3, height=1)
    array([[  0,   7, 255]], dtype=uint8)
    """
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise ArrayError(f"a bitmask needs shape (h, w), uint8, not empty; found shape {mask.shape}, {mask.dtype}")
    painted = Image.fromarray(np.stack((np.zeros_like(mask), mask), axis=-1), "LA")
    content = io.BytesIO()
    painted.save(content, "PNG", compress_level=_FAST)
    return PREFIX + base64.b64encode(content.getvalue()).decode("ascii")


def decode(address: str, width: int, height: int) -> Mask:
    """Read a bitmask region.

    Parameters
    ----------
    address
        The data URL.
    width, height
        The region's ``original_width`` and ``original_height`` in pixels.

    Returns
    -------
    Mask
        Shape (h, w), uint8: the PNG's alpha channel.

    Raises
    ------
    LabelError
        When it is no data URL of a PNG, a damaged one, one of another size, or one that hides nothing. The size is
        compared before a pixel is decoded.
    """
    content = _content(address)
    _check_size(content, width, height)
    try:
        # Not Image.open: once ultralytics is imported, that tries to install pi_heif when it cannot read a file.
        with PngImageFile(io.BytesIO(content)) as picture:
            if picture.size != (width, height):  # the decoder's own size: what it makes room for
                raise _wrong_size(picture.size, width, height)
            picture.load()
            transparent = picture.mode in ("LA", "RGBA", "PA") or "transparency" in picture.info
            alpha = np.array(picture.convert("RGBA").getchannel("A"))
    except _NO_PICTURE as error:
        raise LabelError(f"bitmask's PNG is damaged: {error or type(error).__name__}") from error
    if not transparent:
        raise LabelError("bitmask's PNG has no transparency, so that all of the picture would be painted")
    return alpha


def _content(address: str) -> bytes:
    if not isinstance(address, str) or not address.startswith(PREFIX):
        raise LabelError(f"bitmask is no PNG in a data URL: expected {PREFIX}…, found {str(address)[:40]!r}")
    try:
        return base64.b64decode(address.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise LabelError(f"bitmask's data URL is not base64: {error}") from error


def _check_size(content: bytes, width: int, height: int) -> None:
    if content[:8] != _SIGNATURE or content[12:16] != b"IHDR" or len(content) < 24:
        raise LabelError(f"bitmask's data URL holds no PNG: it starts with {content[:8].hex(' ') or 'nothing'}")
    header = read_header(content)
    if (header.width, header.height) != (width, height):
        raise _wrong_size((header.width, header.height), width, height)
    if header.fault:
        raise LabelError(f"bitmask's PNG is damaged: {header.fault}")


def _wrong_size(size: tuple[int, int], width: int, height: int) -> LabelError:
    return LabelError(f"bitmask is a picture of {size[0]}x{size[1]}, expected {width}x{height}")
