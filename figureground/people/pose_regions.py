"""Regions of a body from its keypoints: COCO's joints in groups, and the area of a crop that is the person for certain."""

import cv2
import numpy as np

from figureground.types import Box, Keypoints, Mask, PersonCrop

VISIBLE_AT_LEAST = 0.5
"""A joint with this confidence or a higher one is taken as visible."""

HEAD = (0, 1, 2, 3, 4)
SHOULDERS, ELBOWS, WRISTS = (5, 6), (7, 8), (9, 10)
HIPS, KNEES, ANKLES = (11, 12), (13, 14), (15, 16)
GROUPS = (HEAD, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES)
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
TORSO = (5, 6, 12, 11)


def person_area(crop: PersonCrop) -> Mask:
    """Draw the area that is the person: torso, limbs and head between the visible joints.

    Parameters
    ----------
    crop
        The crop; without a visible torso the ellipse inside the detected box is drawn instead.

    Returns
    -------
    Mask
        (h, w) uint8, 1 on the person, 0 elsewhere; read-only: it is drawn once a crop and kept in its memo.
    """
    return crop.memo.get("person area", lambda: _person_area(crop))


def _person_area(crop: PersonCrop) -> Mask:
    height, width = crop.image.shape[:2]
    mask = draw_person((height, width), crop.keypoints, crop.person_inside)
    mask.flags.writeable = False
    return mask


def draw_person(size: tuple[int, int], keypoints: Keypoints, person: Box) -> Mask:
    """Draw the area that is a person for certain, see `person_area`, on an empty plane of any scale.

    Parameters
    ----------
    size
        Height and width of the plane.
    keypoints, person
        The joints and the person's box, in the plane's pixels.

    Returns
    -------
    Mask
        (h, w) uint8, 1 on the person, 0 elsewhere.
    """
    mask = np.zeros(size, np.uint8)
    if len(keypoints) and all(keypoints[joint, 2] >= VISIBLE_AT_LEAST for joint in TORSO):
        return _draw_skeleton(mask, keypoints, max(2.0, 0.06 * max(person.width, person.height)))
    centre = (round((person.x0 + person.x1) / 2), round((person.y0 + person.y1) / 2))
    axes = (max(1, round(person.width * 0.35)), max(1, round(person.height * 0.45)))
    return np.asarray(cv2.ellipse(mask, centre, axes, 0, 0, 360, 1, -1), np.uint8)


def _draw_skeleton(mask: Mask, keypoints: Keypoints, thickness: float) -> Mask:
    points = {
        joint: (round(float(x)), round(float(y))) for joint, (x, y, seen) in enumerate(keypoints) if seen >= VISIBLE_AT_LEAST
    }
    width = max(1, round(thickness))
    torso = np.array([points[joint] for joint in TORSO], np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(torso), 1)
    cv2.polylines(mask, [torso], True, 1, width)
    for start, end in LIMBS:
        if start in points and end in points:
            cv2.line(mask, points[start], points[end], 1, width)
    for joint in HEAD:
        if joint in points:
            cv2.circle(mask, points[joint], width, 1, -1)
    return mask
