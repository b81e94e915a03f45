"""SegNet's encoder and decoder: pooling that remembers where each maximum was, and unpooling that puts values back there.

torch's ``MaxUnpool2d`` does the same but has no counterpart in OpenVINO, TFLite or torch's ONNX exporter. Here the places are
kept as masks of the four pixels of each 2×2 window, which needs nothing but comparisons, products and reshapes.
"""

from itertools import pairwise

import torch
from torch import nn

_STAGES = ((1, 1), (2, 2), (4, 4, 4), (8, 8, 8), (8, 8, 8))
"""VGG16's convolutions by stage, in multiples of the first stage's channels."""


class SegNet(nn.Module):  # type: ignore[misc]  # torch's types are not read here
    """SegNet on VGG16.

    Parameters
    ----------
    width
        Channels of the first stage.
    classes
        Channels of the logits.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        channels = [[width * times for times in stage] for stage in _STAGES]
        outer = [3, *(stage[-1] for stage in channels[:-1])]
        self.down = nn.ModuleList(_stage(inside, stage) for inside, stage in zip(outer, channels, strict=True))
        back = [[*reversed(stage[1:]), outside] for outside, stage in zip([width, *outer[1:]], channels, strict=True)]
        self.up = nn.ModuleList(_stage(stage[-1], reverse) for stage, reverse in zip(channels, back, strict=True))
        self.head = nn.Conv2d(width, classes, 3, padding=1)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Give logits of the pixels' own size."""
        all_indices = []
        for stage in self.down:
            pixels, indices = pool(stage(pixels))
            all_indices.append(indices)
        for stage, indices in zip(reversed(self.up), reversed(all_indices), strict=True):
            pixels = stage(unpool(pixels, indices))
        logits: torch.Tensor = self.head(pixels)
        return logits


def pool(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Take the maximum of every 2×2 window.

    Parameters
    ----------
    values
        Shape (n, c, h, w), h and w even.

    Returns
    -------
    tuple
        The maxima, (n, c, h/2, w/2); and where they were, (n, c, h/2, w/2, 4), 1 at the first of the window's pixels (row by
        row) that has the maximum and 0 at the others, as the values' dtype.
    """
    corners = (values[:, :, y::2, x::2] for y in (0, 1) for x in (0, 1))
    window = torch.stack(tuple(corners), -1)
    most = window.amax(-1)
    equal = (window == most.unsqueeze(-1)).to(values.dtype)
    a, b, c, d = equal.unbind(-1)
    not_a, not_b, not_c = 1 - a, 1 - b, 1 - c
    return most, torch.stack((a, b * not_a, c * not_a * not_b, d * not_a * not_b * not_c), -1)


def unpool(values: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
    """Put each value where the maximum was, and 0 beside it: the inverse of `pooled`, shape (n, c, 2h, 2w)."""
    n, c, h, w = values.shape
    window = (values.unsqueeze(-1) * indices).reshape(n, c, h, w, 2, 2)
    return window.permute(0, 1, 2, 4, 3, 5).reshape(n, c, 2 * h, 2 * w)


def _stage(inside: int, channels: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise([inside, *channels]):
        layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
