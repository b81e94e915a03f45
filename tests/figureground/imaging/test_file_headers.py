"""What an image file claims is checked before a decoder makes room for it."""

import resource
import struct
import zlib

import cv2
import numpy as np
import pytest

from figureground import shortage
from figureground.errors import ShortageError
from figureground.imaging import codecs
from figureground.imaging.file_headers import read_header

START = b"\x89PNG\r\n\x1a\n"
ROWS = zlib.compress(b"\0" * 161 * 240)
BOMB = zlib.compress(b"a" * 100_000_000, 9)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def head(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


END = chunk(b"IEND", b"")
BOMBS = {
    "a chunk of two gigabytes": (
        START + head(160, 240) + struct.pack(">I", 0x7FFFFFF0) + b"IDAT" + ROWS, "claims 2147483632 bytes"
    ),
    "too many pixels": (START + head(65535, 65535) + chunk(b"IDAT", ROWS) + END, "65535x65535 pixels; expected at most"),
    "more than deflate can hold": (START + head(17000, 17000) + chunk(b"IDAT", ROWS) + END, "more than its bytes can hold"),
    "two headers": (START + head(160, 240) + head(4000, 3000) + chunk(b"IDAT", ROWS) + END, "2 headers"),
    "no header": (START + chunk(b"IDAT", ROWS) + END, "does not begin with its header"),
    "a text bomb": (
        START + head(160, 240) + chunk(b"zTXt", b"k\0\0" + BOMB) + chunk(b"IDAT", ROWS) + END,
        "zTXt.* once decompressed",
    ),
    "a bomb as profile": (
        START + head(160, 240) + chunk(b"iCCP", b"k\0\0" + BOMB) + chunk(b"IDAT", ROWS) + END,
        "iCCP.* once decompressed",
    ),
    "a bitmap of gigabytes": (
        b"BM" + struct.pack("<IHHIIiiHHIIiiII", 200, 0, 0, 54, 40, 30000, 9000, 1, 24, 0, 0, 0, 0, 0, 0), "more than its bytes"
    ),
    "no image": (b"no image at all", "neither JPEG"),
    "nothing": (b"", "neither JPEG"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_decompression_bombs_are_named_and_never_decoded(name: str) -> None:
    content, fault = BOMBS[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(AssertionError, match=fault):
        assert not read_header(content).fault, read_header(content).fault
    assert codecs.decode_unchanged(content) is None
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_a_jpeg_that_claims_more_than_it_holds_is_not_decoded() -> None:
    content = bytearray(cv2.imencode(".jpg", np.full((64, 48, 3), 90, np.uint8))[1].tobytes())
    at = content.index(b"\xff\xc0")
    content[at + 5 : at + 9] = struct.pack(">HH", 16000, 17000)

    assert "17000x16000 pixels, more than its bytes can hold" in read_header(bytes(content)).fault
    assert codecs.decode_bgr(bytes(content)) is None


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tiff", ".ppm", ".gif", ".avif", ".jp2"])
@pytest.mark.parametrize("shape", [(37, 53, 3), (400, 600, 3)])
def test_whole_images_are_decoded(suffix: str, shape: tuple[int, ...]) -> None:
    content = cv2.imencode(suffix, np.full(shape, 90, np.uint8))[1].tobytes()
    header = read_header(content)

    assert (header.height, header.width, header.fault) == (*shape[:2], "")
    decoded = codecs.decode_bgr(content)
    assert decoded is not None and decoded.shape == shape


def test_without_memory_an_image_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    content = cv2.imencode(".png", np.zeros((64, 48), np.uint8))[1].tobytes()
    monkeypatch.setattr(codecs.cv2, "imdecode", lambda *_: None)
    assert codecs.decode_unchanged(content) is None
    monkeypatch.setattr(shortage, "has_memory", lambda needed_bytes: False)
    with pytest.raises(ShortageError, match="48x64 pixels cannot be decoded: this machine lacks memory"):
        codecs.decode_unchanged(content)
