"""A network with what it wants of its pixels inside, so that whatever runs it need not know."""

import torch
from torch import nn

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels, as torchvision's and timm's encoders expect."""


class Normalised(nn.Module):  # type: ignore[misc]  # torch's types are not read here
    """A network that takes RGB from 0 to 1.

    Parameters
    ----------
    network
        Takes normalised pixels (n, 3, H, W) and gives logits (n, classes, H, W), or a mapping that has them as ``out`` as
        torchvision's do.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give the logits of pictures, see `figureground.networks`."""
        result = self.network((pixels - self.mean) / self.deviation)
        logits: torch.Tensor = result["out"] if isinstance(result, dict) else result
        return logits
