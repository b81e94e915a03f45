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
