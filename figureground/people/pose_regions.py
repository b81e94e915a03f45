"""Where a body's parts are: COCO's joints as groups, and the area of a crop that is the person for certain."""

import cv2
import numpy as np

from figureground.types import Box, Keypoints, Mask, PersonCrop

VISIBLE = 0.5
"""From this confidence on a joint is taken as seen."""

HEAD = (0, 1, 2, 3, 4)
SHOULDERS, ELBOWS, WRISTS = (5, 6), (7, 8), (9, 10)
HIPS, KNEES, ANKLES = (11, 12), (13, 14), (15, 16)
GROUPS = (HEAD, SHOULDERS, ELBOWS, WRISTS, HIPS, KNEES, ANKLES)
LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
TORSO = (5, 6, 12, 11)


def area(crop: PersonCrop) -> Mask:
    """Draw the area that is the person: torso, limbs and head between the joints that are seen.

    Parameters
    ----------
    crop
        The crop; without a seen torso the ellipse inside the detected box is drawn instead.

    Returns
    -------
    Mask
        (h, w) uint8, 1 on the person, 0 elsewhere; read-only: it is drawn once a crop and kept in its memo.
    """
    return crop.memo.get("pose area", lambda: _area(crop))


def _area(crop: PersonCrop) -> Mask:
    high, wide = crop.image.shape[:2]
    mask = drawn((high, wide), crop.keypoints, crop.person_inside)
    mask.flags.writeable = False
    return mask


def drawn(size: tuple[int, int], points: Keypoints, person: Box) -> Mask:
    """Draw the area that is a person for certain, see `area`, on an empty plane of any scale.

    Parameters
    ----------
    size
        Height and width of the plane.
    points, person
        The joints and the person's box, in the plane's pixels.

    Returns
    -------
    Mask
        (h, w) uint8, 1 on the person, 0 elsewhere.
    """
    mask = np.zeros(size, np.uint8)
    if len(points) and all(points[joint, 2] >= VISIBLE for joint in TORSO):
        return _skeleton(mask, points, max(2.0, 0.06 * max(person.width, person.height)))
    middle = (round((person.x0 + person.x1) / 2), round((person.y0 + person.y1) / 2))
    axes = (max(1, round(person.width * 0.35)), max(1, round(person.height * 0.45)))
    return np.asarray(cv2.ellipse(mask, middle, axes, 0, 0, 360, 1, -1), np.uint8)


def _skeleton(mask: Mask, points: Keypoints, thickness: float) -> Mask:
    at = {joint: (round(float(x)), round(float(y))) for joint, (x, y, c) in enumerate(points) if c >= VISIBLE}
    width = max(1, round(thickness))
    outline = np.array([at[joint] for joint in TORSO], np.int32)
    cv2.fillConvexPoly(mask, cv2.convexHull(outline), 1)
    cv2.polylines(mask, [outline], True, 1, width)
    for a, b in LIMBS:
        if a in at and b in at:
            cv2.line(mask, at[a], at[b], 1, width)
    for joint in HEAD:
        if joint in at:
            cv2.circle(mask, at[joint], width, 1, -1)
    return mask
