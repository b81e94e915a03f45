"""Things that may stand before a person: their outlines and what they look like, for `learn_occlusion`."""

from collections.abc import Sequence

import checks
import cv2
import numpy as np
from checks import Seen

from figureground.types import Box, Frame, Image, Mask

PLAIN = ("pole", "wall", "edge", "blob")  # as the tables of `checks` have them
MORE = ("bar", "polygon", "fence", "leaves", "ellipse", "table", "thin poles")
TRIES = 12  # outlines drawn until one hides about the share asked for


def before(
    frame: Frame, mask: Mask, box: Box, share: float, seen: Sequence[Seen], rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Lay a thing over about `share` of a person.

    Returns
    -------
    Image, Mask
        The picture, and what of it is the thing.
    """
    name = _name(rng)
    tries = [_outline(mask, box, name, rng) for _ in range(TRIES)]
    covers = [abs(float((thing & mask).sum() / mask.sum()) - share) for thing in tries]
    thing = tries[int(np.argmin(covers))]
    return _laid(frame, thing, seen, rng), thing


def beside(frame: Frame, mask: Mask, box: Box, seen: Sequence[Seen], rng: np.random.Generator) -> Image:
    """Lay a thing beside or behind a person."""
    thing = _outline(mask, box, _name(rng), rng)
    if rng.random() < 0.7:
        thing = np.roll(thing, int(rng.choice([-1, 1]) * rng.uniform(0.3, 1.2) * box.width), 1)
    return _laid(frame, thing & (1 - cv2.dilate(mask, np.ones((3, 3), np.uint8))), seen, rng)


def _name(rng: np.random.Generator) -> str:
    return str(rng.choice(PLAIN if rng.random() < 0.4 else MORE))


def _laid(frame: Frame, thing: Mask, seen: Sequence[Seen], rng: np.random.Generator) -> Image:
    soft = cv2.GaussianBlur(thing.astype(np.float32), (0, 0), rng.uniform(0.4, 1.6))[..., None]
    return (frame.image * (1 - soft) + _texture(frame, seen, rng) * soft).astype(np.uint8)


def _outline(mask: Mask, box: Box, name: str, rng: np.random.Generator) -> Mask:
    if name in PLAIN:
        return checks._thing(mask, box, name, rng)
    middle = (rng.uniform(box.x0, box.x1), rng.uniform(box.y0, box.y1))
    thing = np.zeros(mask.shape, np.uint8)
    {
        "bar": _bar,
        "polygon": _polygon,
        "fence": _fence,
        "leaves": _leaves,
        "ellipse": _ellipse,
        "table": _table,
        "thin poles": _poles,
    }[name](thing, box, middle, rng)
    return thing


def _bar(thing: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    angle, far = rng.uniform(0, np.pi), 3 * box.height
    dx, dy = far * np.cos(angle), far * np.sin(angle)
    ends = [(int(middle[0] + side * dx), int(middle[1] + side * dy)) for side in (-1, 1)]
    cv2.line(thing, *ends, 1, max(2, int(rng.uniform(0.04, 0.3) * box.height)))


def _polygon(thing: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    corners = rng.integers(3, 9)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(0.3, 1, corners) * rng.uniform(0.1, 0.5) * box.height
    points = np.stack([middle[0] + reach * np.cos(angles), middle[1] + reach * np.sin(angles)], 1)
    cv2.fillPoly(thing, [points.astype(np.int32)], 1)


def _fence(thing: Mask, box: Box, _: tuple[float, float], rng: np.random.Generator) -> None:
    thick = max(2, int(rng.uniform(0.02, 0.06) * box.height))
    top = int(rng.uniform(box.y0, box.y1 - 0.2 * box.height))
    for x in np.arange(box.x0 - box.width, box.x1 + box.width, thick * rng.uniform(2, 5)):
        cv2.rectangle(thing, (int(x), top), (int(x) + thick, int(box.y1 + 0.1 * box.height)), 1, -1)
    cv2.rectangle(thing, (0, top), (thing.shape[1], top + thick), 1, -1)


def _leaves(thing: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(10, 60)):
        x, y = (int(at + rng.normal(0, 0.25 * box.height)) for at in middle)
        long = rng.uniform(0.02, 0.07) * box.height
        axes = (max(2, int(long)), max(1, int(long * rng.uniform(0.3, 1))))
        cv2.ellipse(thing, (x, y), axes, rng.uniform(0, 180), 0, 360, 1, -1)


def _ellipse(thing: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    axes = (int(rng.uniform(0.15, 0.7) * box.width), int(rng.uniform(0.1, 0.5) * box.height))
    cv2.ellipse(thing, (int(middle[0]), int(middle[1])), axes, 0, 0, 360, 1, -1)


def _table(thing: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw a board on two or three legs, or a box that stands on the ground."""
    wide, top = rng.uniform(0.6, 2.5) * box.width, int(box.y1 - rng.uniform(0.15, 0.6) * box.height)
    left, thick, foot = int(middle[0] - wide / 2), max(2, int(rng.uniform(0.02, 0.1) * box.height)), int(box.y1)
    cv2.rectangle(thing, (left, top), (int(left + wide), foot if rng.random() < 0.4 else top + thick), 1, -1)
    for x in np.linspace(left, left + wide - thick, rng.integers(2, 4)):
        cv2.rectangle(thing, (int(x), top), (int(x) + thick // 2 + 1, foot), 1, -1)


def _poles(thing: Mask, box: Box, _: tuple[float, float], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 4)):
        thick = max(2, int(rng.uniform(0.03, 0.09) * box.height))
        x, lean = int(rng.uniform(box.x0, box.x1)), int(rng.normal(0, 0.05) * thing.shape[0])
        cv2.line(thing, (x, 0), (x + lean, thing.shape[0]), 1, thick)


def _texture(frame: Frame, seen: Sequence[Seen], rng: np.random.Generator) -> Image:
    """Give a part of another scene or of this picture without people, or an even colour with grain."""
    high, wide = frame.image.shape[:2]
    kind = rng.random()
    if kind < 0.65:
        return cv2.resize(checks.elsewhere(frame, seen, rng), (wide, high))
    own = None
    if kind >= 0.8:
        own = checks.emptiest(frame.image, next(people for other, people in seen if other.frame_id == frame.frame_id), rng)
    if own is not None:
        return cv2.resize(own[:, ::-1], (wide, high))
    coarse = cv2.resize(rng.normal(0, 1, (high // 8 + 2, wide // 8 + 2)).astype(np.float32), (wide, high))[..., None]
    grain = coarse * rng.uniform(0, 15) + rng.normal(0, rng.uniform(0, 6), (high, wide, 1))
    light = np.linspace(-1, 1, high)[:, None, None] * rng.uniform(-40, 40)
    return np.clip(rng.uniform(0, 255, 3) + grain + light, 0, 255).astype(np.uint8)
