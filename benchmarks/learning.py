"""How small heads are learned: ridge and logistic regression, balanced between two kinds, and judged by scene."""

import argparse
import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import checks
import cv2
import numpy as np
from checks import Seen
from numpy.typing import NDArray

from figureground import catalog
from figureground.catalog import Catalog
from figureground.imaging import crops
from figureground.people.backbone_features import HEAD_KEYS, Head
from figureground.types import Frame, PersonCrop

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Example = tuple[str, PersonCrop]
"""What was done to a crop, and the crop."""
T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
_FAR = 6.0  # standard deviations, as `figureground.people.backbone_features.Head` has it


def arguments(about: str | None) -> argparse.ArgumentParser:
    """Make what every learning script is asked: where the pictures are, and whether to write the head."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--write", action="store_true", help="write the head learned on all scenes")
    return parser


def settings() -> Catalog:
    """Read the project's own catalog: its detector and its networks."""
    return catalog.load(ROOT / "data_catalog.yaml")


def people(data: Path, detector: object) -> list[Seen]:
    """Find the people of all scenes, and of `more_photos`."""
    return [(frame, detector.find([frame.image])[0]) for frame in [*checks.frames(data), *more_photos(data)]]


def ridge(rows: Floats, spoilt: Flags, strength: float, weight: Floats | None = None) -> Head:
    """Learn a weighted sum of (n, k) rows that is about 1 for the spoilt ones and -1 for the others; ``answer`` is empty."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-3
    weight = balanced(spoilt, weight)
    rows = np.clip((rows - middle) / spread, -_FAR, _FAR)
    aim = np.where(spoilt, 1.0, -1.0)
    bend = rows.T @ (rows * weight[:, None]) + strength * np.eye(rows.shape[1])
    weights = np.linalg.solve(bend, rows.T @ (weight * (aim - np.average(aim, weights=weight))))
    return Head(*(part.astype(np.float32) for part in (middle, spread, weights)), np.zeros(0, np.float32))


def logistic(rows: Floats, spoilt: Flags, strength: float, weight: Floats | None = None) -> Head:
    """Learn the log odds of being spoilt as a weighted sum of (n, k) rows and one ``answer``; Newton's method, 40 steps."""
    middle, spread = rows.mean(0), rows.std(0) + 1e-3
    rows = np.c_[np.clip((rows - middle) / spread, -_FAR, _FAR), np.ones(len(rows))]
    weight, found = balanced(spoilt, weight), np.zeros(rows.shape[1])
    hold = np.r_[np.full(rows.shape[1] - 1, strength), 1e-6]
    for _ in range(40):
        chance = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        bend = (rows * (weight * chance * (1 - chance) + 1e-9)[:, None]).T @ rows + np.diag(hold)
        found -= np.linalg.solve(bend, rows.T @ (weight * (chance - spoilt)) + hold * found)
    return Head(*(part.astype(np.float32) for part in (middle, spread, found[:-1], found[-1:])))


def balanced(spoilt: Flags, weight: Floats | None = None) -> Floats:
    """Scale weights so that the spoilt ones count as much as the others, and all together as many as they are."""
    weight = np.ones(len(spoilt)) if weight is None else weight
    return weight * np.where(spoilt, 0.5 / weight[spoilt].sum(), 0.5 / weight[~spoilt].sum()) * len(spoilt)


def left_out(found: Sequence[T], scene_of: Callable[[T], str], fitted: Callable[[Sequence[T]], Head]) -> Iterator[Head]:
    """Give for each example the head that learned on all other scenes."""
    scenes = {scene_of(one) for one in found}
    heads = {scene: fitted([one for one in found if scene_of(one) != scene]) for scene in scenes}
    return (heads[scene_of(one)] for one in found)


def write(head: Head, name: str) -> None:
    """Write a head where `figureground.people.backbone_features.load_head` finds it, and print the hash to pin."""
    file = ROOT / f"figureground/checks/heads/{name}.npz"
    np.savez(file, **dict(zip(HEAD_KEYS, dataclasses.astuple(head), strict=True)))
    print(f"figureground/checks/heads/{name}.npz: sha256 {hashlib.sha256(file.read_bytes()).hexdigest()}")


def more_photos(data: Path) -> Iterator[Frame]:
    """Give the photos of a collection that no table of ``benchmarks/checks.py`` measures, 1600 pixels at most."""
    for file in sorted((data / "dirty_pairs/images").iterdir()):
        image = crops.decode(file.read_bytes(), str(file))
        scale = min(1, 1600 / max(image.shape[:2]))
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        yield Frame(f"dirty-{file.stem}", "dirty", 0, 0.0, image)
