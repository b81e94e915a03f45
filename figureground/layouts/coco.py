"""The layout of COCO's instance segmentation: one person an image, its mask as run lengths.

::

    images/<split>/<id>.jpg           the images
    annotations/<split>.json          images (with their scenes), annotations, the category person (1)

Masks are COCO's compressed run lengths, exact to the pixel. ``shapes: polygons`` writes one polygon a person instead, for
readers that take nothing else: parts and holes are strung onto it. An image without person has no annotation.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import cv2
import numpy as np
from pydantic import Field

from figureground.datasets import samples
from figureground.datasets.pairs import Pair
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import jpeg, polygons, run_lengths
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Mask, Sample

_CATEGORIES = [{"id": 1, "name": "person", "supercategory": "person"}]


class _Entry(NamedTuple):
    sample_id: str
    split: Split
    scenes: tuple[str, ...]
    width: int
    height: int
    area: int
    box: tuple[int, int, int, int]
    segmentation: dict[str, Any] | list[list[float]]


@dataclass(frozen=True)
class Coco:
    """Images and ``annotations/<split>.json`` as pycocotools reads them."""

    VERSION: ClassVar[int] = 2

    verbatim: ClassVar[bool] = True
    person_at_least: Annotated[float, Field(gt=0, le=1)] = 0.5
    shapes: Literal["run_lengths", "polygons"] = "run_lengths"

    @property
    def exact(self) -> bool:
        """See `figureground.layouts.Layout`."""
        return self.shapes == "run_lengths"

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`."""
        entries: dict[str, _Entry] = {}
        for entry in map_ordered(lambda sample: self._write_one(sample, into, log), items):
            if entry.sample_id in entries:
                raise ReleaseError(f"two samples have the id {entry.sample_id}; expected each once")
            entries[entry.sample_id] = entry
        (into / "annotations").mkdir(parents=True, exist_ok=True)
        for split in SPLITS:
            if own := [entry for _, entry in sorted(entries.items()) if entry.split == split]:
                _annotations(into, split).write_text(_document(own), encoding="utf-8", newline="\n")

    def _write_one(self, sample: Sample, into: Path, log: ReadLog | None) -> _Entry:
        samples.check(sample)
        mask = (sample.alpha >= self.person_at_least).astype(np.uint8)
        image_file = _image_file(into, sample.split, sample.sample_id)
        samples.write(image_file, sample.image, sample.sha256, log)
        height, width = mask.shape
        size, box = int(mask.sum()), _box(mask)
        scenes = tuple(sorted(set(sample.scenes)))
        return _Entry(sample.sample_id, sample.split, scenes, width, height, size, box, self._segmentation(mask))

    def _segmentation(self, mask: Mask) -> dict[str, Any] | list[list[float]]:
        if self.shapes == "polygons":
            line = polygons.outline(np.kron(mask, np.ones((2, 2), np.uint8)))  # a quarter of a pixel inside the border
            return [((line + 0.5) / 2).ravel().tolist()] if len(line) else []
        return {"size": list(mask.shape), "counts": run_lengths.encode(mask)}

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        for split in SPLITS:
            for image, mask in _entries(from_, split):
                sample_id = Path(image["file_name"]).name.removesuffix(".jpg")
                content = _image_file(from_, split, sample_id).read_bytes()
                yield Sample(sample_id, split, tuple(image["scenes"]), content, mask.astype(np.float32))

    def find_pairs(self, from_: Path) -> Iterator[Pair]:
        """See `figureground.layouts.ImportableLayout`; everybody in an image is its label, as run lengths or polygons."""
        for file in sorted((from_ / "annotations").glob("*.json")):
            yield from _read_pairs(from_, file)

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        for split in SPLITS:
            pictures = {file.name for file in (from_ / "images" / split).glob("*.jpg")}
            listed: set[str] = set()
            try:
                for image, mask in _entries(from_, split):
                    listed.add(image["file_name"])
                    yield from _problems(from_, split, image["file_name"], mask)
            except (ReleaseError, ArrayError) as error:
                yield f"annotations/{split}.json: {error}"
            yield from (f"images/{split}/{name}: not in annotations/{split}.json" for name in sorted(pictures - listed))


def _image_file(folder: Path, split: str, sample_id: str) -> Path:
    return folder / "images" / split / f"{sample_id}.jpg"


def _annotations(folder: Path, split: str) -> Path:
    return folder / "annotations" / f"{split}.json"


def _box(mask: Mask) -> tuple[int, int, int, int]:
    x, y, width, height = cv2.boundingRect(mask)
    return x, y, width, height


def _document(entries: list[_Entry]) -> str:
    """Write a split's annotations, a record a line; numbers follow the sample ids."""
    images = [
        {
            "id": number,
            "file_name": f"{entry.sample_id}.jpg",
            "width": entry.width,
            "height": entry.height,
            "scenes": entry.scenes,
        }
        for number, entry in enumerate(entries, start=1)
    ]
    annotations = [
        {
            "id": number,
            "image_id": number,
            "category_id": 1,
            "iscrowd": 0,
            "area": entry.area,
            "bbox": entry.box,
            "segmentation": entry.segmentation,
        }
        for number, entry in enumerate(entries, start=1)
        if entry.area
    ]
    parts: dict[str, list[Any]] = {"images": images, "annotations": annotations, "categories": _CATEGORIES}
    return "{" + ",\n".join(f'"{name}": [\n' + ",\n".join(map(_json, rows)) + "\n]" for name, rows in parts.items()) + "}\n"


def _json(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _entries(folder: Path, split: str) -> Iterator[tuple[dict[str, Any], Mask]]:
    """Give a split's image records, by file name, with their masks."""
    file = _annotations(folder, split)
    if not file.exists():
        return
    try:
        held = json.loads(file.read_bytes())
        by_image = {row["image_id"]: row["segmentation"] for row in held["annotations"]}
        for image in sorted(held["images"], key=lambda image: str(image["file_name"])[: -len(".jpg")]):
            size = image["height"], image["width"]
            shape = by_image.pop(image["id"], None)
            yield image, run_lengths.union([] if shape is None else [shape], *size)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"not the JSON this layout writes: {type(error).__name__}: {error}") from error
    if by_image:
        raise ReleaseError(f"annotations of images it does not list: {', '.join(map(str, sorted(by_image)))}")


def _read_pairs(folder: Path, file: Path) -> Iterator[Pair]:
    split: Split | None = next((split for split in SPLITS if split in file.stem.lower()), None)
    try:
        held = json.loads(file.read_bytes())
        people = {row["id"] for row in held["categories"] if row["name"] == "person"}
        shapes: defaultdict[Any, list[Any]] = defaultdict(list)
        for row in held["annotations"]:
            if row["category_id"] in people:
                shapes[row["image_id"]].append(row["segmentation"])
        for image in sorted(held["images"], key=lambda image: str(image["file_name"])):
            yield _found_one(folder, file, split, image, shapes[image["id"]])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{file.name}: not COCO's instances: {type(error).__name__}: {error}"
        yield Pair(file.stem, None, file, reason, split)


def _found_one(folder: Path, file: Path, split: Split | None, image: dict[str, Any], shapes: list[Any]) -> Pair:
    """Look for an image where COCO's releases and other tools put them."""
    name = PurePosixPath(image["file_name"])
    size = int(image["height"]), int(image["width"])
    scenes = tuple(image.get("scenes", ()))
    if name.is_absolute() or ".." in name.parts:
        return Pair(name.stem, None, file, f"{file.name}: {image['file_name']!r} is no name below this folder", split, scenes)
    folders = [f"images/{file.stem}", f"images/{split}", "images", file.stem.removeprefix("instances_"), str(split), "."]
    places = [folder / place / name for place in folders]
    image_file = next((place for place in places if place.is_file()), None)
    reason = "" if image_file else f"{file.name}: {name} is in none of {', '.join(folders)}"
    return Pair(name.stem, image_file, file, reason, split, scenes, partial(run_lengths.union, shapes, *size))


def _problems(folder: Path, split: Split, name: str, mask: Mask) -> Iterator[str]:
    file = folder / "images" / split / name
    if not file.is_file():
        yield f"images/{split}/{name}: missing, but in annotations/{split}.json"
        return
    try:
        size = jpeg.size(file.read_bytes())
    except ArrayError as error:
        yield f"images/{split}/{name}: {error}"
        return
    if size != mask.shape[::-1]:
        yield f"images/{split}/{name}: {size[0]}x{size[1]} pixels, its mask {mask.shape[1]}x{mask.shape[0]}; expected one size"
