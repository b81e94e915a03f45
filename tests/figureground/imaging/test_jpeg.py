"""A JPEG's size without decoding it."""


import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import ArrayError
from figureground.imaging import jpeg


@given(st.integers(1, 300), st.integers(1, 300), st.booleans(), st.sampled_from([1, 3]))
def test_the_size_is_the_decoded_ones(width: int, height: int, progressive: bool, channels: int) -> None:
    pixels = np.zeros((height, width, channels), np.uint8)
    content = bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1])
    assert jpeg.size(content) == (width, height)


def test_segments_before_the_frame_header_are_stepped_over() -> None:
    plain = bytes(cv2.imencode(".jpg", np.zeros((7, 9, 3), np.uint8))[1])
    exif = b"\xff\xe1\x00\x0aExif\x00\x00\xff\xc0"
    assert jpeg.size(plain[:2] + exif + b"\xff" + plain[2:]) == (9, 7)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x10JFIF", b"\xff\xd8\x00\x00" * 9])
def test_what_has_no_size_is_refused(content: bytes) -> None:
    with pytest.raises(ArrayError, match="JPEG"):
        jpeg.size(content)


def test_the_same_however_long_the_beginning_is() -> None:
    plain = bytes(cv2.imencode(".jpg", np.zeros((7, 9, 3), np.uint8))[1])
    long = plain[:2] + b"\xff\xe1\x9c\x42" + bytes(40000) + plain[2:]
    for content in (plain, long):
        assert jpeg.size(content) == (9, 7)


def encode(seed: int, progressive: bool = False, subsampling: int = 0, restart: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (37, 51, 3), np.uint8)
    options = [
        cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_QUALITY, 80, cv2.IMWRITE_JPEG_RST_INTERVAL, restart,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR, [0x411111, 0x221111, 0x111111][subsampling],
    ]  # fmt: skip
    return bytes(cv2.imencode(".jpg", pixels, options)[1])


@given(st.integers(0, 9), st.booleans(), st.integers(0, 2), st.integers(0, 3), st.binary(max_size=99))
def test_only_what_a_decoder_needs_is_kept(seed: int, progressive: bool, subsampling: int, restart: int, behind: bytes) -> None:
    plain = encode(seed, progressive, subsampling, restart)
    segments = b"\xff\xe1\x00\x12http://ns.adobe0" + b"\xff\xed\x00\x07IPTC0\xff\xfe\x00\x06home\xff\xff\xec\x00\x03a"
    tagged = plain[:2] + segments + plain[2:] + behind
    assert jpeg.strip_metadata(tagged) == jpeg.strip_metadata(plain) == plain


def test_the_colour_transform_stays_and_a_thumbnail_goes() -> None:
    plain = encode(1)
    jfif = b"\xff\xe0\x00\x13JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01abc"
    adobe = b"\xff\xee\x00\x0eAdobe\0\x64\0\0\0\0\x01"
    stripped = jpeg.strip_metadata(plain[:2] + jfif + adobe + plain[20:])
    assert b"abc" not in stripped and adobe in stripped
    assert stripped[:20] == plain[:20]


@pytest.mark.parametrize("length", [0, 2, 3, 20, 300, -2, -1])
def test_a_jpeg_that_ends_early_is_refused(length: int) -> None:
    with pytest.raises(ArrayError, match="JPEG"):
        jpeg.strip_metadata(encode(0)[:length])
