"""A network trained on your own release: the labels that annotators corrected improve the next mattes.

``figureground train`` and ``figureground export-model`` make the file, see ``docs/export.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from figureground.errors import PluginError
from figureground.imaging import masks
from figureground.training import exported_model
from figureground.types import Alpha, PersonCrop, Weights


@dataclass(frozen=True)
class Trained:
    """Runs an exported network, whose file says what input it takes.

    Parameters
    ----------
    weights
        The catalog's asset: ``model.onnx`` of ``figureground export-model``, under any name that ends with ``.onnx``.
    device
        ``auto`` takes CUDA where there is a device, ``cpu`` never does.

    Raises
    ------
    PluginError
        When the asset is no ONNX file by its name.
    """

    VERSION: ClassVar[int] = 1

    weights: Weights
    device: Literal["auto", "cpu"] = "auto"

    def __post_init__(self) -> None:
        """Refuse what cannot be an export."""
        if not self.weights.name.endswith(".onnx"):
            raise PluginError(f"removers.trained takes model.onnx of `figureground export-model`; found {self.weights.name!r}")

    def estimate_alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size.

        Parameters
        ----------
        crops
            Any number of them; their images are (h, w, 3) uint8 RGB.

        Returns
        -------
        list of ndarray
            Shape (h, w), float32, 0 to 1.

        Raises
        ------
        ArrayError
            When an image is not one.
        AssetError
            When the weights are not in the cache, not the pinned ones, or no network that ``figureground export-model`` made.
        """
        return [self._alpha(crop) for crop in crops]

    def _alpha(self, crop: PersonCrop) -> Alpha:
        masks.check_image(crop.image, f"image of {crop.crop_id}")
        return exported_model.predict_alpha(self.weights, crop.image, self.device)
