"""A mask as one closed polygon."""

import cv2
import numpy as np
import pytest

from figureground.imaging import polygons

Y, X = np.mgrid[:90, :60]
DISC = np.hypot(X - 28, Y - 40)


@pytest.mark.parametrize("mask", [DISC < 20, DISC < 35, DISC < 1000, DISC == 0, (DISC < 20) & (X < 29)])
def test_one_part_without_holes_comes_back_exactly(mask: np.ndarray) -> None:
    points = polygons.outline(mask.astype(np.uint8))
    assert len(points) >= 3
    np.testing.assert_array_equal(polygons.fill(points, *mask.shape), mask)


def test_a_hole_stays_a_hole_but_for_one_line() -> None:
    ring = (DISC < 24) & (DISC > 9)
    found = polygons.fill(polygons.outline(ring.astype(np.uint8)), *ring.shape)
    wrong = int((found != ring).sum())
    assert wrong == 0, "the line from the rim to the hole lies on the ring"


def test_parts_are_strung_together_at_the_closest_points() -> None:
    two = (DISC < 10) | (np.hypot(X - 28, Y - 70) < 6)
    extra = (polygons.fill(polygons.outline(two.astype(np.uint8)), *two.shape) != 0) & ~two
    assert cv2.connectedComponents((two | extra).astype(np.uint8))[0] == 2
    assert np.ptp(np.nonzero(extra)[1]) <= 2
    assert extra.sum() <= 18


def test_nothing_has_no_points() -> None:
    assert polygons.outline(np.zeros((4, 5), np.uint8)).shape == (0, 2)
    assert polygons.fill(np.empty((0, 2), np.int32), 4, 5).sum() == 0
