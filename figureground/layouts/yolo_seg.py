"""The layout of YOLO's segmentation datasets, as ultralytics reads them: one person a picture, as one polygon.

::

    data.yaml                       the splits and the one class, person (0)
    images/<split>/<stem>.jpg       the pictures
    labels/<split>/<stem>.txt       "0 x y x y …", pixel centres as shares of width and height; empty when nobody is there
    scenes/<scene>.txt              the stems of a scene

A polygon cannot hold holes and separate parts, so they are strung together by lines of no width, at the closest points; those
lines come back one pixel wide.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from figureground.datasets import samples, scene_lists
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import jpeg, polygons
from figureground.imaging.polygons import Points
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Mask, Sample


@dataclass(frozen=True)
class YoloSeg:
    """Pictures, one polygon a person, and ``data.yaml``."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = True
    exact: ClassVar[bool] = False

    person_at_least: Annotated[float, Field(gt=0, le=1)] = 0.5

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`."""
        seen = scene_lists.take(map_ordered(lambda sample: self._written(sample, into, log), items), into / "scenes")
        (into / "data.yaml").write_bytes(_yaml(set(seen.values())))

    def _written(self, sample: Sample, into: Path, log: ReadLog | None) -> Sample:
        samples.check(sample)
        polygon = polygons.outline((sample.alpha >= self.person_at_least).astype(np.uint8))
        picture, label = _pair(into, sample.split, sample.sample_id)
        samples.write(picture, sample.image, sample.sha256, log)
        samples.write(label, _line(polygon, sample.label.shape).encode())
        return sample

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        scenes = scene_lists.read(from_ / "scenes")
        for split in SPLITS:
            for stem in _stems(from_, "images", split, ".jpg"):
                content = _pair(from_, split, stem)[0].read_bytes()
                mask = _mask(_pair(from_, split, stem)[1], *jpeg.size(content))
                yield Sample(stem, split, scenes.get(stem, ()), content, mask.astype(np.float32))

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        stems: dict[str, Split] = {}
        for split in SPLITS:
            pictures, labels = _stems(from_, "images", split, ".jpg"), _stems(from_, "labels", split, ".txt")
            both = sorted(set(pictures) & set(labels))
            alone = sorted(set(pictures) ^ set(labels))
            yield from (f"{split}/{stem}: needs images/{split}/{stem}.jpg and labels/{split}/{stem}.txt" for stem in alone)
            yield from (f"{split}/{stem}: the stem is in {stems[stem]} too" for stem in pictures if stem in stems)
            stems.update(dict.fromkeys(pictures, split))
            pairs = ((split, stem) for stem in both)
            yield from (problem for problem in map_ordered(lambda pair: _problem(from_, *pair), pairs) if problem)
        yield from scene_lists.find_problems(from_ / "scenes", stems)
        file = from_ / "data.yaml"
        if not file.is_file() or file.read_bytes() != _yaml(set(stems.values())):
            yield "data.yaml: missing, or does not name exactly the splits that are there and the class person"


def _yaml(splits: set[Split]) -> bytes:
    lines = [f"{split}: images/{split}" for split in SPLITS if split in splits]
    return "\n".join([*lines, "names: {0: person}", ""]).encode()


def _pair(folder: Path, split: str, stem: str) -> tuple[Path, Path]:
    return folder / "images" / split / f"{stem}.jpg", folder / "labels" / split / f"{stem}.txt"


def _stems(folder: Path, kind: str, split: str, suffix: str) -> list[str]:
    return sorted(file.name.removesuffix(suffix) for file in (folder / kind / split).glob(f"*{suffix}"))


def _line(polygon: Points, shape: tuple[int, ...]) -> str:
    """Write pixel centres: a reader that cuts x * width to an integer gets the pixel back."""
    shares = (polygon + 0.5) / (shape[1], shape[0])
    return " ".join(["0", *(f"{share:.6f}" for share in shares.ravel())]) + "\n" if len(polygon) else ""


def _mask(file: Path, width: int, height: int) -> Mask:
    try:
        rows = [[float(number) for number in row.split()] for row in file.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError as error:
        raise ReleaseError(f"{file} is missing; every picture needs its label") from error
    except ValueError as error:
        raise ReleaseError(f"{file}: expected numbers: {error}") from error
    if len(rows) > 1 or any(len(row) < 7 or len(row) % 2 == 0 or row[0] != 0 for row in rows):
        raise ReleaseError(f"{file}: expected at most one line: 0, then x and y of at least three points")
    points = np.array([row[1:] for row in rows], np.float64).reshape(-1, 2)
    if points.size and not (points.min() >= 0 and points.max() <= 1):
        raise ReleaseError(f"{file}: expected x and y from 0 to 1")
    return polygons.fill((points * (width, height)).astype(np.int32), height, width)


def _problem(folder: Path, split: Split, stem: str) -> str:
    picture, label = _pair(folder, split, stem)
    try:
        _mask(label, *jpeg.size(picture.read_bytes()))
        content = label.read_bytes()
    except (ReleaseError, ArrayError) as error:
        return f"labels/{split}/{stem}.txt or its image: {error}"
    return f"labels/{split}/{stem}.txt: ends in the middle of a line" if content and content[-1:] != b"\n" else ""
