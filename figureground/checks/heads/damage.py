"""Synthetic damage that trains heads and measures checks: narrowed frames, blends, pasted people, bends of lenses."""

import dataclasses
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.checks.heads.scenes import DetectedFrame, crop_slices, detect_again, is_free, take_evenly
from figureground.detectors import Detector
from figureground.imaging import crops, geometry
from figureground.types import Box, Frame, Image, Mask, Person, PersonCrop

CropsByKind = dict[str, list[PersonCrop]]
"""Crops by the kind of their damage."""
MILD_BENDS = frozenset({"wide 35", "equirectangular 30", "fisheye 0.6", "fisheye aside 45"})
"""Bends that stretch nobody by 1.4 or more: measured, and trained on with less weight."""
_SIDES = ("below", "above", "left", "right")
_BENT_HEIGHT = 480.0  # px, of a person before a lens bends it

_Plane = NDArray[np.float64]


def add_crop(columns: CropsByKind, kind: str, crop: PersonCrop | None) -> None:
    """Add a crop to those of its kind, unless it is None."""
    if crop is not None:
        columns.setdefault(kind, []).append(crop)


# --- narrowed frames


def truncate_people(detected: Sequence[DetectedFrame], detector: Detector, at_most: int) -> CropsByKind:
    """Move the sides of frames through and beside people who are whole, and detect them again.

    Parameters
    ----------
    detected
        Frames and their people.
    detector
        Detects the people again.
    at_most
        People of each scene.

    Returns
    -------
    dict
        Crops by kind: ``away``, ``touching``, or the side and the share of the box outside, such as ``below 0.4``.
    """
    whole = [
        (frame, people[number])
        for frame, people in detected
        for number in range(min(2, len(people)))
        if is_free(frame, people, number, 0.1, 0.7)
    ]
    columns: CropsByKind = {}
    for frame, person in take_evenly(whole, at_most):
        for side in _SIDES:
            shares = (0.05, 0.1, 0.2, 0.4, 0.6) if side in ("below", "above") else (0.1, 0.3, 0.5)
            for share in (-0.005, *shares):
                kind = f"{side} {share}" if share > 0 else "touching"
                image, rest = narrow_frame(frame.image, person.box, side, share)
                add_crop(columns, kind, detect_again(detector, frame, image, rest))
        add_crop(columns, "away", detect_again(detector, frame, frame.image, person.box))
    return columns


def narrow_frame(image: Image, box: Box, side: str, share: float) -> tuple[Image, Box]:
    """Move one side of the frame so that `share` of the box lies outside; give the image and the rest of the box."""
    x0, y0, x1, y1 = 0, 0, image.shape[1], image.shape[0]
    y1 = round(box.y1 - share * box.height) if side == "below" else y1
    y0 = round(box.y0 + share * box.height) if side == "above" else y0
    x0 = round(box.x0 + share * box.width) if side == "left" else x0
    x1 = round(box.x1 - share * box.width) if side == "right" else x1
    rest = geometry.clip(geometry.shift(box, -x0, -y0), Box(0, 0, x1 - x0, y1 - y0))
    assert rest is not None
    return image[y0:y1, x0:x1].copy(), rest


# --- light, blends and JPEG


def to_linear(image: Image) -> NDArray[np.float32]:
    """Give the light that made an image, about: (h, w, 3), 0 to 1."""
    return np.asarray((image.astype(np.float32) / 255) ** 2.2, np.float32)


def from_linear(light: NDArray[np.floating]) -> Image:
    """Give the image that light makes; the inverse of `to_linear`."""
    return np.asarray((np.clip(light, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8), np.uint8)


def blend(image: Image, other: Image, rng: np.random.Generator) -> Image:
    """Lay 30–50 % of another image over an image: as light, or as a video editor does it."""
    share = rng.uniform(0.3, 0.5)
    if rng.random() < 0.5:
        return from_linear(to_linear(image) * (1 - share) + to_linear(other) * share)
    return (image * (1 - share) + other * share + 0.5).astype(np.uint8)


def blend_shifted(frame: Frame, crop: PersonCrop, share: float, rng: np.random.Generator) -> Image:
    """Blend a crop with its frame shifted by a share of the person's height in any direction."""
    height, angle = max(crop.person.width, crop.person.height), rng.uniform(0, 2 * np.pi)
    offset = np.array([[1, 0, share * height * np.cos(angle)], [0, 1, share * height * np.sin(angle)]], np.float32)
    shifted = cv2.warpAffine(frame.image, offset, frame.image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
    return blend(crop.image, shifted[crop_slices(crop)], rng)


def recompress(image: Image, rng: np.random.Generator) -> Image:
    """Encode an image as JPEG of quality 80 to 97 and decode it."""
    content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 98))])[1]
    return crops.decode(content.tobytes(), "the damaged crop")


# --- pasted people


def paste_person(
    image: Image, mask: Mask, box: Box, donor: tuple[Frame, Person, Mask], kind: str, rng: np.random.Generator
) -> Image | None:
    """Paste another person of similar height in front of a person, behind it, or apart with boxes that overlap.

    Parameters
    ----------
    image, mask, box
        An image, its person's mask (h, w) and box.
    donor
        A frame, the other person in it, and that person's mask.
    kind
        ``front``, ``behind`` or ``apart``.
    rng
        Draws the place.

    Returns
    -------
    Image or None
        None when no drawn place fits the kind.
    """
    frame, person, donor_mask = donor
    scale = box.height / person.box.height * rng.uniform(0.85, 1.15)
    bounds = Box(0, 0, donor_mask.shape[1], donor_mask.shape[0])
    cut = geometry.clip(geometry.outward(geometry.grow(person.box, 0.05)), bounds)
    assert cut is not None
    inside = (slice(int(cut.y0), int(cut.y1)), slice(int(cut.x0), int(cut.x1)))
    size = (max(4, int(cut.width * scale)), max(4, int(cut.height * scale)))
    pasted = cv2.resize(frame.image[inside], size, interpolation=cv2.INTER_AREA)
    outline = cv2.resize(donor_mask[inside], size, interpolation=cv2.INTER_NEAREST)
    rim = 2 * max(2, int(0.02 * box.height)) + 1
    near = cv2.dilate(mask, np.ones((rim, rim), np.uint8))
    for _ in range(80):
        x = int(rng.uniform(box.x0 - 1.1 * size[0], box.x1 + 0.1 * size[0]))
        y = int(box.y1 - size[1] + rng.uniform(-0.03, 0.05) * box.height)
        around = geometry.clip(Box(x, y, x + size[0], y + size[1]), Box(0, 0, mask.shape[1], mask.shape[0]))
        if around is None or around.width < 0.5 * size[0] or around.height < 0.5 * size[1]:
            continue
        target = (slice(int(around.y0), int(around.y1)), slice(int(around.x0), int(around.x1)))
        part = (slice(int(around.y0) - y, int(around.y1) - y), slice(int(around.x0) - x, int(around.x1) - x))
        area = np.zeros(mask.shape, np.uint8)
        area[target] = outline[part]
        if _fits(kind, area, mask, near, box, around):
            layer = image.copy()
            layer[target] = pasted[part]
            cover = (area * (1 - mask) if kind == "behind" else area).astype(np.float32)
            cover = cv2.GaussianBlur(cover, (0, 0), 0.7)[..., None]
            return np.asarray((image * (1 - cover) + layer * cover).astype(np.uint8), np.uint8)
    return None


def _fits(kind: str, area: Mask, mask: Mask, near: Mask, box: Box, target: Box) -> bool:
    shared = (area & mask).sum()
    if kind == "apart":
        return not (area & near).any() and geometry.covered(box, [target]) > 0
    if kind == "front":
        return bool(0.08 < shared / mask.sum() < 0.5)
    return bool(0.08 < shared / max(1, area.sum()) < 0.5)


# --- people as lenses bend them


def bend_people(detected: Sequence[DetectedFrame], detector: Detector, at_most: int) -> CropsByKind:
    """Show whole people straight and as lenses bend them, and detect them again.

    Parameters
    ----------
    detected, detector, at_most
        As for `truncate_people`.

    Returns
    -------
    dict
        Crops by kind: ``clean``, ``turned``, or the lens and its strength, such as ``wide 50``.
    """
    rng, columns = np.random.default_rng(1), CropsByKind()
    whole = [(frame, people[0]) for frame, people in detected if people and is_free(frame, people, 0, 0.05, 0.7)]
    for frame, person in take_evenly(whole, at_most):
        add_crop(columns, "clean", detect_again(detector, frame, frame.image, person.box))
        for kind, image in _bend(*_shrink(frame.image, person.box, _BENT_HEIGHT), rng):
            if people := detector.find([image])[0]:
                add_crop(columns, kind, crops.cut(dataclasses.replace(frame, image=image), people, 0.1)[0])
    return columns


def _bend(image: Image, box: Box, rng: np.random.Generator) -> Iterator[tuple[str, Image]]:
    def draw_sign() -> int:
        return int(rng.choice([-1, 1]))

    yield "turned", _turn(image, box, rng.uniform(0.6, 1.8), np.radians(rng.normal(0, 4)))
    for degrees in (35, 50, 60):
        yield f"wide {degrees}", _bend_wide(image, box, np.radians(degrees) * draw_sign())
    for degrees in (30, 45, 55):
        yield f"equirectangular {degrees}", _bend_equirectangular(image, box, np.radians(degrees) * draw_sign())
    for heights in (0.6, 0.4):
        angle, direction = np.radians(rng.uniform(0.1, 15)), rng.uniform(0, 2 * np.pi)
        yield f"fisheye {heights}", _bend_fisheye(image, box, heights, angle, direction)
    for degrees in (45, 65):
        direction = rng.uniform(0, 2 * np.pi)
        yield f"fisheye aside {degrees}", _bend_fisheye(image, box, 1.0, np.radians(degrees), direction)


def _shrink(image: Image, box: Box, height: float) -> tuple[Image, Box]:
    """Shrink an image so that the person is at most `height` pixels tall: detectors and networks see no more."""
    scale = min(1.0, height / max(box.width, box.height))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, Box(*(edge * scale for edge in (box.x0, box.y0, box.x1, box.y1)))


def _turn(image: Image, box: Box, scale: float, angle: float) -> Image:
    """Show a person enlarged and turned, which bends nothing."""
    half = 0.75 * box.height * scale
    across, down = np.meshgrid(np.arange(-half, half) / scale, np.arange(-half, half) / scale)
    cos, sin = np.cos(angle), np.sin(angle)
    return _resample(image, box, cos * across - sin * down, sin * across + cos * down)


def _bend_fisheye(image: Image, box: Box, heights: float, angle: float, direction: float) -> Image:
    """Show a person so many heights away, `angle` beside the middle of an equidistant fisheye."""
    distance, focal = heights * box.height, box.height / (2 * np.arctan(0.5 / heights))
    half = 0.725 * box.height
    across, down = np.meshgrid(np.arange(-half, half), np.arange(-half, half))
    x, y = angle * focal * np.cos(direction) + across, angle * focal * np.sin(direction) + down
    radius = np.maximum(np.hypot(x, y), 1e-6)
    off = np.minimum(radius / focal, np.pi)
    rays = np.stack([np.sin(off) * x / radius, np.sin(off) * y / radius, np.cos(off)], -1)
    ahead = np.array([np.sin(angle) * np.cos(direction), np.sin(angle) * np.sin(direction), np.cos(angle)])
    right = np.cross([0.0, 1.0, 0.0], ahead) / np.linalg.norm(np.cross([0.0, 1.0, 0.0], ahead))
    depth = np.maximum(0.05, rays @ ahead)
    return _resample(image, box, distance * (rays @ right) / depth, distance * (rays @ np.cross(ahead, right)) / depth)


def _bend_wide(image: Image, box: Box, angle: float) -> Image:
    """Show a person three heights away, `angle` beside the middle of a flat wide-angle image."""
    distance, half = 3 * box.height, 1.2 * max(box.width, 0.6 * box.height) / np.cos(angle) ** 2
    u = distance * np.tan(angle) + np.arange(-half, half)
    v = np.arange(-0.62 * box.height / np.cos(angle), 0.62 * box.height / np.cos(angle))
    x, y = np.meshgrid(u, v)
    depth = np.maximum(1, x * np.sin(angle) + distance * np.cos(angle))
    return _resample(image, box, distance * (x * np.cos(angle) - distance * np.sin(angle)) / depth, distance * y / depth)


def _bend_equirectangular(image: Image, box: Box, latitude: float) -> Image:
    """Show a person one height away, `latitude` above or below the horizon of a 360° image."""
    height = box.height
    across, up = np.meshgrid(np.linspace(-1.6, 1.6, int(3.2 * height)), latitude + np.linspace(-0.62, 0.62, int(1.24 * height)))
    x, y, z = np.cos(up) * np.sin(across), np.sin(up), np.cos(up) * np.cos(across)
    depth = np.maximum(0.05, y * np.sin(latitude) + z * np.cos(latitude))
    return _resample(image, box, height * x / depth, height * (y * np.cos(latitude) - z * np.sin(latitude)) / depth)


def _resample(image: Image, box: Box, x: _Plane, y: _Plane) -> Image:
    """Read an image at places given from the middle of a box."""
    middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    map_x, map_y = (np.clip(centre + at, -1e4, 1e4).astype(np.float32) for centre, at in zip(middle, (x, y), strict=True))
    return np.asarray(cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8)
