"""Robust Video Matting: fine edges at a sixth of U²-Net's cost, but it mats every person it sees.

Its memory is carried along a track: crops of one source in frame order whose boxes overlap from one to the next.
Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from figureground.errors import PluginError
from figureground.imaging import geometry, masks
from figureground.mattes import video_matting
from figureground.mattes.video_matting import NOTHING, Memory
from figureground.types import Alpha, PersonCrop, Weights


@dataclass(frozen=True)
class Rvm:
    """Finds people, without telling one from another.

    Parameters
    ----------
    weights
        The catalog's asset: Robust Video Matting as ONNX.
    size
        The longer side of the small copy the network looks at, pixels.
    device
        ``auto`` takes CUDA where there is a device, ``cpu`` never does.

    Raises
    ------
    PluginError
        When the asset is not RVM by its name.
    """

    VERSION: ClassVar[int] = 1

    weights: Weights
    size: Annotated[int, Field(ge=64, le=2048)] = 384
    device: Literal["auto", "cpu"] = "auto"

    remembers = True
    """Crops handed over together depend on each other."""

    def __post_init__(self) -> None:
        """Refuse weights whose inputs are not known here."""
        if not (self.weights.name.startswith("rvm_") and self.weights.name.endswith(".onnx")):
            raise PluginError(f"removers.rvm has no weights {self.weights.name!r}; it has: rvm_mobilenetv3_fp32.onnx")

    def alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size.

        Parameters
        ----------
        crops
            Their images are (h, w, 3) uint8 RGB. A crop follows the latest one before it, of the same source and another
            frame, whose person's box overlaps its own most, from an IoU of 0.3 on.

        Returns
        -------
        list of ndarray
            Shape (h, w), float32, 0 to 1.

        Raises
        ------
        ArrayError
            When an image is not one.
        AssetError
            When the weights are not in the cache or not the pinned ones.
        """
        alphas: list[Alpha] = []
        left: list[tuple[PersonCrop, Memory]] = []
        for crop in crops:
            masks.check_image(crop.image, f"image of {crop.crop_id}")
            alpha, memory = video_matting.alpha(self.weights, crop.image, self.size, _before(crop, left), self.device)
            alphas.append(alpha)
            left = [*left, (crop, memory)][-_KEPT:]
        return alphas


_KEPT = 16
_OVERLAP = 0.3


def _before(crop: PersonCrop, left: Sequence[tuple[PersonCrop, Memory]]) -> Memory:
    """Find what the same person left in the frame before."""
    frames = [past.frame_id for past, _ in left if past.source_id == crop.source_id and past.frame_id != crop.frame_id]
    rivals = [(geometry.iou(past.person, crop.person), memory) for past, memory in left if past.frame_id in frames[-1:]]
    overlap, memory = max(rivals, key=lambda rival: rival[0], default=(0.0, NOTHING))
    return memory if overlap >= _OVERLAP else NOTHING
