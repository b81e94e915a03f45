import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from figureground.errors import ArrayError
from figureground.imaging import masks

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=24)
LEVELS = SHAPES.flatmap(lambda shape: arrays(np.uint8, shape))
ALPHAS = SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=st.floats(0, 1, width=32)))


@given(LEVELS)
def test_256_levels_survive_alpha_and_png(levels):
    alpha = masks.from_levels(levels)
    assert np.array_equal(masks.to_levels(alpha), levels)
    assert np.array_equal(masks.from_png(masks.to_png(alpha)), alpha)


@given(ALPHAS)
def test_one_half_is_level_128(alpha):
    assert np.array_equal(masks.to_mask(alpha) == 1, masks.to_levels(alpha) >= 128)


def test_the_float_below_one_half_is_background():
    below = np.nextafter(np.float32(0.5), np.float32(0))
    alpha = np.array([[below, 0.5]], np.float32)
    assert masks.to_mask(alpha).tolist() == [[0, 1]]
    assert masks.to_levels(alpha).tolist() == [[127, 128]]


@given(LEVELS)
def test_a_mask_comes_back_from_its_alpha(levels):
    assert np.array_equal(masks.to_mask(masks.from_mask(levels)), (levels > 0).astype(np.uint8))


@given(ALPHAS, st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=80))
def test_a_png_keeps_its_mark_and_other_readers_do_not_mind(alpha, mark):
    content = masks.to_png(alpha, mark)
    assert masks.read_mark(content) == mark
    assert np.array_equal(cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED), masks.to_levels(alpha))


def test_pillow_reads_a_marked_png_as_one_channel():
    picture = Image.open(io.BytesIO(masks.to_png(np.ones((3, 5), np.float32), "made so")))
    assert (picture.mode, picture.size, picture.text) == ("L", (5, 3), {"figureground": "made so"})


def test_any_flipped_bit_or_missing_end_takes_the_mark_away():
    content = masks.to_png(np.random.default_rng(0).random((9, 7), np.float32), "mark")
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1
        assert masks.read_mark(bytes(damaged)) is None, at
        assert masks.read_mark(content[:at]) is None, at


def test_trimap_has_a_band_around_the_border_and_nothing_unknown_elsewhere():
    alpha = np.zeros((20, 30), np.float32)
    alpha[:, 15:] = 1
    trimap = masks.to_trimap(alpha, width=3)
    assert (trimap[:, :12] == 0).all()
    assert (trimap[:, 12:18] == 128).all()
    assert (trimap[:, 18:] == 255).all()


def test_trimap_of_soft_pixels_is_unknown():
    alpha = np.zeros((9, 9), np.float32)
    alpha[4, 4] = 0.5
    trimap = masks.to_trimap(alpha, width=1)
    assert (trimap == 128).sum() == 9
    assert trimap[4, 4] == 128


def test_outline_lies_inside_and_the_pictures_edge_is_none():
    mask = np.zeros((6, 6), np.uint8)
    mask[2:, :] = 255
    assert np.argwhere(masks.outline(mask)).tolist() == [[2, column] for column in range(6)]


def test_composite_mixes_by_alpha():
    white, black = np.full((1, 3, 3), 255, np.uint8), np.zeros((1, 3, 3), np.uint8)
    mixed = masks.composite(white, np.array([[0, 0.5, 1]], np.float32), black)
    assert mixed[0, :, 0].tolist() == [0, 128, 255]


def test_arrays_are_left_alone():
    alpha = np.full((4, 4), 0.5, np.float32)
    alpha.flags.writeable = False
    for function in (masks.to_levels, masks.to_mask, masks.to_trimap, masks.to_png):
        function(alpha)


@pytest.mark.parametrize(
    ("alpha", "found"),
    [
        (np.zeros((2, 2)), "float64"),
        (np.zeros((2, 2, 1), np.float32), r"\(2, 2, 1\)"),
        (np.zeros((0, 2), np.float32), r"\(0, 2\)"),
        (np.full((2, 2), 1.5, np.float32), "1.5 to 1.5"),
        (np.full((2, 2), -0.5, np.float32), "-0.5 to -0.5"),
        (np.full((2, 2), np.nan, np.float32), "nan to nan"),
        ([[0.0]], "list"),
    ],
)
def test_what_is_no_alpha_is_refused_with_what_was_found(alpha, found):
    with pytest.raises(ArrayError, match=rf"alpha: expected .*\(h, w\) float32, 0 to 1; found .*{found}"):
        masks.to_levels(alpha)


def test_sizes_must_agree():
    image = np.zeros((2, 3, 3), np.uint8)
    with pytest.raises(ArrayError, match=r"image and alpha: .* \(2, 3\) and \(3, 2\)"):
        masks.composite(image, np.zeros((3, 2), np.float32), image)


@pytest.mark.parametrize("content", [b"", b"\x89PNG", b"not a picture at all"])
def test_bytes_that_are_no_png_are_refused_by_name(content):
    with pytest.raises(ArrayError, match=r"mattes/a\.png: expected a PNG"):
        masks.from_png(content, "mattes/a.png")
    assert masks.read_mark(content) is None


@pytest.mark.parametrize("array", [np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16)])
def test_a_png_of_other_channels_or_depth_is_refused(array):
    with pytest.raises(ArrayError, match="one channel of 8 bits"):
        masks.from_png(cv2.imencode(".png", array)[1].tobytes())


def test_the_checksum_is_the_png_standards():
    assert masks.to_png(np.zeros((1, 1), np.float32))[-4:] == zlib.crc32(b"IEND").to_bytes(4, "big")


def test_a_label_carries_its_mask_and_is_the_same_picture_to_everybody_else():
    alpha = np.random.default_rng(0).random((9, 7), np.float32)
    content = masks.to_label(alpha)
    stored = masks.Stored(content)
    assert stored.shape == (9, 7)
    assert np.array_equal(stored.decoded(), masks.from_png(masks.to_png(alpha)))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(content))), masks.to_levels(alpha))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(stored.hard))), masks.to_mask(alpha))
    assert np.array_equal(cv2.imdecode(np.frombuffer(stored.hard, np.uint8), cv2.IMREAD_UNCHANGED), masks.to_mask(alpha))
    assert masks.read_mark(content) == "", "every chunk is sound"
    assert masks.to_label(alpha) == content


def test_of_a_label_without_a_mask_only_decoding_tells():
    alpha = np.random.default_rng(0).random((9, 7), np.float32)
    for content in (masks.to_png(alpha), masks.to_png(alpha, "made so")):
        assert masks.Stored(content).hard == b""
        assert masks.Stored(content).shape == (9, 7)
    with pytest.raises(ArrayError, match=r"a\.png: expected a PNG picture; found 7 bytes that are none"):
        masks.Stored(b"nothing", "a.png")
    with pytest.raises(ArrayError, match=r"a\.png: expected a PNG picture; found 33 bytes that are none"):
        masks.Stored(masks.to_png(alpha)[:33], "a.png")
