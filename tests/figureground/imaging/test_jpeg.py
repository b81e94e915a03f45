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
