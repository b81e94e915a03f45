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


@pytest.mark.parametrize("seed", range(12))
def test_the_line_is_the_one_that_compares_all_points_with_all(seed: int) -> None:
    random = np.random.default_rng(seed)
    blurred = cv2.GaussianBlur(random.random((70, 50), np.float32), (0, 0), (1.5, 2.5, 4.0)[seed % 3])
    mask = (blurred > np.median(blurred)).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    loops = [contour.reshape(-1, 2) for contour in contours]
    line, *others = sorted(loops, key=lambda loop: (cv2.contourArea(loop), len(loop)), reverse=True)
    for loop in others:
        apart = np.abs(line[:, None] - loop[None]).sum(axis=2)
        leave, enter = np.unravel_index(int(apart.argmin()), apart.shape)
        around = np.roll(loop, -int(enter), axis=0)
        line = np.concatenate([line[: leave + 1], around, around[:1], line[leave:]])
    np.testing.assert_array_equal(polygons.outline(mask), line)


def test_of_noise_only_the_largest_parts_and_holes_are_drawn() -> None:
    checkers = (np.indices((129, 201)).sum(axis=0) % 2).astype(np.uint8)
    checkers[40:60, 40:60] = 1
    checkers[45:50, 45:55] = 0
    points = polygons.outline(checkers)
    assert len(points) < 8 * (polygons.PARTS_AT_MOST + 2) + 2000, "not one loop for each of 13,000 specks"
    drawn = polygons.fill(points, *checkers.shape)
    assert drawn[41, 41] == 1
    assert drawn[47, 50] == 0, "the hole that is larger than the specks"


@pytest.mark.parametrize("shape", [(129, 201), (800, 1000)])
def test_an_outline_is_short_however_many_specks_there_are(shape: tuple[int, int]) -> None:
    specks = (np.random.default_rng(0).random(shape) < 0.02).astype(np.uint8)
    assert cv2.connectedComponents(specks)[0] > polygons.PARTS_AT_MOST
    assert 3 <= len(polygons.outline(specks)) < 20_000
