"""U-Net: an encoder, a decoder, and what the encoder saw handed across at every scale.

Ronneberger, Fischer, Brox: "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015; by
segmentation-models-pytorch, with a residual encoder.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Unet:
    """A U-Net.

    Parameters
    ----------
    encoder
        Which of the library's encoders; the last is the quickest, for browsers.
    width
        Channels of the decoder's last stage; each stage before has twice those of the next.
    """

    VERSION: ClassVar[int] = 1

    encoder: Literal["resnet18", "resnet34", "resnet50", "mobilenet_v2", "timm-mobilenetv3_small_minimal_100"] = "resnet18"
    width: Annotated[int, Field(ge=2, le=64)] = 16

    def build(self, classes: int) -> "nn.Module":
        """See `figureground.networks.Network`."""
        import segmentation_models_pytorch as smp

        from figureground.training.normalisation import Normalised

        stages = [self.width << power for power in (4, 3, 2, 1, 0)]
        return Normalised(smp.Unet(self.encoder, encoder_weights=None, decoder_channels=stages, classes=classes))
