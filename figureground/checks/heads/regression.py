"""Small regressions that train heads: ridge and logistic, with both classes balanced, evaluated with scenes left out."""

import dataclasses
import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import scipy.stats
from numpy.typing import NDArray

from figureground.people.backbone_features import HEAD_KEYS, Head

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Sample = TypeVar("Sample")
_DEVIATIONS_AT_MOST = 6.0  # as `figureground.people.backbone_features.Head` clips features
_NEWTON_STEPS = 40


@dataclasses.dataclass(frozen=True)
class TrainedHead:
    """A trained head as the bytes of its ``.npz`` file, and its figures on scenes left out as lines of text."""

    content: bytes
    figures: tuple[str, ...]


def compute_auc(good: Sequence[float] | Floats, damaged: Sequence[float] | Floats) -> float:
    """Compute the area under the ROC curve: how often a good sample scores above a damaged sample.

    Parameters
    ----------
    good, damaged
        Scores; NaN counts as the lowest score.

    Returns
    -------
    float
        0 to 1.

    >>> compute_auc([2.0, 3.0], [1.0, float("nan")])
    1.0
    """
    both = np.nan_to_num(np.r_[good, damaged], nan=-np.inf, posinf=np.inf, neginf=-np.inf)
    ranks = scipy.stats.rankdata(both)[: len(good)]
    return float((ranks.sum() - len(good) * (len(good) + 1) / 2) / (len(good) * len(damaged)))


def fit_ridge(rows: Floats, positive: Flags, strength: float, weight: Floats | None = None) -> Head:
    """Fit a weighted sum that is about 1 for positive samples and -1 for the others.

    Parameters
    ----------
    rows
        (n, k) features.
    positive
        (n,) classes.
    strength
        Of the regularisation.
    weight
        (n,) weights of the samples before both classes are balanced; all the same when None.

    Returns
    -------
    Head
        Its ``calibration`` is empty.
    """
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    weight = balance_weights(positive, weight)
    rows = np.clip((rows - mean) / deviation, -_DEVIATIONS_AT_MOST, _DEVIATIONS_AT_MOST)
    target = np.where(positive, 1.0, -1.0)
    hessian = rows.T @ (rows * weight[:, None]) + strength * np.eye(rows.shape[1])
    weights = np.linalg.solve(hessian, rows.T @ (weight * (target - np.average(target, weights=weight))))
    return _to_head(mean, deviation, weights, np.zeros(0))


def fit_logistic(rows: Floats, positive: Flags, strength: float, weight: Floats | None = None) -> Head:
    """Fit the log odds of the positive class as a weighted sum and an offset, with Newton's method.

    Parameters
    ----------
    rows, positive, strength, weight
        As for `fit_ridge`.

    Returns
    -------
    Head
        Its ``calibration`` is the offset.
    """
    mean, deviation = rows.mean(0), rows.std(0) + 1e-3
    standardised = np.clip((rows - mean) / deviation, -_DEVIATIONS_AT_MOST, _DEVIATIONS_AT_MOST)
    rows = np.c_[standardised, np.ones(len(rows))]
    weights = solve_logistic(rows, positive, np.r_[np.full(rows.shape[1] - 1, strength), 1e-6], weight)
    return _to_head(mean, deviation, weights[:-1], weights[-1:])


def _to_head(*parts: Floats) -> Head:
    return Head(*(part.astype(np.float32) for part in parts))


def solve_logistic(rows: Floats, positive: Flags, penalty: Floats, weight: Floats | None = None) -> Floats:
    """Find the (k,) weights of the columns that give the log odds of the positive class, with Newton's method.

    Parameters
    ----------
    rows, positive, weight
        As for `fit_ridge`.
    penalty
        (k,) strengths of the regularisation.
    """
    weight, weights = balance_weights(positive, weight), np.zeros(rows.shape[1])
    for _ in range(_NEWTON_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(rows @ weights, -30, 30)))
        curvature = weight * probability * (1 - probability) + 1e-9
        hessian = (rows * curvature[:, None]).T @ rows + np.diag(penalty)
        weights -= np.linalg.solve(hessian, rows.T @ (weight * (probability - positive)) + penalty * weights)
    return weights


def balance_weights(positive: Flags, weight: Floats | None = None) -> Floats:
    """Scale (n,) weights so that both classes count as much, and all together as n samples.

    >>> balance_weights(np.array([True, False, False])).tolist()
    [1.5, 0.75, 0.75]
    """
    weight = np.ones(len(positive)) if weight is None else weight
    scale = np.where(positive, 0.5 / weight[positive].sum(), 0.5 / weight[~positive].sum())
    return np.asarray(weight * scale * len(positive), np.float64)


def leave_scenes_out(
    samples: Sequence[Sample], scene_of: Callable[[Sample], str], fit: Callable[[Sequence[Sample]], Head]
) -> Iterator[Head]:
    """Give for each sample the head that `fit` trains on the samples of all other scenes."""
    scenes = {scene_of(sample) for sample in samples}
    heads = {scene: fit([sample for sample in samples if scene_of(sample) != scene]) for scene in scenes}
    return (heads[scene_of(sample)] for sample in samples)


def encode_head(head: Head) -> bytes:
    """Encode a head as the ``.npz`` file that `figureground.people.backbone_features.load_head` reads."""
    buffer = io.BytesIO()
    arrays = (head.mean, head.deviation, head.weights, head.calibration)
    named: dict[str, Any] = dict(zip(HEAD_KEYS, arrays, strict=True))
    np.savez(buffer, **named)
    return buffer.getvalue()
