"""Half-length portraits of one size, as AISegment's matting set has them: 600×800, from above the hair to the waist.

A portrait is placed by the face. By the body's proportions (a head is an eighth of a standing person, a found face about
three quarters of a head) the waist lies some two and a half faces below the chin: with the face a quarter of the
picture's height it ends there.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from figureground.imaging import geometry
from figureground.imaging.crops import cut
from figureground.people.faces import Face
from figureground.types import Box, Frame, Person, PersonCrop

_FACE_CENTRE = 0.28
"""Where the face's centre stands, of the picture's height from above: room for hair and a little sky."""


@dataclass(frozen=True, slots=True)
class Size:
    """A portrait's pixels, and the share of its height that the face takes (0..1]."""

    width: int
    height: int
    face_share: float


def place(face: Box, bounds: Box, size: Size) -> Box:
    """Give a portrait's box in its frame.

    Parameters
    ----------
    face
        From forehead to chin, frame pixels.
    bounds
        The whole frame. The box is moved to lie inside it; where it is too large for the frame it is made smaller, so
        that no pixel is invented.
    size
        Its shape and how large the face is in it.

    Returns
    -------
    Box
        Whole-pixel sides, of the portrait's shape to the pixel.

    Examples
    --------
    >>> place(Box(500, 200, 580, 300), Box(0, 0, 1920, 1080), Size(600, 800, 0.25))
    Box(x0=390, y0=138, x1=690, y1=538)
    >>> place(Box(100, 20, 180, 120), Box(0, 0, 640, 360), Size(600, 800, 0.25))
    Box(x0=5, y0=0, x1=275, y1=360)
    """
    height = min(face.height / size.face_share, bounds.height, bounds.width * size.height / size.width)
    tall = max(1, math.floor(height + 1e-6))
    wide = max(1, round(tall * size.width / size.height))
    x = round((face.x0 + face.x1) / 2 - wide / 2)
    y = round((face.y0 + face.y1) / 2 - _FACE_CENTRE * tall)
    x0 = int(min(max(x, bounds.x0), bounds.x1 - wide))
    y0 = int(min(max(y, bounds.y0), bounds.y1 - tall))
    return Box(x0, y0, x0 + wide, y0 + tall)


def cut_portraits(
    frame: Frame, people: Sequence[Person], faces: Sequence[Face | None], margin: float, size: Size
) -> list[PersonCrop]:
    """Cut one portrait a person; who shows no face is cut whole, with a face score of 0, for the check `face` to drop.

    Parameters
    ----------
    frame
        The frame, image (h, w, 3) uint8 RGB.
    people, faces
        Who is in it and each one's face, frame pixels.
    margin
        For those without a face, see `figureground.imaging.crops.cut`.
    size
        What every portrait is resized to; how much larger that makes it is its `PersonCrop.scale`.

    Returns
    -------
    list of PersonCrop
        In the order of `people`.

    Raises
    ------
    ArrayError
        As `figureground.imaging.crops.cut`.
    """
    whole = cut(frame, people, margin)
    return [
        _portrait(frame, people, number, crop, face, size) if face else replace(crop, face_score=0.0)
        for number, (crop, face) in enumerate(zip(whole, faces, strict=True))
    ]


def _portrait(
    frame: Frame, people: Sequence[Person], number: int, crop: PersonCrop, face: Face, size: Size
) -> PersonCrop:
    box = place(face.box, Box(0, 0, crop.frame_width, crop.frame_height), size)
    x0, y0, x1, y1 = int(box.x0), int(box.y0), int(box.x1), int(box.y1)
    across, down = size.width / (x1 - x0), size.height / (y1 - y0)
    method = cv2.INTER_CUBIC if down > 1 else cv2.INTER_AREA
    image = cv2.resize(frame.image[y0:y1, x0:x1], (size.width, size.height), interpolation=method)

    def inside(one: Box) -> Box:
        return Box((one.x0 - x0) * across, (one.y0 - y0) * down, (one.x1 - x0) * across, (one.y1 - y0) * down)

    others = [*people[:number], *people[number + 1 :]]
    parts = (geometry.clip(other.box, box) for other in others)
    return replace(
        crop,
        box=box,
        keypoints=((people[number].keypoints - (x0, y0, 0)) * (across, down, 1)).astype(np.float32),
        others=tuple(inside(part) for part in parts if part),
        image=np.asarray(image, np.uint8),
        face=inside(face.box),
        face_score=face.score,
    )
