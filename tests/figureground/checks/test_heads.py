"""Heads are files of the same bytes for the same numbers, and the regressions behind them separate what differs."""

import hashlib

import numpy as np
import pytest

from figureground import plugins
from figureground.checks.heads import damage, occluders, regression, train_occlusion
from figureground.people import backbone_features
from figureground.types import Box, Frame, Person


@pytest.mark.parametrize("name", ["truncation", "distortion", "ghosting"])
def test_a_committed_head_has_the_same_bytes_when_it_is_written_again(name: str) -> None:
    pinned = plugins.find("checks", name).HEAD
    content = regression.encode_head(backbone_features.load_head(name, pinned.sha256))
    assert hashlib.sha256(content).hexdigest() == pinned.sha256


def test_the_committed_head_of_occlusion_has_the_same_bytes_when_it_is_written_again() -> None:
    pinned = plugins.find("checks", "occlusion").HEAD
    content = train_occlusion.encode_arrays(dict(backbone_features.load_arrays("occlusion", pinned.sha256)))
    assert hashlib.sha256(content).hexdigest() == pinned.sha256


def test_ridge_and_logistic_regression_separate_two_classes() -> None:
    rng = np.random.default_rng(0)
    positive = np.arange(90) % 3 == 0
    rows = rng.normal(0, 0.5, (90, 2)) + positive[:, None] * [3.0, 0.0]
    ridge, logistic = regression.fit_ridge(rows, positive, 1.0), regression.fit_logistic(rows, positive, 1.0)
    odds = [logistic.score(row) + float(logistic.calibration[0]) for row in rows]
    scores = np.array([ridge.score(row) for row in rows])
    assert regression.compute_auc(scores[positive], scores[~positive]) == 1
    assert (np.array(odds) > 0).tolist() == positive.tolist()


def test_each_sample_is_judged_by_a_head_that_has_not_seen_its_scene() -> None:
    samples = ["a1", "b1", "a2", "c1"]
    seen: dict[int, set[str]] = {}

    def fit(rest):
        head = regression.fit_ridge(np.arange(4.0)[:, None], np.arange(4) > 1, 1.0)
        seen[id(head)] = set(rest)
        return head

    heads = list(regression.leave_scenes_out(samples, lambda sample: sample[0], fit))
    assert [seen[id(head)] for head in heads] == [{"b1", "c1"}, {"a1", "a2", "c1"}, {"b1", "c1"}, {"a1", "b1", "a2"}]


def test_a_narrowed_frame_leaves_the_share_of_the_box_outside() -> None:
    image = np.zeros((100, 80, 3), np.uint8)
    narrowed, rest = damage.narrow_frame(image, Box(20, 20, 60, 90), "above", 0.5)
    assert narrowed.shape == (45, 80, 3)
    assert rest == Box(20, 0, 60, 35)


def test_an_object_hides_about_the_share_that_is_asked_for() -> None:
    rng = np.random.default_rng(3)
    image, mask, box = np.full((200, 160, 3), 90, np.uint8), np.zeros((200, 160), np.uint8), Box(50, 40, 110, 180)
    mask[40:180, 50:110] = 1
    frame, other = Frame("a-1", "a", 0, 0.0, image), Frame("b-1", "b", 0, 0.0, image)
    detected = [(frame, [Person(box, 0.9, np.zeros((17, 3), np.float32))]), (other, [])]
    covers = []
    for _ in range(8):
        changed, occluder = occluders.lay_in_front(frame, mask, box, 0.3, detected, rng)
        covers.append((occluder & mask).sum() / mask.sum())
        assert changed.shape == image.shape
    assert abs(float(np.median(covers)) - 0.3) < 0.1
