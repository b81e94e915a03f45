"""DeepLabV3: dilated convolutions at several rates side by side, enlarged to the picture at the end.

Chen, Papandreou, Schroff, Adam: "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017; by torchvision.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from torch import nn

_MOMENTUM = 0.1
"""MobileNetV3's .01 is for long trainings: a short one would end with the statistics of its first steps."""


@dataclass(frozen=True)
class Deeplabv3:
    """A DeepLabV3.

    Parameters
    ----------
    encoder
        Which of torchvision's three.
    """

    VERSION: ClassVar[int] = 1

    encoder: Literal["mobilenet_v3_large", "resnet50", "resnet101"] = "mobilenet_v3_large"

    def build(self, classes: int) -> "nn.Module":
        """See `figureground.networks.Network`."""
        from torch import nn
        from torchvision.models import segmentation

        from figureground.training.normalisation import Normalised

        network = getattr(segmentation, f"deeplabv3_{self.encoder}")(
            weights=None, weights_backbone=None, num_classes=classes, aux_loss=False
        )
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = _MOMENTUM
        return Normalised(network)
