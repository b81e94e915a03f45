"""What an image file claims about itself, checked against the bytes that are there before a decoder makes room for it.

A header of some bytes can claim gigabytes: OpenCV makes room for a PNG's chunk as long as it says, and
for all pixels of a header.
"""

import io
import struct
import zlib
from dataclasses import dataclass

PIXELS_AT_MOST = 300_000_000
"""The largest image that is opened: above today's 200-megapixel phones, below what fills a machine's memory."""

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_PNG_TEXT_BYTES_AT_MOST = 64 << 20  # of all texts and profiles of a file, once decompressed; OpenCV decompresses them, too
_DEFLATE_RATIO_AT_MOST = 1032  # one bit of deflate stands for 129 bytes at most
_JPEG_BLOCK = 64  # pixels; each takes a bit at least, in the first scan of its channel
_FIRST_ARITHMETIC = 0xC9  # the marker; such a JPEG may take less than a bit a block
_FREE_PIXELS = 16_000_000  # so many are always believed
_PIXELS_PER_BYTE_AT_MOST = 2000  # of formats whose compression has no simple bound; photos have 1 to 50

_FORMATS = ("WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000", "PPM")


@dataclass(frozen=True, slots=True)
class FileHeader:
    """What an image file claims.

    Parameters
    ----------
    width, height
        In pixels, as stored; 0 when the header cannot be read.
    fault
        Why the file must not be decoded: it claims what its bytes cannot hold, or more than `PIXELS_AT_MOST`; or "". Whether
        the pixels are whole, only decoding shows.
    """

    width: int
    height: int
    fault: str = ""

    @property
    def oversized(self) -> bool:
        """Whether it claims more than `PIXELS_AT_MOST`."""
        return self.width * self.height > PIXELS_AT_MOST


def read_header(content: bytes) -> FileHeader:
    """Read and check the header of an image file.

    Parameters
    ----------
    content
        The whole file.

    Examples
    --------
    >>> read_header(b"P6 70000 70000 255 ").fault
    '70000x70000 pixels; expected at most 300,000,000 in all'
    """
    if content.startswith(_PNG):
        return _read_png(content)
    if content.startswith(b"\xff\xd8"):
        return _read_jpeg(content)
    return _read_other(content)


def _check_size(width: int, height: int, believed: int) -> FileHeader:
    return FileHeader(width, height, _fault_of_size(width, height, believed))


def _fault_of_size(width: int, height: int, believed: int) -> str:
    if width * height > PIXELS_AT_MOST:
        return f"{width}x{height} pixels; expected at most {PIXELS_AT_MOST:,} in all"
    if width * height > max(_FREE_PIXELS, believed):
        return f"a header that claims {width}x{height} pixels, more than its bytes can hold: it is damaged or cut off"
    return ""


# --- PNG ---


def _read_png(content: bytes) -> FileHeader:
    chunks, fault = _list_png_chunks(content)
    kinds = [kind for kind, _, _ in chunks]
    if kinds[:1] != [b"IHDR"] or chunks[0][2] - chunks[0][1] != 13:
        return FileHeader(0, 0, fault or "a PNG that does not begin with its header")
    width, height, depth, colour = struct.unpack_from(">IIBB", content, chunks[0][1])
    if kinds.count(b"IHDR") > 1:
        fault = fault or f"a PNG with {kinds.count(b'IHDR')} headers; expected one"
    data = sum(end - start for kind, start, end in chunks if kind in (b"IDAT", b"fdAT"))
    believed = 8 * data * _DEFLATE_RATIO_AT_MOST // max(1, depth * _PNG_SAMPLES.get(colour, 1))
    fault = fault or _fault_of_size(width, height, believed) or _fault_of_png_texts(content, chunks)
    return FileHeader(width, height, fault)


def _list_png_chunks(content: bytes) -> tuple[list[tuple[bytes, int, int]], str]:
    """List kind, start and end of a PNG's chunks up to the last, and what is wrong with them."""
    chunks: list[tuple[bytes, int, int]] = []
    at = len(_PNG)
    while at + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        start, end = at + 8, at + 8 + length
        if end > len(content):
            return chunks, f"a PNG whose chunk {kind!r} claims {length} bytes where {max(0, len(content) - start)} are left"
        chunks.append((kind, start, end))
        if kind == b"IEND":
            break
        at = end + 4
    return chunks, ""


def _fault_of_png_texts(content: bytes, chunks: list[tuple[bytes, int, int]]) -> str:
    """Refuse texts and colour profiles that become very large once decompressed."""
    room = _PNG_TEXT_BYTES_AT_MOST
    for kind, start, end in chunks:
        if kind not in (b"zTXt", b"iTXt", b"iCCP"):
            continue
        name_end = content.find(b"\0", start, end)
        for packed in _find_packed(content, kind, name_end, end) if name_end >= 0 else ():
            room -= _unpacked_length(packed, room + 1)
            if room < 0:
                return f"a PNG whose chunk {kind!r} becomes more than {_PNG_TEXT_BYTES_AT_MOST} bytes once decompressed"
    return ""


def _find_packed(content: bytes, kind: bytes, name_end: int, end: int) -> list[bytes]:
    if kind != b"iTXt":
        return [content[name_end + 2 : end]]
    language_end = content.find(b"\0", name_end + 3, end)
    translated_end = content.find(b"\0", language_end + 1, end) if language_end >= 0 else -1
    packed = content[name_end + 1 : name_end + 2] == b"\1"
    return [content[translated_end + 1 : end]] if packed and translated_end >= 0 else []


def _unpacked_length(packed: bytes, at_most: int) -> int:
    unpacker, length = zlib.decompressobj(), 0
    try:
        while packed and length < at_most:
            length += len(unpacker.decompress(packed, 1 << 20))
            packed = unpacker.unconsumed_tail
    except zlib.error:
        return length  # decoders pass over a damaged text
    return length


# --- JPEG ---


def _read_jpeg(content: bytes) -> FileHeader:
    headers = []
    for at in _find_jpeg_frames(content):
        height, width = struct.unpack_from(">HH", content, at + 5)
        arithmetic = content[at + 1] >= _FIRST_ARITHMETIC
        believed = len(content) * (_PIXELS_PER_BYTE_AT_MOST if arithmetic else 8 * _JPEG_BLOCK)
        headers.append(_check_size(width, height, believed))
    return max(headers, key=lambda header: header.width * header.height, default=FileHeader(0, 0, "a JPEG without a size"))


def _find_jpeg_frames(content: bytes) -> list[int]:
    """Find the frame headers before the first scan, each at its marker."""
    frames, at = [], 2
    while at + 9 <= len(content):
        if content[at] != 0xFF:
            at = content.find(b"\xff", at)  # decoders look for the next marker, too
            if at < 0:
                break
            continue
        kind = content[at + 1]
        if kind in (0xD9, 0xDA):
            break
        if kind in (0xFF, 0x00, 0x01) or 0xD0 <= kind <= 0xD8:
            at += 1 if kind == 0xFF else 2
            continue
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            frames.append(at)
        at += 2 + max(2, int.from_bytes(content[at + 2 : at + 4]))
    return frames


# --- all others ---


def _read_other(content: bytes) -> FileHeader:
    """Let Pillow read the header; its class is chosen by the first bytes."""
    from PIL import Image  # takes a while to import, and most images are JPEG or PNG

    Image.init()
    for name in _FORMATS:
        factory, accept = Image.OPEN.get(name, (None, None))
        if factory is None or (accept and accept(content[:16]) is not True):
            continue
        try:
            with factory(io.BytesIO(content), "") as image:
                return _check_size(*image.size, len(content) * _PIXELS_PER_BYTE_AT_MOST)
        except (OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, ArithmeticError, RuntimeError, struct.error):
            continue
    return FileHeader(0, 0, f"neither JPEG, PNG nor {', '.join(_FORMATS)} with a whole header")
