"""What a JPEG says about itself, without decoding it."""

import io
import struct

from PIL.JpegImagePlugin import JpegImageFile

from figureground.errors import ArrayError


def size(content: bytes) -> tuple[int, int]:
    """Read the picture's size from its header; the pixels are not decoded.

    Parameters
    ----------
    content
        A JPEG file, or at least its beginning up to the frame header.

    Returns
    -------
    tuple
        Width and height as stored, in pixels; a rotation tag is not looked at.

    Raises
    ------
    ArrayError
        When it is not a JPEG, or one that ends before its size.
    """
    if plain := _plain(content):
        return plain
    try:
        # Not Image.open: once ultralytics is imported, that tries to install pi_heif when it cannot read a file.
        with JpegImageFile(io.BytesIO(content)) as picture:
            return picture.size
    except (OSError, SyntaxError) as error:
        found = content[:4].hex(" ") or "nothing"
        raise ArrayError(
            f"expected a JPEG, which starts with ff d8; found {len(content)} bytes that start with {found} and give no size"
        ) from error


def _plain(content: bytes) -> tuple[int, int] | None:
    """Give the size of a file as nearly all cameras and programs write it: asking Pillow takes ten times as long.

    None when anything before the frame header is out of the ordinary, which Pillow then judges.
    """
    at = 2
    while content[:2] == b"\xff\xd8" and at + 9 < len(content) and content[at] == 0xFF:
        kind, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4])
        if kind in (0xC0, 0xC1, 0xC2):
            depth, height, width, colours = struct.unpack_from(">BHHB", content, at + 4)
            ordinary = depth == 8 and height and width and colours in (1, 3) and length == 8 + 3 * colours
            return (width, height) if ordinary and at + 2 + length <= len(content) else None
        if not (0xE0 <= kind <= 0xEF or kind in (0xDB, 0xC4, 0xDD, 0xFE)) or length < 2:
            return None
        at += 2 + length
    return None
