"""SAM 2, a network that segments what a prompt points at: a box, points, a rough mask.

Ravi et al., "SAM 2: Segment Anything in Images and Videos", 2024; its image part, exported to ONNX in two networks. The encoder
sees the image once. The decoder gives, for each prompt, three masks with the IoU that it expects of each. It takes a
twentieth of the encoder's time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.inference import backends
from figureground.inference.network import Device
from figureground.types import Alpha, Box, Image, Weights

_SIZE = 1024  # px, both sides of the square that the encoder sees; the aspect is not kept
_MEAN = np.array([123.675, 116.28, 103.53], np.float32)  # ImageNet's, as in training
_DEVIATION = np.array([58.395, 57.12, 57.375], np.float32)
_OUTSIDE, _INSIDE, _CORNER, _OTHER_CORNER = 0.0, 1.0, 2.0, 3.0  # labels of points
_LOGIT_AT_MOST, _LOGITS_A_LEVEL = 10.0, 20.0  # of a mask prompt


@dataclass(frozen=True, eq=False)
class Embedding:
    """An encoded image: the encoder's outputs by name, float32, and the image's height and width in pixels."""

    planes: dict[str, NDArray[np.float32]]
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class Prompt:
    """What to segment, in the image's pixels.

    ``box`` surrounds it; ``inside`` and ``outside`` are points (x, y) on it and beside it. ``mask`` is a rough alpha over the
    whole image, of any size, float32, 0 to 1, or None.
    """

    box: Box | None = None
    inside: Sequence[tuple[float, float]] = ()
    outside: Sequence[tuple[float, float]] = ()
    mask: Alpha | None = None


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The best mask of a prompt: probabilities (256, 256) float32 over the whole image, and the IoU the network expects."""

    probabilities: NDArray[np.float32]
    expected_iou: float

    def at_size(self, height: int, width: int) -> Alpha:
        """Give the probabilities at an image's size."""
        return np.asarray(cv2.resize(self.probabilities, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def encode(encoder: Weights, image: Image, device: Device = "auto") -> Embedding:
    """Encode an image, (h, w, 3) uint8 RGB, for any number of prompts.

    Raises
    ------
    AssetError
        When the weights are not in the cache, not the pinned ones, or not a network that can be opened.
    """
    square = cv2.resize(image, (_SIZE, _SIZE), interpolation=cv2.INTER_LINEAR)
    batch = ((square.astype(np.float32) - _MEAN) / _DEVIATION).transpose(2, 0, 1)[None]
    planes = backends.run_named(encoder, {"image": np.ascontiguousarray(batch)}, precision="fast", device=device)
    return Embedding({name: np.asarray(plane, np.float32) for name, plane in planes.items()}, *image.shape[:2])


def segment(decoder: Weights, embedding: Embedding, prompt: Prompt, device: Device = "auto") -> Segmentation:
    """Segment what a prompt points at; of the three masks the one with the highest expected IoU.

    Raises
    ------
    AssetError
        When the weights are not in the cache, not the pinned ones, or not a network that can be opened.
    """
    points, labels = _points(prompt)
    scale = np.array([_SIZE / embedding.width, _SIZE / embedding.height], np.float32)
    mask = np.zeros((256, 256), np.float32) if prompt.mask is None else _to_logits(prompt.mask)
    inputs = {
        **embedding.planes,
        "point_coords": (np.array(points, np.float32).reshape(1, -1, 2) * scale).astype(np.float32),
        "point_labels": np.array([labels], np.float32),
        "mask_input": mask[None, None],
        "has_mask_input": np.array([prompt.mask is not None], np.float32),
    }
    outputs = backends.run_named(decoder, inputs, precision="exact", device=device)
    expected = outputs["iou_predictions"][0]
    best = int(np.argmax(expected))
    logits = outputs["masks"][0][-len(expected) :][best]
    return Segmentation((1 / (1 + np.exp(-logits))).astype(np.float32), float(expected[best]))


def _points(prompt: Prompt) -> tuple[list[tuple[float, float]], list[float]]:
    points, labels = [], []
    if prompt.box is not None:
        points += [(prompt.box.x0, prompt.box.y0), (prompt.box.x1, prompt.box.y1)]
        labels += [_CORNER, _OTHER_CORNER]
    points += [*prompt.inside, *prompt.outside]
    labels += [_INSIDE] * len(prompt.inside) + [_OUTSIDE] * len(prompt.outside)
    return points, labels


def _to_logits(mask: Alpha) -> NDArray[np.float32]:
    """Give a mask prompt as the decoder takes it: 256 × 256 logits, one half is 0."""
    shrinks = min(mask.shape) > 256
    small = cv2.resize(mask, (256, 256), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(np.clip((small - 0.5) * _LOGITS_A_LEVEL, -_LOGIT_AT_MOST, _LOGIT_AT_MOST), np.float32)
