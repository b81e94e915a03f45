import importlib.util
import itertools
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from figureground.errors import ArrayError
from figureground.imaging import mask_metrics

SHARED = Path(__file__).parents[3] / "../shared"
MASKS = arrays(np.uint8, (12, 17), elements=st.sampled_from([0, 1]))
PAIRS = (mask_metrics.iou, mask_metrics.boundary_iou, mask_metrics.boundary_f)


def square(at: int, size: int = 20) -> np.ndarray:
    mask = np.zeros((60, 80), np.uint8)
    mask[at : at + size, at : at + size] = 1
    return mask


@pytest.mark.slow
@pytest.mark.parametrize("metric", PAIRS)
@given(MASKS, MASKS)
def test_mask_metrics_are_symmetric_within_0_and_1_and_1_for_equals(metric, a, b):
    assert metric(a, b) == pytest.approx(metric(b, a))
    assert 0 <= metric(a, b) <= 1
    assert metric(a, a) == 1


@pytest.mark.parametrize("metric", PAIRS)
def test_two_empty_masks_score_1_and_an_empty_against_a_full_one_0(metric):
    empty = np.zeros((60, 80), np.uint8)
    assert metric(empty, empty) == 1
    assert metric(empty, square(10)) == 0


def test_iou_of_two_shifted_squares():
    assert mask_metrics.iou(square(10), square(20)) == 100 / 700


def test_boundary_iou_sees_the_hole_that_iou_forgives():
    whole, hole = square(10, 40), square(10, 40)
    hole[29:31, 29:31] = 0
    assert mask_metrics.iou(whole, hole) > 0.99
    assert mask_metrics.boundary_iou(whole, hole, ratio=0.01) < 0.95


def test_boundary_iou_of_a_grown_square_by_hand():
    # width 1: rings of 20x20 and 22x22, one inside the other, share nothing
    assert mask_metrics.boundary_iou(square(10, 20), square(9, 22), ratio=0.01) == 0
    # width 2: the outer ring's inner pixel row is the inner ring's outer one: 76 of 84 + 76 + 68
    assert mask_metrics.boundary_iou(square(10, 20), square(9, 22), ratio=0.02) == 76 / (84 + 76 + 68)


def test_the_pictures_edge_is_border_for_boundary_iou_and_not_for_boundary_f():
    full = np.ones((60, 80), np.uint8)
    cut = full.copy()
    cut[:, :1] = 0
    assert mask_metrics.boundary_iou(full, cut, ratio=0.01) < 1
    assert mask_metrics.boundary_f(full, full) == 1
    assert mask_metrics.boundary_f(full, cut) == 0


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_boundary_f_forgives_three_pixels(shift, expected):
    left, right = np.zeros((60, 80), np.uint8), np.zeros((60, 80), np.uint8)
    left[:, :40], right[:, : 40 + shift] = 1, 1
    assert mask_metrics.boundary_f(left, right, width=3) == expected


def test_boundary_f_equals_that_of_the_reference_scorer():
    scorer = SHARED / "bench/score_mattes.py"
    if not scorer.exists():
        pytest.skip("no ../shared/data")
    spec = importlib.util.spec_from_file_location("score_mattes", scorer)
    reference = importlib.util.module_from_spec(spec)
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    spec.loader.exec_module(reference)
    sys.dont_write_bytecode = writes
    files = sorted((SHARED / "data/davis/hike/masks").iterdir())[:8]
    found = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files]
    for one, other in itertools.pairwise(found):
        assert mask_metrics.boundary_f(one, other) == pytest.approx(reference.boundary_f(one > 127, other > 127))


def test_sad_is_in_thousands_of_pixels_and_mse_a_mean():
    a, b = np.zeros((50, 40), np.float32), np.full((50, 40), 0.5, np.float32)
    assert mask_metrics.sad(a, b) == pytest.approx(1.0)
    assert mask_metrics.mse(a, b) == pytest.approx(0.25)
    assert mask_metrics.sad(b, b) == mask_metrics.mse(b, b) == 0


def test_255_counts_as_person():
    assert mask_metrics.iou(square(10) * 255, square(10)) == 1


@pytest.mark.parametrize("metric", PAIRS)
def test_other_sizes_and_kinds_are_refused(metric):
    with pytest.raises(ArrayError, match=r"mask and truth: .*\(60, 80\) and \(12, 17\)"):
        metric(square(10), np.zeros((12, 17), np.uint8))
    with pytest.raises(ArrayError, match=r"truth: expected .*uint8; found .*float32"):
        metric(square(10), square(10).astype(np.float32))


@pytest.mark.parametrize("metric", [mask_metrics.sad, mask_metrics.mse])
def test_alpha_metrics_refuse_masks(metric):
    with pytest.raises(ArrayError, match=r"alpha: expected .*float32"):
        metric(square(10), square(10))


def test_bands_without_width_are_refused():
    with pytest.raises(ArrayError, match="ratio above 0"):
        mask_metrics.boundary_iou(square(10), square(10), ratio=0)
    with pytest.raises(ArrayError, match="at least 1 pixel"):
        mask_metrics.boundary_f(square(10), square(10), width=0)


def test_grad_is_nothing_for_equals_and_more_for_a_softer_edge():
    sharp = np.zeros((20, 20), np.float32)
    sharp[:, 10:] = 1
    soft, softer = (np.tile(np.clip((np.arange(20) - 10) / width + 0.5, 0, 1).astype(np.float32), (20, 1)) for width in (3, 8))
    assert mask_metrics.grad(sharp, sharp) == 0
    assert 0 < mask_metrics.grad(soft, sharp) < mask_metrics.grad(softer, sharp)
    assert mask_metrics.grad(soft, sharp) == mask_metrics.grad(sharp, soft)


def test_grad_of_a_straight_step_by_hand():
    """A vertical step under a kernel of length 1: each row's responses are running sums of the kernel's columns."""
    step = np.zeros((21, 40), np.float32)
    step[:, 20:] = 1
    at = np.arange(-4, 5)
    kernel = np.outer(np.exp(-(at**2) / (2 * 1.4**2)), at * np.exp(-(at**2) / (2 * 1.4**2)))
    columns = (kernel / np.linalg.norm(kernel)).sum(axis=0)
    responses = np.array([columns[start:].sum() for start in range(1, 9)])
    assert mask_metrics.grad(step, np.zeros_like(step)) == pytest.approx(21 * (responses**2).sum() / 1000, rel=1e-6)


def test_conn_punishes_what_hangs_loose_not_what_is_merely_softer_by_little():
    truth = np.zeros((10, 10), np.float32)
    truth[2:8, 2:5] = 1
    near, loose = truth.copy(), truth.copy()
    near[2:8, 5] = 0.1
    loose[2:8, 8] = 0.8
    assert mask_metrics.conn(truth, truth) == 0
    assert mask_metrics.conn(near, truth) == 0
    assert mask_metrics.conn(loose, truth) * 1000 == pytest.approx(6 * 0.8, rel=1e-5)


@pytest.mark.parametrize(("metric", "setting"), [(mask_metrics.grad, {"sigma": 0}), (mask_metrics.conn, {"step": 0})])
def test_soft_metrics_refuse_settings_that_mean_nothing(metric, setting):
    alpha = np.zeros((4, 4), np.float32)
    with pytest.raises(ArrayError, match="above 0"):
        metric(alpha, alpha, **setting)
