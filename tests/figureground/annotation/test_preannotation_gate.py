"""The gate: stops what costs time, leaves what does not, and never flutters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.annotation import preannotation_gate
from figureground.annotation.preannotation_gate import LOSS, MEASURE, TimedAnnotation

KEYS = [f"{number:032x}" for number in range(4000)]


def works(corrected, drawn, count=400, share=0.1, seed=0):
    """Annotations in the order it was done: log-normal seconds around two medians, a share of it blank, some tabs left open."""
    chance = np.random.default_rng(seed)
    blank = chance.random(count) < share
    seconds = np.exp(chance.normal(np.log(np.where(blank, drawn, corrected)), 0.8))
    seconds[chance.random(count) < 0.01] = 36000
    return [
        TimedAnnotation(n, ("park",), "u2netp", bool(b), float(s)) for n, (b, s) in enumerate(zip(blank, seconds, strict=True))
    ]


def test_a_fixed_share_of_tasks_is_blank_whatever_the_detector_found():
    found = {stopped: [preannotation_gate.explain_blank(key, 0.1, stopped) for key in KEYS] for stopped in (False, True)}
    assert 0.08 < found[False].count(MEASURE) / len(KEYS) < 0.12
    assert found[False].count("") + found[False].count(MEASURE) == len(KEYS)
    assert 0.08 < found[True].count("") / len(KEYS) < 0.12
    assert [why == MEASURE for why in found[True]] == [why == MEASURE for why in found[False]]
    assert found[True].count(LOSS) > 0.75 * len(KEYS)


@given(st.text(max_size=40), st.floats(0, 0.5), st.floats(0, 0.5))
def test_a_larger_share_only_adds(key, one, other):
    small, large = sorted((one, other))
    assert preannotation_gate.explain_blank(key, small, False) in ("", preannotation_gate.explain_blank(key, large, False))
    assert preannotation_gate.needs_two_annotators(key, small) <= preannotation_gate.needs_two_annotators(key, large)
    assert 0 <= preannotation_gate.draw(key, "blank") < 1


def test_blank_and_second_opinions_are_drawn_apart():
    blank = {key for key in KEYS if preannotation_gate.explain_blank(key, 0.2, False)}
    twice = {key for key in KEYS if preannotation_gate.needs_two_annotators(key, 0.2)}
    assert 0.02 < len(blank & twice) / len(KEYS) < 0.06


def test_a_scene_where_correcting_takes_longer_is_stopped_and_stays_so():
    found = preannotation_gate.apply_rule(works(100, 40), 20)
    assert found.stopped
    assert found.switches == 1
    assert found.ratio.low > 1
    assert preannotation_gate.apply_rules(works(100, 40), 20).keys() == {("park", "u2netp")}
    assert preannotation_gate.stopped_scenes(
        preannotation_gate.apply_rules(works(100, 40), 20), ("street", "park"), "u2netp"
    ) == ("park",)
    assert preannotation_gate.stopped_scenes(preannotation_gate.apply_rules(works(100, 40), 20), ("park",), "another") == ()


def test_a_scene_where_it_saves_time_is_not_stopped():
    found = preannotation_gate.apply_rule(works(15, 60), 20)
    assert not found.stopped
    assert found.evaluations >= 2
    assert found.ratio.high < 1


def test_a_stopped_scene_is_taken_up_again_on_evidence_alone():
    better = [
        TimedAnnotation(1000 + w.number, w.scenes, w.remover, w.blank, w.seconds) for w in works(4, 60, count=2000, seed=1)
    ]
    found = preannotation_gate.apply_rule([*works(100, 40), *better], 20)
    assert (found.stopped, found.switches) == (False, 2)


def test_too_few_labels_of_either_kind_decide_nothing():
    few = [work for work in works(500, 5, count=150) if not work.blank or work.number < 60]
    assert sum(work.blank for work in few) < 20
    assert preannotation_gate.apply_rule(few, 20).evaluations == 0
    assert not preannotation_gate.apply_rule(few, 20).stopped
    assert preannotation_gate.compare_means([1.0], [2.0, 3.0]) is None


def test_noise_rarely_stops_a_scene_and_never_switches_it_often():
    """No difference: of 100 projects with 600 labels each at most a few are stopped, none changes its mind twice."""
    found = [preannotation_gate.apply_rule(works(50, 50, count=600, seed=seed), 20) for seed in range(100)]
    assert sum(gate.stopped for gate in found) <= 4
    assert max(gate.switches for gate in found) <= 1


def test_a_very_long_annotation_time_is_winsorised():
    honest, open_ = [30.0, 40.0, 35.0, 50.0, 45.0] * 4, [30.0, 40.0, 35.0, 50.0, 45.0] * 4 + [9 * 3600.0]
    assert max(preannotation_gate.winsorise(open_)) < 100
    assert preannotation_gate.compare_means(
        preannotation_gate.winsorise(open_), preannotation_gate.winsorise(honest)
    ).estimate == pytest.approx(1, abs=0.1)
    assert preannotation_gate.winsorise([0.0, 5.0, float("nan"), 7.0]) == (5.0, 7.0)


@pytest.mark.slow
@given(st.permutations(range(80)))
def test_the_same_labels_give_the_same_answer_in_any_order(order):
    some = works(100, 40, count=80, share=0.4)
    assert preannotation_gate.apply_rule([some[number] for number in order], 20) == preannotation_gate.apply_rule(some, 20)
