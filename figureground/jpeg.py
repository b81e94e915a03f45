"""What a JPEG says about itself, without decoding it."""

import struct

from figureground.errors import ArrayError

_SIZES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""The markers of a frame header, the one with the size (ITU T.81, table B.1)."""
_BARE = {0x01, *range(0xD0, 0xD9)}


def size(content: bytes) -> tuple[int, int]:
    """Read the picture's size from its frame header.

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
        When there is no frame header: not a JPEG, or one that ends early.
    """
    if content[:2] != b"\xff\xd8":
        raise ArrayError(f"expected a JPEG, which starts with ff d8; found {content[:2].hex(' ') or 'nothing'}")
    at = 2
    while at + 9 <= len(content) and content[at] == 0xFF:
        marker = content[at + 1]
        if marker in _SIZES:
            height, width = struct.unpack_from(">HH", content, at + 5)
            return width, height
        if marker == 0xFF:
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + struct.unpack_from(">H", content, at + 2)[0]
    raise ArrayError(f"a JPEG of {len(content)} bytes without a frame header: damaged or cut short")
