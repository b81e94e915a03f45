"""Layers over a plate: the truth is the transformed alpha to the last bit, and nothing but the border is mixed."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.synthesis import alpha_blend
from figureground.synthesis.alpha_blend import Layer
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.cutouts import Cutout
from figureground.synthesis.placement import Placed
from figureground.types import Box

SIZE = Size(64, 48)


@st.composite
def cutout(draw: st.DrawFn) -> Cutout:
    height, width = draw(st.integers(2, 60)), draw(st.integers(2, 60))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    levels = random.integers(0, 256, (height, width)).astype(np.uint8)
    levels[random.random((height, width)) < 0.3] = 255
    return Cutout(random.integers(0, 256, (height, width, 3)).astype(np.uint8), levels, ())


def place(x: int, y: int, width: int, height: int, mirrored: bool = False, turned: float = 0.0) -> Placed:
    return Placed("a", Box(x, y, x + width, y + height), mirrored, turned, "full", True)


@settings(max_examples=200, deadline=None)
@given(
    one=cutout(),
    x=st.integers(-40, 60),
    y=st.integers(-40, 45),
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    mirrored=st.booleans(),
    turned=st.sampled_from([0.0, 0.0, 2.5, -11.0]),
)
def test_the_truth_is_the_alpha_that_went_the_same_way_alone(
    one: Cutout, x: int, y: int, width: int, height: int, mirrored: bool, turned: float
) -> None:
    """The reference knows nothing of colours, layers or windows: one channel, resized, turned and laid on a large sheet."""
    alpha = one.levels[:, ::-1] if mirrored else one.levels
    alpha = np.ascontiguousarray(alpha)
    if (height, width) != alpha.shape:
        how = cv2.INTER_AREA if width < alpha.shape[1] else cv2.INTER_LINEAR
        alpha = cv2.resize(alpha, (width, height), interpolation=how)
    if turned:
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), turned, 1)
        cosine, sine = abs(matrix[0, 0]), abs(matrix[0, 1])
        wide, high = int(np.ceil(width * cosine + height * sine)), int(np.ceil(width * sine + height * cosine))
        shift = (wide - width) // 2, (high - height) // 2
        matrix[:, 2] += shift
        alpha = cv2.warpAffine(alpha, matrix, (wide, high), flags=cv2.INTER_LINEAR)
        x, y = x - shift[0], y - shift[1]
    sheet = np.zeros((400, 400), np.uint8)
    sheet[150 + y : 150 + y + alpha.shape[0], 150 + x : 150 + x + alpha.shape[1]] = alpha
    expected = sheet[150 : 150 + SIZE.height, 150 : 150 + SIZE.width]
    put = place(*((x + shift[0], y + shift[1]) if turned else (x, y)), width, height, mirrored, turned)
    truth, each = alpha_blend.truths([alpha_blend.layer(one, put, SIZE)], SIZE)
    assert np.array_equal(truth, expected)
    assert len(each) == 1 and np.array_equal(each[0], truth)


@given(one=cutout(), x=st.integers(-30, 60), y=st.integers(-30, 45))
@settings(max_examples=30, deadline=None)
def test_a_cutout_of_its_own_size_is_moved_and_nothing_else(one: Cutout, x: int, y: int) -> None:
    height, width = one.levels.shape
    truth, _ = alpha_blend.truths([alpha_blend.layer(one, place(x, y, width, height), SIZE)], SIZE)
    seen = {(row + y, column + x): one.levels[row, column] for row in range(height) for column in range(width)}
    assert all(truth[row, column] == seen.get((row, column), 0) for row in range(SIZE.height) for column in range(SIZE.width))


@pytest.mark.parametrize("blend", ["display", "linear"])
def test_only_the_border_is_mixed(blend: str) -> None:
    random = np.random.default_rng(1)
    image, plate = (random.integers(0, 256, (*shape, 3)).astype(np.uint8) for shape in ((8, 8), (48, 64)))
    levels = np.full((8, 8), 255, np.uint8)
    levels[:, 0], levels[:, 1] = 0, 100
    canvas = plate.copy()
    alpha_blend.over(canvas, Layer(10, 20, image, levels), blend)  # type: ignore[arg-type]
    assert np.array_equal(canvas[20:28, 12:18], image[:, 2:])
    changed = (canvas != plate).any(2)
    changed[20:28, 11:18] = False
    assert not changed.any()
    weight = 100 / 255
    if blend == "display":
        expected = image[:, 1] * weight + plate[20:28, 11] * (1 - weight)
    else:
        front, behind = (np.where(one / 255 <= 0.04045, one / 255 / 12.92, ((one / 255 + 0.055) / 1.055) ** 2.4)
                         for one in (image[:, 1], plate[20:28, 11]))  # fmt: skip
        light = front * weight + behind * (1 - weight)
        expected = 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    assert np.abs(canvas[20:28, 11] - expected).max() <= 1


def test_nearer_people_hide_farther_ones() -> None:
    far, near = Layer(0, 0, np.zeros((20, 20, 3), np.uint8), np.full((20, 20), 200, np.uint8)), None
    levels = np.zeros((20, 20), np.uint8)
    levels[:10] = 255
    levels[10:12] = 128
    near = Layer(5, 5, np.zeros((20, 20, 3), np.uint8), levels)
    together, each = alpha_blend.truths([far, near], SIZE)
    assert each[0][6, 6] == 0 and each[1][6, 6] == 255 and together[6, 6] == 255
    assert each[0][16, 6] == round(200 * 127 / 255) and each[1][16, 6] == 128
    assert np.array_equal(together, each[0] + each[1])
    clear = (1 - each[1] / 255) * (1 - np.pad(far.levels, ((0, 28), (0, 44))) / 255)
    assert np.abs(together / 255 - (1 - clear)).max() <= 1 / 255


def test_a_person_outside_the_picture_leaves_nothing() -> None:
    one = Cutout(np.zeros((10, 10, 3), np.uint8), np.full((10, 10), 255, np.uint8), ())
    layer = alpha_blend.layer(one, place(80, 0, 10, 10), SIZE)
    assert alpha_blend.inside(layer) is None
    assert not alpha_blend.truths([layer], SIZE)[0].any()
