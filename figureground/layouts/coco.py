"""The layout of COCO's instance segmentation: one person an image, its mask as run lengths.

::

    images/<split>/<id>.jpg           the images
    annotations/<split>.json          images (with their scenes), annotations, the category person (1)

Masks are COCO's compressed run lengths, exact to the pixel. ``shapes: polygons`` writes one polygon a person instead, for
readers that take nothing else: parts and holes are strung onto it. An image without person has no annotation.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, TypeGuard

import cv2
import numpy as np
from pydantic import Field

from figureground import documents
from figureground.datasets import pairs, samples
from figureground.datasets.pairs import Pair, Size
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.ids import is_hidden
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
    category: Annotated[str, Field(min_length=1)] = "person"
    """What a dataset from elsewhere calls a person; what is written is always called so."""

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
        for file in sorted(file for file in (from_ / "annotations").glob("*.json") if not is_hidden(file.name)):
            yield from _read_pairs(from_, file, self.category)

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
        content = documents.parse_json(documents.read_bytes(file))
        by_image = {row["image_id"]: row["segmentation"] for row in content["annotations"]}
        for image in sorted(content["images"], key=lambda image: str(image["file_name"])[: -len(".jpg")]):
            size = _size(image)
            shape = by_image.pop(image["id"], None)
            yield image, run_lengths.union([] if shape is None else [shape], *size)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ReleaseError(f"not the JSON this layout writes: {type(error).__name__}: {error}") from error
    if by_image:
        raise ReleaseError(f"annotations of images it does not list: {documents.abridge(sorted(by_image, key=str))}")


def _size(image: Mapping[str, Any]) -> tuple[int, int]:
    """Give the height and width of an image's record; raise a `ValueError` when they are no size of an image."""
    height, width = image.get("height"), image.get("width")
    if not _is_side(height) or not _is_side(width):
        shown = f"width {documents.abridge(width)} and height {documents.abridge(height)}"
        raise ValueError(f"{shown}; expected whole numbers of pixels")
    height, width = int(height), int(width)
    if height * width > pairs.PIXELS_AT_MOST:
        raise ValueError(f"{width}x{height} pixels; expected at most {pairs.PIXELS_AT_MOST:,} in all")
    return height, width


def _is_side(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and 1 <= value <= pairs.PIXELS_AT_MOST and value == int(value)


def _read_pairs(folder: Path, file: Path, category: str) -> Iterator[Pair]:
    """Give the images that one file of annotations lists; what is wrong with one of them is said in its own pair."""
    split: Split | None = next((split for split in SPLITS if split in file.stem.lower()), None)
    try:
        content = documents.parse_json(documents.read_bytes(file))
        images, annotations, categories = (_rows(content, name) for name in ("images", "annotations", "categories"))
        people = _find_category(categories, category)
    except (ValueError, OSError) as error:
        yield Pair(file.stem, None, file, f"{file.name}: not COCO's instances: {error}", split)
        return
    shapes: defaultdict[Any, list[_Shape]] = defaultdict(list)
    for number, row in enumerate(annotations, 1):
        if not isinstance(row, dict) or not _is_id(row.get("image_id")):
            reason = f"{file.name}: annotation {number} of {len(annotations)} names no image: {documents.abridge(row)}"
            yield Pair(f"{file.stem}-annotation-{number}", None, file, reason, split)
        elif not _is_id(row.get("category_id")) or row["category_id"] in people:
            shapes[row["image_id"]].append(_Shape(row.get("id"), row.get("category_id"), row.get("segmentation", _MISSING)))
    numbered = [(str(image.get("file_name")) if isinstance(image, dict) else "", number) for number, image in enumerate(images)]
    for _, number in sorted(numbered):
        yield _find_image(folder, file, split, images[number], number, shapes)


def _rows(value: Any, name: str) -> list[Any]:
    rows = value.get(name) if isinstance(value, dict) else None
    if not isinstance(rows, list):
        raise ValueError(f"expected an object with the lists images, annotations and categories; found no list {name!r}")
    return rows


def _find_category(categories: list[Any], category: str) -> set[int | str]:
    """Find the ids of the category that is a person; one that is only spelled otherwise is not guessed."""
    named = [(row.get("name"), row["id"]) for row in categories if isinstance(row, dict) and _is_id(row.get("id"))]
    if own := {number for name, number in named if name == category}:
        return own
    names = sorted({name for name, _ in named if isinstance(name, str)})
    alike = [name for name in names if name.casefold() == category.casefold()]
    shown = ", ".join(f"`{name[:40]}`" for name in (alike or names[:8])) or "none"
    advice = f"set `layout: {{coco: {{category: {(alike or ['…'])[0][:40]}}}}}` in the catalog"
    raise ValueError(
        f"no category `{category}`; there is {shown}: {advice}" + ("" if alike else ", if one of them is a person")
    )


class _Shape(NamedTuple):
    annotation_id: Any
    category_id: Any
    segmentation: Any


_MISSING = object()


def _is_id(value: Any) -> bool:
    return (isinstance(value, (int, str)) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


def _find_image(
    folder: Path, file: Path, split: Split | None, image: Any, number: int, shapes: Mapping[Any, list[_Shape]]
) -> Pair:
    """Look for an image where COCO's releases and other tools put them."""
    stated = image.get("file_name") if isinstance(image, dict) else None
    if not isinstance(stated, str) or not _is_storable(stated) or not PurePosixPath(stated).name:
        reason = f"{file.name}: image {number + 1} has no name of a file: {documents.abridge(image)}"
        return Pair(f"{file.stem}-image-{number + 1}", None, file, reason, split)
    name = PurePosixPath(stated)
    if name.is_absolute() or ".." in name.parts:
        reason = f"{file.name}: {documents.abridge(stated)} is no name below this folder"
        return Pair(name.stem, None, file, reason, split)
    sample_id = str(name.parent / name.stem)
    try:
        size, scenes = _size(image), _scenes(image)
        if not _is_id(image.get("id")):
            raise ValueError(f"the id {documents.abridge(image.get('id'))}; expected a number")
    except (ValueError, ReleaseError) as error:
        return Pair(sample_id, None, file, f"{file.name}: {documents.abridge(stated)}: {error}", split)
    subset = file.stem.removeprefix("instances_")
    own = [f"images/{split}", split] if split else []
    folders = [f"images/{file.stem}", *own[:1], f"images/{subset}", "images", subset, *own[1:], "."]
    image_file = next(filter(pairs.is_file, (folder / subfolder / name for subfolder in folders)), None)
    reason = "" if image_file else f"{file.name}: {documents.abridge(stated)} is in none of {', '.join(folders)}"
    label = partial(_draw, shapes.get(image["id"], []), size, file.name)
    return Pair(sample_id, image_file, file, reason, split, scenes, label)


def _is_storable(name: str) -> bool:
    """Tell whether a text can be a file's name and a value in a table: JSON may hold halves of characters."""
    return "\0" not in name and not any("\ud800" <= letter <= "\udfff" for letter in name)


def _scenes(image: Mapping[str, Any]) -> tuple[str, ...]:
    scenes = image.get("scenes", [])
    if not isinstance(scenes, list) or not all(isinstance(scene, str) for scene in scenes):
        raise ValueError(f"the scenes {documents.abridge(scenes)}; expected a list of names")
    for scene in scenes:
        samples.check_name(scene, "scene")
    return tuple(scenes)


def _draw(shapes: Sequence[_Shape], stated: tuple[int, int], name: str, size: Size) -> Mask:
    """Draw all people of an image into one mask."""
    pairs.refuse_other_size(stated[::-1], size, name)
    names = [f"{name}: annotation {documents.abridge(shape.annotation_id)}" for shape in shapes]
    for where, shape in zip(names, shapes, strict=True):
        if not _is_id(shape.category_id):
            category = documents.abridge(shape.category_id)
            raise ArrayError(f"{where} has the category {category}; expected the id of one that the file lists")
        if shape.segmentation is _MISSING:
            raise ArrayError(f"{where} has no segmentation, so its person is not drawn")
    return run_lengths.union([shape.segmentation for shape in shapes], *stated, names)


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
