"""Where the person is, drawn from joints."""

import numpy as np

from figureground.people import pose_regions
from figureground.types import Box, PersonCrop

STANDING = [(50, 22), (53, 19), (47, 19), (57, 21), (43, 21), (64, 42), (36, 42), (70, 66), (30, 66), (72, 88), (28, 88)]
STANDING += [(60, 92), (40, 92), (61, 128), (39, 128), (62, 164), (38, 164)]


def person_crop(confidence=0.9):
    points = np.array([(x, y, confidence) for x, y in STANDING], np.float32)
    image = np.zeros((180, 100, 3), np.uint8)
    return PersonCrop("c", "f", "s", Box(5, 5, 105, 185), Box(15, 15, 95, 175), 0.9, points, (), 200, 200, image)


def test_every_joint_that_is_seen_lies_in_the_area():
    area = pose_regions.person_area(person_crop())
    assert area.dtype == np.uint8 and set(np.unique(area)) == {0, 1}
    assert all(area[y, x] for x, y in STANDING)
    assert area[70, 50], "the belly"
    assert not area[140, 50] and not area[70, 5], "between the legs and beside the arm"
    assert 0.1 < area.mean() < 0.5


def test_without_joints_it_is_the_ellipse_in_the_box():
    area = pose_regions.person_area(person_crop(confidence=0.1))
    assert area[90, 50] and not area[12, 12] and not area[168, 88]
    assert abs(area.sum() - np.pi * 28 * 72) < 200
