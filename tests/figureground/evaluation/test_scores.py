"""Scores against an independent implementation, and intervals that know their sources."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.errors import ArrayError
from figureground.evaluation import scores
from figureground.evaluation.scores import Row
from figureground.imaging import mask_metrics

TWO, FIVE = ("background", "person"), ("background", "head", "upper-clothes", "arms", "lower-body")


def pictures(count, classes, seed=0):
    random = np.random.default_rng(seed)
    for at in range(count):
        shape = tuple(random.integers(4, 20, 2))
        truth = random.integers(0, random.integers(1, classes + 1), shape).astype(np.uint8)
        answer = np.where(random.random(shape) < 0.7, truth, random.integers(0, classes, shape)).astype(np.uint8)
        yield f"p{at}", f"s{at % 4}", answer, truth


def rows_of(some, names):
    return [scores.score_sample(stem, source, "test", ("park",), answer, truth, names) for stem, source, answer, truth in some]


def per_image(some, classes):
    """The definition in plain Python: sets of pixels, one picture and class at a time."""
    by_class = []
    for one in range(1, classes):
        ratios = []
        for _, _, answer, truth in some:
            a = {(y, x) for y in range(len(answer)) for x in range(len(answer[0])) if answer[y][x] == one}
            b = {(y, x) for y in range(len(truth)) for x in range(len(truth[0])) if truth[y][x] == one}
            if a | b:
                ratios.append(len(a & b) / len(a | b))
        if ratios:
            by_class.append(sum(ratios) / len(ratios))
    return sum(by_class) / len(by_class) if by_class else math.nan


@given(st.integers(0, 10_000), st.sampled_from([2, 5]), st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_the_per_image_mean_is_an_independent_implementations_to_a_millionth(seed, classes, count):
    some = list(pictures(count, classes, seed))
    found = scores.summarise(rows_of(some, {2: TWO, 5: FIVE}[classes]), {2: TWO, 5: FIVE}[classes])["iou_per_image"].value
    expected = per_image([(a, b, c.tolist(), d.tolist()) for a, b, c, d in some], classes)
    assert (math.isnan(found) and math.isnan(expected)) or abs(found - expected) < 1e-6


def test_the_datasets_is_that_of_a_confusion_matrix():
    some = list(pictures(9, 5))
    matrix = np.zeros((5, 5))
    for _, _, answer, truth in some:
        np.add.at(matrix, (truth.ravel(), answer.ravel()), 1)
    ratios = np.diag(matrix) / (matrix.sum(0) + matrix.sum(1) - np.diag(matrix))
    found = scores.summarise(rows_of(some, FIVE), FIVE)
    assert found["iou_of_dataset"].value == pytest.approx(ratios[1:].mean(), abs=1e-12)
    assert found["miou_with_background"].value == pytest.approx(ratios.mean(), abs=1e-12)
    assert found["iou_of_dataset:arms"].value == pytest.approx(ratios[3], abs=1e-12)


def test_the_two_means_differ_as_published_ones_do():
    """A large person found and a small one missed: all pixels hardly notice, pictures do."""
    large, small = np.ones((20, 20), np.uint8), np.zeros((20, 20), np.uint8)
    small[:2, :2] = 1
    some = [("a", "a", large, large), ("b", "b", np.zeros_like(small), small)]
    found = scores.summarise(rows_of(some, TWO), TWO)
    assert found["iou_per_image"].value == 0.5
    assert found["iou_of_dataset"].value == pytest.approx(400 / 404)


def test_alphas_have_their_errors_and_are_cut_at_a_half():
    random = np.random.default_rng(3)
    alphas = [random.random((16, 12), np.float32) for _ in range(2)]
    row = scores.score_sample("a", "s", "val", (), *alphas, TWO)
    assert row.errors == tuple(getattr(mask_metrics, name)(*alphas) for name in scores.ERRORS)
    masks = [(alpha >= 0.5).astype(np.uint8) for alpha in alphas]
    assert row.iou == pytest.approx(mask_metrics.iou(*masks), abs=1e-12)
    assert row.boundary == (mask_metrics.boundary_iou(*masks),)
    assert scores.summarise([row], TWO)["sad"].value == row.errors[0]


def hand(stem, source, shared, together, scenes=()):
    return Row(stem, source, "test", scenes, (10, shared), (20, together), (0.5,))


def test_intervals_are_over_sources_not_pictures():
    two = [hand("a", "a", 9, 10), hand("b", "b", 3, 10)]
    many = [hand(f"{one.stem}{at}", one.source, one.shared[1], 10) for one in two for at in range(200)]
    few, lots = (scores.summarise(some, TWO)["iou_per_image"] for some in (two, many))
    assert few.value == pytest.approx(lots.value) == pytest.approx(0.6)
    assert (few.low, few.high) == (pytest.approx(0.3), pytest.approx(0.9))
    assert (lots.low, lots.high) == (pytest.approx(0.3), pytest.approx(0.9))


def test_one_source_has_no_interval():
    found = scores.summarise([hand("a", "a", 9, 10), hand("b", "a", 3, 10)], TWO)["iou_per_image"]
    assert found.value == pytest.approx(0.6) and math.isnan(found.low) and math.isnan(found.high)


@pytest.mark.slow
def test_intervals_hold_the_truth_as_often_as_they_say():
    random, held = np.random.default_rng(5), 0
    for _ in range(60):
        some = [hand(f"{s}-{p}", str(s), int(np.clip(random.normal(60 + shift, 3), 0, 100)), 100)
                for s, shift in enumerate(random.normal(0, 10, 30)) for p in range(5)]  # fmt: skip
        found = scores.summarise(some, TWO)["iou_per_image"]
        held += found.low <= 0.6 <= found.high
    assert held >= 50  # of 60; 95 of 100 are promised, thirty sources give a little less


def test_a_difference_is_taken_on_the_same_draws():
    """What makes sources hard for both is no doubt about which is better."""
    old = [hand(f"p{at}", f"s{at}", 10 + 8 * at, 100) for at in range(10)]
    new = [hand(f"p{at}", f"s{at}", 12 + 8 * at, 100) for at in range(10)]
    found = scores.compare_groups(old, new, TWO)[0]
    gained = found.gained["iou_per_image"]
    assert gained == pytest.approx((0.02, 0.02, 0.02))
    assert found.old["iou_per_image"].high - found.old["iou_per_image"].low > 0.2


def test_groups_are_all_each_split_and_each_scene():
    some = [hand("a", "a", 9, 10, ("park",)), Row("b", "b", "val", ("park", "street"), (1, 5), (2, 10), (1.0,))]
    found = {group.name: (group.pictures, group.sources) for group in scores.group_scores(some, TWO)}
    assert found == {"all": (2, 2), "split val": (1, 1), "split test": (1, 1), "scene park": (2, 2), "scene street": (1, 1)}


def test_what_cannot_be_compared_is_refused():
    mask, alpha = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32)
    with pytest.raises(ArrayError, match="expected the same"):
        scores.score_sample("a", "a", "test", (), alpha, mask, TWO)
    with pytest.raises(ArrayError, match="holds the id 7; expected 0 to 1"):
        scores.score_sample("a", "a", "test", (), mask + 7, mask, TWO)
    with pytest.raises(ArrayError, match="the same pictures; 2 are in one only"):
        scores.compare_groups([hand("a", "a", 1, 2)], [hand("b", "a", 1, 2)], TWO)
