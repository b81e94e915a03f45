"""Squares come back, letterboxes are undone, and a variation moves truth and picture alike."""

import cv2
import numpy as np
import pytest

from figureground.datasets import samples
from figureground.errors import ReleaseError
from figureground.training import augmentation
from figureground.training.letterbox import LetterboxedSamples, Square, letterbox_sample
from figureground.training.sample_cache import TrainingSample


def example(height, width, soft=False, stem="a"):
    truth = np.zeros((height, width), np.uint8)
    cv2.ellipse(truth, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 1, -1)
    image = np.repeat((truth * 200 + 20)[:, :, None], 3, 2).astype(np.uint8)
    return TrainingSample(stem, "train", (), "s", image, truth.astype(np.float32) if soft else truth)


@pytest.mark.parametrize("stretch", [1.0, 4 / 3, 4.0])
@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (64, 64), (31, 200), (300, 280), (1, 7)])
def test_a_letterbox_is_undone(height, width, stretch):
    ramp = np.linspace(0, 1, width, dtype=np.float32)[None].repeat(height, 0)
    square = samples.letterbox((ramp * 255).astype(np.uint8), 64, 128, label=False, stretch=stretch).astype(np.float32) / 255
    back = samples.unletterbox(square, height, width, stretch)
    assert back.shape == (height, width) and np.abs(back - ramp).mean() < 0.03
    several = samples.unletterbox(np.dstack([square, 1 - square]), height, width, stretch)
    assert several.shape == (height, width, 2) and np.allclose(several[:, :, 0], back, atol=1e-6)


def test_around_the_picture_it_is_grey_and_background():
    square = letterbox_sample(example(20, 60), 64)
    assert (square.image[0] == 128).all() and (square.truth[0] == 0).all()
    assert set(np.unique(square.truth)) == {0, 1} and set(np.unique(letterbox_sample(example(20, 60, soft=True), 64).truth)) > {
        0,
        255,
    }
    squashed = letterbox_sample(example(20, 60), 64, squashed=True)
    assert (squashed.image[0] != 128).all() and squashed.truth.shape == (64, 64)


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns"),
    [(60, 80, 64, 64), (80, 60, 64, 64), (64, 64, 64, 64), (45, 80, 48, 64), (120, 30, 64, 21)],
)
def test_the_short_side_is_drawn_out_as_far_as_is_allowed(height, width, rows, columns):
    square = samples.letterbox(np.zeros((height, width), np.uint8), 64, 128, label=False, stretch=4 / 3)
    there = np.argwhere(square < 128)
    assert tuple(np.ptp(there, axis=0) + 1) == (rows, columns)


def test_squares_are_made_once_and_come_back(tmp_path):
    some = [example(50, 40, stem="a"), example(40, 50, stem="b")]
    made = LetterboxedSamples.create(tmp_path / "s", some, 2, 32)
    again = LetterboxedSamples.create(tmp_path / "s", [], 0, 32)  # is there already: nothing is read
    assert made.stems == again.stems == ("a", "b") and again.side == 32
    for at, one in enumerate(some):
        assert all(np.array_equal(x, y) for x, y in zip(again[at], letterbox_sample(one, 32), strict=True))


def test_more_images_than_were_counted_are_reported(tmp_path):
    with pytest.raises(ReleaseError, match="expected 1 pictures"):
        LetterboxedSamples.create(tmp_path / "s", [example(9, 9), example(9, 9)], 1, 32)
    assert not (tmp_path / "s/list.json").exists()


@pytest.mark.parametrize("soft", [False, True])
def test_a_variation_moves_truth_and_picture_alike(soft):
    """The person is light and all else dark, so the picture itself says where the truth must be."""
    square = letterbox_sample(example(60, 60, soft=soft), 64)
    kept = [augmentation.augment(square, seed, soft=soft) for seed in range(40)]
    overlaps = []
    for one in kept:
        assert one.image.shape == (64, 64, 3) and one.image.dtype == one.truth.dtype == np.uint8
        light = cv2.GaussianBlur(one.image, (0, 0), 1).mean(2) > 150
        person = one.truth > (127 if soft else 0)
        overlaps.append((light & person).sum() / max(1, (light | person).sum()))
    assert np.median(overlaps) > 0.85
    assert len({one.truth.tobytes() for one in kept}) > 20
    if not soft:
        assert all(set(np.unique(one.truth)) <= {0, 1} for one in kept)


def test_the_same_seed_varies_alike_and_leaves_the_square_alone():
    square = letterbox_sample(example(60, 60), 64)
    before = Square(square.image.copy(), square.truth.copy())
    a, other, b = (augmentation.augment(square, seed, soft=False) for seed in (3, 4, 3))
    assert all(map(np.array_equal, a, b)) and not all(map(np.array_equal, a, other))
    assert all(map(np.array_equal, square, before))
