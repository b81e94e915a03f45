"""Contact sheets: many pairs on one picture, each a picture beside its truth."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from figureground.imaging import drawing
from figureground.synthesis.cutouts import Levels
from figureground.types import Image

COLUMNS, ROWS = 10, 10
WIDTH, HEIGHT = 96, 72
_GAP = 4


def tile(image: Image, truth: Levels) -> Image:
    """Give one pair, small: the picture on the left, its truth on the right, ``HEIGHT`` high and twice ``WIDTH`` wide."""
    shown = np.repeat(truth[:, :, None], 3, axis=2)
    return np.concatenate([drawing.centred(tile, WIDTH, HEIGHT) for tile in (image, shown)], axis=1)


def sheets(tiles: Iterable[Image]) -> Iterator[Image]:
    """Lay tiles in rows of ten, a hundred a sheet; the last sheet is as high as it needs."""
    left = iter(tiles)
    while page := list(islice(left, COLUMNS * ROWS)):
        yield _sheet(page)


def _sheet(tiles: Sequence[Image]) -> Image:
    rows = -(-len(tiles) // COLUMNS)
    paper = np.full((rows * (HEIGHT + _GAP) - _GAP, COLUMNS * (2 * WIDTH + _GAP) - _GAP, 3), 255, np.uint8)
    for at, tile in enumerate(tiles):
        y, x = at // COLUMNS * (HEIGHT + _GAP), at % COLUMNS * (2 * WIDTH + _GAP)
        paper[y : y + HEIGHT, x : x + 2 * WIDTH] = tile
    return paper
