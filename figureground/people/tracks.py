"""Tracking: links a person over sampled frames that lie half a second or so apart.

At that distance the boxes of a walker no longer overlap, so three measures decide together: the distance moved, in the
person's own heights and for the time that passed; the change of size; and the clothes, as colour histograms of the upper and
the lower body. Pairs are linked best first, each person and each track once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.people import pose_regions
from figureground.types import Box, PersonCrop

ColourHistogram = NDArray[np.float32]
"""Shape (96,): shares of hue, saturation and brightness of the upper body (first half, sum 1) and of the lower (sum 1)."""

LOST_AFTER_SECONDS = 2.0
"""A person that comes back later than that gets a new track."""

_REACH, _REACH_PER_SECOND = 0.35, 1.6  # heights: a runner, or a camera that pans
_GROWTH_AT_MOST = 1.6  # times as tall, or as small
_SIMILARITY_AT_LEAST = 0.45
_DISTANCE_PENALTY = 0.4  # of similarity, for a person at the end of the reach
_LEVELS = np.array([8, 3, 2])  # of hue, saturation, brightness
_BINS = int(_LEVELS.prod())


@dataclass(frozen=True, slots=True, eq=False)
class Appearance:
    """One person in one frame: the detected box in frame pixels, and the colours of the clothes."""

    box: Box
    colours: ColourHistogram


class _LastSeen(NamedTuple):
    track: int
    seconds: float
    box: Box
    colours: ColourHistogram


def appearance(crop: PersonCrop) -> Appearance:
    """Measure what a person is tracked by.

    Parameters
    ----------
    crop
        One person.
    """
    return Appearance(crop.person, count_colours(crop))


def count_colours(crop: PersonCrop) -> ColourHistogram:
    """Count the colours of a person's body, above and below its middle.

    Parameters
    ----------
    crop
        Its image is (h, w, 3) uint8 RGB.
    """
    scale = min(1.0, 128 / max(crop.image.shape[:2]))
    size = (max(1, round(crop.image.shape[1] * scale)), max(1, round(crop.image.shape[0] * scale)))
    small = cv2.resize(crop.image, size, interpolation=cv2.INTER_AREA)
    area = cv2.resize(pose_regions.person_area(crop), size, interpolation=cv2.INTER_NEAREST)
    bins = _colour_bins(small)
    middle = round((crop.person_inside.y0 + crop.person_inside.y1) / 2 * scale)
    halves = (slice(0, middle), slice(middle, None))
    counts = np.stack([np.bincount(bins[half][area[half] > 0], minlength=_BINS) for half in halves]).astype(np.float32)
    shares: ColourHistogram = (counts / np.maximum(1, counts.sum(axis=1, keepdims=True))).ravel()
    return shares


def _colour_bins(image: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Give each pixel's colour as a number below `_BINS`."""
    planes = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL).astype(np.int64)
    hue, saturation, brightness = np.moveaxis(planes * _LEVELS // 256, 2, 0)
    return np.asarray((hue * _LEVELS[1] + saturation) * _LEVELS[2] + brightness)


def colour_similarity(first: ColourHistogram, second: ColourHistogram) -> float:
    """Compare two people's colours, 0..1: Bhattacharyya's coefficient, the mean of upper and lower body."""
    return float(np.sqrt(first * second).sum() / 2)


class Tracker:
    """Tracks the people of one source; frames are given in their order."""

    def __init__(self) -> None:
        self._count = 0
        self._last: list[_LastSeen] = []

    def update(self, seconds: float, people: Sequence[Appearance]) -> list[int]:
        """Give each person of the next frame its track's number, from 0; a new person gets a new number.

        Parameters
        ----------
        seconds
            The frame's time; at the time of the frame before, or sooner (photos have none), every person is new.
        people
            In any order; the numbers of new people follow it.
        """
        past = [last for last in self._last if 0 < seconds - last.seconds <= LOST_AFTER_SECONDS]
        pairs = [
            (_rate_match(last, seconds, person), -index, number)
            for index, last in enumerate(past)
            for number, person in enumerate(people)
        ]
        tracks: dict[int, int] = {}
        linked: set[int] = set()
        for rating, index, number in sorted(pairs, reverse=True):
            if rating > 0 and number not in tracks and index not in linked:
                tracks[number] = past[-index].track
                linked.add(index)
        for number in range(len(people)):
            if number not in tracks:
                tracks[number], self._count = self._count, self._count + 1
        current = [_LastSeen(tracks[number], seconds, person.box, person.colours) for number, person in enumerate(people)]
        self._last = [last for last in past if last.track not in tracks.values()] + current
        return [tracks[number] for number in range(len(people))]


def _rate_match(last: _LastSeen, seconds: float, person: Appearance) -> float:
    """Rate how well a person continues a track; 0 for not at all."""
    height = (last.box.height + person.box.height) / 2
    distance = float(np.hypot(*(np.subtract(_centre(last.box), _centre(person.box))))) / height
    reach = _REACH + _REACH_PER_SECOND * (seconds - last.seconds)
    growth = max(last.box.height, person.box.height) / max(1e-6, min(last.box.height, person.box.height))
    if distance > reach or growth > _GROWTH_AT_MOST:
        return 0.0
    similarity = colour_similarity(last.colours, person.colours)
    if similarity < _SIMILARITY_AT_LEAST:
        return 0.0
    return max(0.0, similarity - _DISTANCE_PENALTY * distance / reach) + 1e-9


def _centre(box: Box) -> tuple[float, float]:
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
