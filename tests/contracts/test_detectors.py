"""What every detector must keep to. A new file in figureground/detectors is tested here without an edit.

A detector that needs weights gets the asset of the repository's catalog whose name begins with the detector's.
"""

import dataclasses
from typing import get_type_hints

import numpy as np
import pytest

from figureground import plugins
from figureground.catalog import defaults
from figureground.imaging import geometry
from figureground.types import Asset, Box, Weights

pytestmark = pytest.mark.weights


def asset_for(name):
    entries = defaults()["assets"]
    [found] = [asset for asset in sorted(entries) if asset.startswith(name)][:1] or [None]
    assert found, f"the packaged defaults have no asset whose name begins with {name!r}"
    paths = entries[found]["path"]
    return Asset(
        Weights(found, entries[found]["sha256"]), entries[found]["license"], tuple([paths] if isinstance(paths, str) else paths)
    )


@pytest.fixture(scope="module", params=plugins.names("detectors"))
def detector(request):
    from figureground.clients.sources.fetching import fetch_asset

    plugin = plugins.find("detectors", request.param)
    needed = [field.name for field in dataclasses.fields(plugin) if get_type_hints(plugin)[field.name] is Weights]
    asset = asset_for(request.param) if needed else None
    if asset:
        fetch_asset(asset)
    settings = dict.fromkeys(needed, asset.weights.name if asset else "")
    return plugins.build("detectors", request.param, settings, {asset.weights.name: asset.weights} if asset else {})


@pytest.fixture(scope="module")
def astronaut():
    """Eileen Collins, NASA, public domain, as scikit-image carries her: 512×512, one person to the waist."""
    import skimage.data

    return skimage.data.astronaut()


@pytest.fixture(scope="module")
def two(astronaut):
    """The same picture twice beside itself, the right one smaller: 512×768."""
    right = np.zeros((512, 256, 3), np.uint8)
    right[256:] = astronaut[::2, ::2]
    return np.hstack([astronaut, right])


def same(found, expected, within=0.0):
    """Tell whether two lists of people agree, boxes and joints within so many pixels."""
    return len(found) == len(expected) and all(
        np.allclose(dataclasses.astuple(a.box), dataclasses.astuple(b.box), rtol=0, atol=within)
        and abs(a.score - b.score) <= within
        and np.allclose(a.keypoints, b.keypoints, rtol=0, atol=within)
        for a, b in zip(found, expected, strict=True)
    )


def test_it_finds_the_person(detector, astronaut):
    [people] = detector.find([astronaut])
    assert len(people) == 1
    assert geometry.iou(people[0].box, Box(5, 10, 440, 512)) > 0.7
    assert 0.5 < people[0].score <= 1


def test_its_output_is_that_of_its_version(detector, two, golden):
    """Another processor gives other digits: boxes and joints within a fiftieth of their places."""
    [people] = detector.find([two])
    seen = [{"box": dataclasses.astuple(one.box), "score": one.score, "joints": one.keypoints.tolist()} for one in people]
    name = plugins.identity(detector)["plugin"]
    golden(name, type(detector).VERSION, seen, tolerance=0.02)


def test_joints_are_in_picture_pixels_or_absent(detector, astronaut):
    [[person]] = detector.find([astronaut])
    assert person.keypoints.dtype == np.float32 and person.keypoints.shape in {(17, 3), (0, 3)}
    if len(person.keypoints):
        nose, left, right = person.keypoints[[0, 5, 6]]
        assert np.hypot(nose[0] - 220, nose[1] - 115) < 25 and nose[2] > 0.5
        assert left[0] > nose[0] > right[0], "her left is the picture's right"
        assert (person.keypoints[:, 2] >= 0).all() and (person.keypoints[:, 2] <= 1).all()


def test_best_first_and_inside_the_picture(detector, two):
    [people] = detector.find([two])
    assert len(people) == 2
    assert people[0].score >= people[1].score
    for person in people:
        assert geometry.clip(person.box, Box(0, 0, 768, 512)) == person.box
        assert isinstance(person.box.x0, float) and isinstance(person.score, float)


def test_a_picture_does_not_change_what_is_found_in_another(detector, astronaut, two):
    alone = [detector.find([image])[0] for image in (astronaut, two, astronaut)]
    together = detector.find([astronaut, two, astronaut])
    assert all(same(a, b, within=0.5) for a, b in zip(alone, together, strict=True))
    many = detector.find([astronaut] * 11)
    assert len(many) == 11 and all(same(people, alone[0], within=0.5) for people in many)


def test_again_the_same_to_the_last_bit(detector, two):
    assert same(detector.find([two])[0], detector.find([two])[0])


def test_nobody_is_nobody(detector):
    assert detector.find([]) == []
    assert detector.find([np.full((64, 48, 3), 128, np.uint8)]) == [[]]


def test_pictures_are_left_alone(detector, two):
    before = two.copy()
    detector.find([two])
    assert np.array_equal(two, before)
