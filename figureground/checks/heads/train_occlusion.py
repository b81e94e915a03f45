"""Trains the head of the check occlusion on free people with objects and other people laid before, behind and beside them.

First a network with one hidden layer learns what each 8th pixel shows: background, the person, or something in front. Then
logistic regressions weigh what it predicts of scenes left out, what the detector doubts, and what a segmentation network's
outlines leave out: one regression for each combination of networks. Every figure is of scenes left out; each collection of
photos is one scene. Training needs torch.
"""

import dataclasses
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.optimize
from numpy.typing import NDArray

from figureground.checks import occlusion
from figureground.checks.heads import damage, occluders, scenes
from figureground.checks.heads.regression import TrainedHead, compute_auc
from figureground.checks.heads.scenes import DetectedFrame
from figureground.detectors import Detector
from figureground.imaging import crops, geometry
from figureground.people import backbone_features, instances, occlusion_features
from figureground.types import Frame, Image, Mask, Person, PersonCrop, Weights

Floats = NDArray[np.float32]
FreePerson = tuple[Frame, Person, Mask]
"""A frame, a person in it who stands free, and that person's mask."""
Arrays = dict[str, Floats]
"""The arrays of a head by name."""
ROUNDS = 2
"""How often each person is changed in each way."""
GOOD = ("alone", "apart")
PEOPLE = ("front", "behind")
_PHOTOS = {"ccp": 40, "pennfudan": 40}  # people of each collection
_FEW = 8  # people of each video
_BESIDE = 2  # objects beside or behind each person
_SHARES = (0.12, 0.25, 0.45)  # of the person, hidden by an object
_HINDERED_FROM = 0.1  # hidden less, a person is neither free nor hindered
_HIDDEN_UNITS, _EPOCHS, _CELLS, _BATCH = 32, 5, 80, 1024
_FOLDS, _INNER_FOLDS = 5, 3
_SEEN, _OUTLINED = 7, 25  # how many features the pose network gives, and where those of outlines begin
_BOUNDS: list[Any] = [(0.0, None)] * (_OUTLINED + occlusion_features.FEATURE_COUNT)  # no weight is negative, but for
_BOUNDS[3] = (None, 0.0)  # the share of the body that is seen
_BOUNDS[_OUTLINED + 6] = _BOUNDS[_OUTLINED + 9] = (None, None)  # what is carried, and the outline's share of the box
_DOUBTS = (*range(7), 13, 15)  # weighed without a network: the better joint of each pair, the person, overlap up to a fifth
_PARTS = {
    "with outlines": ("outlined", slice(_SEEN, None)),
    "with the pose network": ("answer", slice(_OUTLINED)),
    "with both": ("both", slice(None)),
    "doubts alone": ("doubted", slice(_SEEN, _OUTLINED)),
}
_LIMITS = (0.6, 0.65, 0.7, 0.75, 0.8, 0.85)


@dataclasses.dataclass(frozen=True, eq=False)
class OccludedSample:
    """A person, free or hindered: the features and the ground truth of each cell, and the features of the whole person."""

    scene: str
    kind: str
    cover: float
    cells: NDArray[np.float16]
    areas: tuple[Floats, Floats, Floats]
    ground_truth: Floats
    doubts: Floats
    outlined: Floats

    @property
    def hindered(self) -> bool:
        """Whether a person or an object hides a part of the person."""
        return self.kind in PEOPLE or (self.kind == "object" and self.cover >= _HINDERED_FROM)

    @property
    def certain(self) -> bool:
        """Whether the class is certain: not when an object hides nearly nothing."""
        return self.hindered or self.kind != "object"


def train(detector: Detector, network: Weights, outlines: Weights, data: Path, rounds: int = ROUNDS) -> TrainedHead:
    """Train the head of the check occlusion.

    Parameters
    ----------
    detector
        Detects the people.
    network
        The YOLO11 pose network whose layers give the features of cells.
    outlines
        The YOLO segmentation network.
    data
        The data folder, see `figureground.checks.heads.scenes`.
    rounds
        How often each person is changed in each way.
    """
    detected = [(frame, detector.find([frame.image])[0]) for frame in scenes.read_frames(data)]
    people = list_free_people(detected, data, outlines)
    samples = [
        sample
        for number in range(rounds)
        for sample in occlude_samples(people, detected, detector, (network, outlines), number)
    ]
    lines = [f"{len(samples)} samples of {len({sample.scene for sample in samples})} scenes, each scene left out"]
    for part, values in _evaluate(samples).items():
        lines += [part, *_describe(samples, values)]
    return TrainedHead(encode_arrays(fit(samples)), tuple(lines))


# --- samples


def list_free_people(detected: Sequence[DetectedFrame], data: Path, outlines: Weights) -> list[FreePerson]:
    """List people who stand free, with their masks: hand-made, or a segmentation network's where there are none.

    Parameters
    ----------
    detected
        Frames and their people.
    data
        The data folder.
    outlines
        The YOLO segmentation network.
    """
    by_scene: dict[str, list[FreePerson]] = {}
    for frame, people in detected:
        for number in range(min(2, len(people))):
            if frame.frame_id in scenes.HINDERED or not scenes.is_free(frame, people, number, 0.02, 0.7):
                continue
            mask = scenes.read_mask(frame, people[number], data)
            mask = _segment(frame, people[number], outlines) if mask is None else mask
            if mask is not None:
                by_scene.setdefault(frame.source_id, []).append((frame, people[number], mask))
    few = {scene: _PHOTOS.get(scene, _FEW) for scene in by_scene}
    return [
        person for scene, group in by_scene.items() for person in group[:: max(1, len(group) // few[scene])][: few[scene]]
    ]


def _segment(frame: Frame, person: Person, outlines: Weights) -> Mask | None:
    """Segment a person with a network; None when it finds no person of that box."""
    crop = crops.cut(frame, [person], 0.1)[0]
    masks = instances.read_or_segment(crop, outlines).image_masks(0.3, {"person"})
    overlaps = [geometry.iou(candidate.box, crop.person_inside) for candidate in masks]
    if max([0.0, *overlaps]) < 0.7:
        return None
    mask = np.zeros(frame.image.shape[:2], np.uint8)
    mask[scenes.crop_slices(crop)] = masks[int(np.argmax(overlaps))].alpha > 0.5
    return mask


def occlude_samples(
    people: Sequence[FreePerson],
    detected: Sequence[DetectedFrame],
    detector: Detector,
    networks: tuple[Weights, Weights],
    number: int,
) -> Iterator[OccludedSample]:
    """Lay objects and people before, behind and beside each person, and detect the person again.

    Parameters
    ----------
    people
        As `list_free_people` gives them.
    detected
        Frames and their people, which give textures.
    detector
        Detects the people again.
    networks
        The pose network and the segmentation network.
    number
        Of the round: each round draws other objects.
    """
    for index, (frame, person, mask) in enumerate(people):
        for image, front, kind in _occlude(frame, person, mask, people, detected, np.random.default_rng([number, index])):
            crop = scenes.detect_again(detector, frame, image, person.box)
            if crop is not None and (kind != "alone" or number == 0):
                yield _measure_sample(frame.source_id, kind, crop, mask, front, networks)


def _occlude(
    frame: Frame,
    person: Person,
    mask: Mask,
    people: Sequence[FreePerson],
    detected: Sequence[DetectedFrame],
    rng: np.random.Generator,
) -> Iterator[tuple[Image, Mask, str]]:
    """Give images, the mask of what is in front of the person, and the kind of the change."""
    nothing = np.zeros_like(mask)
    yield frame.image, nothing, "alone"
    for share in _SHARES:
        image, occluder = occluders.lay_in_front(frame, mask, person.box, share, detected, rng)
        yield image, occluder & mask, "object"
    for _ in range(_BESIDE):
        yield occluders.lay_beside(frame, mask, person.box, detected, rng), nothing, "beside"
    for kind in ("apart", *PEOPLE):
        donor = people[int(rng.integers(len(people)))]
        pasted = damage.paste_person(frame.image, mask, person.box, donor, kind, rng) if donor[0] is not frame else None
        if pasted is not None:
            changed = (pasted != frame.image).any(axis=2)
            yield pasted, (changed & (mask > 0)).astype(np.uint8) if kind == "front" else nothing, kind


def _measure_sample(
    scene: str, kind: str, crop: PersonCrop, mask: Mask, front: Mask, networks: tuple[Weights, Weights]
) -> OccludedSample:
    cells, inside = backbone_features.compute_cells(crop, networks[0]), scenes.crop_slices(crop)
    hidden, own = cells.average(front[inside]), cells.average(mask[inside])
    ground_truth = np.stack([1 - own, np.clip(own - hidden, 0, 1), hidden], axis=-1)
    cover = float((front & mask).sum() / mask.sum())
    areas = occlusion.areas(crop, cells)
    described = occlusion.describe_cells(crop, cells, *areas[:2]).astype(np.float16)
    outlined = occlusion_features.measure(crop, networks[1])
    ground_truth = np.clip(ground_truth, 0, 1).astype(np.float32)
    return OccludedSample(scene, kind, cover, described, areas, ground_truth, occlusion.doubts(crop), outlined)


# --- training


def fit(samples: Sequence[OccludedSample]) -> Arrays:
    """Train the network of cells, then fit the weights to what it predicts of scenes left out."""
    features = np.zeros((len(samples), len(_BOUNDS)))
    for left_out in _split_scenes(samples, _INNER_FOLDS):
        head = train_cells([sample for sample in samples if sample.scene not in left_out])
        for number, sample in enumerate(samples):
            if sample.scene in left_out:
                features[number] = join_features(head, sample)
    certain = np.array([sample.certain for sample in samples])
    rows, hindered = features[certain], np.array([sample.hindered for sample in samples])[certain]
    alone = [(0, None if number in _DOUBTS else 0) for number in range(_OUTLINED - _SEEN)]
    weights = {
        "outlined": _fit_bounded(rows[:, _SEEN:], hindered, _BOUNDS[_SEEN:]),
        "answer": _fit_bounded(rows[:, :_OUTLINED], hindered, _BOUNDS[:_OUTLINED]),
        "both": _fit_bounded(rows, hindered, _BOUNDS),
        "doubted": _fit_bounded(rows[:, _SEEN:_OUTLINED], hindered, alone),
    }
    return {**train_cells(samples), **{name: values.astype(np.float32) for name, values in weights.items()}}


def _split_scenes(samples: Sequence[OccludedSample], count: int) -> list[set[str]]:
    names = sorted({sample.scene for sample in samples})
    return [set(names[number::count]) for number in range(min(count, len(names)))]


def join_features(head: Arrays, sample: OccludedSample) -> Floats:
    """Give all features of a sample: what the cells show, the detector's doubts, and what outlines leave out."""
    shown = occlusion.in_front(occlusion.classify_cells(head, sample.cells.astype(np.float32)), *sample.areas)
    features: Floats = np.r_[shown, sample.doubts, sample.outlined]
    return features


def train_cells(samples: Sequence[OccludedSample]) -> Arrays:
    """Train what cells show, on some cells of each sample: cross entropy, AdamW, dropout."""
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums, and so the head's bytes, depend on it
    rng = np.random.default_rng(0)
    pairs = [_draw_cells(sample, rng) for sample in samples]
    features = np.concatenate([pair[0] for pair in pairs]).astype(np.float32)
    ground_truth = np.concatenate([pair[1] for pair in pairs]).astype(np.float32)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 1e-3
    rows = torch.from_numpy(np.clip((features - mean) / deviation, -6, 6))
    targets = torch.from_numpy(ground_truth / ground_truth.sum(axis=1, keepdims=True))
    dropout, first = torch.nn.Dropout(0.2), torch.nn.Linear(rows.shape[1], _HIDDEN_UNITS)
    second = torch.nn.Linear(_HIDDEN_UNITS, 3)
    network = torch.nn.Sequential(dropout, first, torch.nn.ReLU(), torch.nn.Dropout(0.2), second)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.05)
    steps = _EPOCHS * (len(rows) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 5e-3, total_steps=steps)
    for _ in range(_EPOCHS):
        order = torch.randperm(len(rows))
        for at in range(len(rows) // _BATCH):
            batch = order[at * _BATCH : (at + 1) * _BATCH]
            loss = -(targets[batch] * torch.log_softmax(network(rows[batch]), 1)).sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    layers = {
        name: np.r_[layer.weight.detach().numpy().T, layer.bias.detach().numpy()[None]]
        for name, layer in (("first", first), ("second", second))
    }
    return {"middle": mean, "spread": deviation, **layers}


def _draw_cells(sample: OccludedSample, rng: np.random.Generator) -> tuple[NDArray[np.float16], Floats]:
    chosen = rng.permutation(np.nonzero(sample.areas[0].ravel() > 0.01)[0])[:_CELLS]
    return sample.cells.reshape(-1, sample.cells.shape[-1])[chosen], sample.ground_truth.reshape(-1, 3)[chosen]


def _fit_bounded(rows: NDArray[np.float64], hindered: NDArray[np.bool_], bounds: list[Any]) -> NDArray[np.float64]:
    """Fit a logistic regression with weights within bounds, both classes balanced; the last value is the offset."""
    weight = np.where(hindered, 0.5 / hindered.mean(), 0.5 / (1 - hindered.mean()))
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-3
    standardised = (rows - mean) / deviation

    def compute_loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        raw = standardised @ values[:-1] + values[-1]
        slope = weight * (1 / (1 + np.exp(-raw)) - hindered)
        loss = (weight * np.logaddexp(0, np.where(hindered, -raw, raw))).sum() + 1.5 * (values[:-1] ** 2).sum()
        return loss, np.r_[standardised.T @ slope + 3 * values[:-1], slope.sum()]

    start, limits = np.zeros(len(bounds) + 1), [*bounds, (None, None)]
    values = scipy.optimize.minimize(compute_loss, start, jac=True, method="L-BFGS-B", bounds=limits).x
    weights = values[:-1] / deviation
    unscaled: NDArray[np.float64] = np.r_[weights, values[-1] - weights @ mean]
    return unscaled


def encode_arrays(head: Arrays) -> bytes:
    """Encode a head as an ``.npz`` file: large arrays in half precision, the same bytes for the same numbers."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in sorted(head.items()):
            content = io.BytesIO()
            np.save(content, array.astype(np.float16 if array.size > 1000 else np.float32))
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", (2026, 1, 1, 0, 0, 0)), content.getvalue())
    return buffer.getvalue()


# --- figures


def _evaluate(samples: Sequence[OccludedSample]) -> dict[str, NDArray[np.float64]]:
    """Give each sample's likelihood with all features and with fewer, by heads that have not seen its scene."""
    values: dict[str, NDArray[np.float64]] = {part: np.zeros(len(samples)) for part in _PARTS}
    for left_out in _split_scenes(samples, _FOLDS):
        head = fit([sample for sample in samples if sample.scene not in left_out])
        for number, sample in enumerate(samples):
            if sample.scene in left_out:
                features = join_features(head, sample)
                for part, (name, columns) in _PARTS.items():
                    values[part][number] = occlusion.likelihood(features[columns], head[name])
    return values


def _describe(samples: Sequence[OccludedSample], values: NDArray[np.float64]) -> list[str]:
    """Give the AUC of each kind, and what is kept and dropped at several limits."""
    kinds = np.array([_name_kind(sample) for sample in samples])
    good, hindered = values[np.isin(kinds, GOOD)], values[[sample.hindered for sample in samples]]

    def describe_auc(name: str, rows: NDArray[np.float64]) -> str:
        return f"{name} {1 - compute_auc(good, rows):.3f}"

    objects = values[[sample.hindered and sample.kind == "object" for sample in samples]]
    parts = {kind: values[kinds == kind] for kind in sorted(set(kinds) - set(GOOD))}
    groups = {"all": hindered, "objects": objects, "people": values[np.isin(kinds, PEOPLE)]}
    lines = [
        f"  AUC against alone and apart: {' '.join(describe_auc(name, rows) for name, rows in groups.items())}",
        f"    {', '.join(describe_auc(kind, rows) for kind, rows in parts.items())}",
        f"    against alone only: all {1 - compute_auc(values[kinds == 'alone'], hindered):.3f}",
    ]
    for limit in _LIMITS:
        dropped = {kind: round(float(np.mean(values[kinds == kind] > limit)), 2) for kind in sorted(set(kinds))}
        hits, misses = (hindered > limit).sum(), (good > limit).sum()
        precision, recall = hits / (hits + misses), hits / len(hindered)
        lines.append(f"  at_most {limit}: precision {precision:.3f}, recall {recall:.3f}, dropped {dropped}")
    return lines


def _name_kind(sample: OccludedSample) -> str:
    if sample.kind != "object":
        return sample.kind
    if sample.cover < _HINDERED_FROM:
        return "object under .1"
    return f"object {'under' if sample.cover < 0.3 else 'from'} .3"
