"""Trains the head of the check distortion and prints its scores on scenes left out.

It writes figureground/checks/heads/distortion.npz.

    python benchmarks/learn_distortion.py [--data ../shared/data] [--write]

People are shown as wide angles, fisheyes and 360° pictures show them (`checks.bent`), and found again. A ridge regression
over `figureground.checks.distortion.summary` tells them, and their mirror images, from the people as they are, and as they are
but enlarged, shrunk or turned a little: what resampling does must not count. Every figure is of a scene that the head
judging it has not seen; each collection of photos counts as one scene. The file holds weights and no picture.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import checks
import learning
import numpy as np
from numpy.typing import NDArray

from figureground.checks.distortion import likelihood, summary
from figureground.people.backbone_features import Head
from figureground.types import PersonCrop, Weights

LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
GOOD = ("clean", "turned")
STRENGTH, MILD = 600.0, 0.3
FOLDS = 5


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the network sees of one crop and of its mirror image, and what was done to it."""

    scene: str
    kind: str
    seen: NDArray[np.float32]
    mirrored: NDArray[np.float32]


def seen(columns: checks.Columns, network: Weights) -> Iterator[Seen]:
    """Look at every crop once."""
    for kind, found in columns.items():
        for crop in found:
            yield Seen(crop.source_id, kind, summary(crop, network), summary(_mirrored(crop), network))


def _mirrored(crop: PersonCrop) -> PersonCrop:
    return dataclasses.replace(crop, image=np.ascontiguousarray(crop.image[:, ::-1]))


def fitted(found: Sequence[Seen]) -> Head:
    """Learn the weighted sum, then the likelihood from sums of scenes that chose nothing."""
    scenes = sorted({one.scene for one in found})
    sums = np.zeros(len(found))
    for number in range(min(FOLDS, len(scenes))):
        away = set(scenes[number::FOLDS])
        head = _summed([one for one in found if one.scene not in away])
        for n, one in enumerate(found):
            if one.scene in away:
                sums[n] = head.score(one.seen)
    odds = learning.logistic(sums[:, None], _bent(found), 0.01, _weights(found))
    slope = odds.weights[0] / odds.deviation[0]
    answer = np.array([slope, odds.calibration[0] - slope * odds.mean[0]], np.float32)
    return dataclasses.replace(_summed(found), answer=answer)


def _summed(found: Sequence[Seen]) -> Head:
    rows = np.array([one.seen for one in found] + [one.mirrored for one in found], np.float64)
    return learning.ridge(rows, np.tile(_bent(found), 2), STRENGTH, np.tile(_weights(found), 2))


def _bent(found: Sequence[Seen]) -> NDArray[np.bool_]:
    return np.array([one.kind not in GOOD for one in found])


def _weights(found: Sequence[Seen]) -> NDArray[np.float64]:
    return np.array([MILD if one.kind in checks.MILD else 1.0 for one in found])


def figures(found: Sequence[Seen], values: Sequence[float]) -> None:
    """Print AUC a kind, and what is kept and dropped at several limits."""
    kinds: dict[str, list[float]] = {}
    for one, value in zip(found, values, strict=True):
        kinds.setdefault(one.kind, []).append(value)
    good = [value for kind in GOOD for value in kinds.pop(kind)]
    strong = [value for kind, some in kinds.items() if kind not in checks.MILD for value in some]
    print("AUC, each scene left out:", {kind: round(1 - checks.auc(good, some), 3) for kind, some in kinds.items()})
    print(f"strong ones together: {1 - checks.auc(good, strong):.3f}")
    for limit in LIMITS:
        hits, misses = sum(value > limit for value in strong), sum(value > limit for value in good)
        dropped = {kind: round(float(np.mean(np.array(some) > limit)), 2) for kind, some in kinds.items()}
        kept, precision, recall = 1 - misses / len(good), hits / max(1, hits + misses), hits / len(strong)
        print(f"  at_most {limit}: kept {kept:.3f}, precision {precision:.3f}, recall {recall:.3f}, dropped {dropped}")


def main() -> None:
    """Learn, print and, when asked, write."""
    asked, loaded = learning.arguments(__doc__).parse_args(), learning.settings()
    network, detector = loaded.asset("yolo11n-pose.pt").weights, loaded.detector()
    found = list(seen(checks.bent(learning.people(asked.data, detector), detector, 12), network))
    print(f"{len(found)} crops of {len({one.scene for one in found})} scenes")
    heads = learning.left_out(found, lambda one: one.scene, fitted)
    figures(found, [likelihood(head, one.seen) for head, one in zip(heads, found, strict=True)])
    if asked.write:
        learning.write(fitted(found), "distortion")


if __name__ == "__main__":
    main()
