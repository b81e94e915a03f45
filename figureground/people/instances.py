"""Who and what a segmentation network sees in a crop: found once, kept beside the crop, and read by whoever asks.

Checks ask for outlines, the remover for masks; the network is what costs. What it found is kept small: the masks' raw values
at a quarter of the network's input, in sixteenths and around each thing only, some kB a crop. Values are rounded so whether
they are kept or not: both ways give the same numbers.
"""

import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.inference import backends, yolo
from figureground.inference.yolo import Instance, Letterbox
from figureground.types import Box, Image, PersonCrop, Weights

SIZE = 416
"""The crop's longer side for the network, pixels."""

DOUBTFUL = 0.05
"""Who or what is half hidden is seldom found with more certainty; what is found with less is not kept."""

STRIDE = 4
"""Pixels of the network's input: masks come at a quarter of that."""

_SIDES = (160, 224, 288, 352, SIZE)  # px, what the shorter side is padded to: few shapes of input, each has to be prepared once
_AT_MOST = 24
_STEPS = 16  # of a raw value of one
_SURE = 6  # raw values end there, where the mask is .0025 or .9975
_AROUND = 2  # cells beyond the rim, for smooth scaling

Values = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One thing: its name, score and box in the crop's pixels, and its mask's raw values from a cell on."""

    name: str
    score: float
    box: Box
    left: int
    top: int
    values: Values


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """What was found in one crop, surest first; ``place`` says how the crop lay in the network's input."""

    parts: tuple[_Part, ...]
    place: Letterbox
    size: tuple[int, int]
    """The grid's (h, w)."""

    def masks(self, at_least: float = DOUBTFUL, names: Collection[str] | None = None) -> list[Instance]:
        """Give soft masks at the crop's size.

        Parameters
        ----------
        at_least
            What was found with less certainty is left out.
        names
            Only these classes; None means all.

        Returns
        -------
        list of Instance
            Surest first; 0 outside their box with a rim of 3 %.
        """
        return [
            Instance(part.name, part.score, part.box, yolo.soft(self.place.plane(_logits(part, self.size), STRIDE), part.box))
            for part in self._wanted(at_least, names)
        ]

    def outlines(self, at_least: float = DOUBTFUL, names: Collection[str] | None = None) -> list[Instance]:
        """Give the same on the grid on which they came, a cell being four pixels of the network's input; boxes in cells."""
        return [
            Instance(part.name, part.score, box, yolo.soft(_logits(part, self.size), box, rim=2 / STRIDE))
            for part in self._wanted(at_least, names)
            for box in [on_grid(self.place.into(part.box))]
        ]

    def _wanted(self, at_least: float, names: Collection[str] | None) -> list[_Part]:
        return [part for part in self.parts if part.score > at_least and (names is None or part.name in names)]


def find(image: Image, weights: Weights) -> bytes:
    """Let a network look at a crop.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    weights
        A YOLO segmentation network in the cache, as a ``.pt`` file.

    Returns
    -------
    bytes
        What `of` reads.

    Raises
    ------
    AssetError
        When the network is not in the cache or is not the pinned file.
    """
    return _packed(_seen(image, weights), weights)


def of(crop: PersonCrop, weights: Weights) -> Instances:
    """Give what a network sees in a crop: as it was kept beside it, or by looking now.

    Raises
    ------
    AssetError
        When it has to look, and the network is not in the cache or is not the pinned file.
    """
    kept = _unpacked(crop.instances, weights)
    found = _seen(crop.image, weights) if kept is None else kept
    high, wide = crop.image.shape[:2]
    place = yolo.laid(wide, high, SIZE, _SIDES)
    return Instances(found, place, (place.input_height // STRIDE, place.input_width // STRIDE))


def _seen(image: Image, weights: Weights) -> tuple[_Part, ...]:
    classes = backends.classes(weights, precision="fast")
    batch, place = yolo.letterboxed(image, SIZE, _SIDES)
    answer, prototypes = backends.run(weights, batch, outputs=2, precision="fast")
    parts = []
    for number, score, box, raw in yolo.found(answer[0], prototypes[0], place, len(classes), DOUBTFUL)[:_AT_MOST]:
        left, top, right, bottom = _cells(box, place, raw.shape)
        values = np.round(np.clip(raw[top:bottom, left:right], -_SURE, _SURE) * _STEPS).astype(np.int8)
        parts.append(_Part(classes[number], score, box, left, top, values))
    return tuple(parts)


def _packed(parts: Sequence[_Part], weights: Weights) -> bytes:
    told = [
        [part.name, part.score, part.box.x0, part.box.y0, part.box.x1, part.box.y1, part.left, part.top, *part.values.shape]
        for part in parts
    ]
    head = json.dumps({"by": weights.sha256, "size": SIZE, "found": told}).encode()
    steps = [np.diff(part.values, axis=0, prepend=np.int8(0)) for part in parts]  # from row to row: a third smaller
    return zlib.compress(len(head).to_bytes(4, "little") + head + b"".join(one.tobytes() for one in steps), 6)


def _unpacked(content: bytes, weights: Weights) -> tuple[_Part, ...] | None:
    """Read what `_packed` wrote; None when it is of another network or there is nothing."""
    if not content:
        return None
    raw = zlib.decompress(content)
    end = 4 + int.from_bytes(raw[:4], "little")
    head: dict[str, Any] = json.loads(raw[4:end])
    if (head["by"], head["size"]) != (weights.sha256, SIZE):
        return None
    parts = []
    for name, score, x0, y0, x1, y1, left, top, high, wide in head["found"]:
        values = np.cumsum(np.frombuffer(raw, np.int8, high * wide, end).reshape(high, wide), axis=0, dtype=np.int8)
        parts.append(_Part(name, score, Box(x0, y0, x1, y1), left, top, values))
        end += high * wide
    return tuple(parts)


def _logits(part: _Part, size: tuple[int, int]) -> NDArray[np.float32]:
    high, wide = part.values.shape
    whole = np.full(size, -_SURE, np.float32)
    whole[part.top : part.top + high, part.left : part.left + wide] = part.values.astype(np.float32) / _STEPS
    return whole


def on_grid(box: Box) -> Box:
    """Bring a box from the network's input to the grid of its masks."""
    return Box(*(side / STRIDE for side in (box.x0, box.y0, box.x1, box.y1)))


def _cells(box: Box, place: Letterbox, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Give the cells from which a mask inside a box of the crop and its rim is drawn, half-open: left, top, right, bottom."""
    with_rim = Box(*yolo.rimmed(box))
    cells = on_grid(place.into(with_rim))
    left, top = max(0, int(cells.x0) - _AROUND), max(0, int(cells.y0) - _AROUND)
    right, bottom = (min(whole, int(end) + 1 + _AROUND) for whole, end in ((size[1], cells.x1), (size[0], cells.y1)))
    return left, top, max(left, right), max(top, bottom)
