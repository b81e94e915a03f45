"""Half-length portraits of one size, as in AISegment's matting set: 600×800, from above the hair to the waist.

The face decides where a portrait lies. By the body's proportions (a head is an eighth of a standing person, a detected face
about three quarters of a head) the waist lies some two and a half faces below the chin: with the face a quarter of the image's
height the portrait ends there.
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
"""Where the face's centre lies, of the portrait's height from above: room for hair and a little sky."""


@dataclass(frozen=True, slots=True)
class PortraitSize:
    """A portrait's pixels, and the face's share of its height (0..1]."""

    width: int
    height: int
    face_share: float


def place_portrait(face: Box, bounds: Box, size: PortraitSize) -> Box:
    """Compute a portrait's box in its frame.

    Parameters
    ----------
    face
        From forehead to chin, frame pixels.
    bounds
        The whole frame. The box is moved to lie inside it; where it is too large for the frame it is made smaller, so
        that no pixel is invented.
    size
        The portrait's shape and the face's share of its height.

    Returns
    -------
    Box
        Whole-pixel sides, of the portrait's shape to the pixel.

    Examples
    --------
    >>> place_portrait(Box(500, 200, 580, 300), Box(0, 0, 1920, 1080), PortraitSize(600, 800, 0.25))
    Box(x0=390, y0=138, x1=690, y1=538)
    >>> place_portrait(Box(100, 20, 180, 120), Box(0, 0, 640, 360), PortraitSize(600, 800, 0.25))
    Box(x0=5, y0=0, x1=275, y1=360)
    """
    ideal = min(face.height / size.face_share, bounds.height, bounds.width * size.height / size.width)
    height = max(1, math.floor(ideal + 1e-6))
    width = max(1, round(height * size.width / size.height))
    x = round((face.x0 + face.x1) / 2 - width / 2)
    y = round((face.y0 + face.y1) / 2 - _FACE_CENTRE * height)
    x0 = int(min(max(x, bounds.x0), bounds.x1 - width))
    y0 = int(min(max(y, bounds.y0), bounds.y1 - height))
    return Box(x0, y0, x0 + width, y0 + height)


def cut_portraits(
    frame: Frame, people: Sequence[Person], faces: Sequence[Face | None], margin: float, size: PortraitSize
) -> list[PersonCrop]:
    """Cut one portrait a person; a person without a face is cut whole, with a face score of 0, for the check `face` to reject.

    Parameters
    ----------
    frame
        The frame, image (h, w, 3) uint8 RGB.
    people, faces
        The people in it and each one's face, frame pixels.
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
    crops = cut(frame, people, margin)
    return [
        _to_portrait(frame, people, number, crop, face, size) if face else replace(crop, face_score=0.0)
        for number, (crop, face) in enumerate(zip(crops, faces, strict=True))
    ]


def _to_portrait(
    frame: Frame, people: Sequence[Person], number: int, crop: PersonCrop, face: Face, size: PortraitSize
) -> PersonCrop:
    box = place_portrait(face.box, Box(0, 0, crop.frame_width, crop.frame_height), size)
    x0, y0, x1, y1 = int(box.x0), int(box.y0), int(box.x1), int(box.y1)
    scale_x, scale_y = size.width / (x1 - x0), size.height / (y1 - y0)
    method = cv2.INTER_CUBIC if scale_y > 1 else cv2.INTER_AREA
    image = cv2.resize(frame.image[y0:y1, x0:x1], (size.width, size.height), interpolation=method)

    def to_portrait_pixels(part: Box) -> Box:
        return Box((part.x0 - x0) * scale_x, (part.y0 - y0) * scale_y, (part.x1 - x0) * scale_x, (part.y1 - y0) * scale_y)

    others = [*people[:number], *people[number + 1 :]]
    visible = (geometry.clip(other.box, box) for other in others)
    return replace(
        crop,
        box=box,
        keypoints=((people[number].keypoints - (x0, y0, 0)) * (scale_x, scale_y, 1)).astype(np.float32),
        others=tuple(to_portrait_pixels(part) for part in visible if part),
        image=np.asarray(image, np.uint8),
        face=to_portrait_pixels(face.box),
        face_score=face.score,
    )
