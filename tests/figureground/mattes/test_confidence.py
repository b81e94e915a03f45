"""How sure a matte is: each part by hand, and that each worsens the whole."""

import numpy as np
import pytest

from figureground.mattes import confidence
from figureground.types import Box, PersonCrop


def crop(*joints):
    points = np.zeros((17, 3), np.float32)
    for number, joint in enumerate(joints):
        points[number] = joint
    box = Box(0, 0, 40, 100)
    return PersonCrop("a-0-00", "a-0", "a", box, box, 0.9, points, (), 40, 100, np.zeros((100, 40, 3), np.uint8))


def half(value=1.0, columns=20):
    alpha = np.zeros((100, 40), np.float32)
    alpha[:, :columns] = value
    return alpha


def test_a_crisp_matte_with_all_joints_inside_is_sure():
    assert confidence.measure_confidence(half(), crop((5, 5, 0.9), (10, 90, 0.9)), half(), half()) == 1


def test_an_empty_matte_is_not_sure_at_all():
    assert confidence.measure_confidence(half(0.0), crop()) == 0
    assert confidence.measure_confidence(half(0.0), crop((5, 5, 0.9)), half(0.0), half(0.0)) == 0


def test_softness_is_soft_area_over_area():
    assert confidence.measure_crispness(half(0.75)) == pytest.approx(1 - 0.25 / 0.75)


def test_joints_count_within_two_pixels_and_when_they_are_seen():
    assert confidence.share_of_joints_inside(half(), crop((21, 50, 0.9), (30, 50, 0.9), (30, 60, 0.3))) == 0.5
    assert confidence.share_of_joints_inside(half(), crop((90, -5, 0.9))) == 0
    assert confidence.share_of_joints_inside(half(), crop()) == 1


@pytest.mark.parametrize(
    ("alpha", "joints", "matte", "instance"),
    [
        (half(0.8), [(5, 5, 0.9)], half(), half()),
        (half(), [(35, 5, 0.9)], half(), half()),
        (half(), [(5, 5, 0.9)], half(), half(columns=10)),
        (half(), [(5, 5, 0.9)], half(0.8), half()),
    ],
)
def test_each_doubt_lowers_the_score(alpha, joints, matte, instance):
    assert 0 < confidence.measure_confidence(alpha, crop(*joints), matte, instance) < 0.999


def test_low_scores_need_a_person():
    assert confidence.needs_review(0.69)
    assert not confidence.needs_review(0.7)


def test_sources_that_share_nothing_leave_little():
    apart = half() * 0
    apart[:, 20:] = 1
    assert confidence.measure_confidence(half(), crop(), half(), apart) < 0.5


def test_disagreement_and_joints_outside_lower_the_confidence_of_a_refined_matte():
    sure = confidence.measure_refined_confidence(half(), crop((5, 5, 0.9)), 0.8, 1.0)
    assert 0.8 < sure < 1
    assert confidence.measure_refined_confidence(half(), crop((5, 5, 0.9)), 0.8, 0.9) < sure
    assert confidence.measure_refined_confidence(half(), crop((5, 5, 0.9)), 0.6, 1.0) < sure
    assert confidence.measure_refined_confidence(half(), crop((35, 5, 0.9)), 0.8, 1.0) < sure
    assert confidence.measure_refined_confidence(half(), crop(), 0.0, 1.0) == 0
    assert confidence.measure_refined_confidence(half(), crop(), 1.0, 1.0) <= 1
