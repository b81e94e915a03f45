"""How well near-duplicates are told from other people in the same place: prints the table of docs/checks.md, `## duplicate`.

    python benchmarks/duplicates.py [--data ../shared/data] [--people 6]

Real crops of several sequences stand beside copies of themselves (recompressed, rescaled, cut, grey …), beside the same person
half a second later, and beside the other people of the same sequence. Who is who half a second later is found by following
boxes over frames a tenth of a second apart; the check under test sees only every half second. Sequences are split in two:
weights and limits were chosen on the first group.
"""

import argparse
import dataclasses
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from figureground import catalog, plugins
from figureground.imaging import crops, geometry
from figureground.media.decoding import VideoReader
from figureground.people.tracks import Tracker, appearance
from figureground.types import Box, Frame, Image, PersonCrop

DAVIS = ("bmx-trees", "dance-jump", "hike", "rollerblade", "swing")
VIDEOS = (
    "park_two_people.mp4",
    "walk_away_indoor.webm",
    "ballet_single.mp4",
    "lab_two_cam01.mp4",
    "lab_two_cam03.mp4",
    "lab_beam_cam01.mp4",
    "dancer_bluescreen.avi",
    "phone_portrait_header_lies.mov",
    "street_surveillance.avi",
)
CHOSEN_ON = frozenset(
    ["park_two_people", "ballet_single", "hike", "dance-jump", "dancer_bluescreen", "pennfudan", "bmx-trees", "lab_beam_cam01"]
)
SMALL_PEOPLE = "street_surveillance"
LONG = {"dancer_bluescreen": 3.0, SMALL_PEOPLE: 6.0}
"""Of long clips a little more than half a second is looked at so often, in seconds."""
STEP, LATER = 0.1, 0.5
COPIES = ("recompressed", "rescaled", "recut", "cut 15 %", "grey")


class Seen(NamedTuple):
    """A crop and who it shows, by what the dense frames say."""

    crop: PersonCrop
    person: int


# --- real crops


def moments(data: Path) -> Iterator[tuple[str, Iterator[Frame]]]:
    """Give each sequence's frames, about ten a second."""
    for name in DAVIS:
        files = sorted((data / "davis" / name / "images").iterdir())
        yield name, (_frame(name, n, n / 24, crops.decode(files[n].read_bytes(), name)) for n in range(0, len(files), 2))
    for file in VIDEOS:
        yield file.split(".")[0], _of_video(data / "videos" / file, LONG.get(file.split(".")[0]))


def _of_video(file: Path, every: float | None) -> Iterator[Frame]:
    due, name = 0.0, file.name.split(".")[0]
    with VideoReader(file) as footage:
        for picture in footage.frames():
            wanted = picture.seconds % every <= LATER + 0.05 if every else True
            if wanted and picture.seconds >= due - 1e-6:
                due = picture.seconds + STEP * 0.99
                yield _frame(name, picture.index, picture.seconds, picture.image())


def _frame(name: str, index: int, seconds: float, image: Image) -> Frame:
    return Frame(f"{name}-{index:06d}", name, index, seconds, image)


def found_in(frames: Iterator[Frame], detector: Any, short_side: float) -> Iterator[tuple[float, list[PersonCrop]]]:
    """Find everybody who is large enough, frame by frame."""
    for frame in frames:
        people = crops.cut(frame, detector.find([frame.image])[0], 0.1)
        yield frame.seconds, [crop for crop in people if geometry.short_side(crop.person) >= short_side]


def followed(frames: Iterable[tuple[float, list[PersonCrop]]]) -> dict[float, list[Seen]]:
    """Follow boxes from frame to frame: at a tenth of a second they overlap."""
    last: list[tuple[Box, int, float]] = []
    by_time: dict[float, list[Seen]] = {}
    count = 0
    for now_at, people in frames:
        rivals = sorted(
            ((geometry.iou(box, c.person), -at, n) for at, (box, _, seconds) in enumerate(last) for n, c in enumerate(people)
             if now_at - seconds <= 0.35),
            reverse=True,
        )  # fmt: skip
        numbers: dict[int, int] = {}
        taken: set[int] = set()
        for overlap, at, n in rivals:
            if overlap > 0.2 and n not in numbers and at not in taken:
                numbers[n] = last[-at][1]
                taken.add(at)
        for n in range(len(people)):
            if n not in numbers:
                numbers[n], count = count, count + 1
        now = [(crop.person, numbers[n], now_at) for n, crop in enumerate(people)]
        last = [entry for entry in last if entry[1] not in numbers.values()] + now
        by_time[now_at] = [Seen(crop, numbers[n]) for n, crop in enumerate(people)]
    return by_time


def sampled(by_time: dict[float, list[Seen]]) -> list[Seen]:
    """Take every half second and follow people over those frames alone, as `tasks.ingest.crop` does."""
    tracks, taken, due = Tracker(), [], -1.0
    for seconds in sorted(by_time):
        if seconds >= due - 0.02:
            due = seconds + LATER
            people = by_time[seconds]
            numbers = tracks.update(seconds, [appearance(seen.crop) for seen in people])
            taken += [
                Seen(dataclasses.replace(seen.crop, track=track), seen.person)
                for seen, track in zip(people, numbers, strict=True)
            ]
    return taken


# --- copies


def copies(crop: PersonCrop, rng: Any) -> Iterator[tuple[str, PersonCrop]]:
    """Give copies of a crop as another source would hold them: not followed, another frame, another time."""
    height, width = crop.image.shape[:2]
    share, at = rng.uniform(0.4, 0.8), rng.uniform(-0.06, 0.06, 2)
    small = cv2.resize(crop.image, (max(8, int(width * share)), max(8, int(height * share))), interpolation=cv2.INTER_AREA)
    grey = np.repeat(cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)[..., None], 3, 2)
    stranger = dataclasses.replace(crop, source_id="copy", frame_id=f"copy-{crop.crop_id}", track=-1, seconds=0.0)
    yield "recompressed", _with(stranger, _saved(crop.image, int(rng.integers(25, 70))))
    yield "rescaled", _with(stranger, _saved(small, int(rng.integers(60, 95))))
    sides = (max(0, at[0]), max(0, at[1]), max(0, -at[0]), max(0, -at[1]))
    yield "recut", _cut(stranger, *sides)
    yield "cut 15 %", _cut(stranger, *((0, 0, 0.15, 0.15) if rng.random() < 0.5 else (0.15, 0, 0, 0.15)))
    yield "grey", _with(stranger, grey)


def _saved(image: Image, quality: int) -> Image:
    content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return crops.decode(content.tobytes(), "benchmark")


def _with(crop: PersonCrop, image: Image) -> PersonCrop:
    """Give the crop with its picture in another size: box and joints go along."""
    across = image.shape[1] / crop.image.shape[1]
    box, person = crop.box, crop.person
    scaled = [Box(*(side * across for side in (b.x0, b.y0, b.x1, b.y1))) for b in (box, person)]
    joints = (crop.keypoints * np.array([across, across, 1], np.float32)).astype(np.float32)
    return dataclasses.replace(crop, image=image, box=scaled[0], person=scaled[1], keypoints=joints)


def _cut(crop: PersonCrop, left: float, top: float, right: float, bottom: float) -> PersonCrop:
    height, width = crop.image.shape[:2]
    x0, y0, x1, y1 = int(left * width), int(top * height), int(width - right * width), int(height - bottom * height)
    joints = (crop.keypoints - np.array([x0, y0, 0], np.float32)).astype(np.float32)
    box = Box(crop.box.x0 + x0, crop.box.y0 + y0, crop.box.x0 + x1, crop.box.y0 + y1)
    image = _saved(np.ascontiguousarray(crop.image[y0:y1, x0:x1]), 80)
    return dataclasses.replace(crop, image=image, box=box, keypoints=joints)


# --- pairs


def pairs(sequences: dict[str, list[Seen]], at_most: int) -> Iterator[tuple[str, str, PersonCrop, PersonCrop]]:
    """Give kind, sequence and the two crops of every pair that is asked about."""
    for name, seen in sequences.items():
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        for entry in [seen[n] for n in sorted(rng.choice(len(seen), min(at_most, len(seen)), replace=False))]:
            for kind, copy in copies(entry.crop, rng):
                yield kind, name, entry.crop, copy
        if name == "pennfudan":
            yield from (("others", name, a.crop, b.crop) for a, b in _two(seen) if a.crop.frame_id == b.crop.frame_id)
            continue
        met = _met(seen)
        for a, b in _two(seen):
            apart = abs(a.crop.seconds - b.crop.seconds)
            if a.person == b.person and LATER - 0.1 < apart < LATER + 0.1:
                yield "half a second", name, a.crop, b.crop
            elif a.person == b.person and apart > 2:
                yield "from 2 s on", name, a.crop, b.crop
            elif a.person != b.person and (apart < LATER + 0.1 or name == SMALL_PEOPLE) and (a.person, b.person) in met:
                yield "others", name, a.crop, b.crop


def _two(seen: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    return ((a, b) for n, a in enumerate(seen) for b in seen[n + 1 :])


def _met(seen: Sequence[Seen]) -> set[tuple[int, int]]:
    """List who was in one frame with whom: those numbers are two people for certain."""
    frames: dict[str, set[int]] = defaultdict(set)
    for entry in seen:
        frames[entry.crop.frame_id].add(entry.person)
    return {(a, b) for people in frames.values() for a in people for b in people if a != b}


def baselines() -> dict[str, Callable[[PersonCrop, PersonCrop], float]]:
    """Give what imagehash computes on the whole crop: 64 signs, the share they have in common."""

    def perceptual(image: Image) -> Any:
        grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
        low = cv2.dct(grey.astype(np.float32))[:8, :8]
        return low > np.median(low)

    def difference(image: Image) -> Any:
        grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (9, 8), interpolation=cv2.INTER_AREA).astype(int)
        return np.diff(grey, axis=1) > 0

    return {
        name: (lambda a, b, sign=sign: float((sign(a.image) == sign(b.image)).mean()))
        for name, sign in (("pHash", perceptual), ("dHash", difference))
    }


def of_check(check: Any) -> Callable[[PersonCrop, PersonCrop], float]:
    """Give what the worse of two crops scores beside the other."""
    known: dict[int, bytes] = {}

    def signature(crop: PersonCrop) -> bytes:
        if id(crop) not in known:
            known[id(crop)] = check.signature(crop)
        return known[id(crop)]

    return lambda a, b: max(check.among([signature(a), signature(b)], [True, True]))


# --- the table


def table(data: Path, at_most: int = 6) -> None:
    """Print, for each half of the sequences, how many pairs of each kind each measure calls duplicates."""
    loaded = catalog.load(Path(__file__).resolve().parents[1] / "data_catalog.yaml")
    compared = list(pairs(_sequences(data, loaded), at_most))
    checks = {"duplicate": plugins.build("checks", "duplicate", {})}
    if "sscd_distilled.onnx" in loaded.assets:
        weights = loaded.asset("sscd_distilled.onnx").weights
        checks["duplicate with SSCD"] = plugins.build("checks", "duplicate", {"weights": weights.name}, {weights.name: weights})
    measures = {name: of_check(check) for name, check in checks.items()} | baselines()
    values = {name: np.array([measure(a, b) for _, _, a, b in compared]) for name, measure in measures.items()}
    kinds = np.array([kind for kind, *_ in compared])
    first = np.array([name in CHOSEN_ON for _, name, *_ in compared])
    goal = np.isin(kinds, ["recompressed", "rescaled", "half a second"])
    for half, there in (("chosen on these", first), ("held out", ~first)):
        print(f"\nduplicate, {half}:", {kind: int((there & (kinds == kind)).sum()) for kind in dict.fromkeys(kinds.tolist())})
        for name, similarities in values.items():
            limit = (
                checks[name].at_most
                if name in checks
                else _limit(similarities[first & goal], similarities[first & (kinds == "others")])
            )
            _print(name, similarities, limit, kinds, there, goal)


def _limit(good: Any, others: Any) -> float:
    """Choose a baseline's limit where most of both are on their side."""
    candidates = np.unique(np.r_[good, others])
    return float(max(candidates, key=lambda limit: (good > limit).mean() + (others <= limit).mean()))


def _print(name: str, similarities: Any, limit: float, kinds: Any, there: Any, goal: Any) -> None:
    called = similarities > limit
    shares = {kind: round(float(called[there & (kinds == kind)].mean()), 3) for kind in dict.fromkeys(kinds[there].tolist())}
    recall = float(np.mean([shares[kind] for kind in ("recompressed", "rescaled", "half a second")]))
    hits, misses = int((called & there & goal).sum()), int((called & there & (kinds == "others")).sum())
    balanced = recall / max(1e-9, recall + shares["others"])
    print(
        f"{name:20s} limit {limit:.2f}: recall {recall:.3f}, precision {balanced:.3f} ({hits} right, {misses} others)", shares
    )


def _sequences(data: Path, loaded: Any) -> dict[str, list[Seen]]:
    pose = loaded.asset("yolo11n-pose.pt").weights
    settings = {"weights": pose.name, "score_at_least": 0.25}
    detectors = {
        size: plugins.build("detectors", "yolo", settings | {"image_size": size}, {pose.name: pose}) for size in (640, 1280)
    }
    curves = {
        name: sampled(followed(found_in(frames, detectors[_size(name)], 24 if name == SMALL_PEOPLE else 48)))
        for name, frames in moments(data)
    }
    photos = []
    for file in sorted((data / "pennfudan/PNGImages").iterdir()):
        frame = _frame(f"pennfudan-{file.stem}", 0, 0.0, crops.decode(file.read_bytes(), file.name))
        people = crops.cut(frame, detectors[640].find([frame.image])[0], 0.1)
        photos += [Seen(crop, n) for n, crop in enumerate(people) if geometry.short_side(crop.person) >= 48]
    return curves | {"pennfudan": photos}


def _size(name: str) -> int:
    return 1280 if name == SMALL_PEOPLE else 640


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[1] / "../shared/data")
    parser.add_argument("--people", type=int, default=6, help="so many crops of each sequence are copied")
    options = parser.parse_args()
    table(options.data, options.people)


if __name__ == "__main__":
    main()
