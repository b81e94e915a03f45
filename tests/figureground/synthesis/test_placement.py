"""One camera over flat ground for everybody in the picture."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground import rng
from figureground.synthesis import placement
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.placement import Ground, Rules, Subject

SIZE = Size(640, 480)
CALM = np.zeros((24, 32), np.float32)


STANDING, CAMERA = Rules(half_length=0, faces=0), Ground(0.4, 1.6)


def places(seed: int, *subjects: Subject, rules: Rules = STANDING, camera: Ground = CAMERA) -> list[placement.Placed]:
    return placement.placed(rng.make_generator(seed), subjects, SIZE, camera, rules, CALM)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), horizon=st.floats(0.25, 0.5), eye=st.floats(1.2, 2.1))
def test_size_follows_from_where_the_feet_are(seed: int, horizon: float, eye: float) -> None:
    """The camera's equation gives back a stature that people have, for each of three."""
    subjects = [Subject(name, 200, 600) for name in "abc"]
    for one in places(seed, *subjects, camera=Ground(horizon, eye)):
        stature = one.box.height * eye / (one.box.y1 - horizon * SIZE.height)
        assert 1.5 < stature < 1.95
        assert one.box.y1 <= SIZE.height and one.box.x0 >= 0 and one.box.x1 <= SIZE.width


def test_farther_people_come_first() -> None:
    for seed in range(20):
        feet = [one.box.y1 for one in places(seed, *(Subject(name, 200, 600) for name in "abc"))]
        assert feet == sorted(feet)


def test_calm_ground_is_preferred() -> None:
    rough = np.zeros((24, 32), np.float32)
    rough[:, :16] = 100
    some = [placement.placed(rng.make_generator(n), [Subject("a", 50, 400)], SIZE, CAMERA, STANDING, rough) for n in range(30)]
    assert sum(one[0].box.x0 + one[0].box.width / 2 > 300 for one in some) >= 28


@pytest.mark.parametrize("framing", ["half", "face"])
def test_close_ups_are_cut_by_the_lower_edge(framing: str) -> None:
    rules = Rules(half_length=float(framing == "half"), faces=float(framing == "face"))
    for seed in range(20):
        [one] = places(seed, Subject("a", 600, 3000), rules=rules)
        shown = (SIZE.height - one.box.y0) / one.box.height
        assert one.framing == framing and not one.grounded
        low, high = {"half": (0.4, 0.62), "face": (0.17, 0.3)}[framing]
        assert low < shown < high


def test_a_close_up_that_would_be_blurred_gives_way_to_a_wider_one() -> None:
    [one] = places(1, Subject("a", 100, 300), rules=Rules(half_length=0, faces=1))
    assert one.framing == "full"
    assert one.box.height <= 1.5 * 300


@pytest.mark.parametrize(
    ("sides", "edge"), [(("bottom",), "y1"), (("left",), "x0"), (("right",), "x1"), (("left", "right"), "x0")]
)
def test_where_a_cutout_is_cut_the_picture_cuts_it(sides: tuple[str, ...], edge: str) -> None:
    for seed in range(10):
        [one] = places(seed, Subject("a", 300, 500, sides), rules=Rules(mirrored=0))
        wanted = {"y1": one.box.y1 >= SIZE.height, "x0": one.box.x0 <= 0, "x1": one.box.x1 >= SIZE.width}
        assert wanted[edge] and not one.grounded and not one.turned


def test_people_wider_than_the_image_are_known_before_placement() -> None:
    assert placement.too_wide(Subject("a", 4000, 1000), SIZE, Rules(height=(0.35, 0.9)))
    assert not placement.too_wide(Subject("a", 3500, 1000), SIZE, Rules(height=(0.35, 0.9)))
