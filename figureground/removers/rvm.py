"""Robust Video Matting: fine edges at a sixth of U²-Net's cost, but it includes every person in the crop.

Its state is carried along a track: crops of one source in frame order whose boxes overlap from one to the next.
Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from figureground.errors import PluginError
from figureground.imaging import geometry, masks
from figureground.mattes import video_matting
from figureground.mattes.video_matting import INITIAL_STATE, RecurrentState
from figureground.types import Alpha, PersonCrop, Weights


@dataclass(frozen=True)
class Rvm:
    """Separates people from the background, not from each other.

    Parameters
    ----------
    weights
        The catalog's asset: Robust Video Matting as ONNX.
    size
        The longer side of the network's small copy, pixels.
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

    recurrent = True
    """The crops of one call depend on each other."""

    def __post_init__(self) -> None:
        """Refuse weights whose inputs are not known here."""
        if not (self.weights.name.startswith("rvm_") and self.weights.name.endswith(".onnx")):
            raise PluginError(f"removers.rvm has no weights {self.weights.name!r}; it has: rvm_mobilenetv3_fp32.onnx")

    def estimate_alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
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
        past: list[tuple[PersonCrop, RecurrentState]] = []
        for crop in crops:
            masks.check_image(crop.image, f"image of {crop.crop_id}")
            before = _state_before(crop, past)
            alpha, state = video_matting.estimate_alpha(self.weights, crop.image, self.size, before, self.device)
            alphas.append(alpha)
            past = [*past, (crop, state)][-_STATES_AT_MOST:]
        return alphas


_STATES_AT_MOST = 16
_IOU_AT_LEAST = 0.3


def _state_before(crop: PersonCrop, past: Sequence[tuple[PersonCrop, RecurrentState]]) -> RecurrentState:
    """Find the state after the same person in the frame before."""
    same_source = [earlier for earlier, _ in past if earlier.source_id == crop.source_id]
    frames = [earlier.frame_id for earlier in same_source if earlier.frame_id != crop.frame_id]
    rivals = [(geometry.iou(earlier.person, crop.person), state) for earlier, state in past if earlier.frame_id in frames[-1:]]
    iou, state = max(rivals, key=lambda rival: rival[0], default=(0.0, INITIAL_STATE))
    return state if iou >= _IOU_AT_LEAST else INITIAL_STATE
