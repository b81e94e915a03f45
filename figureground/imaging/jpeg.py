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
        start = content[:4].hex(" ") or "nothing"
        raise ArrayError(
            f"expected a JPEG, which starts with ff d8; found {len(content)} bytes that start with {start} and give no size"
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


_ADOBE, _JFIF = 0xEE, 0xE0
_NEEDED = {0xDB, 0xC4, 0xCC, 0xDD, 0xDC, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)}
"""Tables, frame headers, restart interval, number of lines: what a decoder needs (ITU-T T.81, table B.1)."""

_SOS, _EOI = 0xDA, 0xD9


def strip_metadata(content: bytes) -> bytes:
    """Copy only what a decoder needs of a JPEG, up to its end of image; the pixels stay the same.

    EXIF, XMP, IPTC, maker notes, comments, colour profiles, thumbnails, and everything behind the end of the image (a motion
    photo's video, another image) are left out.

    Parameters
    ----------
    content
        A JPEG file.

    Returns
    -------
    bytes
        The file with its JFIF header, the Adobe segment that gives the colour transform, tables, frame and scans.

    Raises
    ------
    ArrayError
        When its segments cannot be followed to the end of the image.
    """
    parts, at = [b"\xff\xd8"], 2
    if content[:2] != b"\xff\xd8":
        raise ArrayError(f"expected a JPEG, which starts with ff d8; found {content[:2].hex(' ') or 'nothing'}")
    while at + 1 < len(content) and content[at] == 0xFF:
        kind = content[at + 1]
        if kind == 0xFF:  # a fill byte
            at += 1
        elif kind == _EOI:
            return b"".join([*parts, b"\xff\xd9"])
        else:
            end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
            if end < at + 4 or end > len(content):
                break
            scan_end = _find_scan_end(content, end) if kind == _SOS else end
            parts.append(_needed_part(kind, content[at:scan_end]))
            at = scan_end
    raise ArrayError(f"a damaged JPEG: no segment and no end of image at byte {at} of {len(content)}")


def _needed_part(kind: int, segment: bytes) -> bytes:
    if kind == _JFIF and segment[4:9] == b"JFIF\0" and len(segment) >= 16:
        return b"\xff\xe0\x00\x10" + segment[4:16] + b"\0\0"  # without its thumbnail
    if kind == _ADOBE and segment[4:9] == b"Adobe" and len(segment) >= 16:
        return b"\xff\xee\x00\x0e" + segment[4:16]
    return segment if kind in _NEEDED or kind == _SOS else b""


def _find_scan_end(content: bytes, at: int) -> int:
    """Find the next marker after a scan's data: 00 after ff is data, d0 to d7 are restarts."""
    while (at := content.find(b"\xff", at)) >= 0 and at + 1 < len(content):
        following = content[at + 1]
        if following != 0 and not 0xD0 <= following <= 0xD7 and following != 0xFF:
            return at
        at += 1 if following == 0xFF else 2
    return len(content)
