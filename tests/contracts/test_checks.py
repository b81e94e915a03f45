"""What every check must keep to. A new file in figureground/checks is tested here without an edit."""

import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import catalog, plugins
from figureground.checks import LIMITS, ComparingCheck
from figureground.types import Box, PersonCrop

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/checks.md"
STANDING = [(50, 22), (53, 19), (47, 19), (57, 21), (43, 21), (64, 42), (36, 42), (70, 66), (30, 66), (72, 88), (28, 88)]
STANDING += [(60, 92), (40, 92), (61, 128), (39, 128), (62, 164), (38, 164)]
NO_JOINTS = np.zeros((0, 3), np.float32)


def person_crop(joints=True, others=(), scale=1.0, image=None):
    """A drawn figure on a drawn ground, 100×180 pixels at scale 1, whole and alone in a frame of 1000×1000."""
    width, height = round(100 * scale), round(180 * scale)
    noise = np.random.default_rng(3).integers(0, 255, (height, width, 3), np.uint8)
    points = np.array([(x * scale, y * scale, 0.95) for x, y in STANDING], np.float32)
    return PersonCrop(
        crop_id="park-000000-00",
        frame_id="park-000000",
        source_id="park",
        box=Box(100, 100, 100 + width, 100 + height),
        person=Box(100 + 10 * scale, 100 + 10 * scale, 100 + 90 * scale, 100 + 170 * scale),
        score=0.9,
        keypoints=points if joints else NO_JOINTS,
        others=tuple(others),
        frame_width=1000,
        frame_height=1000,
        image=noise if image is None else image,
    )


CROPS = {
    "plain": person_crop(),
    "no joints": person_crop(joints=False),
    "others": person_crop(others=[Box(0, 0, 30, 180)]),
    "tiny": person_crop(scale=0.04),
    "large": person_crop(scale=8),
    "black": person_crop(image=np.zeros((180, 100, 3), np.uint8)),
    "joints unseen": dataclasses.replace(person_crop(), keypoints=np.zeros((17, 3), np.float32)),
    "joints outside": dataclasses.replace(person_crop(), keypoints=np.full((17, 3), 900, np.float32)),
    "fills the frame": dataclasses.replace(
        person_crop(), box=Box(0, 0, 100, 180), person=Box(0, 0, 100, 180), frame_width=100, frame_height=180
    ),
}


@pytest.fixture(params=plugins.names("checks"))
def name(request):
    return request.param


@pytest.fixture
def check(name):
    return plugins.build("checks", name, {})


@pytest.mark.parametrize("crop", CROPS.values(), ids=CROPS)
def test_it_measures_any_crop_and_again_the_same(check, crop):
    value = check.measure(crop)
    assert isinstance(value, float)
    assert value == check.measure(crop) or math.isnan(value)
    assert isinstance(check.accepts(value), bool)


def test_nan_is_never_accepted(check):
    assert check.accepts(float("nan")) is False


def limits(check):
    """List the fields that are limits; `plugins.build` has shown that all fields have defaults."""
    return [field for field in dataclasses.fields(check) if field.name.startswith(LIMITS)]


def test_it_has_a_limit(check):
    assert limits(check), "a limit reads aloud: at_least or at_most"


def test_limits_do_not_change_what_is_measured(name, check):
    for field in limits(check):
        moved = dataclasses.replace(check, **{field.name: field.default * 0.5})
        for crop in CROPS.values():
            assert moved.measure(crop) == pytest.approx(check.measure(crop), abs=0, rel=0, nan_ok=True)


def test_a_limit_is_accepted_and_what_lies_beyond_is_not(check):
    for field in limits(check):
        limit = getattr(check, field.name)
        beyond = math.nextafter(limit, -math.inf if field.name.startswith("at_least") else math.inf)
        assert check.accepts(limit) and not check.accepts(beyond)


def test_a_limit_of_the_wrong_kind_is_refused(name, check):
    from figureground.errors import PluginError

    for field in limits(check):
        with pytest.raises(PluginError, match=rf"checks\.{name}\.{field.name}: .*found 'much'"):
            plugins.build("checks", name, {field.name: "much"})
        with pytest.raises(PluginError, match=rf"checks\.{name}\.{field.name}: .*found -1"):
            plugins.build("checks", name, {field.name: -1})


def test_the_crop_is_left_alone(check):
    for crop in CROPS.values():
        image, joints = crop.image.copy(), crop.keypoints.copy()
        check.measure(crop)
        assert np.array_equal(crop.image, image) and np.array_equal(crop.keypoints, joints)


def test_it_says_what_it_measures_and_docs_give_its_limit(name, check):
    assert "Returns" in (type(check).measure.__doc__ or ""), "the unit stands in measure's docstring"
    section = DOCS.read_text(encoding="utf-8").split(f"\n## {name}\n")
    assert len(section) == 2, f"docs/checks.md has no section '## {name}'"
    for field in limits(check):
        assert f"`{field.name}: {field.default:g}`" in section[1].split("\n## ")[0]


def test_its_output_is_that_of_its_version(name, check, golden):
    values = {title: round(check.measure(crop), 6) for title, crop in CROPS.items()}
    if isinstance(check, ComparingCheck):
        one, other = seen(0), seen(1)
        signatures = [check.signature(crop) for crop in (one, dataclasses.replace(seen(2), image=blurred(one.image)), other)]
        values["among"] = [round(value, 6) for value in check.among(signatures, [True, True, True])]
    golden(f"checks.{name}", type(check).VERSION, values, tolerance=1e-3)


NETWORKS = [name for name, settings in catalog.defaults()["recipe"]["checks"].items() if {"network", "instances"} & {*settings}]


def astronaut():
    """Eileen Collins as scikit-image carries her, with joints where hers are about."""
    import skimage.data

    drawn = person_crop(scale=2.8)
    return dataclasses.replace(person_crop(image=skimage.data.astronaut()[:504, :280]), keypoints=drawn.keypoints)


@pytest.mark.weights
@pytest.mark.parametrize("name", NETWORKS)
def test_its_output_with_networks_is_that_of_its_version(name, golden):
    """Another processor gives other digits: likelihoods within 0.03."""
    from figureground.clients.sources.fetching import fetch_asset

    whole = catalog.load(ROOT / "data_catalog.yaml")
    check = whole.checks()[name]
    for weights in plugins.weights(check):
        fetch_asset(whole.asset(weights.name))
    crops = {title: CROPS[title] for title in ("plain", "others", "no joints")} | {"astronaut": astronaut()}
    values = {title: round(check.measure(crop), 4) for title, crop in crops.items()}
    golden(f"checks.{name}.networks", type(check).VERSION, values, tolerance=0.03)


def comparing(name):
    check = plugins.build("checks", name, {})
    return check if isinstance(check, ComparingCheck) else None


@pytest.fixture(params=[name for name in plugins.names("checks") if comparing(name)])
def neighbourly(request):
    """A check that needs a crop's neighbours."""
    return comparing(request.param)


def seen(number, image=None):
    """A crop of some moment: by default a picture of its own colours."""
    dice = np.random.default_rng(number)
    image = (dice.integers(0, 255, (180, 100, 3)) * dice.uniform(0, 1, 3)).astype(np.uint8) if image is None else image
    return dataclasses.replace(person_crop(image=image), crop_id=f"park-{number:06d}-00", frame_id=f"park-{number:06d}")


def blurred(image):
    return cv2.GaussianBlur(image, (0, 0), 1.5)


def test_what_is_remembered_of_a_crop_is_bytes_of_one_length_and_again_the_same(neighbourly):
    found = [neighbourly.signature(crop) for crop in CROPS.values()]
    assert all(isinstance(one, bytes) for one in found)
    assert len({len(one) for one in found}) == 1
    assert found == [neighbourly.signature(crop) for crop in CROPS.values()]


def test_a_crop_alone_is_as_measured_and_none_at_all_is_no_fault(neighbourly):
    crop = seen(0)
    assert list(neighbourly.among([neighbourly.signature(crop)], [True])) == [neighbourly.measure(crop)]
    assert list(neighbourly.among([], [])) == []


def test_of_two_alike_one_is_kept_whatever_their_order(neighbourly):
    one, other = seen(0), seen(1)
    copies = [one, dataclasses.replace(seen(2), image=blurred(one.image)), other]
    signatures = [neighbourly.signature(crop) for crop in copies]
    values = neighbourly.among(signatures, [True] * 3)
    assert [neighbourly.accepts(value) for value in values] == [True, False, True]
    assert list(neighbourly.among(signatures[::-1], [True] * 3)) == list(values)[::-1]


def test_what_another_check_refuses_never_stands_in_the_way(neighbourly):
    one = seen(0)
    signatures = [neighbourly.signature(crop) for crop in (one, dataclasses.replace(seen(2), image=blurred(one.image)))]
    better, worse = neighbourly.among(signatures, [False, True])
    assert neighbourly.accepts(worse) and not neighbourly.accepts(better)
    assert worse == neighbourly.among(signatures[1:], [True])[0]


def test_limits_do_not_change_what_is_remembered_or_compared(neighbourly):
    signatures = [neighbourly.signature(seen(number)) for number in (0, 1)]
    for field in limits(neighbourly):
        moved = dataclasses.replace(neighbourly, **{field.name: field.default * 0.5})
        assert [moved.signature(seen(number)) for number in (0, 1)] == signatures
        assert list(moved.among(signatures, [True] * 2)) == list(neighbourly.among(signatures, [True] * 2))
