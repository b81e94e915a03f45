"""What every check must keep to. A new file in figureground/checks is tested here without an edit."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from figureground import plugins
from figureground.checks import LIMITS
from figureground.types import Box, PersonCrop

DOCS = Path(__file__).parents[2] / "docs/checks.md"
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
