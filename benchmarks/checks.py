"""How well the checks tell good crops from spoilt ones: prints the tables of docs/checks.md.

    python benchmarks/checks.py [--data ../shared/data] [--only sharpness truncation occlusion ghosting distortion exposure ...]

Real crops of several scenes are measured as they are and with damage of known size. One limit has to serve all scenes,
so the AUC is over all of them at once; beside each check stand plain baselines on the same crops. Every table is printed
for two halves of the scenes: limits were chosen on the first, the second was held out. The last table sums up the second.
Needs cleanvision beside figureground (`pip install cleanvision`), for its blur score as a baseline.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import duplicates
import numpy as np
import PIL.Image
import scipy.io
import scipy.stats
from skimage.measure import blur_effect

from figureground import catalog, plugins
from figureground.checks.ghosting import echo, likelihood
from figureground.imaging import crops, geometry
from figureground.media.decoding import VideoReader
from figureground.people import backbone_features
from figureground.types import Box, Frame, Image, Mask, Person, PersonCrop, Weights

SINGLE = ("truncation", "size", "occlusion", "sharpness", "overlap", "exposure", "ghosting", "distortion")
CHECKS = {name: plugins.build("checks", name, {}) for name in SINGLE}
LEARNED = plugins.build("checks", "ghosting", {"at_most": 0.9})
BENT = plugins.build("checks", "distortion", {"at_most": 0.8})
DAVIS = ("bmx-trees", "dance-jump", "hike", "rollerblade", "swing")
PHOTOS = {"pennfudan": "pennfudan/PNGImages/*", "ccp": "ccp/photos/*", "cihp": "cihp/images/*"}
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
TABLES = ("sharpness", "truncation", "occlusion", "touching", "ghosting", "distortion", "exposure", "duplicate", "kept", "cost")
GOALS = {"sharpness": 0.97, "ghosting": 0.95, "truncation": 0.97, "occlusion": 0.93, "overlap": 0.93, "distortion": 0.93}
HINDERED = frozenset(
    {
        *("bmx-trees-00050", "bmx-trees-00055", "cihp-0026375", "dance-jump-00000", "dance-jump-00015", "dance-jump-00030"),
        *("park_two_people-000045", "pennfudan-FudanPed00004", "pennfudan-FudanPed00010"),
        *("swing-00005", "swing-00010", "swing-00050", "pennfudan-FudanPed00022-03", "pennfudan-FudanPed00036-02"),
    }
)
"""Frames, and crops, of people whom boxes call free and branches, grass, posts, a tree, a table or somebody really hides."""
Seen = tuple[Frame, list[Person]]
Columns = dict[str, list[PersonCrop]]
Measure = Callable[[PersonCrop], float]


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the last table: scenes that chose nothing."""

    name: str
    goal: float | None
    auc: float
    baseline: str
    precision: float
    recall: float


ROWS: list[Row] = []


def auc(good: Sequence[float], spoilt: Sequence[float]) -> float:
    """Give how often a good one scores above a spoilt one; NaN counts as the lowest score."""
    both = np.nan_to_num(np.r_[good, spoilt], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    ranks = scipy.stats.rankdata(both)[: len(good)]
    return float((ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(spoilt)))


# --- real crops


def frames(data: Path) -> Iterator[Frame]:
    """Give the frames of all scenes: every fifth of DAVIS, all photos, a few a second of the videos."""
    folders = {scene: sorted((data / "davis" / scene / "images").iterdir())[::5] for scene in DAVIS}
    folders |= {scene: sorted(data.glob(pattern)) for scene, pattern in PHOTOS.items()}
    for scene, files in folders.items():
        for file in files:
            yield Frame(f"{scene}-{file.stem}", scene, 0, 0.0, crops.decode(file.read_bytes(), str(file)))
    for name, every in VIDEOS.items():
        due = 0.0
        with VideoReader(data / "videos" / name) as footage:
            for picture in footage.frames():
                if picture.seconds >= due - 1e-6:
                    due += every
                    scene = name.split(".")[0]
                    yield Frame(f"{scene}-{picture.index:06d}", scene, picture.index, picture.seconds, picture.image())


def mask_of(frame: Frame, person: Person, data: Path) -> Mask | None:
    """Give the hand-made mask of a person, (h, w) 0 or 1, where the data set has one of this person and not of another."""
    mask = _stored(frame, person, data)
    if mask is None or not mask.any():
        return None
    ys, xs = np.nonzero(mask)
    around = Box(int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1)
    return mask if geometry.iou(around, person.box) >= 0.5 else None


def _stored(frame: Frame, person: Person, data: Path) -> Mask | None:
    stem = frame.frame_id[len(frame.source_id) + 1 :]
    if frame.source_id in DAVIS:
        return (cv2.imread(str(data / f"davis/{frame.source_id}/masks/{stem}.png"), 0) > 127).astype(np.uint8)
    if frame.source_id == "ccp" and (file := data / f"ccp/annotations/pixel-level/{stem}.mat").exists():
        return np.ascontiguousarray(scipy.io.loadmat(file)["groundtruth"] > 0).astype(np.uint8)
    if frame.source_id == "pennfudan":
        ids = cv2.imread(str(next(data.glob(f"pennfudan/PedMasks/{stem}*"))), -1)
        inside = ids[int(person.box.y0) : int(person.box.y1), int(person.box.x0) : int(person.box.x1)]
        counts = np.bincount(inside.ravel(), minlength=2)[1:]
        return (ids == 1 + counts.argmax()).astype(np.uint8) if counts.any() else None
    return None


def spread(items: Sequence[Any], at_most: int) -> list[Any]:
    """Take at most so many of each scene, evenly."""
    scenes: dict[str, list[Any]] = {}
    for item in items:
        scenes.setdefault(item[0].source_id, []).append(item)
    return [item for found in scenes.values() for item in found[:: max(1, len(found) // at_most)][:at_most]]


def free(frame: Frame, people: list[Person], number: int, overlap: float, score: float) -> bool:
    """Tell whether a person is large enough, away from the frame's edges and not overlapped."""
    box, height, width = people[number].box, *frame.image.shape[:2]
    gap = 0.02 * max(box.width, box.height)
    inside = box.x0 >= gap and box.y0 >= gap and box.x1 <= width - gap and box.y1 <= height - gap
    others = [other.box for n, other in enumerate(people) if n != number]
    large = people[number].score >= score and geometry.short_side(box) >= 64
    return large and inside and geometry.covered(box, others) <= overlap


def again(detector: Any, frame: Frame, image: Image, box: Box) -> PersonCrop | None:
    """Detect in a changed picture and give the crop of the person whose box is (still) there."""
    people = detector.find([image])[0]
    overlaps = [geometry.iou(person.box, box) for person in people]
    if max([0.0, *overlaps]) <= 0.5:
        return None
    return crops.cut(dataclasses.replace(frame, image=image), people, 0.1)[int(np.argmax(overlaps))]


# --- sharpness


def smear(length: float, angle: float) -> np.ndarray:
    """Give the kernel of a straight movement of `length` pixels."""
    size = int(np.ceil(length)) + 3 | 1
    fine, middle = np.zeros((size * 8, size * 8), np.float32), size * 4 - 0.5
    dx, dy = np.cos(angle) * length * 4, np.sin(angle) * length * 4
    ends = [(round((middle - dx) * 16), round((middle - dy) * 16)), (round((middle + dx) * 16), round((middle + dy) * 16))]
    cv2.line(fine, ends[0], ends[1], 1, 8, cv2.LINE_8, 4)
    kernel = cv2.resize(fine, (size, size), interpolation=cv2.INTER_AREA)
    return kernel / kernel.sum()


def disc(diameter: float) -> np.ndarray:
    """Give the kernel of a lens out of focus."""
    size = int(np.ceil(diameter)) + 3 | 1
    y, x = np.mgrid[: size * 8, : size * 8] - (size * 4 - 0.5)
    kernel = cv2.resize((x * x + y * y <= (diameter * 4) ** 2).astype(np.float32), (size, size), interpolation=cv2.INTER_AREA)
    return kernel / kernel.sum()


def linear(image: Image) -> np.ndarray:
    """Give the light that made a picture, about."""
    return (image.astype(np.float32) / 255) ** 2.2


def shown(light: np.ndarray) -> Image:
    """Give the picture that light makes."""
    return (np.clip(light, 0, 1) ** (1 / 2.2) * 255 + 0.5).astype(np.uint8)


def blurred(image: Image, kernel: np.ndarray, mask: Mask | None = None) -> Image:
    """Blur a picture, or only the person in front of a background that stays sharp."""
    light = linear(image)
    if mask is None:
        return shown(cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT))
    person = mask[..., None].astype(np.float32)
    cover = cv2.filter2D(person, -1, kernel)[..., None]
    room = cv2.GaussianBlur(1 - person, (0, 0), 6)[..., None]
    behind = np.where(person > 0, cv2.GaussianBlur(light * (1 - person), (0, 0), 6) / np.maximum(room, 1e-3), light)
    return shown(cv2.filter2D(light * person, -1, kernel) + (1 - cover) * behind)


def sharpness(seen: list[Seen], data: Path, noise: float) -> None:
    """Print the sharpness table, with sensor noise of up to `noise` grey levels added after the blur."""
    rng, columns = np.random.default_rng(0), {}

    def add(kind: str, crop: PersonCrop, image: Image) -> None:
        grain = rng.normal(0, rng.uniform(0, noise), image.shape[:2])[..., None] if noise else 0
        content = cv2.imencode(
            ".jpg",
            np.clip(image + grain, 0, 255).astype(np.uint8)[..., ::-1],
            [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 98))],
        )[1]
        columns.setdefault(kind, []).append(dataclasses.replace(crop, image=crops.decode(content.tobytes(), kind)))

    for frame, crop, person in spread(_candidates(seen), 12):
        height = max(crop.person.width, crop.person.height)
        mask = mask_of(frame, person, data)
        add("clean", crop, crop.image)
        for share in (1, 2, 3, 5, 8):
            add(f"motion {share}", crop, blurred(crop.image, smear(share / 100 * height, rng.uniform(0, np.pi))))
        for share in (1, 2, 4):
            add(f"defocus {share}", crop, blurred(crop.image, disc(share / 100 * height)))
        for share in (2, 5) if mask is not None else ():
            inner = mask[crop.box.y0 : crop.box.y1, crop.box.x0 : crop.box.x1]
            add(f"person {share}", crop, blurred(crop.image, smear(share / 100 * height, rng.uniform(0, np.pi)), inner))
    baselines: dict[str, Measure] = {"sharpness": CHECKS["sharpness"].measure, **SHARP}
    spoilt = [kind for kind in columns if kind != "clean"]
    print(f"\nsharpness, noise up to {noise:g}: {len(columns['clean'])} clean, {sum(len(columns[k]) for k in spoilt)} spoilt")
    print("AUC          " + "  ".join(spoilt) + "  all  from 2 % on")
    for name, measure in baselines.items():
        values = {kind: [measure(crop) for crop in found] for kind, found in columns.items()}
        rows = [auc(values["clean"], values[kind]) for kind in spoilt]
        rows += [auc(values["clean"], _joined(values, kinds)) for kinds in (spoilt, [k for k in spoilt if k[-1] > "1"])]
        print(f"{name:12s} " + " ".join(f"{row:8.3f}" for row in rows))
        if name in CHECKS:
            dropped = {kind: np.mean([not CHECKS[name].accepts(v) for v in values[kind]]) for kind in columns}
            print("  dropped   ", "  ".join(f"{kind}: {share:.2f}" for kind, share in dropped.items()))
    named = "sharpness" if not noise else "sharpness, noisy"
    _halves("sharpness", columns, spoilt, ["clean"], {name: _turned(one) for name, one in SHARP.items()}, named)


def _laplacian(crop: PersonCrop) -> float:
    return float(cv2.Laplacian(_grey(crop), cv2.CV_64F).var())


def _cleanvision(crop: PersonCrop) -> float:
    """Give cleanvision's blur score of the whole crop, 0 (blurred) to 1, with its own factors for finding blurred pictures."""
    import pandas as pd
    from cleanvision.issue_managers.image_property import BlurrinessProperty

    scorer = BlurrinessProperty()
    raw = pd.DataFrame([scorer.calculate(PIL.Image.fromarray(crop.image))])
    return float(scorer.get_scores(raw, "blurry", normalizing_factor=0.01, color_threshold=0.18).iloc[0, 0])


SHARP: dict[str, Measure] = {
    "blur_effect": lambda crop: float(1 - blur_effect(_grey(crop))),
    "laplacian": _laplacian,
    "cleanvision": _cleanvision,
}


def _turned(measure: Measure) -> Measure:
    return lambda crop: -measure(crop)


def _joined(values: dict[str, list[float]], kinds: list[str]) -> list[float]:
    return [value for kind in kinds for value in values[kind]]


def _candidates(seen: list[Seen]) -> list[tuple[Frame, PersonCrop, Person]]:
    found = [(frame, crops.cut(frame, people, 0.1)[0], people[0]) for frame, people in seen if people]
    return [item for item in found if geometry.short_side(item[2].box) >= 64 and item[2].score >= 0.6]


def _grey(crop: PersonCrop) -> np.ndarray:
    return cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)


# --- truncation


def truncation(seen: list[Seen], detector: Any) -> None:
    """Print the truncation table: the frame is cut anew through or beside people who were whole."""
    from learn_truncation import GOOD, fitted

    from figureground.checks.truncation import likelihood

    columns = truncated(seen, detector, 8)
    check = CHECKS["truncation"]
    spoilt = [kind for kind in columns if kind[-1].isdigit() and not kind.endswith("0.05")]
    blind = {"box only": lambda crop: check.measure(dataclasses.replace(crop, keypoints=crop.keypoints[:0]))}
    _learned_halves("truncation", check, columns, spoilt, list(GOOD), fitted, likelihood, blind)


def truncated(seen: list[Seen], detector: Any, at_most: int) -> Columns:
    """Cut the frame anew through and beside whole people, at most so many of a scene, and find them again."""
    whole = [(f, p[n]) for f, p in seen for n in range(min(2, len(p))) if free(f, p, n, 0.1, 0.7)]
    columns: Columns = {}
    for frame, person in spread(whole, at_most):
        for side in ("below", "above", "left", "right"):
            shares = (0.05, 0.1, 0.2, 0.4, 0.6) if side in ("below", "above") else (0.1, 0.3, 0.5)
            for share in (-0.005, *shares):
                kind = f"{side} {share}" if share > 0 else "touching"
                _collect(columns, kind, again(detector, frame, *_narrowed(frame.image, person.box, side, share)))
        _collect(columns, "away", again(detector, frame, frame.image, person.box))
    return columns


def _narrowed(image: Image, box: Box, side: str, share: float) -> tuple[Image, Box]:
    """Move one side of the frame so that `share` of the box lies outside."""
    x0, y0, x1, y1 = 0, 0, image.shape[1], image.shape[0]
    y1 = round(box.y1 - share * box.height) if side == "below" else y1
    y0 = round(box.y0 + share * box.height) if side == "above" else y0
    x0 = round(box.x0 + share * box.width) if side == "left" else x0
    x1 = round(box.x1 - share * box.width) if side == "right" else x1
    rest = geometry.clip(geometry.shift(box, -x0, -y0), Box(0, 0, x1 - x0, y1 - y0))
    assert rest is not None
    return image[y0:y1, x0:x1].copy(), rest


def _collect(columns: Columns, kind: str, crop: PersonCrop | None) -> None:
    if crop is not None:
        columns.setdefault(kind, []).append(crop)


def _summary(
    name: str,
    check: Any,
    values: dict[str, list[float]],
    good: list[str],
    spoilt: list[str],
    goal: float | None,
    rivals: str = "",
) -> Row:
    """Print and give a check's AUC, and its precision and recall at the default limit."""
    fine, bad = _joined(values, good), _joined(values, spoilt)
    dropped = {kind: float(np.mean([not check.accepts(v) for v in found])) for kind, found in values.items()}
    hits, misses = sum(not check.accepts(v) for v in bad), sum(not check.accepts(v) for v in fine)
    row = Row(name, goal, _spoiltness(check, fine, bad), rivals, hits / max(1, hits + misses), hits / len(bad))
    print(f"\n{name}: {len(fine)} good, {len(bad)} spoilt; AUC {row.auc:.3f}; baselines: {rivals or 'none'}")
    print(
        f"  at the default: precision {row.precision:.3f}, recall {row.recall:.3f}, good ones kept {1 - misses / len(fine):.3f}"
    )
    print("  AUC", {kind: round(_spoiltness(check, fine, values[kind]), 3) for kind in sorted(values) if kind not in good})
    print("  dropped", {kind: round(share, 2) for kind, share in sorted(dropped.items())})
    return row


def _spoiltness(check: Any, fine: Sequence[float], bad: Sequence[float]) -> float:
    """Give the AUC; a check with a lowest limit says little of what is spoilt, one with a highest limit much."""
    return auc(fine, bad) if hasattr(check, "at_least") else 1 - auc(fine, bad)


# --- occlusion


def occlusion(seen: list[Seen], detector: Any, data: Path) -> None:
    """Print the occlusion table: things and other people pasted over, behind and beside people who were free."""
    rng = np.random.default_rng(0)
    whole = [(f, p[0]) for f, p in seen if p and f.frame_id not in HINDERED and free(f, p, 0, 0.02, 0.75)]
    single = [(f, p, m) for f, p in whole if (m := mask_of(f, p, data)) is not None]
    donors = [item for item in single if item[0].source_id in ("ccp", "pennfudan", "hike")]
    columns: Columns = {}
    for frame, person, mask in spread(single, 12):
        _collect(columns, "alone", again(detector, frame, frame.image, person.box))
        for share in (0.1, 0.2, 0.35, 0.5):
            image, cover = _with_thing(frame, mask, person.box, share, seen, rng)
            kind = "thing under .3" if cover < 0.3 else "thing from .3"
            _collect(columns, kind if cover >= 0.1 else "thing under .1", again(detector, frame, image, person.box))
        for kind in ("apart", "front", "behind") * 2:
            donor = donors[rng.integers(len(donors))]
            image = _with_person(frame.image, mask, person.box, donor, kind, rng) if donor[0] is not frame else None
            if image is not None:
                _collect(columns, kind, again(detector, frame, image, person.box))
    things, people, good = ["thing under .3", "thing from .3"], ["front", "behind"], ["alone", "apart"]
    parts = {"occlusion": things + people, "occlusion by people": people, "occlusion by things": things}
    _hindered(columns, parts, good, seen, detector, data)
    for name in ("overlap", "overlap with masks"):
        _halves(name, columns, people, good, OCCLUDED)


def _hindered(
    columns: Columns, parts: dict[str, list[str]], good: list[str], seen: list[Seen], detector: Any, data: Path
) -> None:
    """Print the figures of heads that judge one half of the scenes and have learned on the other half's people alone."""
    from learn_occlusion import examples, fitted, known

    from figureground.checks.occlusion import judged

    check = CHECKS["occlusion with outlines"]
    pose, instances = CHECKS["occlusion with a network"].network, check.instances
    ways = (
        ((pose, instances), "pose network and outlines"),
        ((None, instances), "outlines"),
        ((pose, None), "pose network"),
        ((None, None), "doubts only"),
    )
    found = list(examples(known(seen, data, instances), seen, detector, (pose, instances), 0))
    scenes = sorted({one.scene for one in found})
    for half, members in (("first half", scenes[::2]), ("held out", scenes[1::2])):
        head = fitted([one for one in found if one.scene not in members])
        inside = {kind: [crop for crop in some if crop.source_id in members] for kind, some in columns.items()}
        for networks, words in ways:
            values = {kind: [judged(head, crop, *networks) for crop in some] for kind, some in inside.items() if some}
            for named, spoilt in parts.items():
                rivals = {rival: _rival(measure, inside, good, spoilt) for rival, measure in OCCLUDED.items()}
                said = ", ".join(f"{rival} {value:.3f}" for rival, value in sorted(rivals.items(), key=lambda one: -one[1]))
                title = f"{named}, {words}, learned on the other half, {half}"
                row = _summary(title, check, values, good, spoilt, GOALS.get(named), said)
                if half == "held out":
                    ROWS.append(row)


OCCLUDED: dict[str, Measure] = {
    "box overlap": lambda crop: geometry.covered(crop.person_inside, crop.others),
    "detector's score": lambda crop: -crop.score,
}


def touching(seen: list[Seen], data: Path) -> None:
    """Print what the checks say of Penn-Fudan's real people: whose hand-made mask touches another's, and whose does not."""
    columns: Columns = {}
    for frame, people in seen:
        for person, crop in zip(people, crops.cut(frame, people, 0.1), strict=True) if frame.source_id == "pennfudan" else ():
            kind = _touched(frame, person, data)
            if kind and geometry.short_side(person.box) >= 64:
                columns.setdefault(kind, []).append(crop)
    for name in ("overlap", "overlap with masks", "occlusion", "occlusion with a network", "occlusion with outlines"):
        values = {kind: [CHECKS[name].measure(crop) for crop in found] for kind, found in columns.items()}
        ROWS.append(_summary(f"{name}, real people touching", CHECKS[name], values, ["alone"], ["touching"], None))


def _touched(frame: Frame, person: Person, data: Path) -> str:
    """Tell whether another mask comes within 1.5 % of the person's height of the person's own; "" when it has none."""
    own = mask_of(frame, person, data)
    if own is None:
        return ""
    stem = frame.frame_id[len(frame.source_id) + 1 :]
    ids = cv2.imread(str(next(data.glob(f"pennfudan/PedMasks/{stem}*"))), -1)
    rim = 2 * max(1, int(0.015 * person.box.height)) + 1
    near = cv2.dilate(own, np.ones((rim, rim), np.uint8)) > 0
    return "touching" if ((ids > 0) & (own == 0) & near).any() else "alone"


def _with_thing(frame: Frame, mask: Mask, box: Box, share: float, seen: list[Seen], rng: Any) -> tuple[Image, float]:
    """Lay a pole, a low wall, an edge or a blob over about `share` of a person, with another scene's texture."""
    shape = rng.choice(["pole", "wall", "edge", "blob"])
    tries = [_thing(mask, box, shape, rng) for _ in range(60)]
    covers = [float((thing & mask).sum() / mask.sum()) for thing in tries]
    best = int(np.argmin(np.abs(np.array(covers) - share)))
    texture = cv2.resize(elsewhere(frame, seen, rng), mask.shape[::-1])
    cover = cv2.GaussianBlur(tries[best].astype(np.float32), (0, 0), 0.8)[..., None]
    return (frame.image * (1 - cover) + texture * cover).astype(np.uint8), covers[best]


def elsewhere(frame: Frame, seen: Sequence[Seen], rng: Any) -> Image:
    """Give what a thing looks like: a part of another scene's picture that shows nobody, or legs would hide legs."""
    others = [one for one in seen if one[0].source_id != frame.source_id]
    while True:
        other, people = others[rng.integers(len(others))]
        if (part := emptiest(other.image, people, rng)) is not None:
            return part


def emptiest(image: Image, people: Sequence[Person], rng: Any) -> Image | None:
    """Give a part of a picture, a sixth to two thirds of its sides, in which nobody was found; None after 20 tries."""
    for _ in range(20):
        high, wide = (int(side * rng.uniform(0.15, 0.7)) for side in image.shape[:2])
        y, x = int(rng.integers(image.shape[0] - high)), int(rng.integers(image.shape[1] - wide))
        if not any(geometry.clip(person.box, Box(x, y, x + wide, y + high)) for person in people):
            return image[y : y + high, x : x + wide]
    return None


def _thing(mask: Mask, box: Box, shape: str, rng: Any) -> Mask:
    thing, wide, high = np.zeros(mask.shape, np.uint8), box.width, box.height
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
        return cv2.ellipse(thing, (int(xs[at]), int(ys[at])), axes, rng.uniform(0, 180), 0, 360, 1, -1)
    x0, y0, x1, y1 = map(int, corners)
    return cv2.rectangle(thing, (x0, y0), (x1, y1), 1, -1)


def _with_person(image: Image, mask: Mask, box: Box, donor: Any, kind: str, rng: Any) -> Image | None:
    """Paste another person of like height in front, behind or apart but with boxes that overlap; None when it does not fit."""
    frame, person, donor_mask = donor
    scale = box.height / person.box.height * rng.uniform(0.85, 1.15)
    bounds = Box(0, 0, donor_mask.shape[1], donor_mask.shape[0])
    cut = geometry.clip(geometry.outward(geometry.grow(person.box, 0.05)), bounds)
    assert cut is not None
    inside = (slice(int(cut.y0), int(cut.y1)), slice(int(cut.x0), int(cut.x1)))
    size = (max(4, int(cut.width * scale)), max(4, int(cut.height * scale)))
    picture = cv2.resize(frame.image[inside], size, interpolation=cv2.INTER_AREA)
    outline = cv2.resize(donor_mask[inside], size, interpolation=cv2.INTER_NEAREST)
    rim = 2 * max(2, int(0.02 * box.height)) + 1
    near = cv2.dilate(mask, np.ones((rim, rim), np.uint8))
    for _ in range(80):
        x = int(rng.uniform(box.x0 - 1.1 * size[0], box.x1 + 0.1 * size[0]))
        y = int(box.y1 - size[1] + rng.uniform(-0.03, 0.05) * box.height)
        place = geometry.clip(Box(x, y, x + size[0], y + size[1]), Box(0, 0, mask.shape[1], mask.shape[0]))
        if place is None or place.width < 0.5 * size[0] or place.height < 0.5 * size[1]:
            continue
        to = (slice(place.y0, place.y1), slice(place.x0, place.x1))
        part = (slice(place.y0 - y, place.y1 - y), slice(place.x0 - x, place.x1 - x))
        pasted = np.zeros(mask.shape, np.uint8)
        pasted[to] = outline[part]
        shared = (pasted & mask).sum()
        fits = {
            "apart": not (pasted & near).any() and geometry.covered(box, [place]) > 0,
            "front": 0.08 < shared / mask.sum() < 0.5,
            "behind": 0.08 < shared / max(1, pasted.sum()) < 0.5,
        }
        if fits[kind]:
            layer = image.copy()
            layer[to] = picture[part]
            cover = (pasted * (1 - mask) if kind == "behind" else pasted).astype(np.float32)
            cover = cv2.GaussianBlur(cover, (0, 0), 0.7)[..., None]
            return (image * (1 - cover) + layer * cover).astype(np.uint8)
    return None


# --- one damage of the whole picture: limits were chosen on the first half of the scenes, the second was held out


def _halves(
    name: str,
    columns: Columns,
    spoilt: list[str],
    good: list[str],
    baselines: dict[str, Measure] | None = None,
    named: str = "",
) -> None:
    """Print a check's figures on both halves of the scenes beside baselines, which are large for what is spoilt."""
    scenes = sorted({crop.source_id for found in columns.values() for crop in found})
    for half, members in (("limits chosen here", scenes[::2]), ("held out", scenes[1::2])):
        inside = {kind: [crop for crop in found if crop.source_id in members] for kind, found in columns.items()}
        inside = {kind: found for kind, found in inside.items() if found}
        values = {kind: [CHECKS[name].measure(crop) for crop in found] for kind, found in inside.items()}
        rivals = {rival: _rival(measure, inside, good, spoilt) for rival, measure in (baselines or {}).items()}
        said = ", ".join(f"{rival} {value:.3f}" for rival, value in sorted(rivals.items(), key=lambda one: -one[1]))
        row = _summary(f"{named or name}, {half}", CHECKS[name], values, good, spoilt, GOALS.get(named or name), said)
        if half == "held out":
            ROWS.append(row)


def _learned_halves(
    name: str,
    check: Any,
    columns: Columns,
    spoilt: list[str],
    good: list[str],
    fitted: Callable[[list[tuple[str, PersonCrop]]], Any],
    judged: Callable[[Any, PersonCrop], float],
    baselines: dict[str, Measure],
    named: str = "",
) -> None:
    """Print the figures of heads that judge one half of the scenes and have learned on the other half's crops alone."""
    scenes = sorted({crop.source_id for found in columns.values() for crop in found})
    for half, members in (("first half", scenes[::2]), ("held out", scenes[1::2])):
        head = fitted([(kind, crop) for kind, found in columns.items() for crop in found if crop.source_id not in members])
        inside = {kind: [crop for crop in found if crop.source_id in members] for kind, found in columns.items()}
        values = {kind: [judged(head, crop) for crop in found] for kind, found in inside.items() if found}
        rivals = {rival: _rival(measure, inside, good, spoilt) for rival, measure in baselines.items()}
        said = ", ".join(f"{rival} {value:.3f}" for rival, value in sorted(rivals.items(), key=lambda one: -one[1]))
        title = f"{named or name}, learned on the other half, {half}"
        row = _summary(title, check, values, good, spoilt, GOALS.get(named or name), said)
        if half == "held out":
            ROWS.append(row)


def _rival(measure: Measure, columns: Columns, good: list[str], spoilt: list[str]) -> float:
    values = {kind: [measure(crop) for crop in columns.get(kind, [])] for kind in (*good, *spoilt)}
    return 1 - auc(_joined(values, good), _joined(values, spoilt))


def _saved(image: Image, rng: Any) -> Image:
    content = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(80, 98))])[1]
    return crops.decode(content.tobytes(), "benchmark")


def _blend(one: Image, other: Image, rng: Any) -> Image:
    """Lay 30-50 % of another picture over one: as light, or as a video editor does it."""
    share = rng.uniform(0.3, 0.5)
    if rng.random() < 0.5:
        return shown(linear(one) * (1 - share) + linear(other) * share)
    return (one * (1 - share) + other * share + 0.5).astype(np.uint8)


def ghosting(seen: list[Seen], network: Weights) -> None:
    """Print the ghosting table: pictures laid over themselves, moved, and over another moment of the same scene."""
    rng, columns = np.random.default_rng(0), {}
    for frame, crop, person in spread(_candidates(seen), 10):
        height, inside = max(person.box.width, person.box.height), _inside(crop)

        def add(kind: str, image: Image, crop: PersonCrop = crop) -> None:
            columns.setdefault(kind, []).append(dataclasses.replace(crop, image=_saved(image, rng)))

        add("clean", crop.image)
        for share in (0.02, 0.04, 0.08):
            angle = rng.uniform(0, 2 * np.pi)
            by = np.float32([[1, 0, share * height * np.cos(angle)], [0, 1, share * height * np.sin(angle)]])
            moved = cv2.warpAffine(frame.image, by, frame.image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
            add(f"moved {share}", _blend(crop.image, moved[inside], rng))
        for other in _moments(frame, person, seen)[:2]:
            add("two moments", _blend(crop.image, other.image[inside], rng))
    rivals = {"laplacian": _turned(_laplacian), "cleanvision": _turned(_cleanvision)}
    moved = [kind for kind in columns if kind.startswith("moved")]
    _halves("ghosting", columns, moved, ["clean"], rivals, "ghosting, shifted")
    _halves("ghosting", columns, [*moved, "two moments"], ["clean"], rivals, "ghosting, echo only")
    _learned(columns, moved, network)


def _learned(columns: Columns, moved: list[str], network: Weights) -> None:
    """Print the figures of heads that judge one half of the scenes and have learned on the other half's crops alone."""
    from learn_ghosting import Example, fitted

    found = [
        Example(crop.source_id, kind, backbone_features.pool_features(crop, network), echo(crop))
        for kind, some in columns.items()
        for crop in some
    ]
    scenes = sorted({one.scene for one in found})
    for half, members in (("first half", scenes[::2]), ("held out", scenes[1::2])):
        head, values = fitted([one for one in found if one.scene not in members]), {}
        for one in found:
            if one.scene in members:
                values.setdefault(one.kind, []).append(likelihood(head, one.pooled, one.height))
        spoilt = [*moved, "two moments"]
        row = _summary(f"ghosting, learned on the other half, {half}", LEARNED, values, ["clean"], spoilt, GOALS["ghosting"])
        if half == "held out":
            ROWS.append(row)


def _inside(crop: PersonCrop) -> tuple[slice, slice]:
    return slice(int(crop.box.y0), int(crop.box.y1)), slice(int(crop.box.x0), int(crop.box.x1))


def _moments(frame: Frame, person: Person, seen: list[Seen]) -> list[Frame]:
    """List the scene's other frames in which the person has moved by 2-30 % of its height, nearest first."""
    found = []
    for number, (other, people) in enumerate(seen):
        if other is not frame and other.source_id == frame.source_id and people and other.image.shape == frame.image.shape:
            same = max(people, key=lambda one: geometry.iou(one.box, person.box))
            steps = np.hypot(*(same.keypoints[:, :2] - person.keypoints[:, :2]).T)
            found.append((float(np.median(steps)) / max(person.box.width, person.box.height), number))
    return [seen[number][0] for distance, number in sorted(found) if 0.02 < distance < 0.3]


MILD = ("wide 35", "equirectangular 30", "fisheye 0.6", "fisheye aside 45")
"""What stretches nobody by 1.4 or more: measured, and learned from with less weight."""


def distortion(seen: list[Seen], detector: Any, network: Weights) -> None:
    """Print the distortion table: people beside the middle of a wide angle, before a fisheye, and up in a 360° picture."""
    import learn_distortion

    from figureground.checks.distortion import likelihood, summary

    columns = bent(seen, detector, 16)  # half of the scenes with 8 people each teach a head too little
    strong = [kind for kind in columns if kind not in (*learn_distortion.GOOD, *MILD)]
    rivals = {"box's shape": lambda crop: crop.person.width / crop.person.height}
    _halves("distortion", columns, strong, list(learn_distortion.GOOD), rivals, "distortion, detail only")

    def fitted(found: list[tuple[str, PersonCrop]]) -> Any:
        table: Columns = {}
        for kind, crop in found:
            table.setdefault(kind, []).append(crop)
        return learn_distortion.fitted(list(learn_distortion.seen(table, network)))

    def judged(head: Any, crop: PersonCrop) -> float:
        return likelihood(head, summary(crop, network))

    _learned_halves("distortion", BENT, columns, strong, list(learn_distortion.GOOD), fitted, judged, rivals)


def bent(seen: list[Seen], detector: Any, at_most: int) -> Columns:
    """Show whole people, at most so many of a scene, straight and as lenses bend them, and find them again."""
    rng, columns = np.random.default_rng(1), {}
    whole = [(f, p[0]) for f, p in seen if p and free(f, p, 0, 0.05, 0.7)]
    for frame, person in spread(whole, at_most):
        _collect(columns, "clean", again(detector, frame, frame.image, person.box))
        for kind, image in _lenses(*_shrunk(frame.image, person.box, 480), rng):
            if people := detector.find([image])[0]:
                _collect(columns, kind, crops.cut(dataclasses.replace(frame, image=image), people, 0.1)[0])
    return columns


def _lenses(image: Image, box: Box, rng: Any) -> Iterator[tuple[str, Image]]:
    def side() -> int:
        return int(rng.choice([-1, 1]))

    yield "turned", _turned_by(image, box, rng.uniform(0.6, 1.8), np.radians(rng.normal(0, 4)))
    for degrees in (35, 50, 60):
        yield f"wide {degrees}", _wide(image, box, np.radians(degrees) * side())
    for degrees in (30, 45, 55):
        yield f"equirectangular {degrees}", _equirectangular(image, box, np.radians(degrees) * side())
    for heights in (0.6, 0.4):
        angle, way = np.radians(rng.uniform(0.1, 15)), rng.uniform(0, 2 * np.pi)
        yield f"fisheye {heights}", _fisheye(image, box, heights, angle, way)
    for degrees in (45, 65):
        yield f"fisheye aside {degrees}", _fisheye(image, box, 1.0, np.radians(degrees), rng.uniform(0, 2 * np.pi))


def _shrunk(image: Image, box: Box, height: float) -> tuple[Image, Box]:
    """Bring somebody to at most `height` pixels: more are not looked at."""
    scale = min(1.0, height / max(box.width, box.height))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return small, Box(*(side * scale for side in (box.x0, box.y0, box.x1, box.y1)))


def _turned_by(image: Image, box: Box, scale: float, angle: float) -> Image:
    """Show somebody enlarged and turned, which bends nothing."""
    half = 0.75 * box.height * scale
    across, down = np.meshgrid(np.arange(-half, half) / scale, np.arange(-half, half) / scale)
    cos, sin = np.cos(angle), np.sin(angle)
    return _looked_up(image, box, cos * across - sin * down, sin * across + cos * down)


def _fisheye(image: Image, box: Box, heights: float, angle: float, way: float) -> Image:
    """Show somebody so many heights away, `angle` beside the middle of an equidistant fisheye in the direction `way`."""
    distance, focal = heights * box.height, box.height / (2 * np.arctan(0.5 / heights))
    half = 0.725 * box.height
    across, down = np.meshgrid(np.arange(-half, half), np.arange(-half, half))
    x, y = angle * focal * np.cos(way) + across, angle * focal * np.sin(way) + down
    radius = np.maximum(np.hypot(x, y), 1e-6)
    off = np.minimum(radius / focal, np.pi)
    rays = np.stack([np.sin(off) * x / radius, np.sin(off) * y / radius, np.cos(off)], -1)
    ahead = np.array([np.sin(angle) * np.cos(way), np.sin(angle) * np.sin(way), np.cos(angle)])
    right = np.cross([0.0, 1.0, 0.0], ahead) / np.linalg.norm(np.cross([0.0, 1.0, 0.0], ahead))
    depth = np.maximum(0.05, rays @ ahead)
    return _looked_up(image, box, distance * (rays @ right) / depth, distance * (rays @ np.cross(ahead, right)) / depth)


def _wide(image: Image, box: Box, angle: float) -> Image:
    """Show somebody three heights away, `angle` beside the middle of a flat wide-angle picture."""
    distance, half = 3 * box.height, 1.2 * max(box.width, 0.6 * box.height) / np.cos(angle) ** 2
    u = distance * np.tan(angle) + np.arange(-half, half)
    v = np.arange(-0.62 * box.height / np.cos(angle), 0.62 * box.height / np.cos(angle))
    x, y = np.meshgrid(u, v)
    depth = np.maximum(1, x * np.sin(angle) + distance * np.cos(angle))
    return _looked_up(image, box, distance * (x * np.cos(angle) - distance * np.sin(angle)) / depth, distance * y / depth)


def _equirectangular(image: Image, box: Box, latitude: float) -> Image:
    """Show somebody one height away, `latitude` above or below the horizon of a 360° picture."""
    height = box.height
    across, up = np.meshgrid(np.linspace(-1.6, 1.6, int(3.2 * height)), latitude + np.linspace(-0.62, 0.62, int(1.24 * height)))
    x, y, z = np.cos(up) * np.sin(across), np.sin(up), np.cos(up) * np.cos(across)
    depth = np.maximum(0.05, y * np.sin(latitude) + z * np.cos(latitude))
    return _looked_up(image, box, height * x / depth, height * (y * np.cos(latitude) - z * np.sin(latitude)) / depth)


def _looked_up(image: Image, box: Box, x: np.ndarray, y: np.ndarray) -> Image:
    middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    at = [np.clip(side + by, -1e4, 1e4).astype(np.float32) for side, by in zip(middle, (x, y), strict=True)]
    return cv2.remap(image, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def exposure(seen: list[Seen]) -> None:
    """Print the exposure table: less and more light, from a tenth to twenty times."""
    columns: Columns = {}
    for _, crop, _ in spread(_candidates(seen), 10):
        columns.setdefault("clean", []).append(crop)
        for times in (0.01, 0.03, 0.1, 3, 8, 20):
            image = shown(linear(crop.image) * times)
            columns.setdefault(f"light x{times}", []).append(dataclasses.replace(crop, image=image))
    rivals = {"mean grey": lambda crop: abs(float(_grey(crop).mean()) - 128)}
    _halves("exposure", columns, ["light x0.01", "light x0.03", "light x20"], ["clean"], rivals)


# --- all together


def kept(seen: list[Seen], checks: dict[str, Any], recipe: Sequence[str]) -> None:
    """Print how many undamaged, unhindered people the recipe's checks keep, and with each further check added."""
    whole = [
        crop
        for frame, people in seen
        for number, crop in enumerate(crops.cut(frame, people, 0.1))
        if not {frame.frame_id, crop.crop_id} & HINDERED and free(frame, people, number, 0.05, 0.7)
    ]
    refused = {name: np.array([not check.accepts(check.measure(crop)) for crop in whole]) for name, check in checks.items()}
    dropped = np.any([refused[name] for name in recipe], axis=0)
    print(f"\nundamaged people: {len(whole)}, kept by {', '.join(recipe)}: {1 - dropped.mean():.3f}")
    print("  refused by each", {name: int(found.sum()) for name, found in refused.items()})
    for name in checks:
        if name not in recipe:
            print(f"  with {name} too: {1 - (dropped | refused[name]).mean():.3f}")
    print(f"  with all: {1 - np.any(list(refused.values()), axis=0).mean():.3f}")


def cost(seen: list[Seen], loaded: catalog.Catalog, checks: dict[str, Any], recipe: Sequence[str]) -> None:
    """Print the milliseconds a crop of each check, beside those of finding and cutting out the same people."""
    few = [item for item in seen if item[1]][:: max(1, len(seen) // 40)]
    found = [crop for frame, people in few for crop in crops.cut(frame, people, 0.1)]
    stored = [crops.encode(crop.image) for crop in found]
    steps: dict[str, Callable[[], Any]] = {
        "decode": lambda: [crops.decode(content, "crop") for content in stored],
        **{name: lambda check=check: [check.measure(crop) for crop in found] for name, check in checks.items()},
        "finding": lambda: [loaded.detector().find([frame.image]) for frame, _ in few],
        "cutting out": lambda: loaded.remover().estimate_alphas(found),
    }
    for step in steps.values():
        step()
    spent = {name: _seconds(step) * 1000 / len(found) for name, step in steps.items()}
    print(f"\nms a crop, {len(found)} crops:", {name: round(value, 1) for name, value in spent.items()})
    ours = spent["decode"] + sum(spent[name] for name in recipe)
    rest = spent["finding"] + spent["cutting out"]
    print(f"  reading and measuring, the recipe's checks: {ours:.1f}; {ours / (ours + rest):.1%} of these steps together")


def _seconds(step: Callable[[], Any]) -> float:
    started = time.perf_counter()
    step()
    return time.perf_counter() - started


def summary() -> None:
    """Print one line a check, on the scenes that chose nothing."""
    print("\n| check | goal | AUC held out | baselines | precision | recall |\n|---|---|---|---|---|---|")
    for row in ROWS:
        goal = f"≥ {row.goal}" if row.goal else ""
        name = row.name.removesuffix(", held out")
        print(f"| {name} | {goal} | {row.auc:.3f} | {row.baseline} | {row.precision:.2f} | {row.recall:.2f} |")


def main() -> None:
    """Find everybody once, then print each table asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=here / "../shared/data")
    parser.add_argument("--only", nargs="*", default=list(TABLES))
    asked = parser.parse_args()
    loaded = catalog.load(here / "data_catalog.yaml")
    detector, instances = loaded.detector(), {"yolo26n-seg.pt": loaded.asset("yolo26n-seg.pt").weights}
    masks = {"instances": "yolo26n-seg.pt", "at_most": 0.3}
    CHECKS["overlap with masks"] = plugins.build("checks", "overlap", masks, instances)
    pose = {"yolo11n-pose.pt": loaded.asset("yolo11n-pose.pt").weights}
    CHECKS["occlusion with a network"] = plugins.build("checks", "occlusion", {"network": "yolo11n-pose.pt"}, pose)
    CHECKS["occlusion with outlines"] = plugins.build("checks", "occlusion", {"instances": "yolo26n-seg.pt"}, instances)
    built = loaded.checks()
    single = {name: built.get(name, CHECKS[name]) for name in SINGLE}
    recipe = [name for name in SINGLE if name in built]
    seen = [(frame, detector.find([frame.image])[0]) for frame in frames(asked.data)]
    print(f"{len(seen)} frames of {len({f.source_id for f, _ in seen})} scenes, {sum(len(p) for _, p in seen)} people")
    tables: dict[str, Callable[[], None]] = {
        "sharpness": lambda: [sharpness(seen, asked.data, noise) for noise in (0, 8)] and None,
        "truncation": lambda: truncation(seen, detector),
        "occlusion": lambda: occlusion(seen, detector, asked.data),
        "ghosting": lambda: ghosting(seen, loaded.asset("yolo11n-pose.pt").weights),
        "distortion": lambda: distortion(seen, detector, loaded.asset("yolo11n-pose.pt").weights),
        "exposure": lambda: exposure(seen),
        "touching": lambda: touching(seen, asked.data),
        "duplicate": lambda: duplicates.table(asked.data),
        "kept": lambda: kept(seen, single, recipe),
        "cost": lambda: cost(seen, loaded, single, recipe),
    }
    for name in asked.only:
        tables[name]()
    summary()


if __name__ == "__main__":
    main()
