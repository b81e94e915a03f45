"""Colours without the background's share."""

import cv2
import numpy as np
import pytest

from figureground.errors import ArrayError
from figureground.imaging import foreground, masks

pytestmark = pytest.mark.slow  # compiled on first use

Y, X = np.mgrid[:120, :100]
ALPHA = np.clip((40 - np.hypot(X - 50, Y - 60)) / 12 + 0.5, 0, 1).astype(np.float32)


def mixed(front: tuple[int, int, int], back: tuple[int, int, int]) -> np.ndarray:
    weight = ALPHA[:, :, None]
    return np.rint(weight * np.array(front) + (1 - weight) * np.array(back)).astype(np.uint8)


@pytest.mark.parametrize("back", [(0, 0, 255), (255, 255, 255), (0, 200, 0)])
def test_one_colour_before_another_is_found_again(back: tuple[int, int, int]) -> None:
    image, front = mixed((200, 60, 20), back), np.array((200, 60, 20))
    found = foreground.matte_foreground(image, ALPHA)
    rim = (ALPHA > 0.05) & (ALPHA < 0.95)
    before, after = (np.abs(picture[rim].astype(int) - front).mean() for picture in (image, found))
    assert before > 50
    assert after < 0.2


def test_the_inside_is_the_picture_and_the_outside_black() -> None:
    image = np.random.default_rng(1).integers(0, 256, (120, 100, 3), dtype=np.uint8)
    found = foreground.matte_foreground(image, ALPHA)
    np.testing.assert_array_equal(found[ALPHA == 1], image[ALPHA == 1])
    assert not found[ALPHA == 0].any()


@pytest.mark.parametrize("back", [(20, 60, 220), (240, 240, 240), (10, 10, 10)])
def test_laid_over_something_new_there_is_less_of_a_halo_than_with_the_plain_picture(back: tuple[int, int, int]) -> None:
    texture = np.random.default_rng(2).integers(120, 220, (120, 100, 3), dtype=np.uint8)
    front = cv2.GaussianBlur(texture, (0, 0), 4)
    image = masks.composite(front, ALPHA, np.full_like(front, back))
    new = np.full_like(front, (0, 160, 60))
    wanted = masks.composite(front, ALPHA, new).astype(int)
    rim = (ALPHA > 0) & (ALPHA < 1)
    plain, clean = (
        np.abs(masks.composite(colours, ALPHA, new) - wanted)[rim].mean()
        for colours in (image, foreground.matte_foreground(image, ALPHA))
    )
    assert plain > 8
    assert clean < plain / 4


@pytest.mark.parametrize("alpha", [np.zeros((120, 99), np.float32), np.zeros((120, 100), np.uint8)])
def test_what_does_not_fit_is_refused(alpha: np.ndarray) -> None:
    with pytest.raises(ArrayError):
        foreground.matte_foreground(np.zeros((120, 100, 3), np.uint8), alpha)
