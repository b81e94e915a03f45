"""Trains the head of the check occlusion and prints its scores on scenes left out.

It writes figureground/checks/heads/occlusion.npz.

    python benchmarks/learn_occlusion.py [--data ../shared/data] [--rounds 2] [--write]

Things (`occluders`) and other people are laid before, behind and beside people who stand free, who are then detected anew.
First a network with one hidden layer learns for each 8th pixel what it shows: background, the person, or something in
front, and a logistic regression weighs what it says of scenes that it has not seen together with what the detector doubts.
A second one weighs these doubts together with what a segmentation network's outlines leave out, a third one the doubts
alone. Every figure is of scenes that taught none of them; each collection of photos is one scene. The file holds weights
and no picture. Learning needs torch.
"""

import dataclasses
import hashlib
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import checks
import learning
import numpy as np
import occluders
import scipy.optimize
from checks import Seen
from numpy.typing import NDArray

from figureground.checks import occlusion
from figureground.imaging import crops, geometry
from figureground.people import backbone_features, instances, occlusion_features
from figureground.types import Frame, Image, Mask, Person, PersonCrop, Weights

Floats = NDArray[np.float32]
Known = tuple[Frame, Person, Mask]
Found = Callable[[Image], PersonCrop | None]
Head = dict[str, Floats]
PHOTOS = {"ccp": 40, "pennfudan": 40}
FEW = 8  # people of each video
BESIDE = 2  # things beside or behind each person
SHARES = (0.12, 0.25, 0.45)  # of the person, hidden by a thing
HINDERED_FROM = 0.1  # hidden less, a person is neither free nor hindered
HIDDEN, EPOCHS, PLACES, BATCH = 32, 5, 80, 1024
FOLDS, INNER = 5, 3
SEEN, OUTLINED = 7, 25  # how many pieces of evidence the pose network gives, and where those of outlines begin
NEVER_FOR = [(0.0, None)] * (OUTLINED + occlusion_features.FEATURE_COUNT)  # no weight is negative, but for
NEVER_FOR[3] = (None, 0.0)  # the share of the body that is seen
NEVER_FOR[OUTLINED + 6] = NEVER_FOR[OUTLINED + 9] = (None, None)  # what is carried, and the outline's share of the box
DOUBTS = (*range(7), 13, 15)  # weighed without a network: the better of each pair, the person, a fifth of overlap
GOOD, PEOPLE = ("alone", "apart"), ("front", "behind")
PARTS = {
    "with outlines": ("outlined", slice(SEEN, None)),
    "with the pose network": ("answer", slice(OUTLINED)),
    "with both": ("both", slice(None)),
    "doubts alone": ("doubted", slice(SEEN, OUTLINED)),
}
LIMITS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


@dataclasses.dataclass(frozen=True, eq=False)
class Example:
    """One person, free or hindered: what the head is given, what is true of each cell, and what the detector doubts."""

    scene: str
    kind: str
    cover: float
    known: NDArray[np.float16]
    areas: tuple[Floats, ...]
    truth: Floats
    doubts: Floats
    outlined: Floats

    @property
    def hindered(self) -> bool:
        """Whether somebody or something is in the way."""
        return self.kind in PEOPLE or (self.kind == "thing" and self.cover >= HINDERED_FROM)

    @property
    def clear(self) -> bool:
        """Whether it is certain what should be said: not when a thing hides next to nothing."""
        return self.hindered or self.kind != "thing"


# --- examples


def known(seen: list[Seen], data: Path, weights: Weights) -> list[Known]:
    """List people who stand free, with their masks: hand-made, or a segmentation network's where there are none."""
    found: dict[str, list[Known]] = {}
    for frame, people in seen:
        for number in range(min(2, len(people))):
            if frame.frame_id in checks.HINDERED or not checks.free(frame, people, number, 0.02, 0.7):
                continue
            mask = checks.mask_of(frame, people[number], data)
            mask = _cut_out(frame, people[number], weights) if mask is None else mask
            if mask is not None:
                found.setdefault(frame.source_id, []).append((frame, people[number], mask))
    few = {scene: PHOTOS.get(scene, FEW) for scene in found}
    return [one for scene, some in found.items() for one in some[:: max(1, len(some) // few[scene])][: few[scene]]]


def _cut_out(frame: Frame, person: Person, weights: Weights) -> Mask | None:
    """Let a segmentation network cut a person out; None when it sees nobody of that size there."""
    crop = crops.cut(frame, [person], 0.1)[0]
    found = instances.read_or_segment(crop, weights).image_masks(0.3, {"person"})
    overlaps = [geometry.iou(one.box, crop.person_inside) for one in found]
    if max([0.0, *overlaps]) < 0.7:
        return None
    mask = np.zeros(frame.image.shape[:2], np.uint8)
    mask[checks._inside(crop)] = found[int(np.argmax(overlaps))].alpha > 0.5
    return mask


def examples(
    people: Sequence[Known], seen: list[Seen], detector: Any, networks: tuple[Weights, Weights], turn: int
) -> Iterator[Example]:
    """Lay things and others before, behind and beside each person, others in each turn; detect anew."""
    for number, (frame, person, mask) in enumerate(people):
        for image, front, kind in _changed(frame, person, mask, people, seen, np.random.default_rng([turn, number])):
            crop = checks.again(detector, frame, image, person.box)
            if crop is not None and (kind != "alone" or turn == 0):
                yield _example(frame.source_id, kind, crop, mask, front, *networks)


def _changed(
    frame: Frame, person: Person, mask: Mask, people: Sequence[Known], seen: list[Seen], rng: np.random.Generator
) -> Iterator[tuple[Image, Mask, str]]:
    """Give pictures, what in them is in front of the person, and how they were changed."""
    nothing = np.zeros_like(mask)
    yield frame.image, nothing, "alone"
    for share in SHARES:
        image, thing = occluders.before(frame, mask, person.box, share, seen, rng)
        yield image, thing & mask, "thing"
    for _ in range(BESIDE):
        yield occluders.beside(frame, mask, person.box, seen, rng), nothing, "beside"
    for kind in ("apart", *PEOPLE):
        donor = people[rng.integers(len(people))]
        image = checks._with_person(frame.image, mask, person.box, donor, kind, rng) if donor[0] is not frame else None
        if image is not None:
            changed = (image != frame.image).any(axis=2)
            yield image, (changed & (mask > 0)).astype(np.uint8) if kind == "front" else nothing, kind


def _example(scene: str, kind: str, crop: PersonCrop, mask: Mask, front: Mask, network: Weights, weights: Weights) -> Example:
    cells, inside = backbone_features.compute_cells(crop, network), checks._inside(crop)
    hidden, own = cells.average(front[inside]), cells.average(mask[inside])
    truth = np.stack([1 - own, np.clip(own - hidden, 0, 1), hidden], axis=-1)
    cover = float((front & mask).sum() / mask.sum())
    areas = occlusion.areas(crop, cells)
    known = occlusion.described(crop, cells, *areas[:2]).astype(np.float16)
    outlined = occlusion_features.measure(crop, weights)
    truth = np.clip(truth, 0, 1).astype(np.float32)
    return Example(scene, kind, cover, known, areas, truth, occlusion.doubts(crop), outlined)


# --- learning


def fitted(found: Sequence[Example]) -> Head:
    """Learn from examples: the network of places, then the weights on what it says of scenes it has not seen."""
    evidence = np.zeros((len(found), len(NEVER_FOR)))
    for left_out in _folds(found, INNER):
        head = placed([one for one in found if one.scene not in left_out])
        for number, one in enumerate(found):
            if one.scene in left_out:
                evidence[number] = gathered(head, one)
    clear = np.array([one.clear for one in found])
    rows, hindered = evidence[clear], np.array([one.hindered for one in found])[clear]
    alone = [(0, None if number in DOUBTS else 0) for number in range(OUTLINED - SEEN)]
    answers = {
        "outlined": _logistic(rows[:, SEEN:], hindered, NEVER_FOR[SEEN:]),
        "answer": _logistic(rows[:, :OUTLINED], hindered, NEVER_FOR[:OUTLINED]),
        "both": _logistic(rows, hindered, NEVER_FOR),
        "doubted": _logistic(rows[:, SEEN:OUTLINED], hindered, alone),
    }
    return {**placed(found), **{name: weights.astype(np.float32) for name, weights in answers.items()}}


def _folds(found: Sequence[Example], count: int) -> list[set[str]]:
    scenes = sorted({one.scene for one in found})
    return [set(scenes[number::count]) for number in range(min(count, len(scenes)))]


def gathered(head: Head, one: Example) -> Floats:
    """Give all evidence of an example."""
    return np.r_[occlusion.in_front(occlusion.told(head, one.known.astype(np.float32)), *one.areas), one.doubts, one.outlined]


def placed(found: Sequence[Example]) -> Head:
    """Learn what cells show: cross entropy, AdamW, dropout, on some cells of each example."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums, and so the head's bytes, depend on it
    rng = np.random.default_rng(0)
    some = [_some_cells(one, rng) for one in found]
    given, truth = (np.concatenate([pair[number] for pair in some]).astype(np.float32) for number in (0, 1))
    middle, spread = given.mean(axis=0), given.std(axis=0) + 1e-3
    rows = torch.from_numpy(np.clip((given - middle) / spread, -6, 6))
    aims = torch.from_numpy(truth / truth.sum(axis=1, keepdims=True))
    drop, first, second = torch.nn.Dropout(0.2), torch.nn.Linear(rows.shape[1], HIDDEN), torch.nn.Linear(HIDDEN, 3)
    whole = torch.nn.Sequential(drop, first, torch.nn.ReLU(), torch.nn.Dropout(0.2), second)
    slope = torch.optim.AdamW(whole.parameters(), 3e-3, weight_decay=0.05)
    steps = EPOCHS * (len(rows) // BATCH)
    pace = torch.optim.lr_scheduler.OneCycleLR(slope, 5e-3, total_steps=steps)
    for _ in range(EPOCHS):
        order = torch.randperm(len(rows))
        for at in range(len(rows) // BATCH):
            part = order[at * BATCH : (at + 1) * BATCH]
            loss = -(aims[part] * torch.log_softmax(whole(rows[part]), 1)).sum(1).mean()
            slope.zero_grad()
            loss.backward()
            slope.step()
            pace.step()
    layers = {
        name: np.r_[one.weight.detach().numpy().T, one.bias.detach().numpy()[None]]
        for name, one in (("first", first), ("second", second))
    }
    return {"middle": middle, "spread": spread, **layers}


def _some_cells(one: Example, rng: np.random.Generator) -> tuple[NDArray[np.float16], Floats]:
    chosen = rng.permutation(np.nonzero(one.areas[0].ravel() > 0.01)[0])[:PLACES]
    return one.known.reshape(-1, one.known.shape[-1])[chosen], one.truth.reshape(-1, 3)[chosen]


def _logistic(rows: NDArray[np.float64], hindered: NDArray[np.bool_], bounds: list[Any]) -> NDArray[np.float64]:
    """Weigh columns by weights within bounds, free and hindered counting as much."""
    weight = np.where(hindered, 0.5 / hindered.mean(), 0.5 / (1 - hindered.mean()))
    middle, spread = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    given = (rows - middle) / spread

    def cost(answer: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        raw = given @ answer[:-1] + answer[-1]
        slope = weight * (1 / (1 + np.exp(-raw)) - hindered)
        value = (weight * np.logaddexp(0, np.where(hindered, -raw, raw))).sum() + 1.5 * (answer[:-1] ** 2).sum()
        return value, np.r_[given.T @ slope + 3 * answer[:-1], slope.sum()]

    start, limits = np.zeros(len(bounds) + 1), [*bounds, (None, None)]
    answer = scipy.optimize.minimize(cost, start, jac=True, method="L-BFGS-B", bounds=limits).x
    weights = answer[:-1] / spread
    return np.r_[weights, answer[-1] - weights @ middle]


# --- figures


def left_out(found: Sequence[Example]) -> dict[str, NDArray[np.float64]]:
    """Give each example's likelihood with all evidence and with less, by heads that have seen nothing of its scene."""
    values = {words: np.zeros(len(found)) for words in PARTS}
    for scenes in _folds(found, FOLDS):
        head = fitted([one for one in found if one.scene not in scenes])
        for number, one in enumerate(found):
            if one.scene in scenes:
                evidence = gathered(head, one)
                for words, (name, part) in PARTS.items():
                    values[words][number] = occlusion.likelihood(evidence[part], head[name])
    return values


def figures(found: Sequence[Example], values: NDArray[np.float64]) -> None:
    """Print AUC a kind, and what is kept and dropped at several limits."""
    kinds = _kinds(found)
    good, hindered = values[np.isin(kinds, GOOD)], values[[one.hindered for one in found]]

    def said(name: str, rows: NDArray[np.float64]) -> str:
        return f"{name} {1 - checks.auc(good, rows):.3f}"

    things = values[[one.hindered and one.kind == "thing" for one in found]]
    parts = {kind: values[kinds == kind] for kind in sorted(set(kinds) - set(GOOD))}
    print(
        "  AUC against alone and apart:",
        said("all", hindered),
        said("things", things),
        said("people", values[np.isin(kinds, PEOPLE)]),
    )
    print("   ", ", ".join(said(kind, rows) for kind, rows in parts.items()))
    print(f"    against alone only: all {1 - checks.auc(values[kinds == 'alone'], hindered):.3f}")
    for limit in LIMITS:
        dropped = {kind: round(float(np.mean(values[kinds == kind] > limit)), 2) for kind in sorted(set(kinds))}
        hits, misses = (hindered > limit).sum(), (good > limit).sum()
        print(
            f"  at_most {limit}: precision {hits / (hits + misses):.3f}, recall {hits / len(hindered):.3f}, dropped {dropped}"
        )


def _kinds(found: Sequence[Example]) -> NDArray[np.str_]:
    return np.array([_named(one) for one in found])


def _named(one: Example) -> str:
    if one.kind != "thing":
        return one.kind
    return "thing under .1" if one.cover < HINDERED_FROM else f"thing {'under' if one.cover < 0.3 else 'from'} .3"


def saved(head: Head, file: Path) -> str:
    """Write a head, halved in precision where it is large, with the same bytes for the same numbers; give its sha256."""
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as stored:
        for name, array in sorted(head.items()):
            content = io.BytesIO()
            np.save(content, array.astype(np.float16 if array.size > 1000 else np.float32))
            stored.writestr(zipfile.ZipInfo(f"{name}.npy", (2026, 1, 1, 0, 0, 0)), content.getvalue())
    return hashlib.sha256(file.read_bytes()).hexdigest()


def main() -> None:
    """Learn, print and, when asked, write."""
    parser = learning.arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=1, help="how often each person is changed in each way")
    asked, loaded = parser.parse_args(), learning.settings()
    network, weights = (loaded.asset(name).weights for name in ("yolo11n-pose.pt", "yolo26n-seg.pt"))
    detector = loaded.detector()
    seen = [(frame, detector.find([frame.image])[0]) for frame in checks.frames(asked.data)]
    people = known(seen, asked.data, weights)
    found = [one for turn in range(asked.rounds) for one in examples(people, seen, detector, (network, weights), turn)]
    print(f"{len(found)} examples of {len({one.scene for one in found})} scenes, each judged by what others taught")
    for words, values in left_out(found).items():
        print(words)
        figures(found, values)
    if asked.write:
        file = learning.ROOT / "figureground/checks/heads/occlusion.npz"
        print(f"{file}: sha256 {saved(fitted(found), file)}")


if __name__ == "__main__":
    main()
