"""Objects laid over people: their outlines and their textures."""

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from figureground.checks.heads.scenes import DetectedFrame
from figureground.imaging import geometry
from figureground.types import Box, Frame, Image, Mask, Person

PLAIN_SHAPES = ("pole", "wall", "edge", "blob")
"""The shapes that train heads and measure checks; all others only train."""
_CANDIDATES = 12  # outlines drawn, of which the outline that hides the share best is taken


def lay_in_front(
    frame: Frame, mask: Mask, box: Box, share: float, detected: Sequence[DetectedFrame], rng: np.random.Generator
) -> tuple[Image, Mask]:
    """Lay an object over about `share` of a person.

    Parameters
    ----------
    frame, mask, box
        A frame, its person's mask (h, w) and box.
    share
        Of the person, to be hidden.
    detected
        Frames and their people, which give textures.
    rng
        Draws shape, place and texture.

    Returns
    -------
    Image, Mask
        The image, and the object's mask in it.
    """
    shape = _draw_shape(rng)
    candidates = [_draw_any_outline(mask, box, shape, rng) for _ in range(_CANDIDATES)]
    errors = [abs(float((candidate & mask).sum() / mask.sum()) - share) for candidate in candidates]
    occluder = candidates[int(np.argmin(errors))]
    return _lay(frame, occluder, detected, rng), occluder


def lay_beside(frame: Frame, mask: Mask, box: Box, detected: Sequence[DetectedFrame], rng: np.random.Generator) -> Image:
    """Lay an object beside or behind a person; the parameters are those of `lay_in_front`."""
    occluder = _draw_any_outline(mask, box, _draw_shape(rng), rng)
    if rng.random() < 0.7:
        occluder = np.roll(occluder, int(rng.choice([-1, 1]) * rng.uniform(0.3, 1.2) * box.width), 1)
    return _lay(frame, occluder & (1 - cv2.dilate(mask, np.ones((3, 3), np.uint8))), detected, rng)


def _draw_shape(rng: np.random.Generator) -> str:
    return str(rng.choice(PLAIN_SHAPES if rng.random() < 0.4 else tuple(_SHAPES)))


def _lay(frame: Frame, occluder: Mask, detected: Sequence[DetectedFrame], rng: np.random.Generator) -> Image:
    soft = cv2.GaussianBlur(occluder.astype(np.float32), (0, 0), rng.uniform(0.4, 1.6))[..., None]
    return np.asarray((frame.image * (1 - soft) + _draw_texture(frame, detected, rng) * soft).astype(np.uint8), np.uint8)


# --- outlines


def draw_outline(mask: Mask, box: Box, shape: str, rng: np.random.Generator) -> Mask:
    """Draw one of the `PLAIN_SHAPES` near a person.

    Parameters
    ----------
    mask, box
        The person's mask (h, w) and box.
    shape
        A pole over the whole height, a low wall before the feet, an edge at a side, or a blob.
    rng
        Draws place and size.
    """
    occluder, wide, high = np.zeros(mask.shape, np.uint8), box.width, box.height
    corners: tuple[float, float, float, float]
    if shape == "pole":
        width = rng.uniform(0.05, 0.9) * wide
        left = rng.uniform(box.x0 - width / 2, box.x1 - width / 2)
        corners = (left, 0, left + width, mask.shape[0])
    elif shape == "wall":
        corners = (box.x0 - 0.4 * wide, box.y1 - rng.uniform(0.05, 0.75) * high, box.x1 + 0.4 * wide, box.y1 + 0.05 * high)
    elif shape == "edge":
        width = rng.uniform(0.1, 0.8) * wide
        x0, x1 = (box.x0 - 0.5 * wide, box.x0 + width) if rng.random() < 0.5 else (box.x1 - width, box.x1 + 0.5 * wide)
        corners = (x0, box.y0 - 0.1 * high, x1, box.y1 + 0.1 * high)
    else:
        ys, xs = np.nonzero(mask)
        at, radius = rng.integers(len(ys)), rng.uniform(0.08, 0.5)
        axes = (max(3, int(radius * wide)), max(3, int(0.6 * radius * high)))
        cv2.ellipse(occluder, (int(xs[at]), int(ys[at])), axes, rng.uniform(0, 180), 0, 360, 1, -1)
        return occluder
    left_x, top, right_x, bottom = map(int, corners)
    cv2.rectangle(occluder, (left_x, top), (right_x, bottom), 1, -1)
    return occluder


def _draw_any_outline(mask: Mask, box: Box, shape: str, rng: np.random.Generator) -> Mask:
    if shape in PLAIN_SHAPES:
        return draw_outline(mask, box, shape, rng)
    middle = (rng.uniform(box.x0, box.x1), rng.uniform(box.y0, box.y1))
    occluder = np.zeros(mask.shape, np.uint8)
    _SHAPES[shape](occluder, box, middle, rng)
    return occluder


def _draw_bar(occluder: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    angle, far = rng.uniform(0, np.pi), 3 * box.height
    dx, dy = far * np.cos(angle), far * np.sin(angle)
    start, end = ((int(middle[0] + side * dx), int(middle[1] + side * dy)) for side in (-1, 1))
    cv2.line(occluder, start, end, 1, max(2, int(rng.uniform(0.04, 0.3) * box.height)))


def _draw_polygon(occluder: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    corners = rng.integers(3, 9)
    angles = np.sort(rng.uniform(0, 2 * np.pi, corners))
    reach = rng.uniform(0.3, 1, corners) * rng.uniform(0.1, 0.5) * box.height
    points = np.stack([middle[0] + reach * np.cos(angles), middle[1] + reach * np.sin(angles)], 1)
    cv2.fillPoly(occluder, [points.astype(np.int32)], 1)


def _draw_fence(occluder: Mask, box: Box, _: tuple[float, float], rng: np.random.Generator) -> None:
    thick = max(2, int(rng.uniform(0.02, 0.06) * box.height))
    top = int(rng.uniform(box.y0, box.y1 - 0.2 * box.height))
    for x in np.arange(box.x0 - box.width, box.x1 + box.width, thick * rng.uniform(2, 5)):
        cv2.rectangle(occluder, (int(x), top), (int(x) + thick, int(box.y1 + 0.1 * box.height)), 1, -1)
    cv2.rectangle(occluder, (0, top), (occluder.shape[1], top + thick), 1, -1)


def _draw_leaves(occluder: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    for _ in range(rng.integers(10, 60)):
        x, y = (int(at + rng.normal(0, 0.25 * box.height)) for at in middle)
        long = rng.uniform(0.02, 0.07) * box.height
        axes = (max(2, int(long)), max(1, int(long * rng.uniform(0.3, 1))))
        cv2.ellipse(occluder, (x, y), axes, rng.uniform(0, 180), 0, 360, 1, -1)


def _draw_ellipse(occluder: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    axes = (int(rng.uniform(0.15, 0.7) * box.width), int(rng.uniform(0.1, 0.5) * box.height))
    cv2.ellipse(occluder, (int(middle[0]), int(middle[1])), axes, 0, 0, 360, 1, -1)


def _draw_table(occluder: Mask, box: Box, middle: tuple[float, float], rng: np.random.Generator) -> None:
    """Draw a board on two or three legs, or a box that stands on the ground."""
    wide, top = rng.uniform(0.6, 2.5) * box.width, int(box.y1 - rng.uniform(0.15, 0.6) * box.height)
    left, thick, foot = int(middle[0] - wide / 2), max(2, int(rng.uniform(0.02, 0.1) * box.height)), int(box.y1)
    cv2.rectangle(occluder, (left, top), (int(left + wide), foot if rng.random() < 0.4 else top + thick), 1, -1)
    for x in np.linspace(left, left + wide - thick, rng.integers(2, 4)):
        cv2.rectangle(occluder, (int(x), top), (int(x) + thick // 2 + 1, foot), 1, -1)


def _draw_poles(occluder: Mask, box: Box, _: tuple[float, float], rng: np.random.Generator) -> None:
    for _pole in range(rng.integers(1, 4)):
        thick = max(2, int(rng.uniform(0.03, 0.09) * box.height))
        x, lean = int(rng.uniform(box.x0, box.x1)), int(rng.normal(0, 0.05) * occluder.shape[0])
        cv2.line(occluder, (x, 0), (x + lean, occluder.shape[0]), 1, thick)


_SHAPES: dict[str, Callable[[Mask, Box, tuple[float, float], np.random.Generator], None]] = {
    "bar": _draw_bar,
    "polygon": _draw_polygon,
    "fence": _draw_fence,
    "leaves": _draw_leaves,
    "ellipse": _draw_ellipse,
    "table": _draw_table,
    "thin poles": _draw_poles,
}
"""In the order from which a shape is drawn by chance."""


# --- textures


def cut_other_scene(frame: Frame, detected: Sequence[DetectedFrame], rng: np.random.Generator) -> Image:
    """Cut the texture of an object: a part of another scene without people, so that legs never hide legs."""
    others = [item for item in detected if item[0].source_id != frame.source_id]
    while True:
        other, people = others[rng.integers(len(others))]
        if (part := cut_empty_part(other.image, people, rng)) is not None:
            return part


def cut_empty_part(image: Image, people: Sequence[Person], rng: np.random.Generator) -> Image | None:
    """Cut a part of an image, 15 to 70 % of its sides, that intersects no person's box; None after 20 tries."""
    for _ in range(20):
        high, wide = (int(side * rng.uniform(0.15, 0.7)) for side in image.shape[:2])
        y, x = int(rng.integers(image.shape[0] - high)), int(rng.integers(image.shape[1] - wide))
        if not any(geometry.clip(person.box, Box(x, y, x + wide, y + high)) for person in people):
            return image[y : y + high, x : x + wide]
    return None


def _draw_texture(frame: Frame, detected: Sequence[DetectedFrame], rng: np.random.Generator) -> Image:
    """Cut a part of another scene or of this image without people, or draw an even colour with grain."""
    high, wide = frame.image.shape[:2]
    kind = rng.random()
    if kind < 0.65:
        return np.asarray(cv2.resize(cut_other_scene(frame, detected, rng), (wide, high)), np.uint8)
    own = None
    if kind >= 0.8:
        people = next(people for other, people in detected if other.frame_id == frame.frame_id)
        own = cut_empty_part(frame.image, people, rng)
    if own is not None:
        return np.asarray(cv2.resize(own[:, ::-1], (wide, high)), np.uint8)
    coarse = cv2.resize(rng.normal(0, 1, (high // 8 + 2, wide // 8 + 2)).astype(np.float32), (wide, high))[..., None]
    grain = coarse * rng.uniform(0, 15) + rng.normal(0, rng.uniform(0, 6), (high, wide, 1))
    light = np.linspace(-1, 1, high)[:, None, None] * rng.uniform(-40, 40)
    return np.asarray(np.clip(rng.uniform(0, 255, 3) + grain + light, 0, 255).astype(np.uint8), np.uint8)
