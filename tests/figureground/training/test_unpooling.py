"""SegNet's unpooling beside torch's own."""

import torch
from torch.nn import functional

from figureground.training.unpooling import pool, unpool


def test_it_is_torchs_pooling_and_unpooling_also_where_several_pixels_are_the_largest():
    torch.manual_seed(1)
    values = torch.randint(0, 3, (2, 3, 8, 6)).float()  # many of equal size
    most, places = pool(values)
    expected, indices = functional.max_pool2d(values, 2, return_indices=True)
    assert torch.equal(most, expected)
    assert torch.equal(unpool(most + 1, places), functional.max_unpool2d(expected + 1, indices, 2))
