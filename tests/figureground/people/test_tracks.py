"""Who is who half a second later."""

import dataclasses

import numpy as np
import pytest

from figureground.people import tracks
from figureground.people.tracks import Appearance, Tracker
from figureground.types import Box, PersonCrop


def wearing(colour, noise=0):
    image = np.full((180, 100, 3), colour, np.uint8)
    image = np.clip(image + np.random.default_rng(noise).normal(0, 3, image.shape), 0, 255).astype(np.uint8)
    box = Box(0, 0, 100, 180)
    return tracks.count_colours(PersonCrop("a", "b", "c", box, box, 0.9, np.zeros((0, 3), np.float32), (), 640, 480, image))


RED, BLUE = wearing((200, 30, 30)), wearing((30, 30, 200))


def at(x, colours=RED, tall=100):
    return Appearance(Box(x, 100, x + tall * 0.4, 100 + tall), colours)


def test_two_people_who_cross_keep_their_track_numbers_by_colour() -> None:
    followed = Tracker()
    assert followed.update(0.0, [at(0), at(120, BLUE)]) == [0, 1]
    assert followed.update(0.5, [at(70), at(50, BLUE)]) == [0, 1]
    assert followed.update(1.0, [at(0, BLUE), at(120)]) == [1, 0]


def test_similar_people_are_distinguished_by_position() -> None:
    followed = Tracker()
    assert followed.update(0.0, [at(0), at(100)]) == [0, 1]
    assert followed.update(0.5, [at(110), at(10)]) == [1, 0]


@pytest.mark.parametrize(
    ("later", "seconds", "same"),
    [
        (at(60), 0.5, True),
        (at(400), 0.5, False),  # nobody runs four times a body's height in half a second
        (at(60, tall=250), 0.5, False),
        (at(20, BLUE), 0.5, False),
        (at(0), 1.9, True),  # hidden for a moment
        (at(0), 2.1, False),
        (at(0), 0.0, False),  # photos have no time
    ],
)
def test_the_conditions_for_continuing_a_track(later, seconds, same) -> None:
    followed = Tracker()
    assert followed.update(0.0, [at(0)]) == [0]
    assert (followed.update(seconds, [later]) == [0]) is same


def test_a_person_hidden_for_a_frame_keeps_the_track_number() -> None:
    followed = Tracker()
    followed.update(0.0, [at(0), at(300, BLUE)])
    assert followed.update(0.5, [at(310, BLUE)]) == [1]
    assert followed.update(1.0, [at(20), at(320, BLUE)]) == [0, 1]
    assert followed.update(1.5, []) == []


def test_colours_are_shares_and_survive_noise_and_size() -> None:
    assert RED.shape == (96,) and RED[:48].sum() == pytest.approx(1) and RED[48:].sum() == pytest.approx(1)
    assert tracks.colour_similarity(RED, wearing((200, 30, 30), noise=1)) > 0.95
    assert tracks.colour_similarity(RED, BLUE) < 0.3


def test_upper_and_lower_body_count_apart() -> None:
    image = np.zeros((180, 100, 3), np.uint8)
    image[:90], image[90:] = (200, 30, 30), (30, 30, 200)
    box = Box(0, 0, 100, 180)
    crop = PersonCrop("a", "b", "c", box, box, 0.9, np.zeros((0, 3), np.float32), (), 640, 480, image)
    turned = dataclasses.replace(crop, image=np.ascontiguousarray(image[::-1]))
    assert tracks.colour_similarity(tracks.count_colours(crop), tracks.count_colours(turned)) < 0.1
