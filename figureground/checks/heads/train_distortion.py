"""Trains the head of the check distortion on people shown as wide angles, fisheyes and 360° images show them.

A ridge regression over `figureground.checks.distortion.summary` separates them, and their mirror images, from the people as
they are, and as they are but enlarged, shrunk or turned a little: what resampling does must not count. Every figure is of a
scene that the head has not seen; each collection of photos counts as one scene.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from figureground.checks.distortion import likelihood, summary
from figureground.checks.heads import damage, regression, scenes
from figureground.checks.heads.damage import MILD_BENDS, CropsByKind
from figureground.checks.heads.regression import TrainedHead
from figureground.detectors import Detector
from figureground.people.backbone_features import Head
from figureground.types import PersonCrop, Weights

STRAIGHT = ("clean", "turned")
"""The kinds of crops that no lens bent."""
_LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
_STRENGTH = 600.0
_MILD_WEIGHT = 0.3
_FOLDS = 5
_PEOPLE = 12  # of each scene


@dataclasses.dataclass(frozen=True)
class BentSample:
    """The features of a crop and of its mirror image, and the kind of its damage."""

    scene: str
    kind: str
    features: NDArray[np.float32]
    mirrored: NDArray[np.float32]


def train(detector: Detector, network: Weights, data: Path) -> TrainedHead:
    """Train the head of the check distortion.

    Parameters
    ----------
    detector
        Detects the people.
    network
        The YOLO11 pose network whose layers give the features.
    data
        The data folder, see `figureground.checks.heads.scenes`.
    """
    columns = damage.bend_people(scenes.detect_people(data, detector), detector, _PEOPLE)
    samples = list(measure_samples(columns, network))
    heads = regression.leave_scenes_out(samples, lambda sample: sample.scene, fit)
    values = [likelihood(head, sample.features) for head, sample in zip(heads, samples, strict=True)]
    lines = (f"{len(samples)} crops of {len({sample.scene for sample in samples})} scenes", *_describe(samples, values))
    return TrainedHead(regression.encode_head(fit(samples)), lines)


def measure_samples(columns: CropsByKind, network: Weights) -> Iterator[BentSample]:
    """Compute the features of every crop and of its mirror image."""
    for kind, crops in columns.items():
        for crop in crops:
            yield BentSample(crop.source_id, kind, summary(crop, network), summary(_mirror(crop), network))


def _mirror(crop: PersonCrop) -> PersonCrop:
    return dataclasses.replace(crop, image=np.ascontiguousarray(crop.image[:, ::-1]))


def fit(samples: Sequence[BentSample]) -> Head:
    """Fit the weighted sum, then the likelihood to sums of scenes that were left out."""
    names = sorted({sample.scene for sample in samples})
    sums = np.zeros(len(samples))
    for number in range(min(_FOLDS, len(names))):
        left_out = set(names[number::_FOLDS])
        head = _fit_sum([sample for sample in samples if sample.scene not in left_out])
        for n, sample in enumerate(samples):
            if sample.scene in left_out:
                sums[n] = head.score(sample.features)
    odds = regression.fit_logistic(sums[:, None], _bent(samples), 0.01, _weights(samples))
    slope = odds.weights[0] / odds.deviation[0]
    calibration = np.array([slope, odds.calibration[0] - slope * odds.mean[0]], np.float32)
    return dataclasses.replace(_fit_sum(samples), calibration=calibration)


def _fit_sum(samples: Sequence[BentSample]) -> Head:
    rows = np.array([sample.features for sample in samples] + [sample.mirrored for sample in samples], np.float64)
    return regression.fit_ridge(rows, np.tile(_bent(samples), 2), _STRENGTH, np.tile(_weights(samples), 2))


def _bent(samples: Sequence[BentSample]) -> NDArray[np.bool_]:
    return np.array([sample.kind not in STRAIGHT for sample in samples])


def _weights(samples: Sequence[BentSample]) -> NDArray[np.float64]:
    return np.array([_MILD_WEIGHT if sample.kind in MILD_BENDS else 1.0 for sample in samples])


def _describe(samples: Sequence[BentSample], values: Sequence[float]) -> list[str]:
    """Give the AUC of each kind, and what is kept and dropped at several limits."""
    kinds: dict[str, list[float]] = {}
    for sample, value in zip(samples, values, strict=True):
        kinds.setdefault(sample.kind, []).append(value)
    straight = [value for kind in STRAIGHT for value in kinds.pop(kind)]
    strong = [value for kind, some in kinds.items() if kind not in MILD_BENDS for value in some]
    areas = {kind: round(1 - regression.compute_auc(straight, some), 3) for kind, some in kinds.items()}
    lines = [f"AUC, each scene left out: {areas}", f"strong bends together: {1 - regression.compute_auc(straight, strong):.3f}"]
    for limit in _LIMITS:
        hits, misses = sum(value > limit for value in strong), sum(value > limit for value in straight)
        dropped = {kind: round(float(np.mean(np.array(some) > limit)), 2) for kind, some in kinds.items()}
        kept, precision, recall = 1 - misses / len(straight), hits / max(1, hits + misses), hits / len(strong)
        lines.append(f"  at_most {limit}: kept {kept:.3f}, precision {precision:.3f}, recall {recall:.3f}, dropped {dropped}")
    return lines
