"""The whole way in one picture, for a README: frame, crops, mattes, a label, the release.

It is drawn twice as large and shrunk, so that letters and corners are smooth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.imaging import drawing
from figureground.imaging.drawing import DROPPED, HUMAN, INK, KEPT, MACHINE, PALE, PAPER, WHITE, Colour
from figureground.types import Alpha, Box, Image, Mask

WIDTH, HEIGHT = 1600, 900
_SCALE = 2
_TOP, _BOTTOM, _EDGE, _GAP, _PAD, _HEAD = 104, 514, 40, 20, 18, 60
_LINE = (223, 227, 232)


@dataclass(frozen=True, slots=True)
class Panels:
    """What the sheet shows; of each list as many as there is room for.

    ``boxes`` are in the frame's pixels, each with "" or the reason it was dropped; ``crops`` are a picture and "" or
    the reason with its value; ``label`` is a crop with the alpha before and after the annotator; ``release`` are lines.
    """

    frame: Image
    boxes: tuple[tuple[Box, str], ...]
    crops: tuple[tuple[Image, str], ...]
    mattes: tuple[tuple[Image, Alpha], ...]
    label: tuple[Image, Alpha, Alpha] | None
    pairs: tuple[tuple[Image, Mask], ...]
    release: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Card:
    x: int
    y: int
    width: int
    height: int
    number: int
    title: str
    text: str

    @property
    def inside(self) -> tuple[int, int, int, int]:
        """x, y, width and height of what is free below the title."""
        return self.x + _PAD, self.y + _HEAD, self.width - 2 * _PAD, self.height - _HEAD - _PAD


_CARDS = (
    _Card(_EDGE, _TOP, 640, 390, 1, "Frame", "the people in it, found by a detector"),
    _Card(_EDGE + 660, _TOP, 860, 390, 2, "Crops", "one person each, at full resolution; dropped with a reason"),
    _Card(_EDGE, _BOTTOM, 540, 350, 3, "Mattes", "what the machine takes for the person"),
    _Card(_EDGE + 560, _BOTTOM, 440, 350, 4, "Label", "what was corrected in Label Studio"),
    _Card(_EDGE + 1020, _BOTTOM, 500, 350, 5, "Release", "pictures, masks and a manifest, verified"),
)


def drawn(panels: Panels) -> Image:
    """Draw the sheet.

    Returns
    -------
    Image
        (900, 1600, 3), the same for the same panels.
    """
    sheet = _Sheet()
    sheet.text("figureground", _EDGE, 26, 44, INK)
    sheet.text("from community video to a released person-segmentation dataset", _EDGE + 290, 43, 24, PALE)
    for card in _CARDS:
        sheet.card(card)
    frame, crops, mattes, label, release = (card.inside for card in _CARDS)
    _draw_frame(sheet, panels, *frame)
    _draw_crops(sheet, panels, *crops)
    _draw_row(sheet, [drawing.on_checkerboard(image, alpha, cell=20) for image, alpha in panels.mattes], *mattes)
    _draw_label(sheet, panels, *label)
    _draw_release(sheet, panels, *release)
    return sheet.image()


class _Sheet:
    """Paper with coordinates of the finished picture."""

    def __init__(self) -> None:
        from PIL import Image as Pillow
        from PIL import ImageDraw

        self._paper = Pillow.new("RGB", (WIDTH * _SCALE, HEIGHT * _SCALE), PAPER)
        self._pen = ImageDraw.Draw(self._paper)

    def text(self, words: str, x: float, y: float, size: int, colour: Colour, anchor: str = "la") -> None:
        position = x * _SCALE, y * _SCALE
        self._pen.text(position, words, fill=colour, font=drawing.font(size * _SCALE), anchor=anchor)

    def pill(self, words: str, x: float, y: float, size: int, colour: Colour) -> None:
        """Write white on a coloured pill, its middle at x and its upper edge at y."""
        wide, high = drawing.text_width(words, size) + 1.2 * size, 1.7 * size
        self.rounded(x - wide / 2, y, wide, high, high / 2, colour, colour)
        self.text(words, x, y + high / 2, size, WHITE, "mm")

    def rounded(self, x: float, y: float, width: float, height: float, radius: float, fill: Colour, line: Colour) -> None:
        corners = [x * _SCALE, y * _SCALE, (x + width) * _SCALE, (y + height) * _SCALE]
        self._pen.rounded_rectangle(corners, radius * _SCALE, fill, line, _SCALE)

    def card(self, card: _Card) -> None:
        self.rounded(card.x, card.y, card.width, card.height, 12, WHITE, _LINE)
        self.rounded(card.x + _PAD, card.y + 15, 28, 28, 14, INK, INK)
        self.text(str(card.number), card.x + _PAD + 14, card.y + 29, 17, WHITE, "mm")
        self.text(card.title, card.x + _PAD + 38, card.y + 29, 22, INK, "lm")
        after = card.x + _PAD + 38 + drawing.text_width(card.title, 22) + 12
        self.text(card.text, after, card.y + 31, 16, PALE, "lm")

    def paste(self, image: Image, x: float, y: float, width: float, height: float) -> None:
        """Put a picture so large as given, with rounded corners."""
        from PIL import Image as Pillow
        from PIL import ImageDraw

        size = round(width * _SCALE), round(height * _SCALE)
        stencil = Pillow.new("L", size, 0)
        ImageDraw.Draw(stencil).rounded_rectangle([0, 0, size[0] - 1, size[1] - 1], 6 * _SCALE, 255)
        position = round(x * _SCALE), round(y * _SCALE)
        self._paper.paste(Pillow.fromarray(drawing.scaled(image, *size)), position, stencil)

    def image(self) -> Image:
        small: Image = cv2.resize(np.asarray(self._paper), (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return small


def _draw_frame(sheet: _Sheet, panels: Panels, x: int, y: int, width: int, height: int) -> None:
    high, wide = panels.frame.shape[:2]
    scale = min(width / wide, height / high)
    enlarged = _SCALE * scale
    image = drawing.scaled(panels.frame, round(wide * enlarged), round(high * enlarged))
    boxes = [
        (
            Box(*(side * enlarged for side in (box.x0, box.y0, box.x1, box.y1))),
            DROPPED if reason else KEPT,
            f"dropped: {reason}" if reason else "kept",
        )
        for box, reason in panels.boxes
    ]
    boxed = drawing.boxed(image, boxes, size=15 * _SCALE)
    sheet.paste(boxed, x + (width - wide * scale) / 2, y, wide * scale, high * scale)


def _draw_crops(sheet: _Sheet, panels: Panels, x: int, y: int, width: int, height: int) -> None:
    placed = _draw_row(sheet, [image for image, _ in panels.crops], x, y, width, height - 34)
    tags = [(reason or "kept", DROPPED if reason else KEPT) for _, reason in panels.crops]
    _draw_tags(sheet, placed, tags, x, x + width)


def _draw_label(sheet: _Sheet, panels: Panels, x: int, y: int, width: int, height: int) -> None:
    if panels.label is None:
        sheet.text("no label was changed", x + width / 2, y + height / 2, 17, PALE, "mm")
        return
    image, before, after = _around_the_change(*panels.label)
    small = drawing.fit(image, _SCALE * width // 3, _SCALE * height)
    old, new = (drawing.scaled(alpha, small.shape[1], small.shape[0]).clip(0, 1) for alpha in (before, after))
    row = [
        drawing.outlined(small, old, MACHINE, 3),
        drawing.changed(small, before, after),
        drawing.outlined(small, new, HUMAN, 3),
    ]
    placed = _draw_all(sheet, row, x, y, width, height - 34)
    _draw_tags(sheet, placed, [("matte", MACHINE), ("changed", PALE), ("label", HUMAN)], x, x + width)


def _around_the_change(image: Image, before: Alpha, after: Alpha) -> tuple[Image, Alpha, Alpha]:
    """Cut the part around what changed, at least half the crop's width and height, so that it can be seen."""
    rows, columns = np.nonzero((before >= 0.5) != (after >= 0.5))
    if not len(rows):
        return image, before, after
    y, x = (_window(indices, size) for indices, size in ((rows, image.shape[0]), (columns, image.shape[1])))
    return image[y, x], before[y, x], after[y, x]


def _window(indices: NDArray[np.intp], size: int) -> slice:
    length = max(min(size, int(indices.max() - indices.min()) * 3 // 2 + 1), size // 2)
    start = (int(indices.min()) + int(indices.max()) - length) // 2
    start = min(max(0, start), size - length)
    return slice(start, start + length)


def _draw_release(sheet: _Sheet, panels: Panels, x: int, y: int, width: int, height: int) -> None:
    lines = 22 * len(panels.release)
    row = [drawing.beside([image, drawing.painted(mask)], gap=8) for image, mask in panels.pairs]
    _draw_row(sheet, row, x, y, width, height - lines - 8)
    for number, words in enumerate(panels.release):
        sheet.text(words, x, y + height - lines + 22 * number, 16, INK if number == 0 else PALE)


def _draw_row(sheet: _Sheet, images: Sequence[Image], x: int, y: int, width: int, height: int) -> list[tuple[float, float]]:
    """Put side by side as many pictures as there is room for, and give the middle and bottom of each."""
    return _draw_all(sheet, list(_fitting(images, width, height)), x, y, width, height)


def _draw_all(sheet: _Sheet, images: Sequence[Image], x: int, y: int, width: int, height: int) -> list[tuple[float, float]]:
    """Put pictures side by side, as high as fits, and give the middle and bottom of each."""
    if not images:
        return []
    wide = [image.shape[1] / image.shape[0] for image in images]
    high = min(height, (width - 12 * (len(images) - 1)) / sum(wide))
    gap = min(40.0, (width - high * sum(wide)) / (len(images) - 1)) if len(images) > 1 else 0.0
    at, placed = x + (width - high * sum(wide) - gap * (len(images) - 1)) / 2, []
    for image, ratio in zip(images, wide, strict=True):
        sheet.paste(image, at, y + (height - high) / 2, high * ratio, high)
        placed.append((at + high * ratio / 2, y + (height + high) / 2))
        at += high * ratio + gap
    return placed


def _draw_tags(
    sheet: _Sheet, placed: Sequence[tuple[float, float]], tags: Sequence[tuple[str, Colour]], left: float, right: float
) -> None:
    """Write a tag below each picture; tags that would touch move apart, and inside the card."""
    wide = [drawing.text_width(words, 15) + 1.2 * 15 + 6 for words, _ in tags[: len(placed)]]
    middles = _apart([middle for middle, _ in placed], wide, left, right)
    for middle, (_, bottom), (words, colour) in zip(middles, placed, tags, strict=False):
        sheet.pill(words, middle, bottom + 8, 15, colour)


def _apart(middles: Sequence[float], wide: Sequence[float], left: float, right: float) -> list[float]:
    """Move things of these widths to the right until none covers another, then to the left until all are inside."""
    moved, free = [], left
    for middle, width in zip(middles, wide, strict=True):
        moved.append(max(middle, free + width / 2))
        free = moved[-1] + width / 2
    free = right
    for at in reversed(range(len(moved))):
        moved[at] = min(moved[at], free - wide[at] / 2)
        free = moved[at] - wide[at] / 2
    return moved


def _fitting(images: Sequence[Any], width: int, height: int) -> Iterator[Any]:
    """Give pictures as long as the row has room for them at nearly its full height."""
    used = 0.0
    for number, image in enumerate(images):
        used += 0.85 * height * image.shape[1] / image.shape[0] + 12
        if number and used > width + 12:
            return
        yield image
