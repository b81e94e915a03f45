"""Trains the head of the check truncation and prints its scores on scenes left out.

It writes figureground/checks/heads/truncation.npz.

    python benchmarks/learn_truncation.py [--data ../shared/data] [--write]

The frame of people who are whole is cut anew through them, so that 5–60 % of their box lies outside, or beside them, and
they are found again. A logistic regression over `figureground.checks.truncation.evidence` tells each side that cuts from
the sides that only come near. Every figure is of a scene that the head judging it has not seen; each collection of
photos counts as one scene. The file holds weights and no picture.
"""

from collections.abc import Sequence

import checks
import learning
import numpy as np
from learning import Example

from figureground.checks.truncation import SIDES, evidence, likelihood, near_sides
from figureground.people.backbone_features import Head

LIMITS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
GOOD = ("away", "touching")
STRENGTH = 30.0


def fitted(found: Sequence[Example]) -> Head:
    """Learn from crops whose kind begins with the side that cuts."""
    sides = [(crop, side, kind.startswith(SIDES[side])) for kind, crop in found for side in near_sides(crop)]
    rows = np.array([evidence(crop, side) for crop, side, _ in sides], np.float64)
    return learning.logistic(rows, np.array([cut for _, _, cut in sides]), STRENGTH)


def figures(found: Sequence[Example], values: Sequence[float]) -> None:
    """Print AUC a kind, and what is kept and dropped at several limits."""
    kinds: dict[str, list[float]] = {}
    for (kind, _), value in zip(found, values, strict=True):
        kinds.setdefault(kind, []).append(value)
    good = [value for kind in GOOD for value in kinds[kind]]
    cut = {kind: some for kind, some in sorted(kinds.items()) if kind not in GOOD}
    print("AUC, each scene left out:", {kind: round(1 - checks.auc(good, some), 3) for kind, some in cut.items()})
    tenth = [value for kind, some in cut.items() if not kind.endswith("0.05") for value in some]
    for name, some in (("all", good), *((kind, kinds[kind]) for kind in GOOD)):
        print(f"a tenth and more, against {name}: {1 - checks.auc(some, tenth):.4f}")
    for limit in LIMITS:
        hits, misses = np.mean(np.array(tenth) > limit), sum(value > limit for value in good)
        kept = {kind: round(float(np.mean(np.array(kinds[kind]) <= limit)), 3) for kind in GOOD}
        dropped = {kind: round(float(np.mean(np.array(some) > limit)), 2) for kind, some in cut.items()}
        precision = hits * len(tenth) / (hits * len(tenth) + misses)
        print(f"  at_most {limit}: kept {kept}, precision {precision:.3f}, recall {hits:.3f}, dropped {dropped}")


def main() -> None:
    """Learn, print and, when asked, write."""
    asked = learning.arguments(__doc__).parse_args()
    detector = learning.settings().detector()
    found = [
        (kind, crop)
        for kind, some in checks.truncated(learning.people(asked.data, detector), detector, 12).items()
        for crop in some
    ]
    print(f"{len(found)} crops of {len({crop.source_id for _, crop in found})} scenes")
    heads = learning.left_out(found, lambda one: one[1].source_id, fitted)
    figures(found, [likelihood(head, crop) for head, (_, crop) in zip(heads, found, strict=True)])
    if asked.write:
        learning.write(fitted(found), "truncation")


if __name__ == "__main__":
    main()
