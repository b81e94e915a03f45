"""COCO's run lengths: the published text, and damaged text, which must not end the process."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from figureground.errors import ArrayError
from figureground.imaging import run_lengths

Y, X = np.mgrid[:120, :90]
SQUARE = np.zeros((7, 9), np.uint8)
SQUARE[1:5, 2:8] = 1
SQUARE[2, 3] = 0
DISC = (np.hypot(X - 40, Y - 60) < 33).astype(np.uint8)
PUBLISHED = [
    (SQUARE, "?43MN1220000006"),
    (np.ones((3, 2), np.uint8), "06"),
    (np.zeros((40, 50), np.uint8), "`n1"),
    (
        DISC,
        "do0a0T36K4L4L4M2M4M2N2N2N2N2N2O0O2N2O0O2O0O2O0O2O000O2O00000000000000000000000000000001N10001N101N101N101N2N101N2N2N2N2N2"
        "N3L3N3L4L4L5JWn1",
    ),
]


@pytest.mark.parametrize(("mask", "text"), PUBLISHED)
def test_the_text_is_pycocotools(mask: np.ndarray, text: str) -> None:
    assert run_lengths.encode(mask) == text
    np.testing.assert_array_equal(run_lengths.decode(text, *mask.shape), mask)


@pytest.mark.slow
@given(arrays(np.uint8, st.tuples(st.integers(1, 50), st.integers(1, 50)), elements=st.integers(0, 1)))
def test_masks_come_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(run_lengths.decode(run_lengths.encode(mask), *mask.shape), mask)


@pytest.mark.parametrize("text", ["", "1", "`n", "06~", "é", "M6", "0;0"])
def test_damaged_text_is_refused(text: str) -> None:
    with pytest.raises(ArrayError, match="run lengths"):
        run_lengths.decode(text, 3, 2)


def test_what_is_no_mask_is_refused() -> None:
    with pytest.raises(ArrayError, match="uint8"):
        run_lengths.encode(np.zeros((2, 2)))


@given(st.data())
def test_any_damage_is_refused_or_gives_a_mask(data: st.DataObject) -> None:
    text = list(PUBLISHED[3][1])[: data.draw(st.integers(0, 140))]
    for _ in range(data.draw(st.integers(0, 3)) if text else 0):
        text[data.draw(st.integers(0, len(text) - 1))] = chr(data.draw(st.integers(32, 126)))
    try:
        found = run_lengths.decode("".join(text), *DISC.shape)
    except ArrayError:
        return
    assert found.shape == DISC.shape and found.max() <= 1


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ([[1e12, 0, 20, 0, 20, 20]], "a point at x = 1e\\+12, y = 0, far outside its image of 160x240"),
        ([[0, 0, 20, -1e300, 20, 20]], "far outside its image"),
        ([[0, 0, 20, 10**400, 20, 20]], "the coordinate int"),
        ([[0, 0, 20, float("nan"), 20, 20]], "the coordinate float nan"),
        ([["a", "b", "c", "d", "e", "f"]], "the coordinate str 'a'"),
        ([[None] * 6], "the coordinate null"),
        ([[True] * 6], "the coordinate bool"),
        ([1, 2, 3], "no list of at least three points"),
        ([[0, 0] * 3, {}], "no list of at least three points"),
        ([[-100, -100, 300, 300] * 5001], "a polygon's line is .* pixels long; expected at most 2,000,000"),
        ([[0, 0, 1, 1] * 500_001], "1,000,002 points; expected at most 1,000,000"),
        (None, "its segmentation is null; expected polygons or run lengths"),
        ("06", "its segmentation is str '06'"),
        (5, "its segmentation is int 5"),
        ({}, "run lengths are of None pixels"),
        ({"size": [240, 160]}, "neither text nor whole numbers"),
        ({"size": [240, 160], "counts": [38400.0]}, "neither text nor whole numbers"),
        ({"size": [240, 160], "counts": [-5, 38405]}, "neither text nor whole numbers"),
        ({"size": [240, 160], "counts": [10**30]}, "neither text nor whole numbers"),
        ({"size": [240, 160], "counts": [5, 6]}, "run lengths do not fill a mask of 160x240: they are of 11 pixels in all"),
        ({"size": [240, 160], "counts": "oooooOoooooO"}, "do not fill a mask"),
        ({"size": [240, 160], "counts": "PP1"}, "do not fill a mask"),
        ({"size": [10**9, 10**9], "counts": [10**18]}, "run lengths are of"),
    ],
)
def test_numbers_are_checked_before_pycocotools_sees_them(shape: object, reason: str) -> None:
    with pytest.raises(ArrayError, match=reason):
        run_lengths.union([shape], 240, 160)


def test_an_image_holds_so_many_shapes_and_so_long_a_line() -> None:
    with pytest.raises(ArrayError, match="2,001 shapes in one image; expected at most 2,000"):
        run_lengths.union([[]] * 2001, 10, 10)
    long = [-100, -100, 300, 300] * 2400
    with pytest.raises(ArrayError, match=r"have lines of .* pixels; expected at most 10,000,000 in one image"):
        run_lengths.union([[long] * 6], 240, 160)


def test_a_polygon_may_reach_somewhat_over_the_border() -> None:
    drawn = run_lengths.union([[[-8, -8, 30.5, -8, 30.5, 20, -8, 20]]], 20, 30)
    assert drawn.all()
