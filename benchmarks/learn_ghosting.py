"""Trains the head of the check ghosting and prints its scores on scenes left out.

It writes figureground/checks/heads/ghosting.npz.

    python benchmarks/learn_ghosting.py [--data ../shared/data] [--write]

Crops of all scenes are blended on purpose: with themselves moved, with themselves bent, with another moment of the scene.
A ridge regression over the features (`figureground.people.backbone_features.pool_features`) tells them from the crops as
they are, and a logistic regression weighs its answer together with the echo's. Every figure is of a scene that the head
judging it has not seen;
each photo of a collection counts as part of one scene, the collection. The file holds weights and no picture.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import checks
import cv2
import learning
import numpy as np
from checks import Seen
from numpy.typing import NDArray

from figureground.checks import ghosting
from figureground.people import backbone_features, pose_regions
from figureground.people.backbone_features import Head
from figureground.types import Frame, Image, PersonCrop

Floats = NDArray[np.float64]
PHOTOS = {"ccp": 60, "pennfudan": 60, "dirty": 40, "cihp": 12}
LIMITS = (0.5, 0.6, 0.7, 0.8, 0.9)
RIDGE, FEW = 300.0, 12


@dataclasses.dataclass(frozen=True)
class Example:
    """One crop as it is or blended: its scene, what was done, the features and the echo's height."""

    scene: str
    kind: str
    pooled: NDArray[np.float32]
    height: float


# --- examples


def examples(seen: list[Seen], network: object) -> Iterator[Example]:
    """Blend a few crops of each scene, and most of the photo collections."""
    rng = np.random.default_rng(1)
    scenes: dict[str, list] = {}
    for item in checks._candidates(seen):
        scenes.setdefault(item[0].source_id, []).append(item)
    for scene, found in sorted(scenes.items()):
        at_most = PHOTOS.get(scene, FEW)
        for frame, crop, person in found[:: max(1, len(found) // at_most)][:at_most]:
            for kind, image in _spoilt(frame, crop, person, seen, rng):
                saved = dataclasses.replace(crop, image=checks._saved(image, rng))
                yield Example(scene, kind, backbone_features.pool_features(saved, network), ghosting.echo(saved))


def _spoilt(
    frame: Frame, crop: PersonCrop, person: object, seen: list[Seen], rng: np.random.Generator
) -> Iterator[tuple[str, Image]]:
    height, inside = max(person.box.width, person.box.height), checks._inside(crop)
    yield "clean", crop.image
    for share in (0.02, 0.04, 0.08):
        angle = rng.uniform(0, 2 * np.pi)
        by = np.float32([[1, 0, share * height * np.cos(angle)], [0, 1, share * height * np.sin(angle)]])
        moved = cv2.warpAffine(frame.image, by, frame.image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)
        yield f"moved {share}", checks._blend(crop.image, moved[inside], rng)
    yield "bent", checks._blend(crop.image, _bent(crop, height, rng), rng)
    moments = checks._moments(frame, person, seen) if frame.source_id not in PHOTOS else []
    for other in (*moments[:2], *moments[2 :: max(1, len(moments) // 2)][:1]):
        yield "two moments", checks._blend(crop.image, other.image[inside], rng)


def _bent(crop: PersonCrop, height: float, rng: np.random.Generator) -> Image:
    """Move the parts of a picture, or of the person in it alone, by different ways: as limbs move between two moments."""
    high, wide = crop.image.shape[:2]
    parts, far = rng.integers(2, 6), rng.uniform(0.02, 0.09) * height
    ways = [
        cv2.resize(rng.normal(0, 1, (parts + 1, parts)).astype(np.float32), (wide, high), interpolation=cv2.INTER_CUBIC) + by
        for by in (rng.normal(0, 0.5), rng.normal(0, 0.5))
    ]
    if rng.random() < 0.6:
        rim = int(0.1 * height) | 1
        near = cv2.dilate(pose_regions.person_area(crop), np.ones((rim, rim), np.uint8)).astype(np.float32)
        ways = [way * cv2.GaussianBlur(near, (0, 0), 0.04 * height) for way in ways]
    y, x = np.mgrid[:high, :wide].astype(np.float32)
    at = (x + far * ways[0].astype(np.float32), y + 0.6 * far * ways[1].astype(np.float32))
    return cv2.remap(crop.image, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


# --- learning


def fitted(found: Sequence[Example]) -> Head:
    """Learn from examples: ridge regression, then logistic regression on scores of scenes that chose nothing."""
    scenes = sorted({one.scene for one in found})
    scores = np.zeros(len(found))
    for number in range(min(5, len(scenes))):
        left_out = set(scenes[number::5])
        head = _ridge([one for one in found if one.scene not in left_out])
        for n, one in enumerate(found):
            if one.scene in left_out:
                scores[n] = head.score(one.pooled)
    heights = np.array([one.height for one in found])
    evidence = np.c_[scores, np.log(heights + 0.005), np.maximum(0, heights - 0.04) * 20, np.ones(len(found))]
    known = np.isfinite(heights)
    answer = _logistic(evidence[known], _blended(found)[known])
    return dataclasses.replace(_ridge(found), answer=answer.astype(np.float32))


def _blended(found: Sequence[Example]) -> NDArray[np.bool_]:
    return np.array([one.kind != "clean" for one in found])


def _ridge(found: Sequence[Example]) -> Head:
    return learning.ridge(np.array([one.pooled for one in found], np.float64), _blended(found), RIDGE)


def _logistic(rows: Floats, blended: NDArray[np.bool_]) -> Floats:
    """Newton's method, 40 steps."""
    answer, weight = np.zeros(rows.shape[1]), learning.balanced(blended)
    for _ in range(40):
        chance = 1 / (1 + np.exp(-np.clip(rows @ answer, -30, 30)))
        bend = (rows * (weight * chance * (1 - chance) + 1e-9)[:, None]).T @ rows + 0.01 * np.eye(len(answer))
        answer -= np.linalg.solve(bend, rows.T @ (weight * (chance - blended)) + 0.01 * answer)
    return answer


# --- figures


def figures(found: Sequence[Example], values: Sequence[float]) -> None:
    """Print AUC a kind, and what is kept and dropped at several limits."""
    kinds: dict[str, list[float]] = {}
    for one, value in zip(found, values, strict=True):
        kinds.setdefault(one.kind, []).append(value)
    clean = kinds.pop("clean")
    print("AUC, each scene left out:", {kind: round(1 - checks.auc(clean, some), 3) for kind, some in kinds.items()})
    shown = [value for kind, some in kinds.items() if kind != "bent" for value in some]
    print(f"moved and two moments together: {1 - checks.auc(clean, shown):.3f}")
    for limit in LIMITS:
        dropped = {kind: round(float(np.mean(np.array(some) > limit)), 2) for kind, some in kinds.items()}
        print(f"  at_most {limit}: kept {np.mean(np.array(clean) <= limit):.3f}, dropped {dropped}")


def main() -> None:
    """Learn, print and, when asked, write."""
    asked, loaded = learning.arguments(__doc__).parse_args(), learning.settings()
    network, detector = loaded.asset("yolo11n-pose.pt").weights, loaded.detector()
    found = list(examples(learning.people(asked.data, detector), network))
    print(f"{len(found)} examples of {len({one.scene for one in found})} scenes")
    heads = learning.left_out(found, lambda one: one.scene, fitted)
    figures(found, [ghosting.likelihood(head, one.pooled, one.height) for head, one in zip(heads, found, strict=True)])
    if asked.write:
        learning.write(fitted(found), "ghosting")


if __name__ == "__main__":
    main()
