"""rembg's models, run as rembg runs them but without importing it.

rembg compiles numba code on import, looks for its weights by name in a folder, and downloads them when they are not there.
Here the weights are the catalog's, verified before they are opened; the arithmetic on the pixels before and after the network
is that of rembg 2.0.69, and a test compares both.

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
_IMAGENET_MEAN: _Color = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION: _Color = (0.229, 0.224, 0.225)


class _Processing(NamedTuple):
    """How rembg prepares a model's input: its side in pixels, mean and deviation of the colours; and if outputs are logits."""

    image_size: int = 320
    mean: _Color = _IMAGENET_MEAN
    deviation: _Color = _IMAGENET_DEVIATION
    logits: bool = False


_ISNET, _BIREFNET = _Processing(1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)), _Processing(1024, logits=True)
_PROCESSING = {
    "birefnet-cod": _BIREFNET,
    "birefnet-dis": _BIREFNET,
    "birefnet-general": _BIREFNET,
    "birefnet-general-lite": _BIREFNET,
    "birefnet-hrsod": _BIREFNET,
    "birefnet-massive": _BIREFNET,
    "birefnet-portrait": _BIREFNET,
    "bria-rmbg": _Processing(1024),
    "isnet-anime": _Processing(1024, _IMAGENET_MEAN, (1.0, 1.0, 1.0)),
    "isnet-general-use": _ISNET,
    "silueta": _Processing(),
    "u2net": _Processing(),
    "u2net_human_seg": _Processing(),
    "u2netp": _Processing(),
}
"""All models of rembg 2.0.69 that take an image and give one mask; not clothes (three masks) and SAM (needs points)."""


@dataclass(frozen=True)
class Rembg:
    """Separates the salient object of a crop, person or not.

    Like rembg it stretches each output to its own darkest and brightest pixel, so a crop without a person gets a
    confident matte too.

    Parameters
    ----------
    model
        The catalog's asset, an ONNX file with rembg's name for it: u2netp, u2net, u2net_human_seg, silueta,
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
        if self.model.name.removesuffix(".onnx") not in _PROCESSING:
            raise PluginError(f"removers.rembg has no model {self.model.name!r}; it has: {', '.join(_PROCESSING)} (as .onnx)")

    def estimate_alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
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
        processing = _PROCESSING[self.model.name.removesuffix(".onnx")]
        output = backends.run(self.model, _prepare(crop.image, processing), device=self.device)[0][0, 0]
        if processing.logits:
            output = 1 / (1 + np.exp(-output))
        return _stretch(output, crop.image.shape[1], crop.image.shape[0])


def _prepare(image: Image, processing: _Processing) -> NDArray[np.float32]:
    """Resize to the network's square, divide by the brightest value, normalise: (1, 3, image_size, image_size)."""
    small = np.asarray(_resize(image, processing.image_size, processing.image_size))
    values = np.arange(256)[:, None] / max(float(small.max()), 1e-6)
    table = ((values - np.array(processing.mean)) / np.array(processing.deviation)).astype(np.float32)  # of all 256 levels
    return np.stack([table[:, channel][small[:, :, channel]] for channel in range(3)])[None]


def _stretch(output: NDArray[np.float32], width: int, height: int) -> Alpha:
    """Stretch an output to 0..1, round down to 8 bits and resize to the crop's size."""
    low, high = output.min(), output.max()
    if low == high:
        return np.zeros((height, width), np.float32)  # a flat output shows no object; rembg divides 0 by 0 here
    levels = ((output - low) / (high - low) * 255).astype(np.uint8)
    return masks.from_levels(np.asarray(_resize(levels, width, height)))


def _resize(array: NDArray[np.uint8], width: int, height: int) -> Any:
    from PIL import Image as Pillow

    return Pillow.fromarray(array).resize((width, height), Pillow.Resampling.LANCZOS)
