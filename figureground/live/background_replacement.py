"""Backgrounds replaced in pictures: the figure stays, a picture or a blur takes the ground's place."""

from dataclasses import dataclass

import cv2
import numpy as np

from figureground.errors import ArrayError
from figureground.imaging import masks
from figureground.inference import backends
from figureground.training import exported_model
from figureground.training.exported_model import About
from figureground.types import Alpha, Image


@dataclass(frozen=True, slots=True, eq=False)
class Background:
    """What goes behind: a picture, or the same picture blurred by so many pixels where ``picture`` is None."""

    picture: Image | None = None
    blur: float = 14.0

    def behind(self, image: Image) -> Image:
        """Give the background for one picture, of its size: a picture covers it, its middle in the middle."""
        height, width = image.shape[:2]
        if self.picture is None:
            return np.asarray(cv2.GaussianBlur(image, (0, 0), self.blur), np.uint8)
        return cover(self.picture, height, width)


def cover(picture: Image, height: int, width: int) -> Image:
    """Scale a picture until it covers a size, and cut what sticks out on both sides alike.

    >>> cover(np.zeros((10, 30, 3), np.uint8), 20, 20).shape
    (20, 20, 3)
    """
    if min(height, width) < 1:
        raise ArrayError(f"covering: expected a size of at least 1 × 1, found {width} × {height}")
    scale = max(height / picture.shape[0], width / picture.shape[1])
    size = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    whole = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(whole[top : top + height, left : left + width], np.uint8)


def predict_alpha(predict: backends.RunNetwork, about: About, image: Image) -> Alpha:
    """Ask an opened export where the person is in one picture: shape (h, w), float32, 0 to 1."""
    answer = predict(exported_model.make_batch([exported_model.letterbox(image, about)]))[0]
    return exported_model.undo_letterbox(answer[0, 0], image, about)


def replace_background(predict: backends.RunNetwork, about: About, image: Image, background: Background) -> Image:
    """Put one picture's person on another background.

    Parameters
    ----------
    predict
        An export, see `figureground.inference.backends.open_file`.
    about
        What it says of itself.
    image
        Shape (h, w, 3), RGB uint8.
    background
        What goes behind.

    Returns
    -------
    ndarray
        As `image`.
    """
    return masks.composite(image, predict_alpha(predict, about, image), background.behind(image))
