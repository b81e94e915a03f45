"""Features of occlusion from instance masks: what hides a part of the person.

The person's mask leaves out a part of the body that the joints promise when something is in front of it; the masks of other
people and objects say what. Objects that are worn, held or ridden are kept apart: they hide nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.imaging import geometry
from figureground.inference.letterbox import Letterbox
from figureground.inference.yolo import Instance
from figureground.people import instances, pose_regions
from figureground.types import Box, Keypoints, Mask, PersonCrop, Weights

Floats = NDArray[np.float32]

CARRIED = frozenset(
    (
        *("backpack", "handbag", "tie", "baseball bat", "baseball glove", "tennis racket", "bottle", "cup", "cell phone"),
        *("bicycle", "motorcycle", "skis", "snowboard", "skateboard", "surfboard"),
    )
)
"""COCO's classes of objects that are worn, held or ridden."""

FEATURE_COUNT = 12
"""How many features `measure` gives."""

_GUESSED_AT_LEAST = 0.1  # a hidden joint's place is a guess, but mostly a good one


@dataclass(frozen=True, slots=True, eq=False)
class SortedMasks:
    """Masks by what they belong to, as (h, w) planes of 0 to 1: the person's own, and weighed by their scores all others.

    ``fit`` is the IoU of the person's box with the detector's; it and ``score`` are 0 when the network has no such person.
    """

    own: Floats
    others: Floats
    objects: Floats
    carried: Floats
    score: float
    fit: float


def measure(crop: PersonCrop, weights: Weights) -> Floats:
    """Segment the people and objects of a crop, and summarise how far they hide the person.

    Parameters
    ----------
    crop
        One person.
    weights
        A YOLO segmentation network with COCO's classes in the cache, as a ``.pt`` file.

    Returns
    -------
    ndarray
        (12,) float32, see `summarise`.

    Raises
    ------
    AssetError
        When the network is not in the cache or is not the pinned file.
    """
    segmented = instances.read_or_segment(crop, weights)
    person, keypoints = _to_input(crop, segmented.letterbox)
    guessed = np.concatenate([keypoints[:, :2], keypoints[:, 2:] > _GUESSED_AT_LEAST], axis=1).astype(np.float32)
    masks = sort_masks(segmented.grid_masks(), instances.box_to_grid(person), segmented.grid_size)
    input_size = (segmented.letterbox.input_height, segmented.letterbox.input_width)
    bodies = [pose_regions.draw_person(input_size, joints, person) for joints in (keypoints, guessed)]
    grid_size = segmented.grid_size[::-1]
    box, visible, promised = (
        np.asarray(cv2.resize(np.asarray(plane, np.float32), grid_size, interpolation=cv2.INTER_AREA), np.float32)
        for plane in (_fill_box(person, input_size), *bodies)
    )
    return summarise(masks, box, visible, promised)


def sort_masks(segmented: Sequence[Instance], person: Box, grid_size: tuple[int, int]) -> SortedMasks:
    """Sort masks on a grid of (h, w) by what they belong to, by their class and the place of the person's box."""
    people = [instance for instance in segmented if instance.class_name == "person"]
    fits = [geometry.iou(instance.box, person) for instance in people]
    rated = [fit * (1 + instance.score) for fit, instance in zip(fits, people, strict=True)]
    own = int(np.argmax(rated)) if people else -1
    empty = np.zeros(grid_size, np.float32)
    objects = [instance for instance in segmented if instance.class_name != "person"]
    return SortedMasks(
        people[own].alpha if people else empty,
        _weighed_maximum([instance for number, instance in enumerate(people) if number != own], empty),
        _weighed_maximum([instance for instance in objects if instance.class_name not in CARRIED], empty),
        _weighed_maximum([instance for instance in objects if instance.class_name in CARRIED], empty),
        people[own].score if people else 0.0,
        fits[own] if people else 0.0,
    )


def summarise(masks: SortedMasks, box: Floats, visible: Floats, promised: Floats) -> Floats:
    """Summarise how far other masks hide the person.

    Parameters
    ----------
    masks
        What is segmented in the crop.
    box, visible, promised
        (h, w), 0 to 1: the person's box, the body between the visible joints, and between all joints, visible or guessed.

    Returns
    -------
    ndarray
        (12,) float32, each 0 to 1: the shares of the visible and of the promised body that the person's mask leaves out;
        the shares of the visible body and of the box inside other people's masks, and inside objects' masks; the share of the
        visible body inside what is carried; one minus the person's score and one minus its fit; the share of the box inside
        the person's mask; the largest difference by which others' masks exceed the person's; and the share of the person's
        mask inside others'.
    """
    own, others, objects = masks.own, masks.others, masks.objects
    visible, promised = visible * box, promised * box
    left_out = [(1 - own, visible), (1 - own, promised)]
    covered = [(others, visible), (others, box), (objects, visible), (objects, box), (masks.carried, visible)]
    shares = [_share(part, area) for part, area in [*left_out, *covered]]
    excess = max(0.0, float((others - own).max()))
    return np.array([*shares, 1 - masks.score, 1 - masks.fit, _share(own, box), excess, _share(others, own)], np.float32)


def _share(part: Floats, area: Floats) -> float:
    return float((part * area).sum() / (area.sum() + 1e-6))


def _weighed_maximum(segmented: Sequence[Instance], empty: Floats) -> Floats:
    weighed = [instance.alpha * instance.score for instance in segmented]
    return np.asarray(np.max(weighed, axis=0) if weighed else empty, np.float32)


def _to_input(crop: PersonCrop, fit: Letterbox) -> tuple[Box, Keypoints]:
    """Give the person's box and joints in the network's input."""
    keypoints = crop.keypoints.copy()
    keypoints[:, :2] = keypoints[:, :2] * fit.scale + (fit.left, fit.top)
    return fit.box_to_input(crop.person_inside), keypoints


def _fill_box(box: Box, size: tuple[int, int]) -> Mask:
    filled = np.zeros(size, np.uint8)
    filled[max(0, round(box.y0)) : max(0, round(box.y1)), max(0, round(box.x0)) : max(0, round(box.x1))] = 1
    return filled
