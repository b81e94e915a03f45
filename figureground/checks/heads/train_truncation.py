"""Trains the head of the check truncation on people who are whole and through whom the frame is cut anew.

People are cut so that 5–60 % of their box lies outside, or the frame's edge is moved beside them, and they are detected
again. A logistic regression over `figureground.checks.truncation.evidence` separates each side that cuts from the sides that
only come near. Every figure is of a scene that the head has not seen; each collection of photos counts as one scene.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from figureground.checks.heads import damage, regression, scenes
from figureground.checks.heads.regression import TrainedHead
from figureground.checks.truncation import SIDES, evidence, likelihood, near_sides
from figureground.detectors import Detector
from figureground.people.backbone_features import Head
from figureground.types import PersonCrop

WHOLE = ("away", "touching")
"""The kinds of crops whose person is whole."""
_LIMITS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
_STRENGTH = 30.0
_PEOPLE = 12  # of each scene

LabelledCrop = tuple[str, PersonCrop]
"""The kind of a crop's damage, and the crop."""


def train(detector: Detector, data: Path) -> TrainedHead:
    """Train the head of the check truncation.

    Parameters
    ----------
    detector
        Detects the people.
    data
        The data folder, see `figureground.checks.heads.scenes`.
    """
    columns = damage.truncate_people(scenes.detect_people(data, detector), detector, _PEOPLE)
    samples = [(kind, crop) for kind, crops in columns.items() for crop in crops]
    heads = regression.leave_scenes_out(samples, lambda sample: sample[1].source_id, fit)
    values = [likelihood(head, crop) for head, (_, crop) in zip(heads, samples, strict=True)]
    lines = (f"{len(samples)} crops of {len({crop.source_id for _, crop in samples})} scenes", *_describe(samples, values))
    return TrainedHead(regression.encode_head(fit(samples)), lines)


def fit(samples: Sequence[LabelledCrop]) -> Head:
    """Fit a head to crops whose kind begins with the side that cuts."""
    sides = [(crop, side, kind.startswith(SIDES[side])) for kind, crop in samples for side in near_sides(crop)]
    rows = np.array([evidence(crop, side) for crop, side, _ in sides], np.float64)
    return regression.fit_logistic(rows, np.array([cut for _, _, cut in sides]), _STRENGTH)


def _describe(samples: Sequence[LabelledCrop], values: Sequence[float]) -> list[str]:
    """Give the AUC of each kind, and what is kept and dropped at several limits."""
    kinds: dict[str, list[float]] = {}
    for (kind, _), value in zip(samples, values, strict=True):
        kinds.setdefault(kind, []).append(value)
    whole = [value for kind in WHOLE for value in kinds[kind]]
    cut = {kind: some for kind, some in sorted(kinds.items()) if kind not in WHOLE}
    areas = {kind: round(1 - regression.compute_auc(whole, some), 3) for kind, some in cut.items()}
    lines = [f"AUC, each scene left out: {areas}"]
    tenth = [value for kind, some in cut.items() if not kind.endswith("0.05") for value in some]
    for name, some in (("all", whole), *((kind, kinds[kind]) for kind in WHOLE)):
        lines.append(f"10 % and more, against {name}: {1 - regression.compute_auc(some, tenth):.4f}")
    for limit in _LIMITS:
        recall, rejected = float(np.mean(np.array(tenth) > limit)), sum(value > limit for value in whole)
        kept = {kind: round(float(np.mean(np.array(kinds[kind]) <= limit)), 3) for kind in WHOLE}
        dropped = {kind: round(float(np.mean(np.array(some) > limit)), 2) for kind, some in cut.items()}
        precision = recall * len(tenth) / (recall * len(tenth) + rejected)
        lines.append(f"  at_most {limit}: kept {kept}, precision {precision:.3f}, recall {recall:.3f}, dropped {dropped}")
    return lines
