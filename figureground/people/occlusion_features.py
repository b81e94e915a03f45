"""What a segmentation network's outlines say of who or what is in a person's way.

An outline that leaves out a part of the body that the joints promise says that something is before it; another person's
outline, or a thing's, says what. What is worn, held or ridden is told from other things: it hides nobody.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.imaging import geometry
from figureground.inference.yolo import Instance, Letterbox
from figureground.people import instances, pose_regions
from figureground.types import Box, Keypoints, Mask, PersonCrop, Weights

Floats = NDArray[np.float32]

CARRIED = frozenset(
    (
        *("backpack", "handbag", "tie", "baseball bat", "baseball glove", "tennis racket", "bottle", "cup", "cell phone"),
        *("bicycle", "motorcycle", "skis", "snowboard", "skateboard", "surfboard"),
    )
)
"""COCO's things that are worn, held or ridden."""

PIECES = 12
"""How many pieces of evidence there are."""

_GUESSED = 0.1  # a hidden joint's place is a guess, but mostly a good one


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """Who and what was found, as (h, w) planes of 0 to 1: the person, and weighed by their scores the others and things.

    ``fit`` is the IoU of the person's box with the detector's; it and ``score`` are 0 when nobody was found.
    """

    own: Floats
    others: Floats
    things: Floats
    carried: Floats
    score: float
    fit: float


def evidence(crop: PersonCrop, weights: Weights) -> Floats:
    """Let a network find who and what is in a crop, and sum up what that says of the person's being hidden.

    Parameters
    ----------
    crop
        One person.
    weights
        A YOLO segmentation network with COCO's classes in the cache, as a ``.pt`` file.

    Returns
    -------
    ndarray
        (12,) float32, see `summed`.

    Raises
    ------
    AssetError
        When the network is not in the cache or is not the pinned file.
    """
    seen = instances.of(crop, weights)
    person, points = _moved(crop, seen.place)
    guessed = np.concatenate([points[:, :2], points[:, 2:] > _GUESSED], axis=1).astype(np.float32)
    found = joined(seen.outlines(), instances.on_grid(person), seen.size)
    whole = (seen.place.input_height, seen.place.input_width)
    drawn = [_filled(person, whole), *(pose_regions.drawn(whole, joints, person) for joints in (points, guessed))]
    size = seen.size[::-1]
    return summed(found, *(cv2.resize(np.asarray(one, np.float32), size, interpolation=cv2.INTER_AREA) for one in drawn))


def joined(every: Sequence[Instance], person: Box, size: tuple[int, int]) -> Outlines:
    """Sort what was found on a grid of (h, w) by whose it is, by its class and the place of the person's box."""
    people = [one for one in every if one.name == "person"]
    fits = [geometry.iou(one.box, person) for one in people]
    mine = int(np.argmax([fit * (1 + one.score) for fit, one in zip(fits, people, strict=True)])) if people else -1
    nothing = np.zeros(size, np.float32)
    return Outlines(
        people[mine].alpha if people else nothing,
        _surest([one for n, one in enumerate(people) if n != mine], nothing),
        _surest([one for one in every if one.name != "person" and one.name not in CARRIED], nothing),
        _surest([one for one in every if one.name in CARRIED], nothing),
        people[mine].score if people else 0.0,
        fits[mine] if people else 0.0,
    )


def summed(found: Outlines, box: Floats, seen: Floats, promised: Floats) -> Floats:
    """Sum up what outlines say of a person's being hidden.

    Parameters
    ----------
    found
        Who and what is there.
    box, seen, promised
        (h, w), 0 to 1: the person's box, the body between the seen joints, and between all joints, seen or guessed.

    Returns
    -------
    ndarray
        (12,) float32, each 0 to 1: the shares of the seen and of the promised body that the person's outline leaves out;
        the shares of the seen body and of the box inside other people's outlines, and inside things'; the share of the
        seen body inside what is carried; doubt about the person and about its place; the share of the box inside the
        person's outline; how much surer others are of the place where they are surest against the person; and the
        share of the person's outline inside others'.
    """
    own, others, things = found.own, found.others, found.things
    seen, promised = seen * box, promised * box
    left_out, taken = [(1 - own, seen), (1 - own, promised)], [(others, seen), (others, box), (things, seen), (things, box)]
    shares = [_share(part, area) for part, area in [*left_out, *taken, (found.carried, seen)]]
    surer = max(0.0, float((others - own).max()))
    rest = [1 - found.score, 1 - found.fit, _share(own, box), surer, _share(others, own)]
    return np.array([*shares, *rest], np.float32)


def _share(part: Floats, area: Floats) -> float:
    return float((part * area).sum() / (area.sum() + 1e-6))


def _surest(some: Sequence[Instance], nothing: Floats) -> Floats:
    return np.asarray(np.max([one.alpha * one.score for one in some], axis=0) if some else nothing, np.float32)


def _moved(crop: PersonCrop, place: Letterbox) -> tuple[Box, Keypoints]:
    """Give the person's box and joints in the network's input."""
    points = crop.keypoints.copy()
    points[:, :2] = points[:, :2] * place.scale + (place.left, place.top)
    return place.into(crop.person_inside), points


def _filled(box: Box, size: tuple[int, int]) -> Mask:
    filled = np.zeros(size, np.uint8)
    filled[max(0, round(box.y0)) : max(0, round(box.y1)), max(0, round(box.x0)) : max(0, round(box.x1))] = 1
    return filled
