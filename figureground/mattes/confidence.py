"""The confidence of a matte, measured without ground truth: soft area, disagreement of the sources, joints outside.

A matte of a person is almost all person or background, its sources agree, and the visible joints lie on it. The product
orders mattes by their error (Spearman's rank correlation with IoU .8 on video crops, see ``docs/mattes.md``); its
absolute value says little.
"""

import cv2
import numpy as np

from figureground.imaging import masks
from figureground.people import pose_regions
from figureground.types import Alpha, PersonCrop

REVIEW_BELOW = 0.7
"""An annotator should look at a matte with a lower confidence: of 186 crops with ground truth 18 % are such, among them three
quarters of those with an IoU below .85, and four of five such are rightly so (``docs/mattes.md``)."""

_AGREEMENT_AT_LEAST = 0.05
_REFINED_SLOPE, _REFINED_OFFSET = 1.12, -0.14  # of one linear fit of IoU to confidence to the other, 42 crops


def measure_crispness(alpha: Alpha) -> float:
    """Compute one minus the soft area over the area, 0 to 1; an empty alpha gives 0.

    >>> round(measure_crispness(np.array([[1.0, 0.5, 0.0]], np.float32)), 3)
    0.667
    """
    masks.check_alpha(alpha)
    area = float(alpha.sum(dtype=np.float64))
    return max(0.0, 1 - float(np.minimum(alpha, 1 - alpha).sum(dtype=np.float64)) / area) if area else 0.0


def measure_agreement(first: Alpha, second: Alpha) -> float:
    """Compute the IoU of two alphas thresholded at one half, 0 to 1; 0 when both are empty."""
    a, b = masks.to_mask(first) > 0, masks.to_mask(second) > 0
    return int((a & b).sum()) / max(1, int((a | b).sum()))


def share_of_joints_inside(alpha: Alpha, crop: PersonCrop) -> float:
    """Compute the share of visible joints on the matte or within a hundredth of the crop's height; 1 when none is visible."""
    keypoints = crop.keypoints
    visible = keypoints[keypoints[:, 2] >= pose_regions.VISIBLE_AT_LEAST] if len(keypoints) else keypoints
    if not len(visible):
        return 1.0
    height, width = alpha.shape
    reach = 2 * max(2, height // 100) + 1
    near = cv2.dilate(masks.to_mask(alpha), np.ones((reach, reach), np.uint8))
    pixels = np.clip(visible[:, :2].astype(int), 0, [width - 1, height - 1])
    return float((near[pixels[:, 1], pixels[:, 0]] > 0).mean())


def needs_review(confidence: float) -> bool:
    """Tell whether an annotator should look at a matte with this confidence."""
    return confidence < REVIEW_BELOW


def measure_confidence(alpha: Alpha, crop: PersonCrop, matte: Alpha | None = None, instance: Alpha | None = None) -> float:
    """Measure the confidence of a matte, 0 to 1.

    Parameters
    ----------
    alpha
        The matte, (h, w) float32.
    crop
        The crop it belongs to.
    matte, instance
        The sources it was made from, where there are two: a matting network's alpha and the person's instance mask.

    Returns
    -------
    float
        The product of: how crisp the matte (and its matting source) is, the fourth root of the sources' IoU, and three
        quarters plus a quarter of the share of joints inside.
    """
    confidence = measure_crispness(alpha) * (0.75 + 0.25 * share_of_joints_inside(alpha, crop))
    if matte is not None and instance is not None:
        agreement = _AGREEMENT_AT_LEAST + (1 - _AGREEMENT_AT_LEAST) * measure_agreement(matte, instance)
        confidence *= measure_crispness(matte) * agreement**0.25
    return confidence


def measure_refined_confidence(alpha: Alpha, crop: PersonCrop, before: float, agreement: float) -> float:
    """Measure the confidence of a refined matte, 0 to 1.

    Parameters
    ----------
    alpha
        The refined matte, (h, w) float32.
    crop
        The crop it belongs to.
    before
        The confidence before the refinement, 0 to 1.
    agreement
        How far the answers to the refinement's prompts agree with the result, mean IoU.

    Returns
    -------
    float
        The geometric mean of `before` and of the agreement's square, weighed by the share of joints inside as in
        `measure_confidence`; brought to the scale of mattes that were not refined, so that both stand in one queue.
    """
    mean = (before * agreement**2 * (0.75 + 0.25 * share_of_joints_inside(alpha, crop))) ** 0.5
    return float(np.clip(_REFINED_SLOPE * mean + _REFINED_OFFSET, 0, 1))
