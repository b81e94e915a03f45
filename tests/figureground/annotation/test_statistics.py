"""The annotation statistics, from records made by hand."""

import math

import pytest

from figureground.annotation import preannotation_gate
from figureground.annotation.statistics import compute_statistics, estimate_median, estimate_share
from figureground.reports import annotation_statistics
from tests.figureground.annotation.annotation_records import made_by_hand, record


def test_a_scene_says_what_was_accepted_changed_and_how_long_it_took():
    (row,) = compute_statistics(made_by_hand(), gated=True, labels_at_least=5).scenes
    assert (row.name, row.remover) == ("park", "person-v1")
    assert (row.accepted.value, row.accepted.count) == (8 / 12, 12)
    assert row.accepted.low < 8 / 12 < row.accepted.high
    assert (row.changed.value, row.boundary.value, row.blind.value) == (0.0, 1.0, 0.6)
    assert (row.seconds.value, row.drawn.value, row.drawn.count) == (7.0, 60.0, 6)
    assert row.gate.ratio.estimate == pytest.approx((6 * 4 + 4 * 40 + 2 * 10) / 12 / 60)
    assert not row.gate.stopped


def test_annotators_and_pairs_are_counted_separately():
    page = compute_statistics(made_by_hand(), gated=False, labels_at_least=5)
    assert [(row.name, row.accepted.count) for row in page.annotators] == [("anna", 11), ("chen", 1)]
    (pair,) = page.agreements
    assert (pair.verdict.value, pair.verdict.count) == (0.5, 2)
    assert (pair.iou.value, pair.iou.count, pair.boundary.value) == (0.95, 1, 0.7)
    assert dict(annotation_statistics.list_facts(page))["annotated by two"] == "2"
    assert dict(annotation_statistics.list_facts(page))["labels"] == "18 kept, 1 rejected"


def test_a_work_of_two_scenes_counts_in_both_and_one_of_none_is_said():
    page = compute_statistics([record(0, scenes=("park", "night")), record(1, scenes=())], gated=True, labels_at_least=5)
    assert [row.name for row in page.scenes] == ["night", "no scene", "park"]


def test_intervals_hold_what_they_promise():
    assert estimate_share(0, 0).count == 0
    assert estimate_share(0, 10).low == 0
    assert estimate_share(0, 10).high == pytest.approx(0.278, abs=0.001)
    assert math.isnan(estimate_median([1, 2, 3]).low)
    assert preannotation_gate.compare_means([2.0, 2.0], [1.0, 1.0]) == preannotation_gate.Ratio(2.0, 2.0, 2.0)
