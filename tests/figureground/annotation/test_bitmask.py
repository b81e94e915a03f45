"""The bitmask codec: what a canvas stores comes back bit by bit, and what is none is refused."""

import base64
import contextlib
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from figureground.annotation import bitmask
from figureground.errors import ArrayError, LabelError

relaxed = settings(deadline=None, max_examples=60)
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))


def address(picture, **how):
    content = io.BytesIO()
    picture.save(content, "PNG", **how)
    return bitmask.PREFIX + base64.b64encode(content.getvalue()).decode()


@relaxed
@given(mask=hnp.arrays(np.uint8, SIZES, elements=st.sampled_from([0, 1, 100, 254, 255])))
def test_a_mask_comes_back_bit_by_bit(mask):
    assert np.array_equal(bitmask.decode(bitmask.encode(mask), mask.shape[1], mask.shape[0]), mask)


@relaxed
@given(mask=hnp.arrays(np.uint8, SIZES))
def test_a_canvas_of_the_browser_is_read(mask):
    """The editor writes four channels, and any colour where there is paint."""
    canvas = np.zeros((*mask.shape, 4), np.uint8)
    canvas[..., 3] = mask
    assert np.array_equal(bitmask.decode(address(Image.fromarray(canvas, "RGBA")), mask.shape[1], mask.shape[0]), mask)


def test_it_is_black_where_it_is_painted_as_the_editor_draws_it():
    mask = np.array([[0, 255], [128, 1]], np.uint8)
    content = base64.b64decode(bitmask.encode(mask).removeprefix(bitmask.PREFIX))
    pixels = np.array(Image.open(io.BytesIO(content)).convert("RGBA"))
    assert np.array_equal(pixels[..., 3], mask)
    assert not pixels[..., :3].any()


GREY = Image.new("L", (3, 2), 255)
GOOD = bitmask.encode(np.full((2, 3), 255, np.uint8))


def with_size(width, height):
    """A small file that says it is large."""
    content = base64.b64decode(GOOD.removeprefix(bitmask.PREFIX))
    head = b"IHDR" + struct.pack(">II", width, height) + content[24:29]
    return bitmask.PREFIX + base64.b64encode(content[:12] + head + struct.pack(">I", zlib.crc32(head)) + content[33:]).decode()


@pytest.mark.parametrize(
    ("given_", "says"),
    [
        ("", "is no PNG in a data URL"),
        (None, "is no PNG in a data URL"),
        ("data:image/jpeg;base64,AAAA", "expected data:image/png;base64,"),
        (bitmask.PREFIX + "§§", "is not base64"),
        (bitmask.PREFIX + "AAAA", "holds no PNG: it starts with 00 00 00"),
        (address(GREY), "no transparency, so that all of the picture would be painted"),
        (bitmask.encode(np.zeros((3, 2), np.uint8)), "a picture of 2x3, expected 3x2"),
        (with_size(100_000, 100_000), "a picture of 100000x100000, expected 3x2"),
        (GOOD[:-40] + "A" * 4, "is damaged"),
    ],
)
def test_what_is_no_bitmask_is_refused(given_, says):
    with pytest.raises(LabelError, match=says):
        bitmask.decode(given_, 3, 2)


@relaxed
@given(data=st.data())
def test_no_damage_breaks_the_reader(data):
    content = bytearray(base64.b64decode(GOOD.removeprefix(bitmask.PREFIX)))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    broken = bitmask.PREFIX + base64.b64encode(bytes(content[: data.draw(st.integers(1, len(content)))])).decode()
    with contextlib.suppress(LabelError):
        assert bitmask.decode(broken, 3, 2).shape == (2, 3)


@pytest.mark.parametrize("mask", [np.zeros((2, 2, 1), np.uint8), np.zeros((0, 3), np.uint8), np.zeros((2, 2), bool)])
def test_what_is_no_mask_is_not_written(mask):
    with pytest.raises(ArrayError, match="a bitmask needs shape"):
        bitmask.encode(mask)
