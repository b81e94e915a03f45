"""Cutouts: what cannot be used is refused with its reason; no colour of nothing gets into a border."""

import cv2
import numpy as np
import pytest

from figureground.errors import SourceError
from figureground.imaging.foreground import matte_foreground
from figureground.synthesis import alpha_blend, cutouts
from figureground.types import Image

Y, X = np.mgrid[:120, :90]
DISC = np.clip((40 - np.hypot(X - 45, Y - 60)) / 12 + 0.5, 0, 1).astype(np.float32)


def png(array: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", array)[1])


def rgba(alpha: np.ndarray) -> np.ndarray:
    return np.dstack([np.full((*alpha.shape, 3), 90, np.uint8), alpha])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not readable: a.png holds 0 bytes"),
        (b"\x89PNG half", "not readable: a.png holds 9 bytes that are no picture"),
        (png(np.zeros((9, 9, 3), np.uint8)), "no alpha: a.png has 3 of the 4 channels"),
        (png(np.zeros((9, 9), np.uint8)), "no alpha: a.png has 1 of the 4 channels"),
        (png(rgba(np.zeros((9, 9), np.uint8))), "empty alpha: nothing of a.png is more than half opaque"),
        (png(rgba(np.full((9, 9), 127, np.uint8))), "empty alpha"),
        (png(rgba(np.full((9, 9), 255, np.uint8))), "opaque alpha: a.png hides nothing"),
    ],
)
def test_what_is_no_cutout_is_refused_with_its_reason(content: bytes, reason: str) -> None:
    with pytest.raises(SourceError, match=reason):
        cutouts.read(content, "a.png")


def test_sixteen_bits_become_eight() -> None:
    levels = np.pad(np.full((4, 4), 65535, np.uint16), 2)
    image, alpha = cutouts.read(png(np.dstack([np.full((8, 8, 3), 0x1234, np.uint16), levels])), "a.png")
    assert (image.dtype, alpha.dtype, int(alpha.max()), int(image.max())) == (np.uint8, np.uint8, 255, 0x12)


def test_colours_go_on_beyond_the_border_and_stay_inside_it() -> None:
    levels = np.rint(DISC * 255).astype(np.uint8)
    image = np.dstack([X * 2, Y * 2, np.full_like(X, 60)]).astype(np.uint8)
    image[levels == 0] = 0
    made = cutouts.extended(image, levels)
    assert np.array_equal(made[levels > 0], image[levels > 0])
    near = (levels == 0) & (cv2.dilate((levels > 0).astype(np.uint8), np.ones((5, 5))) > 0)
    assert np.abs(made[near].astype(float) - np.dstack([X * 2, Y * 2, np.full_like(X, 60)])[near]).max() < 25
    assert made[levels == 0].min(axis=0)[2] >= 59
    assert cutouts.extended(image, np.zeros_like(levels)).shape == image.shape


def test_resizing_brings_no_dark_rim() -> None:
    levels = np.rint(DISC * 255).astype(np.uint8)
    image = np.full((120, 90, 3), 200, np.uint8)
    image[levels == 0] = 0  # as the layout cutouts writes it
    cutout = cutouts.prepared(image, levels)
    assert not cutouts.has_old_background(image, levels)
    small = cv2.resize(cutout.image, (31, 37), interpolation=cv2.INTER_AREA)
    assert small.min() >= 199


def test_sides_where_the_person_went_on_are_named() -> None:
    levels = np.zeros((50, 40), np.uint8)
    levels[20:, 10:30] = 255
    image = np.full((50, 40, 3), 90, np.uint8)
    image[levels == 0] = 0
    cutout = cutouts.prepared(image, levels)
    assert (cutout.sides, cutout.levels.shape) == (("bottom",), (32, 24))
    assert cutouts.decode(cutouts.encode(cutout), cutout.sides).image.tobytes() == cutout.image.tobytes()


def known() -> tuple[Image, np.ndarray, Image, Image]:
    """A foreground that is known everywhere, a soft alpha, an old and a new background."""
    random = np.random.default_rng(4)
    front, old, new = (
        cv2.resize(random.integers(low, high, (12, 9, 3)).astype(np.uint8), (90, 120), interpolation=cv2.INTER_CUBIC)
        for low, high in ((20, 110), (150, 255), (0, 255))
    )
    hair = np.clip(DISC + 0.5 * (np.sin(X / 1.7 + Y / 2.3) * ((DISC > 0) & (DISC < 1))), 0, 1)
    return front, np.rint(hair * 255).astype(np.uint8), old, new


@pytest.mark.slow
def test_the_halo_is_less_than_half_of_the_plain_alpha_blends() -> None:
    """Mean colour error in the alpha band against the composite of the known foreground."""
    front, levels, old, new = known()
    weight = levels[:, :, None] / 255
    photo = np.rint(front * weight + old * (1 - weight)).astype(np.uint8)
    ideal, plain = front * weight + new * (1 - weight), photo * weight + new * (1 - weight)
    cutout = cutouts.prepared(photo, levels)
    spans = [np.flatnonzero((levels > 0).any(axis)) for axis in (1, 0)]
    y, x = (slice(max(0, int(found[0]) - 2), int(found[-1]) + 3) for found in spans)
    ours = new.copy()
    alpha_blend.over(ours[y, x], alpha_blend.Layer(0, 0, cutout.image, cutout.levels))
    band = (levels > 0) & (levels < 255)
    error = {name: np.abs(one.astype(float) - ideal)[band].mean() for name, one in (("ours", ours), ("plain", plain))}
    assert error["ours"] <= error["plain"] / 2, error
    assert matte_foreground(photo, (levels / 255).astype(np.float32)).shape == photo.shape
