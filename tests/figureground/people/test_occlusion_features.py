"""What outlines say of who or what is in the way, on drawn outlines whose truth is known."""

import dataclasses

import numpy as np
import pytest

from figureground.checks.occlusion import Occlusion
from figureground.inference import backends
from figureground.inference.letterbox import letterbox_image
from figureground.inference.yolo import Instance
from figureground.people import instances, occlusion_features, pose_regions
from figureground.people.occlusion_features import SortedMasks
from figureground.types import Box, PersonCrop, Weights

HIGH, WIDE = 256, 128
JOINTS = [(64, 40), (68, 36), (60, 36), (74, 38), (54, 38), (84, 64), (44, 64), (92, 100), (36, 100), (94, 130), (34, 130)]
JOINTS += [(78, 136), (50, 136), (79, 186), (49, 186), (80, 224), (48, 224)]


def person(confidence=0.9, low=()):
    """Stand somebody in a crop of the network's own size."""
    points = np.array([(x, y, 0.3 if n in low else confidence) for n, (x, y) in enumerate(JOINTS)], np.float32)
    box = Box(0, 0, WIDE, HIGH)
    image = np.zeros((HIGH, WIDE, 3), np.uint8)
    return PersonCrop("c", "f", "s", box, Box(16, 16, 112, 240), 0.9, points, (), 1000, 1000, image)


def area(x0, y0, x1, y1):
    plane = np.zeros((HIGH, WIDE), np.float32)
    plane[y0:y1, x0:x1] = 1
    return plane


NOTHING = area(0, 0, 0, 0)
WHOLE = SortedMasks(area(16, 16, 112, 240), NOTHING, NOTHING, NOTHING, 0.9, 0.95)


def evidence(low=(), **found):
    crop, guessed = person(low=low), person()
    seen, promised = (pose_regions.person_area(one).astype(np.float32) for one in (crop, guessed))
    return occlusion_features.summarise(dataclasses.replace(WHOLE, **found), area(16, 16, 112, 240), seen, promised)


def test_a_whole_outline_gives_only_its_own_uncertainty():
    said = evidence()
    assert len(said) == occlusion_features.FEATURE_COUNT
    assert said == pytest.approx([0, 0, 0, 0, 0, 0, 0, 0.1, 0.05, 1, 0, 0], abs=1e-5)


def test_the_more_of_the_body_an_outline_leaves_out_the_more_is_said():
    shares = [evidence(own=area(16, 16, 112, bottom)) for bottom in (240, 200, 120)]
    assert all(np.diff([row[piece] for row in shares]).min() > 0.05 for piece in (0, 1)) and shares[2][9] < shares[0][9]


def test_a_leg_whose_joints_are_doubted_is_promised_all_the_same():
    below = {"own": area(16, 16, 112, 140)}
    seen, promised = evidence((13, 14, 15, 16), **below)[:2]
    assert seen < 0.1 < 0.2 < promised


def test_others_and_things_count_where_they_are_on_the_person():
    there, beside = area(16, 16, 64, 240), area(112, 0, 128, 256)
    others, things = evidence(others=there * 0.8), evidence(objects=there * 0.8)
    assert others[3] == pytest.approx(0.4, abs=0.01) and others[11] == pytest.approx(0.4, abs=0.01) and not others[4:7].any()
    assert things[5] == pytest.approx(0.4, abs=0.01) and not things[2:4].any() and 0.3 < things[4] < 0.5
    assert not evidence(others=beside)[2:4].any() and not evidence(objects=beside)[4:6].any()


def test_pixels_where_another_person_scores_higher_count_as_overlapped():
    half = {"own": area(16, 16, 64, 240), "others": area(64, 16, 112, 240) * 0.7}
    assert evidence(**half)[10] == pytest.approx(0.7, abs=1e-5)


def test_outlines_are_sorted_by_whose_they_are():
    every = [
        Instance("person", 0.5, Box(90, 16, 128, 240), area(90, 16, 128, 240)),
        Instance("person", 0.8, Box(16, 16, 112, 240), area(16, 16, 112, 240)),
        Instance("handbag", 0.4, Box(0, 90, 20, 130), area(0, 90, 20, 130)),
        Instance("chair", 0.6, Box(16, 200, 112, 256), area(16, 200, 112, 256)),
    ]
    found = occlusion_features.sort_masks(every, Box(16, 16, 112, 240), (HIGH, WIDE))
    assert found.score == 0.8 and found.fit == 1 and np.array_equal(found.own, every[1].alpha)
    assert found.others.max() == 0.5 and found.carried[100, 10] == np.float32(0.4) and found.objects[230, 50] == np.float32(0.6)


def test_without_an_instance_all_features_are_uncertain():
    found = occlusion_features.sort_masks([], Box(16, 16, 112, 240), (HIGH, WIDE))
    assert (found.score, found.fit) == (0, 0) and not found.own.any()
    said = evidence(own=found.own, score=0.0, fit=0.0)
    assert said[[0, 1, 7, 8]] == pytest.approx(1) and said[9] == 0


CLASSES = ("person", "chair")


@pytest.fixture
def network(monkeypatch):
    """Answer as a segmentation network does that sees the person in its box, as far down as it is told."""
    told = {}

    def run(weights, batch, outputs, precision):
        high, wide = batch.shape[2:]
        x0, y0, x1, y1 = told["box"]
        row = np.array([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0, 0.9, 0.0, 1.0], np.float32)
        plane = np.full((1, 1, high // 4, wide // 4), -9, np.float32)
        plane[..., round(y0 / 4) : round(told["down_to"] / 4), round(x0 / 4) : round(x1 / 4)] = 9
        return [row[None, :, None], plane]

    monkeypatch.setattr(backends, "run", run)
    monkeypatch.setattr(backends, "read_class_names", lambda weights, precision: CLASSES)
    return told


def test_an_outline_lies_where_the_person_does(network):
    crop, weights = person(), Weights("yolo26n-seg.pt", "0" * 64)
    _, place = letterbox_image(crop.image, instances.IMAGE_SIZE, instances._PADDED_SIDES)
    x0, y0, x1, y1 = (side * place.scale + by for side, by in zip((16, 16, 112, 240), (place.left, place.top) * 2, strict=True))
    network.update(box=(x0, y0, x1, y1), down_to=y1)
    whole = occlusion_features.measure(crop, weights)
    assert whole[:2].max() < 0.03 and whole[8] < 0.02 and whole[9] > 0.95
    network.update(down_to=(y0 + y1) / 2)
    half = occlusion_features.measure(crop, weights)
    assert half[9] == pytest.approx(0.5, abs=0.03) and 0.2 < half[1] < 0.7
    value = Occlusion(instances=weights).measure(crop)
    network.update(down_to=y1)
    assert Occlusion(instances=weights).measure(crop) < value


def test_a_crop_without_joints_is_judged_by_its_box(network):
    crop = dataclasses.replace(person(), keypoints=np.zeros((0, 3), np.float32))
    network.update(box=(16, 16, 112, 240), down_to=240)
    assert np.isfinite(occlusion_features.measure(crop, Weights("yolo26n-seg.pt", "0" * 64))).all()
