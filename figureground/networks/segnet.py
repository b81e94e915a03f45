"""SegNet: a VGG encoder whose poolings remember where each maximum was, and a decoder that puts values back there.

Badrinarayanan, Kendall, Cipolla: "SegNet: A Deep Convolutional Encoder-Decoder Architecture for Image Segmentation", TPAMI
2017. No well-kept library has it, so its stages stand in `figureground.training.unpooling`: VGG16's, with batch normalisation.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Segnet:
    """A SegNet.

    Parameters
    ----------
    width
        Channels of the first stage; VGG's, and the paper's, is 64. The next have 2, 4, 8 and 8 times as many.
    """

    VERSION: ClassVar[int] = 1

    width: Annotated[int, Field(ge=2, le=64)] = 64

    def build(self, classes: int) -> "nn.Module":
        """See `figureground.networks.Network`."""
        from figureground.training.normalisation import Normalised
        from figureground.training.unpooling import SegNet

        return Normalised(SegNet(self.width, classes))
