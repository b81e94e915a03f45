"""SegResNet: a residual encoder and decoder with group normalisation, which does not mind small batches.

Myronenko: "3D MRI brain tumor segmentation using autoencoder regularization", BrainLes 2018, in two dimensions and without the
autoencoder; by monai.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Segresnet:
    """A SegResNet.

    Parameters
    ----------
    width
        Channels of the first stage, a multiple of 8; each of the three next has twice as many.
    """

    VERSION: ClassVar[int] = 1

    width: Annotated[int, Field(ge=8, le=64, multiple_of=8)] = 16

    def build(self, classes: int) -> "nn.Module":
        """See `figureground.networks.Network`."""
        from monai.networks.nets import SegResNet

        from figureground.training.normalisation import Normalised

        return Normalised(SegResNet(spatial_dims=2, init_filters=self.width, in_channels=3, out_channels=classes))
