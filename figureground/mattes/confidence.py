"""How sure a matte is, from what can be seen without its truth: soft area, sources that disagree, joints left outside.

A matte of a person is almost all person or background, its sources agree, and the seen joints lie on it. The product
orders mattes by their error (Spearman's rank correlation with IoU .8 on video crops, see ``docs/mattes.md``); its
absolute value says little.
"""

import cv2
import numpy as np

from figureground.imaging import masks
from figureground.people import pose_regions
from figureground.types import Alpha, PersonCrop

DOUBTFUL = 0.7
"""A matte with a lower score needs a person: of 186 crops with a truth 18 % are, among them three quarters of those with an
IoU below .85, and four of five such are rightly so (``docs/mattes.md``)."""

_SOME = 0.05


def crispness(alpha: Alpha) -> float:
    """Give one minus the soft area over the area, 0 to 1; an empty alpha gives 0.

    >>> round(crispness(np.array([[1.0, 0.5, 0.0]], np.float32)), 3)
    0.667
    """
    masks.check_alpha(alpha)
    area = float(alpha.sum(dtype=np.float64))
    return max(0.0, 1 - float(np.minimum(alpha, 1 - alpha).sum(dtype=np.float64)) / area) if area else 0.0


def agreement(one: Alpha, other: Alpha) -> float:
    """Give the IoU of two alphas cut at one half, 0 to 1; 0 when both are empty."""
    a, b = masks.to_mask(one) > 0, masks.to_mask(other) > 0
    return int((a & b).sum()) / max(1, int((a | b).sum()))


def joints_inside(alpha: Alpha, crop: PersonCrop) -> float:
    """Give the share of the seen joints on or within a hundredth of the crop's height of the matte; 1 when none is seen."""
    seen = crop.keypoints[crop.keypoints[:, 2] >= pose_regions.VISIBLE] if len(crop.keypoints) else crop.keypoints
    if not len(seen):
        return 1.0
    height, width = alpha.shape
    reach = 2 * max(2, height // 100) + 1
    near = cv2.dilate(masks.to_mask(alpha), np.ones((reach, reach), np.uint8))
    places = np.clip(seen[:, :2].astype(int), 0, [width - 1, height - 1])
    return float((near[places[:, 1], places[:, 0]] > 0).mean())


def doubtful(score: float) -> bool:
    """Tell whether a matte with this score needs a person."""
    return score < DOUBTFUL


def score(alpha: Alpha, crop: PersonCrop, matte: Alpha | None = None, instance: Alpha | None = None) -> float:
    """Say how sure a matte is, 0 to 1.

    Parameters
    ----------
    alpha
        The matte, (h, w) float32.
    crop
        The crop it belongs to.
    matte, instance
        What it was made from, where there are two sources: a matting network's answer and the person's instance mask.

    Returns
    -------
    float
        The product of: how crisp the matte (and its matting source) is, the fourth root of the sources' IoU, and three
        quarters plus a quarter of the share of joints inside.
    """
    sure = crispness(alpha) * (0.75 + 0.25 * joints_inside(alpha, crop))
    if matte is not None and instance is not None:
        sure *= crispness(matte) * (_SOME + (1 - _SOME) * agreement(matte, instance)) ** 0.25
    return sure
