"""Variations of a picture while a network learns, by albumentations: what moves its pixels moves its truth along.

Every variation is drawn from a seed of its own, so a training that carries on after a kill sees what it would have seen.
"""

from functools import cache
from typing import Any

import cv2

from figureground.datasets import samples
from figureground.synthesis.augmentations import library
from figureground.training.letterbox import Square


@cache
def _chain(soft: bool) -> Any:
    a = library()
    how = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST
    moved = {"scale": (0.7, 1.4), "translate_percent": (-0.1, 0.1), "rotate": (-12, 12)}
    return a.Compose(
        [
            a.HorizontalFlip(p=0.5),
            a.Affine(**moved, fill=samples.GREY, fill_mask=0, mask_interpolation=how, p=0.8),
            a.RandomBrightnessContrast(0.25, 0.25, p=0.5),
            a.HueSaturationValue(8, 30, 15, p=0.4),
            a.RandomGamma((75, 130), p=0.3),
            a.ToGray(p=0.05),
            a.GaussianBlur(blur_limit=0, sigma_limit=(0.3, 1.2), p=0.1),
            a.ImageCompression(quality_range=(45, 95), p=0.2),
            a.GaussNoise(std_range=(0.005, 0.03), p=0.15),
        ]
    )


def augment(square: Square, seed: int, *, soft: bool) -> Square:
    """Give a variation of a square.

    Parameters
    ----------
    square
        The picture, grey 128 around it, and its truth.
    seed
        0 to 2⁶⁴ − 1; the same gives the same.
    soft
        Whether the truth is an alpha, which is interpolated; ids never are.
    """
    chain = _chain(soft)
    chain.set_random_seed(seed % 2**32)
    cv2.setRNGSeed(seed % 2**31)
    augmented = chain(image=square.image, mask=square.truth)
    return Square(augmented["image"], augmented["mask"])
