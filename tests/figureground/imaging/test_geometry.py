"""Box arithmetic against pixels counted one by one."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from figureground.imaging import geometry
from figureground.types import Box

whole = st.integers(-8, 24)
real = st.floats(-1e4, 1e4, allow_nan=False, width=32)


@st.composite
def boxes(draw, side=whole):
    x0, x1 = sorted((draw(side), draw(side)))
    y0, y1 = sorted((draw(side), draw(side)))
    return Box(x0, y0, x1, y1)


def pixels(*boxes):
    """Mark each box on a grid; pixel (0, 0) of the plane is at (10, 10)."""
    grid = np.zeros((40, 40), bool)
    for box in boxes:
        grid[box.y0 + 10 : box.y1 + 10, box.x0 + 10 : box.x1 + 10] = True
    return grid


@given(boxes(), boxes())
def test_clip_is_the_pixels_both_have(a, b):
    both = geometry.clip(a, b)
    expected = pixels(a) & pixels(b)
    assert (both is None) == (not expected.any())
    if both:
        assert np.array_equal(pixels(both), expected)


@given(boxes(), boxes())
def test_iou_counts_pixels(a, b):
    union = (pixels(a) | pixels(b)).sum()
    expected = (pixels(a) & pixels(b)).sum() / union if union else 0.0
    assert geometry.iou(a, b) == expected == geometry.iou(b, a)


@given(boxes(), st.lists(boxes(), max_size=5))
def test_covered_counts_each_pixel_once(box, others):
    mine = pixels(box)
    expected = (mine & pixels(*others)).sum() / mine.sum() if mine.any() else 0.0
    assert abs(geometry.covered(box, others) - expected) < 1e-12


@given(boxes(real))
def test_outward_holds_the_box_and_not_a_pixel_more(box):
    out = geometry.outward(box)
    assert all(isinstance(side, int) for side in (out.x0, out.y0, out.x1, out.y1))
    assert out.x0 <= box.x0 < out.x0 + 1 and out.y0 <= box.y0 < out.y0 + 1
    assert out.x1 - 1 < box.x1 <= out.x1 and out.y1 - 1 < box.y1 <= out.y1


@given(boxes(), st.floats(0, 1))
def test_grow_adds_its_share_on_each_side(box, margin):
    grown = geometry.grow(box, margin)
    assert np.isclose(grown.width, box.width * (1 + 2 * margin)) and np.isclose(grown.height, box.height * (1 + 2 * margin))
    assert np.isclose(grown.x0 + grown.x1, box.x0 + box.x1) and np.isclose(grown.y0 + grown.y1, box.y0 + box.y1)


@given(boxes(), whole, whole)
def test_shift_there_and_back(box, dx, dy):
    assert geometry.shift(geometry.shift(box, dx, dy), -dx, -dy) == box


def test_short_side_is_the_smaller_one():
    assert geometry.short_side(Box(0, 0, 3, 9)) == geometry.short_side(Box(5, 5, 14, 8)) == 3
