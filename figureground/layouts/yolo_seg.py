"""The layout of YOLO's segmentation datasets, as ultralytics reads them: one person an image, as one polygon.

::

    data.yaml                       the splits and the one class, person (0)
    images/<split>/<id>.jpg         the images
    labels/<split>/<id>.txt         "0 x y x y …", pixel centres as shares of width and height; empty when nobody is there
    scenes/<scene>.txt              the sample ids of a scene

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
    """Images, one polygon a person, and ``data.yaml``."""

    VERSION: ClassVar[int] = 2

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
        image_file, label = _pair(into, sample.split, sample.sample_id)
        samples.write(image_file, sample.image, sample.sha256, log)
        samples.write(label, _line(polygon, sample.label.shape).encode())
        return sample

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        scenes = scene_lists.read(from_ / "scenes")
        for split in SPLITS:
            for sample_id in _sample_ids(from_, "images", split, ".jpg"):
                content = _pair(from_, split, sample_id)[0].read_bytes()
                mask = _mask(_pair(from_, split, sample_id)[1], *jpeg.size(content))
                yield Sample(sample_id, split, scenes.get(sample_id, ()), content, mask.astype(np.float32))

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        sample_ids: dict[str, Split] = {}
        for split in SPLITS:
            images, labels = _sample_ids(from_, "images", split, ".jpg"), _sample_ids(from_, "labels", split, ".txt")
            both = sorted(set(images) & set(labels))
            alone = sorted(set(images) ^ set(labels))
            for sample_id in alone:
                yield f"{split}/{sample_id}: needs images/{split}/{sample_id}.jpg and labels/{split}/{sample_id}.txt"
            for sample_id in (sample_id for sample_id in images if sample_id in sample_ids):
                yield f"{split}/{sample_id}: the sample id is in {sample_ids[sample_id]} too"
            sample_ids.update(dict.fromkeys(images, split))
            pairs = ((split, sample_id) for sample_id in both)
            yield from (problem for problem in map_ordered(lambda pair: _problem(from_, *pair), pairs) if problem)
        yield from scene_lists.find_problems(from_ / "scenes", sample_ids)
        file = from_ / "data.yaml"
        if not file.is_file() or file.read_bytes() != _yaml(set(sample_ids.values())):
            yield "data.yaml: missing, or does not name exactly the splits that are there and the class person"


def _yaml(splits: set[Split]) -> bytes:
    lines = [f"{split}: images/{split}" for split in SPLITS if split in splits]
    return "\n".join([*lines, "names: {0: person}", ""]).encode()


def _pair(folder: Path, split: str, sample_id: str) -> tuple[Path, Path]:
    return folder / "images" / split / f"{sample_id}.jpg", folder / "labels" / split / f"{sample_id}.txt"


def _sample_ids(folder: Path, kind: str, split: str, suffix: str) -> list[str]:
    return sorted(file.name.removesuffix(suffix) for file in (folder / kind / split).glob(f"*{suffix}"))


def _line(polygon: Points, shape: tuple[int, ...]) -> str:
    """Write pixel centres: a reader that cuts x * width to an integer gets the pixel back."""
    shares = (polygon + 0.5) / (shape[1], shape[0])
    return " ".join(["0", *(f"{share:.6f}" for share in shares.ravel())]) + "\n" if len(polygon) else ""


def _mask(file: Path, width: int, height: int) -> Mask:
    try:
        rows = [[float(number) for number in row.split()] for row in file.read_text(encoding="ascii").splitlines()]
    except FileNotFoundError as error:
        raise ReleaseError(f"{file} is missing; every image needs its label") from error
    except ValueError as error:
        raise ReleaseError(f"{file}: expected numbers: {error}") from error
    if len(rows) > 1 or any(len(row) < 7 or len(row) % 2 == 0 or row[0] != 0 for row in rows):
        raise ReleaseError(f"{file}: expected at most one line: 0, then x and y of at least three points")
    points = np.array([row[1:] for row in rows], np.float64).reshape(-1, 2)
    if points.size and not (points.min() >= 0 and points.max() <= 1):
        raise ReleaseError(f"{file}: expected x and y from 0 to 1")
    return polygons.fill((points * (width, height)).astype(np.int32), height, width)


def _problem(folder: Path, split: Split, sample_id: str) -> str:
    image_file, label = _pair(folder, split, sample_id)
    try:
        _mask(label, *jpeg.size(image_file.read_bytes()))
        content = label.read_bytes()
    except (ReleaseError, ArrayError) as error:
        return f"labels/{split}/{sample_id}.txt or its image: {error}"
    return f"labels/{split}/{sample_id}.txt: ends in the middle of a line" if content and content[-1:] != b"\n" else ""
