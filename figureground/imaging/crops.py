"""From the people in a frame to single-person crops at the source's resolution.

A crop is the detected box with a margin, cut at the frame's edges, with whole-pixel half-open sides: its pixels are the
frame's own, never resampled. Its main person is the one whose box that is, whoever else is in it; somebody who takes up as much
of it is in that person's way by at least a fifth, whatever the margin up to 0.1, so `occlusion` refuses the crop.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from figureground.errors import ArrayError
from figureground.imaging import codecs, geometry
from figureground.types import Box, Frame, Image, Keypoints, Person, PersonCrop

JPEG_QUALITY = 97


def cut(frame: Frame, people: Sequence[Person], margin: float) -> list[PersonCrop]:
    """Cut one crop a person.

    Parameters
    ----------
    frame
        The frame, image (h, w, 3) uint8 RGB.
    people
        Who is in it, boxes and keypoints in frame pixels.
    margin
        Added on each side, as a share of the box's width (left, right) and height (top, bottom).

    Returns
    -------
    list of PersonCrop
        In the order of `people`; the n-th gets the id ``<frame_id>-<n, two digits>``. Keypoints and others are in crop
        pixels; a keypoint may lie outside the crop, others are clipped to it and only those that intersect it are named.

    Raises
    ------
    ArrayError
        When a person's box has no area inside the frame, or the image is not (h, w, 3) uint8.
    """
    check(frame.image, frame.frame_id)
    boxes = [_crop_box(frame, person, margin) for person in people]
    return [_crop(frame, people, number, box) for number, box in enumerate(boxes)]


def _crop_box(frame: Frame, person: Person, margin: float) -> Box:
    height, width = frame.image.shape[:2]
    bounds = Box(0, 0, width, height)
    inside = geometry.clip(person.box, bounds)
    box = geometry.clip(geometry.outward(geometry.grow(person.box, margin)), bounds)
    if inside is None or box is None:
        raise ArrayError(f"{frame.frame_id}: expected a person's box inside the frame of {width}x{height}; found {person.box}")
    return box


def _crop(frame: Frame, people: Sequence[Person], number: int, box: Box) -> PersonCrop:
    x0, y0, x1, y1 = int(box.x0), int(box.y0), int(box.x1), int(box.y1)
    height, width = frame.image.shape[:2]
    person = people[number]
    return PersonCrop(
        crop_id=f"{frame.frame_id}-{number:02d}",
        frame_id=frame.frame_id,
        source_id=frame.source_id,
        box=Box(x0, y0, x1, y1),
        person=person.box,
        score=person.score,
        keypoints=_moved(person.keypoints, x0, y0),
        others=tuple(
            geometry.shift(part, -x0, -y0)
            for other in (*people[:number], *people[number + 1 :])
            if (part := geometry.clip(other.box, box))
        ),
        frame_width=width,
        frame_height=height,
        image=frame.image[y0:y1, x0:x1].copy(),
        seconds=frame.seconds,
    )


def _moved(keypoints: Keypoints, x0: int, y0: int) -> Keypoints:
    return keypoints - np.array([x0, y0, 0], np.float32)


def encode(image: Image) -> bytes:
    """Write a picture as JPEG, quality 97 with full colour resolution, so that hair and rims survive.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.

    Raises
    ------
    ArrayError
        When the array is not that, or is larger than JPEG's 65535 pixels a side.
    """
    check(image, "picture")
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    try:
        written, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    except cv2.error as error:
        raise ArrayError(f"a picture of {image.shape[1]}x{image.shape[0]} pixels cannot be written as JPEG: {error}") from error
    if not written:
        raise ArrayError(f"a picture of {image.shape[1]}x{image.shape[0]} pixels cannot be written as JPEG")
    return content.tobytes()


def decode(content: bytes, name: str) -> Image:
    """Read a stored picture.

    Parameters
    ----------
    content
        A JPEG or PNG file.
    name
        What to call it in an error.

    Returns
    -------
    Image
        (h, w, 3) uint8 RGB.

    Raises
    ------
    ArrayError
        When the bytes are not a picture.
    """
    image = codecs.decode_bgr(content)
    if image is None:
        raise ArrayError(f"{name}: expected a JPEG or PNG picture; found {len(content)} bytes that are none")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def check(image: Image, name: str) -> None:
    """Raise an ArrayError unless an image is (h, w, 3) uint8 RGB with at least one pixel; ``name`` stands in the message."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ArrayError(f"{name}: expected an array (h, w, 3) of uint8 RGB; found {image.shape} of {image.dtype}")
