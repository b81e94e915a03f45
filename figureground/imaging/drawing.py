"""Drawing for people to look at: pictures in, new pictures out. Nothing here is measured or stored as data."""

import base64
from collections.abc import Sequence
from functools import cache
from typing import Any, TypeAlias

import cv2
import numpy as np

from figureground.errors import ArrayError
from figureground.imaging import masks
from figureground.types import Alpha, Box, Image, Mask

Colour: TypeAlias = tuple[int, int, int]

INK, PALE, PAPER, WHITE = (31, 41, 51), (107, 119, 133), (246, 247, 249), (255, 255, 255)
KEPT, DROPPED, MACHINE, HUMAN = (14, 138, 95), (201, 92, 8), (219, 39, 119), (37, 99, 235)


def fit(image: Image, width: int, height: int) -> Image:
    """Shrink a picture, keeping its shape, until it is at most so large; one that fits is not enlarged.

    >>> fit(np.zeros((100, 50, 3), np.uint8), 40, 40).shape
    (40, 20, 3)
    """
    masks.check_image(image)
    scale = min(1.0, width / image.shape[1], height / image.shape[0])
    small: Image = scaled(image, max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    return small


def scaled(image: Any, width: int, height: int) -> Any:
    """Scale a picture, mask or alpha to a size, averaging when it shrinks."""
    if image.shape[:2] == (height, width):
        return image.copy()
    shrinks = width < image.shape[1]
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def centred(image: Image, width: int, height: int) -> Image:
    """Shrink a picture until it fits, and put it into the middle of white paper of just that size.

    >>> centred(np.zeros((100, 50, 3), np.uint8), 40, 40)[20, [9, 10, 29, 30], 0].tolist()
    [255, 0, 0, 255]
    """
    small = fit(image, width, height)
    paper = np.full((height, width, 3), 255, np.uint8)
    y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    paper[y : y + small.shape[0], x : x + small.shape[1]] = small
    return paper


def on_checkerboard(image: Image, alpha: Alpha, cell: int = 8) -> Image:
    """Show what a matte keeps, over the pattern that stands for nothing."""
    return masks.composite(image, alpha, masks.checkerboard(image.shape[0], image.shape[1], cell))


def outlined(image: Image, alpha: Alpha, colour: Colour, width: int = 2) -> Image:
    """Draw the line where an alpha is one half."""
    masks.check_image(image)
    masks.check_same_size(image, alpha, "image and alpha")
    contours, _ = cv2.findContours(masks.to_mask(alpha), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    drawn = image.copy()
    cv2.drawContours(drawn, contours, -1, colour, width, cv2.LINE_AA)
    return drawn


def changed(image: Image, before: Alpha, after: Alpha) -> Image:
    """Show what a person changed: pale where nothing is, blue where person was added, orange where it was taken away.

    The alphas may be larger than the picture, which is how a change of a few pixels stays visible in a thumbnail.
    """
    masks.check_image(image)
    old, new = masks.to_mask(before), masks.to_mask(after)
    masks.check_same_size(old, new, "the alphas before and after")
    height, width = image.shape[:2]
    nothing, added, removed = (
        scaled(kind.astype(np.float32), width, height) for kind in ((old == 0) & (new == 0), (old < new), (old > new))
    )
    drawn = _tinted(image, WHITE, 0.65 * nothing.clip(0, 1))
    drawn = _tinted(drawn, HUMAN, (4 * added).clip(0, 0.8))
    return _tinted(drawn, DROPPED, (4 * removed).clip(0, 0.8))


def _tinted(image: Image, colour: Colour, share: Any) -> Image:
    weight = np.asarray(share, np.float32)[:, :, None]
    mixed: Image = np.rint(image * (1 - weight) + np.array(colour, np.float32) * weight).astype(np.uint8)
    return mixed


def painted(mask: Mask) -> Image:
    """Show a mask of 0 and anything else as black and white."""
    masks.check_mask(mask)
    return np.repeat(np.where(mask > 0, 255, 0).astype(np.uint8)[:, :, None], 3, axis=2)


def boxed(image: Image, boxes: Sequence[tuple[Box, Colour, str]], size: int = 15) -> Image:
    """Draw boxes (in the picture's pixels) with a tag each; the tag stands above its box, or in it where there is no room."""
    masks.check_image(image)
    drawn = image.copy()
    for box, colour, _ in boxes:
        corners = (round(box.x0), round(box.y0)), (round(box.x1) - 1, round(box.y1) - 1)
        cv2.rectangle(drawn, *corners, colour, max(2, size // 6), cv2.LINE_AA)
    for box, colour, words in boxes:
        wide, high = round(text_width(words, size)) + size // 2, round(size * 1.45)
        x = min(max(0, round(box.x0)), max(0, drawn.shape[1] - wide))
        y = round(box.y0) - high if box.y0 >= high else round(box.y0)
        drawn[max(0, y) : y + high, x : x + wide] = colour
        drawn = written(drawn, words, x + size // 4, y + round(size * 0.12), size, WHITE)
    return drawn


def written(image: Image, words: str, x: int, y: int, size: int, colour: Colour = INK) -> Image:
    """Write one line, its upper left corner at x and y, `size` pixels high."""
    from PIL import Image as Pillow
    from PIL import ImageDraw

    paper = Pillow.fromarray(image)
    ImageDraw.Draw(paper).text((x, y), words, fill=colour, font=font(size))
    return np.asarray(paper).copy()


def text_width(words: str, size: int) -> float:
    """Give how wide `written` makes a line, pixels."""
    return float(font(size).getlength(words))


@cache
def font(size: int) -> Any:
    """Give Pillow's own font: the same letters on every machine."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def beside(images: Sequence[Image], gap: int = 4) -> Image:
    """Put pictures in a row, centred, on white.

    Raises
    ------
    ArrayError
        When there is none.
    """
    if not images:
        raise ArrayError("expected at least one picture to put in a row; found none")
    height = max(image.shape[0] for image in images)
    row = np.full((height, sum(image.shape[1] for image in images) + gap * (len(images) - 1), 3), 255, np.uint8)
    x = 0
    for image in images:
        y = (height - image.shape[0]) // 2
        row[y : y + image.shape[0], x : x + image.shape[1]] = image
        x += image.shape[1] + gap
    return row


def data_uri(image: Image, quality: int = 80) -> str:
    """Give a picture as a ``data:`` address holding a JPEG, so that a page needs no other file."""
    masks.check_image(image)
    _, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode()


def png(image: Image) -> bytes:
    """Write a picture as PNG, small rather than fast."""
    masks.check_image(image)
    _, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return bytes(content.tobytes())
