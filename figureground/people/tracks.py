"""Who in this frame is who of the frames before: the same person linked over sampled frames, half a second or so apart.

At that distance boxes of a walker no longer overlap, so three things decide together: how far somebody came, in the
person's own heights and for the time that passed; how much the size changed; and what the person wears, as colours of the upper
and the lower body. Pairs are taken best first, each person and each track once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.people import pose_regions
from figureground.types import Box, PersonCrop

Colours = NDArray[np.float32]
"""Shape (96,): shares of hue, saturation and brightness of the upper body (first half, sum 1) and of the lower (sum 1)."""

FORGOTTEN_AFTER = 2.0
"""Seconds after which somebody who comes back is somebody new."""

_REACH, _SPEED = 0.35, 1.6  # heights at once, and heights a second: a runner, or a camera that pans
_GROWTH = 1.6  # times as tall, or as small
_LIKE_AT_LEAST = 0.45
_DISTANCE_COSTS = 0.4  # of likeness, for somebody at the end of the reach
_LEVELS = np.array([8, 3, 2])  # of hue, saturation, brightness


@dataclass(frozen=True, slots=True, eq=False)
class Sighting:
    """One person in one frame: the detected box in frame pixels, and the colours worn."""

    box: Box
    colours: Colours


class _Last(NamedTuple):
    number: int
    seconds: float
    box: Box
    colours: Colours


def sighting(crop: PersonCrop) -> Sighting:
    """Give what a person is followed by.

    Parameters
    ----------
    crop
        One person.
    """
    return Sighting(crop.person, colours(crop))


def colours(crop: PersonCrop) -> Colours:
    """Count the colours of a person's body, above and below its middle.

    Parameters
    ----------
    crop
        Its image is (h, w, 3) uint8 RGB.
    """
    scale = min(1.0, 128 / max(crop.image.shape[:2]))
    size = (max(1, round(crop.image.shape[1] * scale)), max(1, round(crop.image.shape[0] * scale)))
    small = cv2.resize(crop.image, size, interpolation=cv2.INTER_AREA)
    area = cv2.resize(pose_regions.area(crop), size, interpolation=cv2.INTER_NEAREST)
    kind = _kinds(small)
    middle = round((crop.person_inside.y0 + crop.person_inside.y1) / 2 * scale)
    halves = (np.bincount(kind[part][area[part] > 0], minlength=_KINDS) for part in (slice(0, middle), slice(middle, None)))
    counts = np.stack(list(halves)).astype(np.float32)
    shares: Colours = (counts / np.maximum(1, counts.sum(axis=1, keepdims=True))).ravel()
    return shares


_KINDS = int(_LEVELS.prod())


def _kinds(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Name each pixel's colour by a number below `_KINDS`."""
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL).astype(np.int64)
    hue, saturation, brightness = np.moveaxis(planes * _LEVELS // 256, 2, 0)
    return np.asarray((hue * _LEVELS[1] + saturation) * _LEVELS[2] + brightness)


def likeness(some: Colours, others: Colours) -> float:
    """Give how alike two people's colours are, 0..1: Bhattacharyya's coefficient, the mean of upper and lower body."""
    return float(np.sqrt(some * others).sum() / 2)


class Tracks:
    """Follows the people of one source; frames are given in their order."""

    def __init__(self) -> None:
        self._count = 0
        self._last: list[_Last] = []

    def follow(self, seconds: float, people: Sequence[Sighting]) -> list[int]:
        """Give each person of the next frame the number of its track, from 0; who is new gets a new one.

        Parameters
        ----------
        seconds
            When; at the moment of the frame before, or sooner (photos have none), everybody is somebody new.
        people
            In any order; the numbers of those who are new follow it.
        """
        past = [last for last in self._last if 0 < seconds - last.seconds <= FORGOTTEN_AFTER]
        pairs = [(_match(last, seconds, person), -at, n) for at, last in enumerate(past) for n, person in enumerate(people)]
        numbers: dict[int, int] = {}
        taken: set[int] = set()
        for match, at, n in sorted(pairs, reverse=True):
            if match > 0 and n not in numbers and at not in taken:
                numbers[n] = past[-at].number
                taken.add(at)
        for n in range(len(people)):
            if n not in numbers:
                numbers[n], self._count = self._count, self._count + 1
        found = [_Last(numbers[n], seconds, person.box, person.colours) for n, person in enumerate(people)]
        self._last = [last for last in past if last.number not in numbers.values()] + found
        return [numbers[n] for n in range(len(people))]


def _match(last: _Last, seconds: float, person: Sighting) -> float:
    """Rate how well somebody carries on a track; 0 for not at all."""
    tall = (last.box.height + person.box.height) / 2
    away = float(np.hypot(*(np.subtract(_middle(last.box), _middle(person.box))))) / tall
    reach = _REACH + _SPEED * (seconds - last.seconds)
    growth = max(last.box.height, person.box.height) / max(1e-6, min(last.box.height, person.box.height))
    if away > reach or growth > _GROWTH:
        return 0.0
    like = likeness(last.colours, person.colours)
    return max(0.0, like - _DISTANCE_COSTS * away / reach) + 1e-9 if like >= _LIKE_AT_LEAST else 0.0


def _middle(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
