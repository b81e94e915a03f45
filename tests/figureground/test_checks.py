"""What each check means, on a drawn figure whose truth is known."""

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import catalog
from figureground.checks import distortion, ghosting, occlusion, truncation
from figureground.checks.distortion import Distortion
from figureground.checks.excluded_scenes import ExcludedScenes
from figureground.checks.exposure import Exposure
from figureground.checks.ghosting import Ghosting, likelihood
from figureground.checks.occlusion import Occlusion
from figureground.checks.overlap import Overlap
from figureground.checks.sharpness import Sharpness
from figureground.checks.size import Size
from figureground.checks.truncation import Truncation
from figureground.errors import AssetError
from figureground.inference.letterbox import letterbox_image
from figureground.inference.yolo import Instance
from figureground.people import backbone_features, instances, pose_regions
from figureground.people.backbone_features import Head
from figureground.people.instances import Instances
from figureground.types import Box, PersonCrop, Weights

PHOTOS = Path(__file__).parents[2] / "../shared/data/ccp/photos"

# COCO's 17 joints of someone standing, in a box of 80 x 160 pixels that begins at (10, 10)
STANDING = [(50, 22), (53, 19), (47, 19), (57, 21), (43, 21), (64, 42), (36, 42), (70, 66), (30, 66), (72, 88), (28, 88)]
STANDING += [(60, 92), (40, 92), (61, 128), (39, 128), (62, 153), (38, 153)]


def figure(scale=1.0, frame_height=2000, others=(), unseen=(), image=None):
    """Stand someone in a frame 1000 pixels wide whose lower edge is `frame_height`; the crop begins at (100, 100)."""
    points = np.array([(x * scale, y * scale, 0.02 if n in unseen else 0.97) for n, (x, y) in enumerate(STANDING)], np.float32)
    bottom = min(100 + 170 * scale, frame_height)
    points[:, 1] = np.minimum(points[:, 1], frame_height - 100)
    image = np.zeros((round(180 * scale), round(100 * scale), 3), np.uint8) if image is None else image
    image = image[: frame_height - 100]
    box = Box(100, 100, 100 + image.shape[1], 100 + image.shape[0])
    person = Box(100 + 10 * scale, 100 + 10 * scale, 100 + 90 * scale, bottom)
    return PersonCrop("c", "f", "s", box, person, 0.9, points, tuple(others), 1000, frame_height, image)


def painted(scale=3.0):
    """Paint the figure: a body with stripes before a wall with stripes."""
    crop = figure(scale)
    rng, (height, width) = np.random.default_rng(0), crop.image.shape[:2]
    stripe, reach = round(4 * scale), round(8 * scale) | 1
    cells = (height // stripe + 1, width // stripe + 1, 3)
    wall = cv2.resize(rng.integers(90, 200, cells, np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    cloth = cv2.resize(rng.integers(0, 120, cells, np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
    flesh = cv2.dilate(pose_regions.person_area(crop), np.ones((reach, reach), np.uint8))  # a body is thicker than its bones
    area = flesh[..., None]
    return dataclasses.replace(crop, image=np.where(area > 0, cloth, wall).astype(np.uint8)), area


def smeared(image, share, scale=3.0):
    """Blur sideways by a share of the person's height."""
    length = max(1, round(share * 160 * scale))
    return cv2.blur(image, (length, 1))


def test_size_is_the_short_side_in_the_sources_pixels():
    assert Size().measure(figure()) == 80
    assert Size().measure(figure(frame_height=150)) == 40


def test_a_whole_person_is_not_truncated():
    assert Truncation().measure(figure()) == 0, "no side is near"
    toes_at_the_edge = figure(frame_height=270)
    assert Truncation().measure(toes_at_the_edge) > 0
    assert Truncation().accepts(Truncation().measure(toes_at_the_edge))


def test_truncation_grows_with_the_share_that_is_cut():
    values = [Truncation().measure(figure(frame_height=height)) for height in (276, 270, 255, 240, 215, 190, 160)]
    assert values[0] < values[1] < values[2] and min(values[3:]) > 0.9
    assert not any(Truncation().accepts(value) for value in values[3:]), "at the shins and above"


def test_unseen_joints_are_cut_near_an_edge_and_hidden_elsewhere():
    legs = (13, 14, 15, 16)
    assert Truncation().measure(figure(unseen=legs)) == 0
    cut, hidden = (Truncation().measure(figure(unseen=found, frame_height=270)) for found in (legs, ()))
    assert cut > hidden + 0.1 and not Truncation().accepts(cut)
    assert Truncation().accepts(Truncation().measure(figure(unseen=(7, 9), frame_height=270))), "an arm behind the back"


def test_truncation_features_are_the_same_left_and_right():
    crop = figure()
    left = dataclasses.replace(crop, box=Box(-35, 100, 65, 280), person=Box(0, 110, 55, 270))
    right = dataclasses.replace(crop, box=Box(100, 100, 200, 280), person=Box(110, 110, 165, 270), frame_width=165)
    swap = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    mirrored = crop.keypoints[swap] * (-1, 1, 1) + (100, 0, 0)
    right = dataclasses.replace(right, keypoints=mirrored.astype(np.float32))
    assert truncation.near_sides(left) == [0] and truncation.near_sides(right) == [1]
    np.testing.assert_allclose(truncation.evidence(left, 0), truncation.evidence(right, 1), atol=1e-5)
    assert not Truncation().accepts(Truncation().measure(left))


def test_without_joints_truncation_grows_with_the_outline_on_the_edge():
    nobody = np.zeros((0, 3), np.float32)
    assert Truncation().measure(dataclasses.replace(figure(), keypoints=nobody)) == 0
    cut = dataclasses.replace(figure(frame_height=200), keypoints=nobody)
    share = 80 / (2 * 80 + 2 * 90)
    assert Truncation().measure(cut) == pytest.approx(share / (share + 0.06)) and not Truncation().accepts(
        Truncation().measure(cut)
    )


def test_occlusion_grows_with_what_others_overlap():
    free, tenth, half = (
        Occlusion().measure(figure(others=found)) for found in ([], [Box(0, 0, 22, 180)], [Box(0, 0, 50, 180)])
    )
    assert free < 0.4 < tenth < half and not Occlusion().accepts(half)
    assert half == Occlusion().measure(figure(others=[Box(0, 0, 100, 180)])), "more than a fifth is no worse"
    assert Occlusion().accepts(Occlusion().measure(figure(others=[Box(0, 0, 12, 180)]))), "somebody beside"


def test_a_low_detector_score_raises_occlusion():
    doubtful = dataclasses.replace(figure(), score=0.5, keypoints=figure().keypoints[:0])
    assert Occlusion().measure(doubtful) > 0.7 > 0.4 > Occlusion().measure(dataclasses.replace(doubtful, score=0.85))


def test_hidden_legs_are_occluded_and_a_far_arm_is_not():
    assert not Occlusion().accepts(Occlusion().measure(figure(unseen=(13, 14, 15, 16))))
    assert Occlusion().accepts(Occlusion().measure(figure(unseen=(0, 1, 2, 5, 7, 9))))


LAYERS = [(96, 1), (192, 2), (96, 1)]
"""Channels and step of what a YOLO11 nano network gives."""


@pytest.fixture
def runs(monkeypatch):
    """Count how often the network runs; it gives noise, the same for the same picture."""
    count = []

    def run(weights, batch, layers):
        count.append(weights.name)
        dice, (high, wide) = np.random.default_rng(int(batch.sum())), (batch.shape[2] // 8, batch.shape[3] // 8)
        return [dice.normal(0, 1, (1, channels, high // step, wide // step)).astype(np.float32) for channels, step in LAYERS]

    monkeypatch.setattr(backbone_features.backends, "run_layers", run)
    return count


def test_checks_share_what_the_network_sees_of_a_crop_and_of_no_other(runs):
    network, crop = Weights("pose.pt", "0" * 64), figure(2.0)
    first = backbone_features.compute_cells(crop, network).values
    backbone_features.pool_features(crop, network)
    assert np.array_equal(backbone_features.compute_cells(crop, network).values, first) and len(runs) == 1
    other = dataclasses.replace(crop, image=crop.image + 9)
    assert not np.array_equal(backbone_features.compute_cells(other, network).values, first) and len(runs) == 2
    assert np.array_equal(backbone_features.compute_cells(crop, network).values, first) and len(runs) == 2


def test_cells_lie_where_the_picture_lies(runs):
    crop = figure(2.0)
    cells = backbone_features.compute_cells(crop, Weights("pose.pt", "0" * 64))
    left = np.zeros(crop.image.shape[:2], np.uint8)
    left[:, :100] = 1
    x, y = cells.centres()
    inside = (y > 0) & (y < 360)
    assert np.allclose(cells.average(left)[inside & (x > 8) & (x < 84)], 1, atol=1e-5)
    assert np.allclose(cells.average(left)[x > 110], 0, atol=1e-5) and np.allclose(cells.average(left)[x < -6], 0)


def shown(crop, front):
    """Say that cells show the person in its box and, where `front` of the crop is 1, something before it."""
    cells = backbone_features.compute_cells(crop, Weights("pose.pt", "0" * 64))
    areas = occlusion.areas(crop, cells)
    hidden = areas[0] * cells.average(front)
    return occlusion.in_front(np.stack([1 - areas[0], areas[0] - hidden, hidden], -1), *areas)


def test_the_more_is_seen_in_front_the_more_evidence(runs):
    crop = figure(2.0)
    rows = []
    for top in (360, 300, 200, 100):
        front = np.zeros(crop.image.shape[:2], np.uint8)
        front[top:] = 1
        rows.append(shown(crop, front))
    box, on_body, surest, seen_of_body = np.array(rows).T[:4]
    assert all(np.all(np.diff(part) > 0) for part in (box, on_body, -seen_of_body)) and surest[0] == 0 and surest[1] == 1


def test_others_boxes_count_by_what_is_in_them(runs):
    front = np.zeros((360, 200), np.uint8)
    assert not shown(figure(2.0), front)[4:].any()
    taken, enough, filled = shown(figure(2.0, others=[Box(0, 0, 100, 360)]), front)[4:]
    assert 0.2 < enough + 1e-6 < taken < 0.6 and filled == pytest.approx(1, abs=0.03)


def test_a_head_says_of_each_cell_one_of_three_things():
    middle, spread = np.zeros(2, np.float32), np.ones(2, np.float32)
    first, second = np.eye(3, 2, dtype=np.float32) * 5, np.array([[0, 5, 0], [0, 0, 5], [1, 0, 0]], np.float32)
    given = {"middle": middle, "spread": spread, "first": first, "second": second}
    said = occlusion.classify_cells(given, np.array([[[0, 0], [2, 0], [0, 2], [0, 1e9]]], np.float32))
    assert said.shape == (1, 4, 3) and np.allclose(said.sum(-1), 1)
    assert list(said[0].argmax(-1)) == [0, 1, 2, 2]


def test_the_committed_head_fits_what_it_is_given(runs):
    read = backbone_features.load_arrays(occlusion._HEAD.name, occlusion._HEAD.sha256)
    assert np.all(read["doubted"][:-1] >= 0), "no doubt speaks for somebody"
    value = Occlusion(network=Weights("pose.pt", "0" * 64)).measure(figure(2.0))
    assert 0 <= value <= 1


def test_sharpness_falls_with_blur():
    crop, _ = painted()
    shares = (0, 0.01, 0.02, 0.04, 0.08)
    values = [Sharpness().measure(dataclasses.replace(crop, image=smeared(crop.image, share))) for share in shares]
    assert values == sorted(values, reverse=True)
    assert Sharpness().accepts(values[0]) and not Sharpness().accepts(values[2])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_sharpness_does_not_depend_on_the_direction_of_the_smear(turns):
    crop, _ = painted()
    upright = Sharpness().measure(dataclasses.replace(crop, image=smeared(crop.image, 0.03)))
    kernel = np.zeros((15, 15), np.float32)
    cv2.line(kernel, (7 - round(7 * np.cos(turns * 0.8)), 7 - round(7 * np.sin(turns * 0.8))), (7, 7), 1.0)
    turned = cv2.filter2D(crop.image, -1, kernel / kernel.sum())
    assert Sharpness().measure(dataclasses.replace(crop, image=turned)) < Sharpness().measure(crop) - 0.05
    assert not Sharpness().accepts(upright)


def test_sharpness_does_not_depend_on_the_size_of_the_picture():
    values = [Sharpness().measure(painted(scale)[0]) for scale in (2.0, 3.0, 6.0)]
    assert max(values) - min(values) < 0.08


def test_a_sharp_wall_does_not_help_a_smeared_person():
    crop, area = painted()
    cover = smeared(area[..., 0].astype(np.float32), 0.06)[..., None]
    image = (cover * smeared(crop.image, 0.06) + (1 - cover) * crop.image).astype(np.uint8)
    assert Sharpness().accepts(Sharpness().measure(crop))
    assert not Sharpness().accepts(Sharpness().measure(dataclasses.replace(crop, image=image)))


def test_noise_is_no_sharpness():
    crop, _ = painted()
    blurred = smeared(crop.image, 0.04).astype(np.float32)
    noisy = np.clip(blurred + np.random.default_rng(1).normal(0, 6, blurred.shape), 0, 255).astype(np.uint8)
    assert not Sharpness().accepts(Sharpness().measure(dataclasses.replace(crop, image=noisy)))


def test_little_contrast_is_not_blur():
    crop, _ = painted()
    pale = (crop.image // 4 + 120).astype(np.uint8)
    assert Sharpness().measure(dataclasses.replace(crop, image=pale)) == pytest.approx(Sharpness().measure(crop), abs=0.03)


def test_a_picture_of_nothing_has_no_sharpness():
    value = Sharpness().measure(figure())
    assert np.isnan(value) and not Sharpness().accepts(value)


@pytest.mark.parametrize("check", [Size(), Truncation(), Occlusion(), Sharpness(), Exposure(), Overlap()])
def test_a_portrait_is_measured_like_the_crop_it_was_resized_from(check):
    crop, _ = painted(4.0)
    crop = dataclasses.replace(crop, others=(Box(0, 0, 120, 700),))
    half = dataclasses.replace(
        crop,
        image=cv2.resize(crop.image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        keypoints=crop.keypoints * np.array([0.5, 0.5, 1], np.float32),
        others=(Box(0, 0, 60, 350),),
    )
    assert check.measure(half) == pytest.approx(check.measure(crop), abs=0.05)


def ghost(image, dx, dy, share=0.4):
    """Lay a picture over itself, moved."""
    moved = cv2.warpAffine(image, np.float32([[1, 0, dx], [0, 1, dy]]), image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return cv2.addWeighted(image, 1 - share, moved, share, 0)


@pytest.mark.parametrize(("dx", "dy"), [(14, 0), (0, 20), (-12, 17), (35, 10)])
def test_a_shifted_ghost_is_seen_whatever_its_direction(dx, dy):
    crop, _ = painted()
    noise = np.random.default_rng(5).normal(0, 25, crop.image.shape)
    textured = np.clip(cv2.GaussianBlur(noise, (0, 0), 1.5) * 3 + crop.image, 0, 255).astype(np.uint8)
    assert Ghosting().accepts(Ghosting().measure(dataclasses.replace(crop, image=textured)))
    assert not Ghosting().accepts(Ghosting().measure(dataclasses.replace(crop, image=ghost(textured, dx, dy))))


def test_a_picture_of_nothing_has_no_ghost():
    value = Ghosting().measure(figure())
    assert np.isnan(value) and not Ghosting().accepts(value)


def test_a_stretched_person_is_distorted_by_about_the_stretch():
    crop, _ = painted()
    straight = Distortion().measure(crop)
    wide = cv2.resize(crop.image, None, fx=2, fy=1, interpolation=cv2.INTER_CUBIC)
    assert Distortion().measure(dataclasses.replace(crop, image=wide)) > 1.6 * straight
    assert Distortion().measure(dataclasses.replace(crop, image=np.rot90(wide).copy())) < straight / 1.4


def test_a_lens_is_likely_by_what_the_network_sees():
    usual, strange = np.array([-1, -1], np.float32), np.array([1, 1], np.float32)
    learned = head(answer=(4.0, 0.5))
    assert distortion.likelihood(learned, usual) < 0.05 < 0.95 < distortion.likelihood(learned, strange)


@pytest.mark.weights
@pytest.mark.skipif(not PHOTOS.is_dir(), reason="no ../shared/data")
def test_the_committed_head_detects_stretched_and_bent_people():
    loaded = catalog.load(Path(__file__).parents[2] / "data_catalog.yaml")
    check = Distortion(network=loaded.asset("yolo11n-pose.pt").weights, at_most=0.8)
    photos = [cv2.resize(cv2.imread(str(file))[..., ::-1], None, fx=0.5, fy=0.5) for file in sorted(PHOTOS.iterdir())[:8]]
    y, x = np.mgrid[-1 : 1 : photos[0].shape[0] * 1j, -1 : 1 : photos[0].shape[1] * 1j].astype(np.float32)
    near = (1 + 0.6 * (x * x + y * y)) / 2.2

    def median(change):
        return np.median(
            [check.measure(dataclasses.replace(figure(), image=np.ascontiguousarray(change(one)))) for one in photos]
        )

    straight = median(lambda one: one)
    assert check.accepts(straight)
    assert median(lambda one: cv2.resize(one, None, fx=2, fy=1)) > straight + 0.4
    assert median(lambda one: cv2.remap(one, *_at(one, x * near, y * near), cv2.INTER_LINEAR)) > straight + 0.1


def _at(image, x, y):
    high, wide = image.shape[:2]
    return tuple(cv2.resize((1 + part) * side / 2, (wide, high)) for part, side in ((x, wide), (y, high)))


def test_only_cells_on_the_crop_are_summed_up(monkeypatch):
    values = np.zeros((4, 4, 2), np.float32)
    values[:, 1:3] = (4, 9)
    values[2:, 1:3] = (4, 1)
    values[:, 0], values[:, 3] = 100, -100
    place = letterbox_image(np.zeros((32, 16, 3), np.uint8), 32)[1]
    cells = backbone_features.FeatureCells(values, place, (32, 32))
    monkeypatch.setattr(backbone_features, "compute_cells", lambda crop, network: cells)
    crop = dataclasses.replace(figure(), image=np.zeros((32, 16, 3), np.uint8))
    assert distortion.summary(crop, Weights("a.pt", "0" * 64)) == pytest.approx([2, 5**0.5, 0, 2], abs=1e-3)


def test_exposure_is_of_the_person_and_not_of_the_stage():
    crop, area = painted()
    lit = np.where(area > 0, 180, 0).astype(np.uint8).repeat(3, 2)
    assert Exposure().accepts(Exposure().measure(dataclasses.replace(crop, image=lit)))
    for grey in (8, 254):
        flat = np.where(area > 0, grey, 120).astype(np.uint8).repeat(3, 2)
        assert not Exposure().accepts(Exposure().measure(dataclasses.replace(crop, image=flat)))


def test_black_clothes_are_not_underexposed():
    crop, area = painted()
    image = np.where(area > 0, 5, 120).astype(np.uint8).repeat(3, 2)
    image[:135] = 170  # the head
    assert Exposure().accepts(Exposure().measure(dataclasses.replace(crop, image=image)))


def test_overlap_is_the_share_inside_others():
    assert Overlap().measure(figure()) == 0
    assert Overlap().accepts(Overlap().measure(figure(others=[Box(0, 0, 12, 180)])))
    torso = Overlap().measure(figure(others=[Box(20, 0, 80, 100)]))
    assert torso > 0.3 and not Overlap().accepts(torso)
    assert Overlap().measure(figure(others=[Box(0, 0, 100, 180)])) > 0.75


def test_a_scene_on_the_list_is_excluded():
    check = ExcludedScenes(scenes={"swimming": "water hides half of everybody"})
    swimmer = dataclasses.replace(figure(), scenes=("outdoor", "swimming"))
    assert not check.accepts(check.measure(swimmer))
    assert check.accepts(check.measure(figure())) and ExcludedScenes().accepts(ExcludedScenes().measure(swimmer))


def test_a_person_who_is_not_found_as_a_box_is_found_by_the_mask(monkeypatch):
    def instance(x0, x1, score):
        alpha = np.zeros((180, 100), np.float32)
        alpha[20:160, x0:x1] = 1
        return Instance("person", score, Box(x0, 20, x1, 160), alpha)

    found = []
    monkeypatch.setattr(Instances, "image_masks", lambda seen, score_at_least, classes: found)
    monkeypatch.setattr(instances, "_predict", lambda image, weights: ())
    check = Overlap(instances=Weights("yolo26n-seg.pt", "0" * 64))
    found[:] = [instance(20, 80, 0.9)]
    assert check.measure(figure()) == 0
    found.append(instance(25, 75, 0.8))
    assert check.measure(figure()) == 0, "a second guess at the same person"
    found.append(instance(0, 10, 0.7))
    assert check.measure(figure()) == 0, "somebody beside"
    found.append(instance(81, 100, 0.6))
    assert check.measure(figure()) == pytest.approx(0.6)
    found.clear()
    assert check.measure(figure()) == 0


def head(answer=(4.0, 0.0, 15.0, 0.0)):
    return Head(np.zeros(2, np.float32), np.ones(2, np.float32), np.array([0.5, 0.5], np.float32), np.array(answer, np.float32))


def test_a_ghost_is_likely_by_the_echo_or_by_what_the_network_sees():
    usual, strange = np.array([-1, -1], np.float32), np.array([1, 1], np.float32)
    assert likelihood(head(), usual, 0.02) < 0.05 < 0.95 < likelihood(head(), strange, 0.02)
    assert likelihood(head(), usual, 0.5) > 0.95, "an echo alone"
    assert math.isnan(likelihood(head(), usual, math.nan))


def test_features_are_clipped_at_six_standard_deviations():
    assert head().score(np.array([1e6, 0], np.float32)) == pytest.approx(3)


@pytest.mark.parametrize("check", [ghosting, truncation, distortion])
def test_the_committed_head_is_the_pinned_one(check):
    read = backbone_features.load_head(check._HEAD.name, check._HEAD.sha256)
    assert read.weights.shape == read.mean.shape == read.deviation.shape and np.all(read.deviation > 0)
    with pytest.raises(AssetError, match=rf"heads/{check._HEAD.name}.npz: expected sha256 0000"):
        backbone_features.load_head(check._HEAD.name, "0" * 64)
