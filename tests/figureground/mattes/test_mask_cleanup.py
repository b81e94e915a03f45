"""A correction is one: the right part stays, and something always changes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from figureground.errors import ArrayError
from figureground.mattes.mask_cleanup import clean_mask, correct_mask


def disc(x, y, radius, size=300):
    ys, xs = np.mgrid[:size, :size]
    return ((np.hypot(xs - x, ys - y) < radius) * 255).astype(np.uint8)


def test_what_lies_apart_goes_and_holes_are_filled():
    person, stray, hole = disc(120, 150, 80), disc(280, 20, 9), disc(120, 150, 6)
    found = clean_mask((person | stray) & ~hole)
    assert found[20, 280] == 0
    assert found[150, 120] == 255
    assert (found != person).mean() < 0.001


def test_the_gap_between_arm_and_body_stays_open():
    ring = disc(150, 150, 100) & ~disc(150, 150, 40)
    assert clean_mask(ring)[150, 150] == 0


def test_a_hole_at_the_picture_s_edge_is_no_hole():
    mask = np.full((50, 50), 255, np.uint8)
    mask[20:30, :20] = 0
    assert clean_mask(mask)[25, 3] == 0


@settings(deadline=None, max_examples=60)
@given(mask=hnp.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.sampled_from([0, 255])))
def test_a_correction_changes_something_and_keeps_the_size(mask):
    if not mask.any():
        with pytest.raises(ArrayError, match="expected a person"):
            correct_mask(mask)
        return
    found = correct_mask(mask)
    assert found.shape == mask.shape
    assert set(np.unique(found)) <= {0, 255}
    assert not np.array_equal(found, mask)
    assert np.array_equal(found, correct_mask(mask))


def test_a_clean_mask_gets_a_small_dab():
    clean = clean_mask(disc(150, 150, 80))
    found = correct_mask(clean)
    assert 0 < (found != clean).sum() < 400
