"""figureground.removers.person: who is meant, what belongs to them, what is taken away; networks answered for by hand."""

import numpy as np
import pytest

from figureground.errors import PluginError
from figureground.inference.yolo import Instance
from figureground.mattes import video_matting
from figureground.people import instances
from figureground.removers.person import OnePerson
from figureground.types import Box, PersonCrop, Weights

CLASSES = ("person", "bicycle", "backpack")
REMOVER = OnePerson(Weights("rvm_mobilenetv3_fp32.onnx", "1" * 64), Weights("yolo26n-seg.pt", "2" * 64))
HEIGHT, WIDTH = 100, 60


def part(x0, y0, x1, y1, value=1.0):
    alpha = np.zeros((HEIGHT, WIDTH), np.float32)
    alpha[y0:y1, x0:x1] = value
    return alpha


def instance(number, *box, score=0.9):
    return Instance(CLASSES[number], score, Box(*map(float, box)), part(*box))


def crop(*ankles):
    joints = np.zeros((17, 3), np.float32)
    for joint, at in zip((15, 16), ankles, strict=False):
        joints[joint] = (*at, 0.9)
    whole = Box(0, 0, WIDTH, HEIGHT)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    return PersonCrop("a-0-00", "a-0", "a", whole, Box(20, 10, 40, 90), 0.9, joints, (), WIDTH, HEIGHT, image)


class Seen:
    """Instances as `instances.read_or_segment` gives them."""

    def __init__(self, found):
        self.found = found

    def image_masks(self, score_at_least, classes):
        return [one for one in self.found if one.score > score_at_least and one.class_name in classes]


@pytest.fixture
def answers(monkeypatch):
    """Answer for both networks."""

    def answer(matte, *found):
        monkeypatch.setattr(video_matting, "estimate_alpha", lambda *_, **__: (matte, video_matting.INITIAL_STATE))
        monkeypatch.setattr(instances, "read_or_segment", lambda *_: Seen(found))

    return answer


ME = (20, 10, 40, 90)


def inside(alpha, x0, y0, x1, y1):
    return alpha[y0 + 4 : y1 - 4, x0 + 4 : x1 - 4].mean()


def test_another_person_in_the_matte_is_removed(answers):
    answers(part(20, 10, 58, 90), instance(0, *ME), instance(0, 42, 10, 58, 90))
    (alpha,) = REMOVER.estimate_alphas([crop()])
    assert inside(alpha, *ME) > 0.95
    assert inside(alpha, 42, 10, 58, 90) < 0.05


def test_a_second_detection_of_the_same_person_removes_nothing(answers):
    answers(part(*ME), instance(0, *ME), instance(0, 20, 10, 40, 50, score=0.5))
    assert inside(REMOVER.estimate_alphas([crop()])[0], *ME) > 0.95


def test_a_backpack_belongs_to_whom_it_touches_most(answers):
    mine, theirs = instance(2, 38, 30, 44, 50), instance(2, 46, 30, 52, 50)
    answers(part(*ME), instance(0, *ME), instance(0, 50, 10, 59, 90), mine, theirs)
    (alpha,) = REMOVER.estimate_alphas([crop()])
    assert alpha[35:45, 41].mean() > 0.9
    assert alpha[35:45, 48].mean() < 0.1


@pytest.mark.parametrize(("ankle", "belongs"), [(80, True), (97, False)])
def test_a_bicycle_belongs_to_the_feet_above_its_lower_edge(answers, ankle, belongs):
    answers(part(*ME), instance(0, *ME), instance(1, 10, 60, 50, 95))
    (alpha,) = REMOVER.estimate_alphas([crop((30, ankle), (30, ankle))])
    assert (alpha[70:80, 13].mean() > 0.9) == belongs


def test_ridden_things_can_be_left_out(answers):
    answers(part(*ME), instance(0, *ME), instance(1, 10, 60, 50, 95))
    walker = OnePerson(REMOVER.matting, REMOVER.instances, ridden=False)
    assert walker.estimate_alphas([crop((30, 80))])[0][70:80, 13].mean() < 0.1


def test_a_crop_without_people_gives_an_empty_matte(answers):
    answers(part(0, 0, 0, 0))
    ((alpha, score),) = REMOVER.estimate_with_confidence([crop()])
    assert not alpha.any()
    assert score == 0


def test_joints_overrule_a_matte_that_misses_them(answers):
    answers(part(20, 10, 40, 20), instance(0, *ME))
    assert inside(REMOVER.estimate_alphas([crop((30, 80), (34, 80))])[0], *ME) > 0.9
    assert inside(REMOVER.estimate_alphas([crop()])[0], 20, 30, 40, 90) < 0.7


def test_a_matte_that_neither_instances_nor_joints_support_is_empty(answers):
    answers(part(*ME))
    ((alpha, score),) = REMOVER.estimate_with_confidence([crop()])
    assert not alpha.any()
    assert score < 0.6
    answers(part(*ME))
    assert inside(REMOVER.estimate_alphas([crop((30, 80))])[0], *ME) == 1
    answers(part(*ME))
    assert not REMOVER.estimate_alphas([crop((55, 80))])[0].any()


@pytest.mark.parametrize(("matte", "mask", "expected"), [(0.2, 1.0, 1), (0.6, 0.1, 0)])
def test_inside_and_outside_are_decided_and_the_border_stays_soft(answers, matte, mask, expected):
    rest = part(*ME)
    rest[30:70, 23:37] = matte
    own = Instance("person", 0.9, Box(*map(float, ME)), part(*ME))
    own.alpha[30:70, 23:37] = mask
    rest[:, 19] = 0.4 * (rest[:, 20] > 0)
    answers(rest, own)
    (alpha,) = REMOVER.estimate_alphas([crop()])
    assert alpha[50, 30] == expected
    assert 0.1 < alpha[50, 19] < 0.5


def test_other_weights_are_refused_by_name():
    with pytest.raises(PluginError, match=r"removers\.person has no instances 'yolo11n-pose\.pt'"):
        OnePerson(REMOVER.matting, Weights("yolo11n-pose.pt", "3" * 64))
    with pytest.raises(PluginError, match=r"removers\.person has no matting 'u2netp\.onnx'"):
        OnePerson(Weights("u2netp.onnx", "3" * 64), REMOVER.instances)
