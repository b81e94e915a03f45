"""One picture from its own seed: the same again, alone, and a truth that no noise ever touches."""

import dataclasses
from typing import Any

import cv2
import numpy as np
import pytest

from figureground import rng
from figureground.errors import CatalogError
from figureground.synthesis import augmentations, relighting, synthesize
from figureground.synthesis.augmentations import Augmentations
from figureground.synthesis.backgrounds import Size
from figureground.synthesis.cutouts import Cutout
from figureground.synthesis.placement import Rules, Subject
from figureground.synthesis.synthesize import Background, Composer, ComposeSettings, Composite, Person, Pool
from figureground.types import Image

SIZE = Size(160, 120)
PLAIN = ComposeSettings(3, SIZE, Rules(), 2, 1.5, 0.5, 0.5, 0.4, 0.3, "display", (80, 95), {})


def body(height: int = 200, width: int = 70) -> Cutout:
    y, x = np.mgrid[:height, :width]
    alpha = np.clip((1 - np.hypot((x - width / 2) / (width / 2), (y - height / 2) / (height / 2))) * 12, 0, 1)
    image = np.dstack([x % 256, y % 256, (x + y) % 256]).astype(np.uint8)
    return Cutout(image, np.rint(alpha * 255).astype(np.uint8), ())


class Inputs:
    def cutout(self, person: Person) -> Cutout:
        return body(200 + 10 * len(person.source))

    def background(self, background: Background) -> Image:
        random = rng.make_generator(int(background.background_id[1:]))
        blocks = random.integers(60, 200, (6, 8, 3)).astype(np.uint8)
        return cv2.resize(blocks, tuple(background.size), interpolation=cv2.INTER_CUBIC)


def pool(people: int = 5, backgrounds: int = 7) -> Pool:
    return Pool(
        tuple(Person(Subject(f"p{at}", 70, 200 + 10 * (at + 1)), "s" * (at + 1), "", "") for at in range(people)),
        tuple(Background(f"b{at}", f"t{at}", Size(320, 240), "", "") for at in range(backgrounds)),
    )


def made(number: int, manner: ComposeSettings = PLAIN, **changes: Any) -> Composite:
    return Composer(dataclasses.replace(manner, **changes)).compose(number, number, "train", pool(), Inputs())


def test_the_same_number_gives_the_same_bytes_whatever_was_made_before() -> None:
    composer = Composer(PLAIN)
    some = [composer.compose(number, number, "train", pool(), Inputs()) for number in range(4)]
    again = made(3)
    assert synthesize.encode_image(some[3]) == synthesize.encode_image(again)
    assert synthesize.render_recipe(some[3]) == synthesize.render_recipe(again)
    assert len({synthesize.encode_image(one) for one in some}) == 4
    assert synthesize.encode_image(made(3, seed=4)) != synthesize.encode_image(again)


def test_every_background_and_person_is_used_once_before_any_is_used_twice() -> None:
    composer = Composer(dataclasses.replace(PLAIN, people_at_most=1))
    some = [composer.compose(number, number, "train", pool(), Inputs()) for number in range(14)]
    assert {one.background_id for one in some[:7]} == {one.background_id for one in some[7:]} == {f"b{at}" for at in range(7)}
    assert {one.people[0] for one in some[:5]} == {f"p{at}" for at in range(5)}


@pytest.mark.parametrize("number", range(6))
def test_noise_light_and_jpeg_leave_the_truth_alone(number: int) -> None:
    one, other = made(number), made(number, mean=0.9, contrast=0.9, cast=0.0, contact=0.0, quality=(5, 5), blend="linear")
    assert np.array_equal(one.truth, other.truth)
    assert one.boxes == other.boxes and one.people == other.people
    read = cv2.imdecode(np.frombuffer(synthesize.encode_alpha(one.truth), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(read, one.truth)
    assert sum(each.astype(int) for each in one.each).max() <= 255


def test_where_nobody_is_and_no_shade_falls_the_picture_is_the_plate() -> None:
    one = made(2, cast=0.0, contact=0.0, people_at_most=1)
    other = made(2, cast=0.0, contact=0.0, people_at_most=1, mean=0.0, contrast=0.0)
    assert np.array_equal(one.image[one.truth == 0], other.image[one.truth == 0])
    assert not np.array_equal(one.image[one.truth == 255], other.image[one.truth == 255])


def test_light_goes_the_asked_share_of_the_way() -> None:
    person, levels = np.full((40, 30, 3), 80, np.uint8), np.full((40, 30), 255, np.uint8)
    place = np.full((50, 50, 3), 120, np.uint8)
    for share in (0.0, 0.5, 1.0):
        moved = relighting.matched(person, levels, place, share, 0.0)
        assert abs(float(moved.mean()) - (80 + 40 * share)) < 3
    assert np.array_equal(relighting.matched(person, levels, place, 0, 0), person)


def test_no_transform_means_no_albumentations() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    assert Augmentations({}, "people").applied(image, 1) == (image, {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("target", "settings", "said"),
    [
        ("composites", {"GaussianBlur": {}}, "composites: GaussianBlur blurs across the person's edge"),
        ("people", {"HorizontalFlip": {}}, "people: .* has no transform 'HorizontalFlip' that moves no pixel"),
        ("people", {"Sparkle": {}}, "people: albumentations .* has no transform 'Sparkle'"),
        ("backgrounds", {"GaussNoise": {"loudness": 3}}, "backgrounds.GaussNoise: .*loudness"),
        ("backgrounds", {"GaussNoise": {"std_range": [4, 9]}}, "backgrounds.GaussNoise: "),
    ],
)
def test_augmentations_that_would_spoil_the_truth_are_refused(target: Any, settings: Any, said: str) -> None:
    with pytest.raises(CatalogError, match=f"augmentations.{said}"):
        Augmentations(settings, target)


@pytest.mark.slow
def test_augmentations_come_from_their_seed_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    for target, settings in augmentations.DEFAULTS.items():
        chain, other = Augmentations(settings, target), Augmentations(settings, target)
        for seed in range(12):
            one, drawn = chain.applied(image, seed)
            cv2.setRNGSeed(99)
            np.random.seed(99)
            again, drawn_again = other.applied(image, seed)
            assert np.array_equal(one, again) and drawn == drawn_again
    assert len({chain.applied(image, seed)[0].tobytes() for seed in range(12)}) > 3


@pytest.mark.slow
def test_blur_of_the_background_never_reaches_the_person() -> None:
    blur = {"backgrounds": {"GaussianBlur": {"sigma_limit": [4, 4], "p": 1.0}}}
    quiet = {"cast": 0.0, "contact": 0.0, "mean": 0.0, "contrast": 0.0, "people_at_most": 1}
    one, other = made(1, **quiet), made(1, **quiet, augmentations=blur)
    opaque = other.truth == 255
    assert one.recipe["people"] == other.recipe["people"]
    assert np.array_equal(one.image[opaque], other.image[opaque])
    assert not np.array_equal(one.image[one.truth == 0], other.image[one.truth == 0])
