"""rembg's U²-Net family, run as rembg runs it but without importing it.

rembg's session class compiles numba code on import and looks for its weights by name in a folder, to download them
when they are not there. Here the weights are the catalog's, verified before they are opened; what happens to the
pixels before and after the network is rembg 2.0.69's own arithmetic, and a test holds both against each other.

U²-Net: Qin et al., "U²-Net: Going deeper with nested U-structure for salient object detection", Pattern Recognition
106, 2020.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from figureground import inference, masks
from figureground.errors import PluginError
from figureground.types import Alpha, Image, PersonCrop, Weights

# rembg's models that share U²-Net's input and output; the others want another size and other colour statistics.
_MODELS = ("silueta", "u2net", "u2net_human_seg", "u2netp")
_SIDE = 320
_MEAN = np.array([0.485, 0.456, 0.406])
_DEVIATION = np.array([0.229, 0.224, 0.225])


@dataclass(frozen=True)
class Rembg:
    """Finds the salient thing in a crop, whoever or whatever it is.

    Like rembg it stretches each answer to its own darkest and brightest pixel, so a crop without a person gets a
    confident matte too.

    Parameters
    ----------
    model
        The catalog's asset: silueta, u2net, u2net_human_seg or u2netp, as ONNX.
    device
        ``auto`` takes CUDA where there is a device, ``cpu`` never does.

    Raises
    ------
    PluginError
        When the asset is not one of these.
    """

    model: Weights
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        """Refuse a model whose arithmetic is not known here."""
        if self.model.name.removesuffix(".onnx") not in _MODELS:
            raise PluginError(f"removers.rembg has no model {self.model.name!r}; it has: {', '.join(_MODELS)} (as .onnx)")

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
        answer = inference.run(self.model, _prepared(crop.image), device=self.device)[0]
        return _stretched(answer[0, 0], crop.image.shape[1], crop.image.shape[0])


def _prepared(image: Image) -> NDArray[np.float32]:
    """Scale to the network's square, divide by the brightest value, normalise: (1, 3, 320, 320)."""
    small = np.asarray(_resized(image, _SIDE, _SIDE))
    values = np.arange(256)[:, None] / max(float(small.max()), 1e-6)
    table = ((values - _MEAN) / _DEVIATION).astype(np.float32)  # 256 possible values a channel: looked up, not computed
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
