"""Shadows: one direction, softer where what casts them is farther, and never lighter than the plate."""

import numpy as np
import pytest

from figureground import rng
from figureground.synthesis import shadows
from figureground.synthesis.alpha_blend import Layer
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.shadows import Light

SIZE = Size(320, 240)


def post(x: int = 150, y: int = 40, width: int = 12, height: int = 120) -> Layer:
    return Layer(x, y, np.zeros((height, width, 3), np.uint8), np.full((height, width), 255, np.uint8))


def shade(azimuth: float, softness: float = 0.1, contact: float = 0.0, one: Layer | None = None) -> np.ndarray:
    return shadows.of_layer(one or post(), Light(azimuth, 45, softness, 0.6, contact), SIZE)


@pytest.mark.parametrize(
    ("azimuth", "right", "below"), [(0, True, None), (180, False, None), (90, None, False), (270, None, True)]
)
def test_shadows_fall_away_from_the_light(azimuth: float, right: bool | None, below: bool | None) -> None:
    found = shade(azimuth)
    rows, columns = np.mgrid[: found.shape[0], : found.shape[1]]
    y, x = ((places * found).sum() / found.sum() for places in (rows, columns))
    feet, middle = (40 + 120) / 4, 156 / 4
    if right is not None:
        assert (x > middle + 8) == right and (x < middle - 8) == (not right)
    if below is not None:
        assert (y > feet) == below and abs(x - middle) < 2


def test_everybody_in_a_picture_has_the_same_direction() -> None:
    found = [shade(20, one=post(x)) for x in (60, 100)]
    assert np.allclose(found[0][:, :40], found[1][:, 10:50], atol=1e-4)


def test_a_shadow_is_softer_away_from_the_feet_and_under_a_larger_light() -> None:
    sharp, soft = shade(30, 0.1), shade(30, 1.0)
    assert np.abs(np.diff(sharp, axis=0)).max() > 1.5 * np.abs(np.diff(soft, axis=0)).max()
    near, far = (soft[:, at - 3 : at + 3].max() for at in (44, 60))
    assert near > 1.2 * far > 0.02


def test_contact_is_dark_at_the_feet_alone() -> None:
    found = shadows.of_layer(post(), Light(0, 45, 0.5, 0.0, 0.7), SIZE)
    assert found.max() == pytest.approx(0.7, abs=0.1)
    assert abs(int(found.max(1).argmax()) - 40) <= 2
    assert not (found[:25] > 0.01).any()


def test_a_plate_is_only_ever_darkened() -> None:
    plate = np.random.default_rng(0).integers(0, 256, (240, 320, 3)).astype(np.uint8)
    before = plate.copy()
    made = shadows.darkened(plate, shadows.together([shade(30, contact=0.5), shade(200)]))
    assert (made <= plate).all() and (made < plate).any() and np.array_equal(plate, before)


def test_lights_are_drawn_from_the_seed() -> None:
    assert shadows.drawn(rng.make_generator(1), 0.5, 0.5) == shadows.drawn(rng.make_generator(1), 0.5, 0.5)
    assert shadows.drawn(rng.make_generator(1), 0.5, 0.5) != shadows.drawn(rng.make_generator(2), 0.5, 0.5)
