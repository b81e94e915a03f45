"""What a segmentation network's outlines say of who or what is in a person's way.

An outline that leaves out a part of the body that the joints promise says that something is before it; another person's
outline, or a thing's, says what. What is worn, held or ridden is told from other things: it hides nobody.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground import body, geometry, inference, yolo
from figureground.types import Box, Keypoints, Mask, PersonCrop, Weights
from figureground.yolo import Instance, Letterbox

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

_SIZE = 352  # px, the crop's longer side for the network
_STRIDE = 4  # px of the network's input: it gives outlines at a quarter of that
_DOUBTFUL = 0.05  # who or what is half hidden is seldom found with more certainty
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


def evidence(crop: PersonCrop, instances: Weights) -> Floats:
    """Let a network find who and what is in a crop, and sum up what that says of the person's being hidden.

    Parameters
    ----------
    crop
        One person.
    instances
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
    classes = inference.classes(instances, precision="fast")
    batch, place = yolo.letterboxed(crop.image, _SIZE)
    answer, prototypes = inference.run(instances, batch, outputs=2, precision="fast")
    high, wide = batch.shape[2:]
    grid = Letterbox(_STRIDE, 0, 0, wide, high, wide // _STRIDE, high // _STRIDE)  # outlines stay as small as they come
    every = yolo.instances(answer[0], prototypes[0], grid, range(len(classes)), len(classes), _DOUBTFUL)
    person = crop.person_inside
    sides = [(side * place.scale + by) / _STRIDE for side, by in zip(_sides(person), (place.left, place.top) * 2, strict=True)]
    size = (grid.picture_height, grid.picture_width)
    found = joined([(classes[one.number], one) for one in every], Box(*sides), size)
    guessed = dataclasses.replace(crop, keypoints=_guessed(crop))
    box, seen, promised = (_laid(plane, place, size) for plane in (_drawn(crop), body.area(crop), body.area(guessed)))
    return summed(found, box, seen, promised)


def joined(every: Sequence[tuple[str, Instance]], person: Box, size: tuple[int, int]) -> Outlines:
    """Sort what was found on a grid of (h, w) by whose it is, by class names and the place of the person's box."""
    people = [one for name, one in every if name == "person"]
    fits = [geometry.iou(one.box, person) for one in people]
    mine = int(np.argmax([fit * (1 + one.score) for fit, one in zip(fits, people, strict=True)])) if people else -1
    nothing = np.zeros(size, np.float32)
    return Outlines(
        people[mine].alpha if people else nothing,
        _surest([one for n, one in enumerate(people) if n != mine], nothing),
        _surest([one for name, one in every if name != "person" and name not in CARRIED], nothing),
        _surest([one for name, one in every if name in CARRIED], nothing),
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


def _guessed(crop: PersonCrop) -> Keypoints:
    """Take every joint whose place the detector could guess for seen."""
    joints = crop.keypoints.copy()
    joints[:, 2] = joints[:, 2] > _GUESSED
    return joints


def _drawn(crop: PersonCrop) -> Mask:
    drawn = np.zeros(crop.image.shape[:2], np.uint8)
    x0, y0, x1, y1 = (max(0, round(side)) for side in _sides(crop.person_inside))
    drawn[y0:y1, x0:x1] = 1
    return drawn


def _sides(box: Box) -> tuple[float, float, float, float]:
    return box.x0, box.y0, box.x1, box.y1


def _laid(plane: Mask, place: Letterbox, size: tuple[int, int]) -> Floats:
    """Lay a plane over the crop into the network's input, 0 beside the crop, as small as outlines are."""
    part = cv2.resize(plane.astype(np.float32), (place.width, place.height), interpolation=cv2.INTER_AREA)
    whole = np.zeros((size[0] * _STRIDE, size[1] * _STRIDE), np.float32)
    whole[place.top : place.top + place.height, place.left : place.left + place.width] = part
    return np.asarray(cv2.resize(whole, size[::-1], interpolation=cv2.INTER_AREA), np.float32)
