"""Refines the matte of one person with SAM 2, asked in several ways.

Each prompt errs in its own way: the detected box alone loses what is carried, a rough mask keeps its own mistakes, joints miss
wide clothes. The mean of the probabilities errs less than each. Objects of the person are segmented on their own, so that a
prompt for the body need not cover them; then the mean is itself a prompt, once. How each part was chosen: ``docs/mattes.md``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground.imaging import geometry, masks
from figureground.inference.network import Device
from figureground.mattes import promptable
from figureground.mattes.promptable import Embedding, Prompt
from figureground.people import pose_regions
from figureground.types import Alpha, Box, PersonCrop, Weights

_BODY_WEIGHT, _WHOLE_WEIGHT, _MEAN_WEIGHT = 4, 2, 2
_BAND, _BAND_AT_LEAST = 0.012, 2.0  # of the crop's height on both sides of the outline; px
_MATTE_WEIGHT = np.float32(1 / 3)  # in the band, where the matting network is finer than a mask of 256 × 256


@dataclass(frozen=True)
class Refinement:
    """Settings of the refinement.

    Parameters
    ----------
    encoder, decoder
        The catalog's assets: SAM 2's image encoder and mask decoder.
    below
        Mattes with a lower confidence are refined, 0 to 1; 1 refines all.
    """

    encoder: Weights
    decoder: Weights
    below: Annotated[float, Field(ge=0, le=1)] = 0.8


@dataclass(frozen=True, eq=False)
class RoughMatte:
    """What is known of a person before the refinement.

    ``alpha`` is the matte with the person's objects, ``body`` without them; both (h, w) float32, 0 to 1. ``objects`` are the
    person's objects and ``others`` other people's boxes, in crop pixels.
    """

    alpha: Alpha
    body: Alpha
    objects: Sequence[tuple[Box, Alpha]]
    others: Sequence[Box]


def refine(settings: Refinement, crop: PersonCrop, rough: RoughMatte, device: Device = "auto") -> tuple[Alpha, float]:
    """Refine a matte.

    Parameters
    ----------
    settings
        Which networks.
    crop
        The crop; its image is (h, w, 3) uint8 RGB.
    rough
        What is known of the person.
    device
        See `figureground.inference.network.Device`.

    Returns
    -------
    Alpha, float
        (h, w) float32, 0 to 1; and how far the answers to the prompts agree with it, mean IoU, 0 to 1.

    Raises
    ------
    AssetError
        When weights are not in the cache, not the pinned ones, or not a network that can be opened.
    """
    embedding = promptable.encode(settings.encoder, crop.image, device)
    answers = _Answers(settings.decoder, embedding, device)
    person = geometry.shift(crop.person, -crop.box.x0, -crop.box.y0)
    inside, outside = _visible_joints(crop), _centres_outside(rough)
    guided = answers.of(Prompt(person, inside, outside, rough.body))
    bodies = [
        answers.of(Prompt(person)),
        answers.of(Prompt(person, inside)),
        answers.of(Prompt(person, mask=rough.body)),
        answers.of(Prompt(person, inside, outside, guided)),
    ]
    objects = [answers.of(Prompt(box, mask=alpha)) for box, alpha in rough.objects]
    surrounding = _around([person, *(box for box, _ in rough.objects)])
    whole = answers.of(Prompt(surrounding, mask=rough.alpha))
    bodies = [np.max([body, *objects], axis=0) for body in bodies]
    first = (_BODY_WEIGHT * np.mean(bodies, axis=0) + _WHOLE_WEIGHT * whole) / (_BODY_WEIGHT + _WHOLE_WEIGHT)
    second = answers.of(Prompt(surrounding, mask=first.astype(np.float32)))
    total = _BODY_WEIGHT + _WHOLE_WEIGHT + _MEAN_WEIGHT
    mean = ((total - _MEAN_WEIGHT) * first + _MEAN_WEIGHT * second) / total
    height, width = rough.alpha.shape
    fine = cv2.resize(mean.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    return _soften(fine, rough.alpha), _agreement([*bodies, whole], mean)


@dataclass(frozen=True, eq=False)
class _Answers:
    decoder: Weights
    embedding: Embedding
    device: Device

    def of(self, prompt: Prompt) -> NDArray[np.float32]:
        """Give the probabilities of a prompt, (256, 256)."""
        return promptable.segment(self.decoder, self.embedding, prompt, self.device).probabilities


def _visible_joints(crop: PersonCrop) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y, seen in crop.keypoints if seen >= pose_regions.VISIBLE_AT_LEAST]


def _centres_outside(rough: RoughMatte) -> list[tuple[float, float]]:
    """Give the centres of other people's boxes that lie in the crop and not on this person."""
    height, width = rough.alpha.shape
    centres = [((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2) for box in rough.others]
    within = [(x, y) for x, y in centres if 0 <= x < width and 0 <= y < height]
    return [(x, y) for x, y in within if rough.alpha[int(y), int(x)] < 0.5]


def _around(boxes: Sequence[Box]) -> Box:
    lefts, tops, rights, bottoms = zip(*((box.x0, box.y0, box.x1, box.y1) for box in boxes), strict=True)
    return Box(min(lefts), min(tops), max(rights), max(bottoms))


def _soften(fine: Alpha, matte: Alpha) -> Alpha:
    """Mix the matte in where the outline is."""
    inside = masks.to_mask(fine)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
    band = distance <= max(_BAND_AT_LEAST, _BAND * fine.shape[0])
    return np.asarray(np.where(band, fine + _MATTE_WEIGHT * (matte - fine), fine), np.float32)


def _agreement(answers: Sequence[NDArray[np.float32]], mean: NDArray[np.float32]) -> float:
    """Compute the mean IoU of answers with their mean, all thresholded at one half."""
    inside = mean >= 0.5
    ious = [int(((answer >= 0.5) & inside).sum()) / max(1, int(((answer >= 0.5) | inside).sum())) for answer in answers]
    return float(np.mean(ious))
