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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import duplicates
import numpy as np
import PIL.Image
from skimage.measure import blur_effect

from figureground import catalog, plugins
from figureground.checks import distortion as distortion_check
from figureground.checks import ghosting as ghosting_check
from figureground.checks import occlusion as occlusion_check
from figureground.checks import truncation as truncation_check
from figureground.checks.heads import (
    damage,
    occluders,
    scenes,
    train_distortion,
    train_ghosting,
    train_occlusion,
    train_truncation,
)
from figureground.checks.heads.damage import CropsByKind, add_crop
from figureground.checks.heads.regression import compute_auc
from figureground.checks.heads.scenes import DetectedFrame, read_mask, take_evenly
from figureground.imaging import crops, geometry
from figureground.types import Box, Frame, Image, Mask, Person, PersonCrop, Weights

SINGLE = ("truncation", "size", "occlusion", "sharpness", "overlap", "exposure", "ghosting", "distortion")
CHECKS = {name: plugins.build("checks", name, {}) for name in SINGLE}
LEARNED = plugins.build("checks", "ghosting", {"at_most": 0.9})
BENT = plugins.build("checks", "distortion", {"at_most": 0.8})
TABLES = ("sharpness", "truncation", "occlusion", "touching", "ghosting", "distortion", "exposure", "duplicate", "kept", "cost")
GOALS = {"sharpness": 0.97, "ghosting": 0.95, "truncation": 0.97, "occlusion": 0.93, "overlap": 0.93, "distortion": 0.93}
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


def blurred(image: Image, kernel: np.ndarray, mask: Mask | None = None) -> Image:
    """Blur a picture, or only the person in front of a background that stays sharp."""
    light = damage.to_linear(image)
    if mask is None:
        return damage.from_linear(cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT))
    person = mask[..., None].astype(np.float32)
    cover = cv2.filter2D(person, -1, kernel)[..., None]
    room = cv2.GaussianBlur(1 - person, (0, 0), 6)[..., None]
    behind = np.where(person > 0, cv2.GaussianBlur(light * (1 - person), (0, 0), 6) / np.maximum(room, 1e-3), light)
    return damage.from_linear(cv2.filter2D(light * person, -1, kernel) + (1 - cover) * behind)


def sharpness(seen: list[DetectedFrame], data: Path, noise: float) -> None:
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

    for frame, crop, person in take_evenly(scenes.cut_best_people(seen), 12):
        height = max(crop.person.width, crop.person.height)
        mask = read_mask(frame, person, data)
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
        values = {kind: [measure(crop) for crop in crops_] for kind, crops_ in columns.items()}
        rows = [compute_auc(values["clean"], values[kind]) for kind in spoilt]
        rows += [compute_auc(values["clean"], _joined(values, kinds)) for kinds in (spoilt, [k for k in spoilt if k[-1] > "1"])]
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


def _grey(crop: PersonCrop) -> np.ndarray:
    return cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY)


# --- truncation


def truncation(seen: list[DetectedFrame], detector: Any) -> None:
    """Print the truncation table: the frame is cut anew through or beside people who were whole."""
    columns = damage.truncate_people(seen, detector, 8)
    check = CHECKS["truncation"]
    spoilt = [kind for kind in columns if kind[-1].isdigit() and not kind.endswith("0.05")]
    blind = {"box only": lambda crop: check.measure(dataclasses.replace(crop, keypoints=crop.keypoints[:0]))}
    good, fit, judged = list(train_truncation.WHOLE), train_truncation.fit, truncation_check.likelihood
    _learned_halves("truncation", check, columns, spoilt, good, fit, judged, blind)


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
    dropped = {kind: float(np.mean([not check.accepts(v) for v in scores])) for kind, scores in values.items()}
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
    return compute_auc(fine, bad) if hasattr(check, "at_least") else 1 - compute_auc(fine, bad)


# --- occlusion


def occlusion(seen: list[DetectedFrame], detector: Any, data: Path) -> None:
    """Print the occlusion table: things and other people pasted over, behind and beside people who were free."""
    rng = np.random.default_rng(0)
    whole = [(f, p[0]) for f, p in seen if p and f.frame_id not in scenes.HINDERED and scenes.is_free(f, p, 0, 0.02, 0.75)]
    single = [(f, p, m) for f, p in whole if (m := read_mask(f, p, data)) is not None]
    donors = [item for item in single if item[0].source_id in ("ccp", "pennfudan", "hike")]
    columns: CropsByKind = {}
    for frame, person, mask in take_evenly(single, 12):
        add_crop(columns, "alone", scenes.detect_again(detector, frame, frame.image, person.box))
        for share in (0.1, 0.2, 0.35, 0.5):
            image, cover = _with_thing(frame, mask, person.box, share, seen, rng)
            kind = "thing under .3" if cover < 0.3 else "thing from .3"
            kind = kind if cover >= 0.1 else "thing under .1"
            add_crop(columns, kind, scenes.detect_again(detector, frame, image, person.box))
        for kind in ("apart", "front", "behind") * 2:
            donor = donors[rng.integers(len(donors))]
            image = damage.paste_person(frame.image, mask, person.box, donor, kind, rng) if donor[0] is not frame else None
            if image is not None:
                add_crop(columns, kind, scenes.detect_again(detector, frame, image, person.box))
    things, people, good = ["thing under .3", "thing from .3"], ["front", "behind"], ["alone", "apart"]
    parts = {"occlusion": things + people, "occlusion by people": people, "occlusion by things": things}
    _hindered(columns, parts, good, seen, detector, data)
    for name in ("overlap", "overlap with masks"):
        _halves(name, columns, people, good, OCCLUDED)


def _hindered(
    columns: CropsByKind, parts: dict[str, list[str]], good: list[str], seen: list[DetectedFrame], detector: Any, data: Path
) -> None:
    """Print the figures of heads that judge one half of the scenes and have learned on the other half's people alone."""
    check = CHECKS["occlusion with outlines"]
    pose, instances = CHECKS["occlusion with a network"].network, check.instances
    ways = (
        ((pose, instances), "pose network and outlines"),
        ((None, instances), "outlines"),
        ((pose, None), "pose network"),
        ((None, None), "doubts only"),
    )
    people = train_occlusion.list_free_people(seen, data, instances)
    samples = list(train_occlusion.occlude_samples(people, seen, detector, (pose, instances), 0))
    names = sorted({sample.scene for sample in samples})
    for half, members in (("first half", names[::2]), ("held out", names[1::2])):
        head = train_occlusion.fit([sample for sample in samples if sample.scene not in members])
        inside = {kind: [crop for crop in crops_ if crop.source_id in members] for kind, crops_ in columns.items()}
        for networks, words in ways:
            values = {
                kind: [occlusion_check.judged(head, crop, *networks) for crop in crops_]
                for kind, crops_ in inside.items()
                if crops_
            }
            for named, spoilt in parts.items():
                rivals = {rival: _rival(measure, inside, good, spoilt) for rival, measure in OCCLUDED.items()}
                listed = ", ".join(f"{rival} {value:.3f}" for rival, value in sorted(rivals.items(), key=lambda pair: -pair[1]))
                title = f"{named}, {words}, learned on the other half, {half}"
                row = _summary(title, check, values, good, spoilt, GOALS.get(named), listed)
                if half == "held out":
                    ROWS.append(row)


OCCLUDED: dict[str, Measure] = {
    "box overlap": lambda crop: geometry.covered(crop.person_inside, crop.others),
    "detector's score": lambda crop: -crop.score,
}


def touching(seen: list[DetectedFrame], data: Path) -> None:
    """Print what the checks say of Penn-Fudan's real people: whose hand-made mask touches another's, and whose does not."""
    columns: CropsByKind = {}
    for frame, people in seen:
        for person, crop in zip(people, crops.cut(frame, people, 0.1), strict=True) if frame.source_id == "pennfudan" else ():
            kind = _touched(frame, person, data)
            if kind and geometry.short_side(person.box) >= 64:
                columns.setdefault(kind, []).append(crop)
    for name in ("overlap", "overlap with masks", "occlusion", "occlusion with a network", "occlusion with outlines"):
        values = {kind: [CHECKS[name].measure(crop) for crop in crops_] for kind, crops_ in columns.items()}
        ROWS.append(_summary(f"{name}, real people touching", CHECKS[name], values, ["alone"], ["touching"], None))


def _touched(frame: Frame, person: Person, data: Path) -> str:
    """Tell whether another mask comes within 1.5 % of the person's height of the person's own; "" when it has none."""
    own = read_mask(frame, person, data)
    if own is None:
        return ""
    ids = scenes.read_pennfudan_ids(frame, data)
    rim = 2 * max(1, int(0.015 * person.box.height)) + 1
    near = cv2.dilate(own, np.ones((rim, rim), np.uint8)) > 0
    return "touching" if ((ids > 0) & (own == 0) & near).any() else "alone"


def _with_thing(frame: Frame, mask: Mask, box: Box, share: float, seen: list[DetectedFrame], rng: Any) -> tuple[Image, float]:
    """Lay a pole, a low wall, an edge or a blob over about `share` of a person, with another scene's texture."""
    shape = rng.choice(["pole", "wall", "edge", "blob"])
    tries = [occluders.draw_outline(mask, box, shape, rng) for _ in range(60)]
    covers = [float((shape & mask).sum() / mask.sum()) for shape in tries]
    best = int(np.argmin(np.abs(np.array(covers) - share)))
    texture = cv2.resize(occluders.cut_other_scene(frame, seen, rng), mask.shape[::-1])
    cover = cv2.GaussianBlur(tries[best].astype(np.float32), (0, 0), 0.8)[..., None]
    return (frame.image * (1 - cover) + texture * cover).astype(np.uint8), covers[best]


# --- one damage of the whole picture: limits were chosen on the first half of the scenes, the second was held out


def _halves(
    name: str,
    columns: CropsByKind,
    spoilt: list[str],
    good: list[str],
    baselines: dict[str, Measure] | None = None,
    named: str = "",
) -> None:
    """Print a check's figures on both halves of the scenes beside baselines, which are large for what is spoilt."""
    names = sorted({crop.source_id for crops_ in columns.values() for crop in crops_})
    for half, members in (("limits chosen here", names[::2]), ("held out", names[1::2])):
        inside = {kind: [crop for crop in crops_ if crop.source_id in members] for kind, crops_ in columns.items()}
        inside = {kind: crops_ for kind, crops_ in inside.items() if crops_}
        values = {kind: [CHECKS[name].measure(crop) for crop in crops_] for kind, crops_ in inside.items()}
        rivals = {rival: _rival(measure, inside, good, spoilt) for rival, measure in (baselines or {}).items()}
        listed = ", ".join(f"{rival} {value:.3f}" for rival, value in sorted(rivals.items(), key=lambda pair: -pair[1]))
        row = _summary(f"{named or name}, {half}", CHECKS[name], values, good, spoilt, GOALS.get(named or name), listed)
        if half == "held out":
            ROWS.append(row)


def _learned_halves(
    name: str,
    check: Any,
    columns: CropsByKind,
    spoilt: list[str],
    good: list[str],
    fitted: Callable[[list[tuple[str, PersonCrop]]], Any],
    judged: Callable[[Any, PersonCrop], float],
    baselines: dict[str, Measure],
    named: str = "",
) -> None:
    """Print the figures of heads that judge one half of the scenes and have learned on the other half's crops alone."""
    names = sorted({crop.source_id for crops_ in columns.values() for crop in crops_})
    for half, members in (("first half", names[::2]), ("held out", names[1::2])):
        head = fitted([(kind, crop) for kind, crops_ in columns.items() for crop in crops_ if crop.source_id not in members])
        inside = {kind: [crop for crop in crops_ if crop.source_id in members] for kind, crops_ in columns.items()}
        values = {kind: [judged(head, crop) for crop in crops_] for kind, crops_ in inside.items() if crops_}
        rivals = {rival: _rival(measure, inside, good, spoilt) for rival, measure in baselines.items()}
        listed = ", ".join(f"{rival} {value:.3f}" for rival, value in sorted(rivals.items(), key=lambda pair: -pair[1]))
        title = f"{named or name}, learned on the other half, {half}"
        row = _summary(title, check, values, good, spoilt, GOALS.get(named or name), listed)
        if half == "held out":
            ROWS.append(row)


def _rival(measure: Measure, columns: CropsByKind, good: list[str], spoilt: list[str]) -> float:
    values = {kind: [measure(crop) for crop in columns.get(kind, [])] for kind in (*good, *spoilt)}
    return 1 - compute_auc(_joined(values, good), _joined(values, spoilt))


def ghosting(seen: list[DetectedFrame], network: Weights) -> None:
    """Print the ghosting table: pictures laid over themselves, moved, and over another moment of the same scene."""
    rng, columns = np.random.default_rng(0), {}
    for frame, crop, person in take_evenly(scenes.cut_best_people(seen), 10):
        inside = scenes.crop_slices(crop)

        def add(kind: str, image: Image, crop: PersonCrop = crop) -> None:
            columns.setdefault(kind, []).append(dataclasses.replace(crop, image=damage.recompress(image, rng)))

        add("clean", crop.image)
        for share in train_ghosting.SHIFTS:
            add(f"moved {share}", damage.blend_shifted(frame, crop, share, rng))
        for other in scenes.find_moments(frame, person, seen)[:2]:
            add("two moments", damage.blend(crop.image, other.image[inside], rng))
    rivals = {"laplacian": _turned(_laplacian), "cleanvision": _turned(_cleanvision)}
    moved = [kind for kind in columns if kind.startswith("moved")]
    _halves("ghosting", columns, moved, ["clean"], rivals, "ghosting, shifted")
    _halves("ghosting", columns, [*moved, "two moments"], ["clean"], rivals, "ghosting, echo only")
    _learned(columns, moved, network)


def _learned(columns: CropsByKind, moved: list[str], network: Weights) -> None:
    """Print the figures of heads that judge one half of the scenes and have learned on the other half's crops alone."""
    samples = [
        train_ghosting.measure_sample(crop.source_id, kind, crop, network)
        for kind, crops_ in columns.items()
        for crop in crops_
    ]
    names = sorted({sample.scene for sample in samples})
    for half, members in (("first half", names[::2]), ("held out", names[1::2])):
        head, values = train_ghosting.fit([sample for sample in samples if sample.scene not in members]), {}
        for sample in samples:
            if sample.scene in members:
                values.setdefault(sample.kind, []).append(ghosting_check.likelihood(head, sample.features, sample.echo_height))
        spoilt = [*moved, "two moments"]
        row = _summary(f"ghosting, learned on the other half, {half}", LEARNED, values, ["clean"], spoilt, GOALS["ghosting"])
        if half == "held out":
            ROWS.append(row)


def distortion(seen: list[DetectedFrame], detector: Any, network: Weights) -> None:
    """Print the distortion table: people beside the middle of a wide angle, before a fisheye, and up in a 360° picture."""
    columns = damage.bend_people(seen, detector, 16)  # half of the scenes with 8 people each teach a head too little
    strong = [kind for kind in columns if kind not in (*train_distortion.STRAIGHT, *damage.MILD_BENDS)]
    rivals = {"box's shape": lambda crop: crop.person.width / crop.person.height}
    _halves("distortion", columns, strong, list(train_distortion.STRAIGHT), rivals, "distortion, detail only")

    def fitted(crops_by_kind: list[tuple[str, PersonCrop]]) -> Any:
        table: CropsByKind = {}
        for kind, crop in crops_by_kind:
            table.setdefault(kind, []).append(crop)
        return train_distortion.fit(list(train_distortion.measure_samples(table, network)))

    def judged(head: Any, crop: PersonCrop) -> float:
        return distortion_check.likelihood(head, distortion_check.summary(crop, network))

    _learned_halves("distortion", BENT, columns, strong, list(train_distortion.STRAIGHT), fitted, judged, rivals)


def exposure(seen: list[DetectedFrame]) -> None:
    """Print the exposure table: less and more light, from a tenth to twenty times."""
    columns: CropsByKind = {}
    for _, crop, _ in take_evenly(scenes.cut_best_people(seen), 10):
        columns.setdefault("clean", []).append(crop)
        for times in (0.01, 0.03, 0.1, 3, 8, 20):
            image = damage.from_linear(damage.to_linear(crop.image) * times)
            columns.setdefault(f"light x{times}", []).append(dataclasses.replace(crop, image=image))
    rivals = {"mean grey": lambda crop: abs(float(_grey(crop).mean()) - 128)}
    _halves("exposure", columns, ["light x0.01", "light x0.03", "light x20"], ["clean"], rivals)


# --- all together


def kept(seen: list[DetectedFrame], checks: dict[str, Any], recipe: Sequence[str]) -> None:
    """Print how many undamaged, unhindered people the recipe's checks keep, and with each further check added."""
    whole = [
        crop
        for frame, people in seen
        for number, crop in enumerate(crops.cut(frame, people, 0.1))
        if not {frame.frame_id, crop.crop_id} & scenes.HINDERED and scenes.is_free(frame, people, number, 0.05, 0.7)
    ]
    refused = {name: np.array([not check.accepts(check.measure(crop)) for crop in whole]) for name, check in checks.items()}
    dropped = np.any([refused[name] for name in recipe], axis=0)
    print(f"\nundamaged people: {len(whole)}, kept by {', '.join(recipe)}: {1 - dropped.mean():.3f}")
    print("  refused by each", {name: int(flags.sum()) for name, flags in refused.items()})
    for name in checks:
        if name not in recipe:
            print(f"  with {name} too: {1 - (dropped | refused[name]).mean():.3f}")
    print(f"  with all: {1 - np.any(list(refused.values()), axis=0).mean():.3f}")


def cost(seen: list[DetectedFrame], loaded: catalog.Catalog, checks: dict[str, Any], recipe: Sequence[str]) -> None:
    """Print the milliseconds a crop of each check, beside those of finding and cutting out the same people."""
    few = [item for item in seen if item[1]][:: max(1, len(seen) // 40)]
    cut_crops = [crop for frame, people in few for crop in crops.cut(frame, people, 0.1)]
    stored = [crops.encode(crop.image) for crop in cut_crops]
    steps: dict[str, Callable[[], Any]] = {
        "decode": lambda: [crops.decode(content, "crop") for content in stored],
        **{name: lambda check=check: [check.measure(crop) for crop in cut_crops] for name, check in checks.items()},
        "finding": lambda: [loaded.detector().find([frame.image]) for frame, _ in few],
        "cutting out": lambda: loaded.remover().estimate_alphas(cut_crops),
    }
    for step in steps.values():
        step()
    spent = {name: _seconds(step) * 1000 / len(cut_crops) for name, step in steps.items()}
    print(f"\nms a crop, {len(cut_crops)} crops:", {name: round(value, 1) for name, value in spent.items()})
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
    options = parser.parse_args()
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
    seen = [(frame, detector.find([frame.image])[0]) for frame in scenes.read_frames(options.data)]
    print(f"{len(seen)} frames of {len({f.source_id for f, _ in seen})} scenes, {sum(len(p) for _, p in seen)} people")
    tables: dict[str, Callable[[], None]] = {
        "sharpness": lambda: [sharpness(seen, options.data, noise) for noise in (0, 8)] and None,
        "truncation": lambda: truncation(seen, detector),
        "occlusion": lambda: occlusion(seen, detector, options.data),
        "ghosting": lambda: ghosting(seen, loaded.asset("yolo11n-pose.pt").weights),
        "distortion": lambda: distortion(seen, detector, loaded.asset("yolo11n-pose.pt").weights),
        "exposure": lambda: exposure(seen),
        "touching": lambda: touching(seen, options.data),
        "duplicate": lambda: duplicates.table(options.data),
        "kept": lambda: kept(seen, single, recipe),
        "cost": lambda: cost(seen, loaded, single, recipe),
    }
    for name in options.only:
        tables[name]()
    summary()


if __name__ == "__main__":
    main()
