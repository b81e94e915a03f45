"""Reads the labelled scenes of a data folder: frames, hand-made masks, and which people are free."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import scipy.io

from figureground.detectors import Detector
from figureground.imaging import crops, geometry
from figureground.media.decoding import VideoReader
from figureground.types import Box, Frame, Image, Mask, Person, PersonCrop

DAVIS = ("bmx-trees", "dance-jump", "hike", "rollerblade", "swing")
PHOTOS = {"pennfudan": "pennfudan/PNGImages/*", "ccp": "ccp/photos/*", "cihp": "cihp/images/*"}
"""The patterns of the files of each photo collection, by its name."""
VIDEOS = {
    "park_two_people.mp4": 0.5,
    "walk_away_indoor.webm": 0.5,
    "ballet_single.mp4": 0.2,
    "lab_two_cam01.mp4": 0.2,
    "lab_two_cam03.mp4": 0.2,
    "lab_beam_cam01.mp4": 0.2,
    "dancer_bluescreen.avi": 3.0,
    "phone_portrait_header_lies.mov": 0.2,
}
"""The seconds between the frames read of each video."""
HINDERED = frozenset(
    {
        *("bmx-trees-00050", "bmx-trees-00055", "cihp-0026375", "dance-jump-00000", "dance-jump-00015", "dance-jump-00030"),
        *("park_two_people-000045", "pennfudan-FudanPed00004", "pennfudan-FudanPed00010"),
        *("swing-00005", "swing-00010", "swing-00050", "pennfudan-FudanPed00022-03", "pennfudan-FudanPed00036-02"),
    }
)
"""Ids of frames and crops of people whose boxes overlap nothing and whom an object or a person hides nevertheless."""
_DAVIS_STEP = 5  # neighbouring frames of DAVIS show the same
_LONG_SIDE = 1600  # px, of the photos that no table measures
_SAME_PERSON = 0.5  # intersection over union of two boxes

DetectedFrame = tuple[Frame, list[Person]]
"""A frame and the people that the detector finds in it."""
DetectedPerson = tuple[Frame, PersonCrop, Person]
Item = TypeVar("Item", bound=tuple[Frame, *tuple[object, ...]])


def read_frames(data: Path) -> Iterator[Frame]:
    """Read the frames of all scenes: every fifth frame of DAVIS, all photos, a few frames per second of the videos.

    Parameters
    ----------
    data
        The data folder.
    """
    folders = {scene: sorted((data / "davis" / scene / "images").iterdir())[::_DAVIS_STEP] for scene in DAVIS}
    folders |= {scene: sorted(data.glob(pattern)) for scene, pattern in PHOTOS.items()}
    for scene, files in folders.items():
        for file in files:
            yield Frame(f"{scene}-{file.stem}", scene, 0, 0.0, crops.decode(file.read_bytes(), str(file)))
    for name, interval in VIDEOS.items():
        due = 0.0
        with VideoReader(data / "videos" / name) as reader:
            for frame in reader.frames():
                if frame.seconds >= due - 1e-6:
                    due += interval
                    scene = name.split(".")[0]
                    yield Frame(f"{scene}-{frame.index:06d}", scene, frame.index, frame.seconds, frame.image())


def read_more_photos(data: Path) -> Iterator[Frame]:
    """Read the photos of a collection that only trains heads and that no table measures, 1600 pixels at most."""
    for file in sorted((data / "dirty_pairs/images").iterdir()):
        image = crops.decode(file.read_bytes(), str(file))
        scale = min(1, _LONG_SIDE / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield Frame(f"dirty-{file.stem}", "dirty", 0, 0.0, image)


def detect_people(data: Path, detector: Detector) -> list[DetectedFrame]:
    """Detect the people of the frames of `read_frames` and `read_more_photos`."""
    return [(frame, detector.find([frame.image])[0]) for frame in [*read_frames(data), *read_more_photos(data)]]


def read_mask(frame: Frame, person: Person, data: Path) -> Mask | None:
    """Read the hand-made mask of a person.

    Parameters
    ----------
    frame, person
        The person in a frame of `read_frames`.
    data
        The data folder.

    Returns
    -------
    Mask or None
        (h, w) of 0 and 1; None when the scene has no mask of this person.
    """
    mask = _read_nearest_mask(frame, person, data)
    if mask is None or not mask.any():
        return None
    ys, xs = np.nonzero(mask)
    around = Box(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    return mask if geometry.iou(around, person.box) >= _SAME_PERSON else None


def read_pennfudan_ids(frame: Frame, data: Path) -> Mask:
    """Read the (h, w) mask of a photo of Penn-Fudan, in which each labelled person has an id from 1 on."""
    file = next(data.glob(f"pennfudan/PedMasks/{_stem(frame)}*"))
    return np.asarray(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), np.uint8)


def _read_nearest_mask(frame: Frame, person: Person, data: Path) -> Mask | None:
    stem = _stem(frame)
    if frame.source_id in DAVIS:
        levels = np.asarray(cv2.imread(str(data / f"davis/{frame.source_id}/masks/{stem}.png"), cv2.IMREAD_GRAYSCALE))
        return np.asarray(levels > 127, np.uint8)
    if frame.source_id == "ccp" and (file := data / f"ccp/annotations/pixel-level/{stem}.mat").exists():
        return np.ascontiguousarray(scipy.io.loadmat(file)["groundtruth"] > 0).astype(np.uint8)
    if frame.source_id == "pennfudan":
        ids = read_pennfudan_ids(frame, data)
        inside = ids[int(person.box.y0) : int(person.box.y1), int(person.box.x0) : int(person.box.x1)]
        counts = np.bincount(inside.ravel(), minlength=2)[1:]
        return (ids == 1 + counts.argmax()).astype(np.uint8) if counts.any() else None
    return None


def _stem(frame: Frame) -> str:
    return frame.frame_id[len(frame.source_id) + 1 :]


def take_evenly(items: Sequence[Item], at_most: int) -> list[Item]:
    """Take at most so many items of each scene, evenly spaced; the first element of an item is its frame."""
    scenes: dict[str, list[Item]] = {}
    for item in items:
        scenes.setdefault(item[0].source_id, []).append(item)
    return [item for group in scenes.values() for item in group[:: max(1, len(group) // at_most)][:at_most]]


def is_free(frame: Frame, people: Sequence[Person], number: int, overlap_at_most: float, score_at_least: float) -> bool:
    """Tell whether a person is large enough, away from the frame's edges and not overlapped by other people's boxes.

    Parameters
    ----------
    frame, people
        A frame and its people.
    number
        The person's place in `people`.
    overlap_at_most
        Share of the person's box inside other boxes.
    score_at_least
        Of the detector.
    """
    box, height, width = people[number].box, *frame.image.shape[:2]
    gap = 0.02 * max(box.width, box.height)
    inside = box.x0 >= gap and box.y0 >= gap and box.x1 <= width - gap and box.y1 <= height - gap
    others = [other.box for n, other in enumerate(people) if n != number]
    large = people[number].score >= score_at_least and geometry.short_side(box) >= 64
    return large and inside and geometry.covered(box, others) <= overlap_at_most


def detect_again(detector: Detector, frame: Frame, image: Image, box: Box) -> PersonCrop | None:
    """Detect people in a changed image of a frame and cut the person whose box overlaps `box` by more than half."""
    people = detector.find([image])[0]
    overlaps = [geometry.iou(person.box, box) for person in people]
    if max([0.0, *overlaps]) <= _SAME_PERSON:
        return None
    return crops.cut(dataclasses.replace(frame, image=image), people, 0.1)[int(np.argmax(overlaps))]


def cut_best_people(detected: Sequence[DetectedFrame]) -> list[DetectedPerson]:
    """Cut the person with the best score of each frame, where it is large enough and certain enough."""
    best = [(frame, crops.cut(frame, people, 0.1)[0], people[0]) for frame, people in detected if people]
    return [item for item in best if geometry.short_side(item[2].box) >= 64 and item[2].score >= 0.6]


def crop_slices(crop: PersonCrop) -> tuple[slice, slice]:
    """Give the rows and columns of the frame that a crop shows."""
    return slice(int(crop.box.y0), int(crop.box.y1)), slice(int(crop.box.x0), int(crop.box.x1))


def find_moments(frame: Frame, person: Person, detected: Sequence[DetectedFrame]) -> list[Frame]:
    """List the scene's other frames in which the person has moved by 2–30 % of its height, the least movement first."""
    moved = []
    for number, (other, people) in enumerate(detected):
        if other is not frame and other.source_id == frame.source_id and people and other.image.shape == frame.image.shape:
            same = max(people, key=lambda candidate: geometry.iou(candidate.box, person.box))
            steps = np.hypot(*(same.keypoints[:, :2] - person.keypoints[:, :2]).T)
            moved.append((float(np.median(steps)) / max(person.box.width, person.box.height), number))
    return [detected[number][0] for distance, number in sorted(moved) if 0.02 < distance < 0.3]
