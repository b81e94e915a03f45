"""Trains the head of the check ghosting on crops blended with themselves moved or bent, and with another moment.

A ridge regression over the features of `figureground.people.backbone_features.pool_features` separates them from the crops
as they are, and a logistic regression weighs its score together with the echo's. Every figure is of a scene that the head
has not seen; each collection of photos counts as one scene.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.checks.ghosting import echo, likelihood
from figureground.checks.heads import damage, regression, scenes
from figureground.checks.heads.regression import TrainedHead
from figureground.checks.heads.scenes import DetectedFrame, DetectedPerson
from figureground.detectors import Detector
from figureground.people import backbone_features, pose_regions
from figureground.people.backbone_features import Head
from figureground.types import Frame, Image, Person, PersonCrop, Weights

SHIFTS = (0.02, 0.04, 0.08)
"""Of the person's height: how far a crop is moved before it is blended with itself."""
_PHOTOS = {"ccp": 60, "pennfudan": 60, "dirty": 40, "cihp": 12}  # people of each collection
_FEW = 12  # people of each other scene
_LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
_RIDGE, _LOGISTIC = 300.0, 0.01
_FOLDS = 5


@dataclasses.dataclass(frozen=True)
class BlendedSample:
    """A crop as it is or blended: its scene, the kind of its damage, its features and the echo's height."""

    scene: str
    kind: str
    features: NDArray[np.float32]
    echo_height: float


def train(detector: Detector, network: Weights, data: Path) -> TrainedHead:
    """Train the head of the check ghosting.

    Parameters
    ----------
    detector
        Detects the people.
    network
        The YOLO11 pose network whose layers give the features.
    data
        The data folder, see `figureground.checks.heads.scenes`.
    """
    samples = list(_blend_samples(scenes.detect_people(data, detector), network))
    heads = regression.leave_scenes_out(samples, lambda sample: sample.scene, fit)
    pairs = zip(heads, samples, strict=True)
    values = [likelihood(head, sample.features, sample.echo_height) for head, sample in pairs]
    lines = (f"{len(samples)} crops of {len({sample.scene for sample in samples})} scenes", *_describe(samples, values))
    return TrainedHead(regression.encode_head(fit(samples)), lines)


# --- samples


def measure_sample(scene: str, kind: str, crop: PersonCrop, network: Weights) -> BlendedSample:
    """Compute the features and the echo's height of a crop."""
    return BlendedSample(scene, kind, backbone_features.pool_features(crop, network), echo(crop))


def _blend_samples(detected: Sequence[DetectedFrame], network: Weights) -> Iterator[BlendedSample]:
    """Blend a few crops of each scene, and most of the photo collections."""
    rng = np.random.default_rng(1)
    by_scene: dict[str, list[DetectedPerson]] = {}
    for item in scenes.cut_best_people(detected):
        by_scene.setdefault(item[0].source_id, []).append(item)
    for scene, items in sorted(by_scene.items()):
        at_most = _PHOTOS.get(scene, _FEW)
        for frame, crop, person in items[:: max(1, len(items) // at_most)][:at_most]:
            for kind, image in _blend(frame, crop, person, detected, rng):
                blended = dataclasses.replace(crop, image=damage.recompress(image, rng))
                yield measure_sample(scene, kind, blended, network)


def _blend(
    frame: Frame, crop: PersonCrop, person: Person, detected: Sequence[DetectedFrame], rng: np.random.Generator
) -> Iterator[tuple[str, Image]]:
    yield "clean", crop.image
    for share in SHIFTS:
        yield f"moved {share}", damage.blend_shifted(frame, crop, share, rng)
    yield "bent", damage.blend(crop.image, _bend(crop, max(person.box.width, person.box.height), rng), rng)
    moments = scenes.find_moments(frame, person, detected) if frame.source_id not in _PHOTOS else []
    for other in (*moments[:2], *moments[2 :: max(1, len(moments) // 2)][:1]):
        yield "two moments", damage.blend(crop.image, other.image[scenes.crop_slices(crop)], rng)


def _bend(crop: PersonCrop, height: float, rng: np.random.Generator) -> Image:
    """Move the parts of an image, or only of the person in it, in different directions: as limbs move between two moments."""
    high, wide = crop.image.shape[:2]
    parts, far = rng.integers(2, 6), rng.uniform(0.02, 0.09) * height
    offsets = [
        cv2.resize(rng.normal(0, 1, (parts + 1, parts)).astype(np.float32), (wide, high), interpolation=cv2.INTER_CUBIC) + mean
        for mean in (rng.normal(0, 0.5), rng.normal(0, 0.5))
    ]
    if rng.random() < 0.6:
        rim = int(0.1 * height) | 1
        near = cv2.dilate(pose_regions.person_area(crop), np.ones((rim, rim), np.uint8)).astype(np.float32)
        offsets = [offset * cv2.GaussianBlur(near, (0, 0), 0.04 * height) for offset in offsets]
    y, x = np.mgrid[:high, :wide].astype(np.float32)
    at = (x + far * offsets[0].astype(np.float32), y + 0.6 * far * offsets[1].astype(np.float32))
    return np.asarray(cv2.remap(crop.image, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT), np.uint8)


# --- regression


def fit(samples: Sequence[BlendedSample]) -> Head:
    """Fit a ridge regression, then a logistic regression to its scores of scenes that were left out."""
    names = sorted({sample.scene for sample in samples})
    scores = np.zeros(len(samples))
    for number in range(min(_FOLDS, len(names))):
        left_out = set(names[number::_FOLDS])
        head = _fit_ridge([sample for sample in samples if sample.scene not in left_out])
        for n, sample in enumerate(samples):
            if sample.scene in left_out:
                scores[n] = head.score(sample.features)
    heights = np.array([sample.echo_height for sample in samples])
    evidence = np.c_[scores, np.log(heights + 0.005), np.maximum(0, heights - 0.04) * 20, np.ones(len(samples))]
    known = np.isfinite(heights)
    rows = evidence[known]
    calibration = regression.solve_logistic(rows, _blended(samples)[known], np.full(rows.shape[1], _LOGISTIC))
    return dataclasses.replace(_fit_ridge(samples), calibration=calibration.astype(np.float32))


def _blended(samples: Sequence[BlendedSample]) -> NDArray[np.bool_]:
    return np.array([sample.kind != "clean" for sample in samples])


def _fit_ridge(samples: Sequence[BlendedSample]) -> Head:
    rows = np.array([sample.features for sample in samples], np.float64)
    return regression.fit_ridge(rows, _blended(samples), _RIDGE)


# --- figures


def _describe(samples: Sequence[BlendedSample], values: Sequence[float]) -> list[str]:
    """Give the AUC of each kind, and what is kept and dropped at several limits."""
    kinds: dict[str, list[float]] = {}
    for sample, value in zip(samples, values, strict=True):
        kinds.setdefault(sample.kind, []).append(value)
    clean = kinds.pop("clean")
    areas = {kind: round(1 - regression.compute_auc(clean, some), 3) for kind, some in kinds.items()}
    shown = [value for kind, some in kinds.items() if kind != "bent" for value in some]
    lines = [
        f"AUC, each scene left out: {areas}",
        f"moved and two moments together: {1 - regression.compute_auc(clean, shown):.3f}",
    ]
    for limit in _LIMITS:
        dropped = {kind: round(float(np.mean(np.array(some) > limit)), 2) for kind, some in kinds.items()}
        lines.append(f"  at_most {limit}: kept {np.mean(np.array(clean) <= limit):.3f}, dropped {dropped}")
    return lines
