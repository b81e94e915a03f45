"""Instance masks of a crop: segmented once, stored beside the crop, and read by checks and removers.

Checks need coarse masks on a grid, the remover needs them at the crop's size; the network is the costly part. Its predictions
are stored small: the masks' log odds at a quarter of the network's input, in sixteenths and around each instance only, some kB
a crop. The values are rounded whether they are stored or not, so both ways give the same numbers.
"""

import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.inference import backends, letterbox, yolo
from figureground.inference.letterbox import Letterbox
from figureground.inference.yolo import Instance
from figureground.types import Box, Image, PersonCrop, Weights

IMAGE_SIZE = 416
"""The crop's longer side for the network, pixels."""

SCORE_AT_LEAST = 0.05
"""Half hidden people and objects seldom have higher scores. Predictions with this score or a lower one are not stored."""

STRIDE = 4
"""Pixels of the network's input in a cell of the grid on which masks come."""

_PADDED_SIDES = (160, 224, 288, 352, IMAGE_SIZE)  # px of the shorter side: few input shapes, each has to be prepared once
_INSTANCES_AT_MOST = 24
_STEPS = 16  # of log odds of one
_LOG_ODDS_AT_MOST = 6  # log odds are clipped there, where the mask is .0025 or .9975
_MARGIN = 2  # cells beyond the rim, for smooth scaling

LogOdds = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class _Prediction:
    """One instance: class, score and box in the crop's pixels, and its mask's log odds in sixteenths from a cell on."""

    class_name: str
    score: float
    box: Box
    left: int
    top: int
    log_odds: LogOdds


@dataclass(frozen=True, slots=True, eq=False)
class Instances:
    """The instances of one crop, highest score first; ``letterbox`` says how the crop lies in the network's input."""

    predictions: tuple[_Prediction, ...]
    letterbox: Letterbox
    grid_size: tuple[int, int]
    """The grid's (h, w)."""

    def image_masks(self, score_at_least: float = SCORE_AT_LEAST, classes: Collection[str] | None = None) -> list[Instance]:
        """Give soft masks at the crop's size.

        Parameters
        ----------
        score_at_least
            Instances with this score or a lower one are left out.
        classes
            Only these classes, by name; None means all.

        Returns
        -------
        list of Instance
            Highest score first; 0 outside their box with a rim of 3 %.
        """
        return [
            Instance(
                prediction.class_name,
                prediction.score,
                prediction.box,
                yolo.mask_from_log_odds(
                    self.letterbox.plane_to_image(_on_grid(prediction, self.grid_size), STRIDE), prediction.box
                ),
            )
            for prediction in self._selected(score_at_least, classes)
        ]

    def grid_masks(self, score_at_least: float = SCORE_AT_LEAST, classes: Collection[str] | None = None) -> list[Instance]:
        """Give the same masks on the grid, a cell being four pixels of the network's input; boxes in cells."""
        return [
            Instance(
                prediction.class_name,
                prediction.score,
                box,
                yolo.mask_from_log_odds(_on_grid(prediction, self.grid_size), box, rim=2 / STRIDE),
            )
            for prediction in self._selected(score_at_least, classes)
            for box in [box_to_grid(self.letterbox.box_to_input(prediction.box))]
        ]

    def _selected(self, score_at_least: float, classes: Collection[str] | None) -> list[_Prediction]:
        return [
            prediction
            for prediction in self.predictions
            if prediction.score > score_at_least and (classes is None or prediction.class_name in classes)
        ]


def segment(image: Image, weights: Weights) -> bytes:
    """Run the segmentation network on a crop.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    weights
        A YOLO segmentation network in the cache, as a ``.pt`` file.

    Returns
    -------
    bytes
        To be stored beside the crop, for `read_or_segment`.

    Raises
    ------
    AssetError
        When the network is not in the cache or is not the pinned file.
    """
    return _encode(_predict(image, weights), weights)


def read_or_segment(crop: PersonCrop, weights: Weights) -> Instances:
    """Give the instances of a crop: those stored beside it, or else by running the network.

    Raises
    ------
    AssetError
        When the network has to run, and is not in the cache or is not the pinned file.
    """
    stored = _decode(crop.instances, weights)
    predictions = _predict(crop.image, weights) if stored is None else stored
    height, width = crop.image.shape[:2]
    fit = letterbox.fit_letterbox(width, height, IMAGE_SIZE, _PADDED_SIDES)
    return Instances(predictions, fit, (fit.input_height // STRIDE, fit.input_width // STRIDE))


def box_to_grid(box: Box) -> Box:
    """Convert a box from the network's input to the grid of its masks."""
    return Box(*(side / STRIDE for side in (box.x0, box.y0, box.x1, box.y1)))


def _predict(image: Image, weights: Weights) -> tuple[_Prediction, ...]:
    classes = backends.read_class_names(weights, precision="fast")
    batch, fit = letterbox.letterbox_image(image, IMAGE_SIZE, _PADDED_SIDES)
    outputs, prototypes = backends.run(weights, batch, outputs=2, precision="fast")
    raw_instances = yolo.decode_instances(outputs[0], prototypes[0], fit, len(classes), SCORE_AT_LEAST)
    predictions = []
    for raw in raw_instances[:_INSTANCES_AT_MOST]:
        left, top, right, bottom = _cells(raw.box, fit, raw.log_odds.shape)
        clipped = np.clip(raw.log_odds[top:bottom, left:right], -_LOG_ODDS_AT_MOST, _LOG_ODDS_AT_MOST)
        steps = np.round(clipped * _STEPS).astype(np.int8)
        predictions.append(_Prediction(classes[raw.class_number], raw.score, raw.box, left, top, steps))
    return tuple(predictions)


def _encode(predictions: Sequence[_Prediction], weights: Weights) -> bytes:
    """Pack a JSON header and the log odds, from row to row as differences, which packs a third smaller."""
    entries = [
        [
            *(prediction.class_name, prediction.score),
            *(prediction.box.x0, prediction.box.y0, prediction.box.x1, prediction.box.y1),
            *(prediction.left, prediction.top, *prediction.log_odds.shape),
        ]
        for prediction in predictions
    ]
    header = json.dumps({"by": weights.sha256, "size": IMAGE_SIZE, "found": entries}).encode()
    differences = [np.diff(prediction.log_odds, axis=0, prepend=np.int8(0)).tobytes() for prediction in predictions]
    return zlib.compress(len(header).to_bytes(4, "little") + header + b"".join(differences), 6)


def _decode(content: bytes, weights: Weights) -> tuple[_Prediction, ...] | None:
    """Read the bytes of `_encode`; None when they are empty or of another network."""
    if not content:
        return None
    raw = zlib.decompress(content)
    end = 4 + int.from_bytes(raw[:4], "little")
    header: dict[str, Any] = json.loads(raw[4:end])
    if (header["by"], header["size"]) != (weights.sha256, IMAGE_SIZE):
        return None
    predictions = []
    for name, score, x0, y0, x1, y1, left, top, height, width in header["found"]:
        differences = np.frombuffer(raw, np.int8, height * width, end).reshape(height, width)
        log_odds = np.cumsum(differences, axis=0, dtype=np.int8)
        predictions.append(_Prediction(name, score, Box(x0, y0, x1, y1), left, top, log_odds))
        end += height * width
    return tuple(predictions)


def _on_grid(prediction: _Prediction, grid_size: tuple[int, int]) -> NDArray[np.float32]:
    """Give the log odds on the whole grid."""
    height, width = prediction.log_odds.shape
    left, top = prediction.left, prediction.top
    log_odds = np.full(grid_size, -_LOG_ODDS_AT_MOST, np.float32)
    log_odds[top : top + height, left : left + width] = prediction.log_odds.astype(np.float32) / _STEPS
    return log_odds


def _cells(box: Box, fit: Letterbox, size: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Give the cells from which a mask inside a box of the crop and its rim is drawn, half-open: left, top, right, bottom."""
    cells = box_to_grid(fit.box_to_input(yolo.grow_box(box)))
    left, top = max(0, int(cells.x0) - _MARGIN), max(0, int(cells.y0) - _MARGIN)
    right, bottom = (min(count, int(end) + 1 + _MARGIN) for count, end in ((size[1], cells.x1), (size[0], cells.y1)))
    return left, top, max(left, right), max(top, bottom)
