"""rembg's models, run as rembg runs them but without importing it.

rembg's session class compiles numba code on import and looks for its weights by name in a folder, to download them
when they are not there. Here the weights are the catalog's, verified before they are opened; what happens to the
pixels before and after the network is rembg 2.0.69's own arithmetic, and a test holds both against each other.

U²-Net: Qin et al., "U²-Net: Going deeper with nested U-structure for salient object detection", Pattern Recognition
106, 2020. IS-Net: Qin et al., "Highly accurate dichotomous image segmentation", ECCV 2022. BiRefNet: Zheng et al.,
"Bilateral reference for high-resolution dichotomous image segmentation", CAAI AIR 2024.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.errors import PluginError
from figureground.imaging import masks
from figureground.inference import backends
from figureground.types import Alpha, Image, PersonCrop, Weights

_Color = tuple[float, float, float]
_IMAGENET: _Color = (0.485, 0.456, 0.406)
_SPREAD: _Color = (0.229, 0.224, 0.225)


class _Way(NamedTuple):
    """How rembg feeds a model: its side in pixels, the colours' mean and deviation; and whether it answers in logits."""

    side: int = 320
    mean: _Color = _IMAGENET
    deviation: _Color = _SPREAD
    logits: bool = False


_ISNET, _BIREFNET = _Way(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)), _Way(1024, logits=True)
_WAYS = {
    "birefnet-cod": _BIREFNET,
    "birefnet-dis": _BIREFNET,
    "birefnet-general": _BIREFNET,
    "birefnet-general-lite": _BIREFNET,
    "birefnet-hrsod": _BIREFNET,
    "birefnet-massive": _BIREFNET,
    "birefnet-portrait": _BIREFNET,
    "bria-rmbg": _Way(1024),
    "isnet-anime": _Way(1024, _IMAGENET, (1.0, 1.0, 1.0)),
    "isnet-general-use": _ISNET,
    "silueta": _Way(),
    "u2net": _Way(),
    "u2net_human_seg": _Way(),
    "u2netp": _Way(),
}
"""All of rembg 2.0.69 that take a picture and give one mask; left out are clothes (three masks) and SAM (asks for points)."""


@dataclass(frozen=True)
class Rembg:
    """Finds the salient thing in a crop, whoever or whatever it is.

    Like rembg it stretches each answer to its own darkest and brightest pixel, so a crop without a person gets a
    confident matte too.

    Parameters
    ----------
    model
        The catalog's asset, an ONNX file that bears the name rembg knows it by: u2netp, u2net, u2net_human_seg, silueta,
        isnet-general-use, isnet-anime, bria-rmbg or one of birefnet's.
    device
        ``auto`` takes CUDA where there is a device, ``cpu`` never does.

    Raises
    ------
    PluginError
        When the asset is not one of these.
    """

    VERSION: ClassVar[int] = 1

    model: Weights
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        """Refuse a model whose arithmetic is not known here."""
        if self.model.name.removesuffix(".onnx") not in _WAYS:
            raise PluginError(f"removers.rembg has no model {self.model.name!r}; it has: {', '.join(_WAYS)} (as .onnx)")

    def alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size.

        Parameters
        ----------
        crops
            Any number of them; their images are (h, w, 3) uint8 RGB.

        Returns
        -------
        list of ndarray
            Shape (h, w), float32, 0 to 1 in steps of 1/255.

        Raises
        ------
        ArrayError
            When an image is not one.
        AssetError
            When the weights are not in the cache or not the pinned ones.
        """
        return [self._alpha(crop) for crop in crops]

    def _alpha(self, crop: PersonCrop) -> Alpha:
        masks.check_image(crop.image, f"image of {crop.crop_id}")
        way = _WAYS[self.model.name.removesuffix(".onnx")]
        answer = backends.run(self.model, _prepared(crop.image, way), device=self.device)[0][0, 0]
        if way.logits:
            answer = 1 / (1 + np.exp(-answer))
        return _stretched(answer, crop.image.shape[1], crop.image.shape[0])


def _prepared(image: Image, way: _Way) -> NDArray[np.float32]:
    """Scale to the network's square, divide by the brightest value, normalise: (1, 3, side, side)."""
    small = np.asarray(_resized(image, way.side, way.side))
    values = np.arange(256)[:, None] / max(float(small.max()), 1e-6)
    table = ((values - np.array(way.mean)) / np.array(way.deviation)).astype(np.float32)  # looked up, not computed
    return np.stack([table[:, channel][small[:, :, channel]] for channel in range(3)])[None]


def _stretched(answer: NDArray[np.float32], width: int, height: int) -> Alpha:
    """Stretch an answer to 0..1, round down to 8 bits and scale to the crop's size."""
    low, high = answer.min(), answer.max()
    if low == high:
        return np.zeros((height, width), np.float32)  # a flat answer names nothing; rembg divides 0 by 0 here
    levels = ((answer - low) / (high - low) * 255).astype(np.uint8)
    return masks.from_levels(np.asarray(_resized(levels, width, height)))


def _resized(array: NDArray[np.uint8], width: int, height: int) -> Any:
    from PIL import Image as Pillow

    return Pillow.fromarray(array).resize((width, height), Pillow.Resampling.LANCZOS)
