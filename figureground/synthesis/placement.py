"""Where people stand in a composite: one level camera over flat ground, the same for everybody in the picture.

With the horizon in row ``y_h`` and the camera ``c`` metres above the ground, who is ``s`` metres tall and stands with the feet
in row ``y_f`` is ``(y_f - y_h) * s / c`` rows tall (Hoiem, Efros, Hebert, "Putting Objects in Perspective", IJCV 2008): who
stands higher up in the picture is farther away and smaller. Of some places drawn by chance the calmest is taken, because ground
is calmer than what stands on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from figureground.imaging import geometry
from figureground.synthesis.backgrounds import Size
from figureground.types import Box

Framing = Literal["full", "half", "face", "cut"]
Range = tuple[float, float]

_STATURE = (1.55, 1.9)
_EYE = (1.2, 2.1)
_PLACES = 8
_FEET_AT_MOST = 0.985
_SHOWN: dict[str, Range] = {"half": (0.42, 0.6), "face": (0.18, 0.28)}
"""The share of a person's height that a close-up shows."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is to be placed: a cutout's size in pixels and the sides where it is cut."""

    person_id: str
    width: int
    height: int
    sides: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be drawn; shares of the picture's height, see ``compose`` in ``docs/catalog.md``."""

    height: Range = (0.35, 0.95)
    horizon: Range = (0.25, 0.5)
    half_length: float = 0.15
    faces: float = 0.05
    mirrored: float = 0.5
    turned_at_most: float = 3.0
    enlarged_at_most: float = 1.5


@dataclass(frozen=True, slots=True)
class Ground:
    """The camera's: the horizon's row as a share of the height (0 top, 1 bottom), and its height over the ground in metres."""

    horizon: float
    eye: float


@dataclass(frozen=True, slots=True)
class Placed:
    """One person in the picture: the cutout's whole box in the picture's pixels, parts of which may lie outside.

    ``turned`` is in degrees, counterclockwise around the box's middle. ``grounded`` says whether the feet are to be seen.
    """

    person_id: str
    box: Box
    mirrored: bool
    turned: float
    framing: Framing
    grounded: bool


def too_wide(subject: Subject, size: Size, rules: Rules) -> bool:
    """Tell whether a person is larger than the picture, however small it may be drawn."""
    return subject.width / subject.height * rules.height[0] * size.height > size.width


def ground(random: np.random.Generator, rules: Rules) -> Ground:
    """Draw a camera."""
    return Ground(float(random.uniform(*rules.horizon)), float(random.uniform(*_EYE)))


def placed(
    random: np.random.Generator,
    subjects: Sequence[Subject],
    size: Size,
    camera: Ground,
    rules: Rules,
    rough: NDArray[np.float32],
) -> list[Placed]:
    """Place people, the first perhaps as a close-up.

    Parameters
    ----------
    random
        The picture's stream of chance.
    subjects
        Whom; at least one.
    size
        The picture's.
    camera, rules
        What holds for all.
    rough
        See `figureground.synthesis.backgrounds.roughness`.

    Returns
    -------
    list of Placed
        From the farthest to the nearest: painted in that order, nearer ones hide farther ones.
    """
    placed_people: list[tuple[float, Placed]] = []
    for number, subject in enumerate(subjects):
        framing = _framing(random, subject, size, rules) if number == 0 else _plain(subject)
        if framing == "full":
            person = _standing(random, subject, size, camera, rules, rough, [other.box for _, other in placed_people])
            placed_people.append((person.box.y1, person))
        else:
            placed_people.append((float("inf"), _close_up(random, subject, framing, size, rules)))
    return [person for _, person in sorted(placed_people, key=lambda pair: pair[0])]


def _plain(subject: Subject) -> Framing:
    return "cut" if subject.sides else "full"


def _framing(random: np.random.Generator, subject: Subject, size: Size, rules: Rules) -> Framing:
    """Draw how much of a person is shown; a close-up that would need too much enlarging gives way to the next wider one."""
    drawn = random.random()
    wanted: Sequence[Framing] = ("face", "half") if drawn < rules.faces else ("half",)
    if subject.sides or drawn >= rules.faces + rules.half_length:
        return _plain(subject)
    for framing in wanted:
        if 0.85 * size.height / _SHOWN[framing][1] / subject.height <= rules.enlarged_at_most:
            return framing
    return "full"


def _standing(
    random: np.random.Generator,
    subject: Subject,
    size: Size,
    camera: Ground,
    rules: Rules,
    rough: NDArray[np.float32],
    others: Sequence[Box],
) -> Placed:
    """Draw some places on the ground and take the calmest, where nobody is hidden much."""
    stature = random.uniform(*_STATURE)
    highest = min(rules.height[1], (_FEET_AT_MOST - camera.horizon) * stature / camera.eye, _widest(subject, size, rules))
    lowest = min(rules.height[0], highest)
    candidates = []
    for _ in range(_PLACES):
        height = random.uniform(lowest, highest)
        feet = camera.horizon + height * camera.eye / stature
        box = _box(subject, size, height, feet, random.random())
        candidates.append((_restless(box, size, rough) * (1 + 4 * geometry.covered(box, others)), box))
    box = min(candidates, key=lambda candidate: candidate[0])[1]
    return Placed(subject.person_id, box, *_turned(random, rules), "full", True)


def _widest(subject: Subject, size: Size, rules: Rules) -> float:
    """Give the largest height at which a person is neither wider than the picture nor enlarged too much."""
    fits = 0.97 * size.width / size.height * subject.height / subject.width
    return min(fits, rules.enlarged_at_most * subject.height / size.height)


def _box(subject: Subject, size: Size, height: float, feet: float, across: float) -> Box:
    high = height * size.height
    wide = high * subject.width / subject.height
    x = (size.width - wide) * across
    return Box(round(x), round(feet * size.height - high), round(x) + max(1, round(wide)), round(feet * size.height))


def _restless(box: Box, size: Size, rough: NDArray[np.float32]) -> float:
    """Give the mean roughness where the feet are: the box's width, from a little above to a little below its lower side."""
    rows, columns = rough.shape
    y = int(np.clip(box.y1 / size.height * rows, 1, rows - 1))
    left, right = (int(np.clip(x / size.width * columns, 0, columns - 1)) for x in (box.x0, box.x1))
    return float(rough[y - 1 : y + 1, left : right + 1].mean()) + 1.0


def _close_up(random: np.random.Generator, subject: Subject, framing: Framing, size: Size, rules: Rules) -> Placed:
    """Put a person so that the picture's edge cuts it, where the cutout is cut already or where the framing says."""
    share = 1.0 if framing == "cut" else random.uniform(*_SHOWN[framing])
    room = 1 - random.uniform(0.02, 0.2)
    high = min(room * size.height / share, rules.enlarged_at_most * subject.height)
    wide = high * subject.width / subject.height
    mirrored, turned = _turned(random, rules)
    sides = _mirrored(subject.sides) if mirrored else subject.sides
    if {"left", "right"} <= set(sides):
        high, wide = high * max(1.0, size.width / wide), max(wide, float(size.width))
    x = _across(random.uniform(0.3, 0.7), wide, size, sides)
    top = size.height - high * share if framing != "cut" or "bottom" in sides else (size.height - high) * random.random()
    if "bottom" in sides:
        top = max(top, size.height - high)
    box = Box(round(x), round(top), round(x) + max(1, round(wide)), round(top) + max(1, round(high)))
    return Placed(subject.person_id, box, mirrored, 0.0 if sides else turned, framing, False)


def _across(middle: float, wide: float, size: Size, sides: Sequence[str]) -> float:
    if "left" in sides:
        return 0.0
    if "right" in sides:
        return size.width - wide
    return middle * size.width - wide / 2


def _turned(random: np.random.Generator, rules: Rules) -> tuple[bool, float]:
    return bool(random.random() < rules.mirrored), float(round(random.uniform(-1, 1) * rules.turned_at_most, 2))


def _mirrored(sides: Sequence[str]) -> tuple[str, ...]:
    return tuple({"left": "right", "right": "left"}.get(side, side) for side in sides)
