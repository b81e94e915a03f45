"""The layout of human parsing datasets: images, label maps, and lists of pairs.

::

    images/<id>.jpg                  the images
    labels/<id>.png                  8-bit, one channel, class ids
    train.txt  val.txt  test.txt     "images/<id>.jpg labels/<id>.png", a line a pair, sorted
    scenes/<scene>.txt               the sample ids of a scene
    classes.txt                      the names of the ids, a line each
    mmseg_config.py                  the datasets and their loaders for mmsegmentation, with these names and a colour each
    stems/<split>.txt                a split's sample ids, one a line, sorted: what mmsegmentation wants as a list

``images`` and ``labels`` can be called otherwise. Of 18 and 5 classes (see `figureground.imaging.class_maps`) only samples
whose parts somebody drew can be written; of 2 every sample can.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from figureground import documents
from figureground.datasets import mmseg, pairs, samples, scene_lists
from figureground.datasets.pairs import Pair
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import class_maps, codecs, jpeg, masks
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Mask, Sample

_STEMS = "stems"
Folder = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")]


@dataclass(frozen=True)
class HumanParsing:
    """Images, label maps of 2, 5 or 18 classes, and lists of their pairs."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    classes: Literal[2, 5, 18] = 2
    pictures: Folder = "images"
    labels: Folder = "labels"

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`."""
        seen = scene_lists.take(map_ordered(lambda sample: self._written(sample, into, log), items), into / "scenes")
        (into / "classes.txt").write_bytes("".join(f"{name}\n" for name in class_maps.NAMES[self.classes]).encode())
        by_split: dict[str, list[str]] = defaultdict(list)
        for sample_id, own_split in seen.items():
            by_split[own_split].append(sample_id)
        for split, sample_ids in by_split.items():
            (into / f"{split}.txt").write_bytes(self._listed(sample_ids))
        scene_lists.write(by_split, into / _STEMS)
        (into / "mmseg_config.py").write_bytes(self._config(set(seen.values())))

    def _config(self, splits: Collection[Split]) -> bytes:
        places = {split: mmseg.Places(self.pictures, self.labels, f"{_STEMS}/{split}.txt") for split in splits}
        return mmseg.config(class_maps.NAMES[self.classes], places)

    def _written(self, sample: Sample, into: Path, log: ReadLog | None) -> Sample:
        samples.check(sample)
        image_file, label = self._pair(into, sample.sample_id)
        samples.write(image_file, sample.image, sample.sha256, log)
        samples.write(label, masks.mask_to_png(self._ids(sample)))
        return sample

    def _ids(self, sample: Sample) -> Mask:
        if sample.parts is not None:
            if sample.parts.shape != sample.label.shape:
                raise ReleaseError(f"{sample.sample_id}: parts of the shape {sample.parts.shape}, label {sample.label.shape}")
            return self._remapped(sample.sample_id, sample.parts, sample.parts_of)
        if self.classes > 2:
            raise ReleaseError(f"{sample.sample_id}: it has no class map, so it cannot have {self.classes} classes; expected 2")
        return (sample.alpha >= 0.5).astype(np.uint8)

    def _remapped(self, sample_id: str, parts: Mask, parts_of: int) -> Mask:
        if parts_of == self.classes:
            return parts
        if parts_of == 18:
            return class_maps.remap(parts, class_maps.FROM_ATR[self.classes])
        if self.classes == 2:
            return (parts > 0).astype(np.uint8)
        raise ReleaseError(f"{sample_id}: its parts are {parts_of} classes, which cannot become {self.classes}")

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        scenes = scene_lists.read(from_ / "scenes")
        for split in SPLITS:
            for sample_id in sorted(self._sample_ids(from_, split)):
                image_file, label = self._pair(from_, sample_id)
                ids = self._read_ids(label)
                parts = ids if self.classes > 2 else None
                person = class_maps.remap(ids, class_maps.TO_TWO) if self.classes == 18 else (ids > 0).astype(np.uint8)
                known, of = person.astype(np.float32), self.classes if self.classes > 2 else 18
                yield Sample(sample_id, split, scenes.get(sample_id, ()), image_file.read_bytes(), known, parts, of)

    def _read_ids(self, file: Path) -> Mask:
        try:
            ids = codecs.decode_unchanged(file.read_bytes())
        except (OSError, cv2.error) as error:
            raise ReleaseError(f"labels/{file.name}: missing or empty: {error}") from error
        if ids is None or ids.ndim != 2 or ids.dtype != np.uint8:
            actual = "no image" if ids is None else f"{ids.dtype} of shape {ids.shape}"
            raise ReleaseError(f"labels/{file.name}: {actual}; expected 8 bits and one channel")
        if ids.max() >= self.classes:
            raise ReleaseError(f"labels/{file.name}: holds the id {ids.max()}; expected 0 to {self.classes - 1}")
        return np.asarray(ids, np.uint8)

    def find_pairs(self, from_: Path) -> Iterator[Pair]:
        """See `figureground.layouts.ImportableLayout`; without lists, images and labels are paired by their names."""
        lists: list[tuple[Path, Split]] = [(file, split) for split in SPLITS if (file := from_ / f"{split}.txt").is_file()]
        listed = [pair for file, split in lists for pair in _listed_pairs(from_, file, split)]
        unsorted_pairs = listed if lists else pairs.pair_by_name(from_ / self.pictures, from_ / self.labels)
        yield from pairs.with_scenes(unsorted_pairs, from_ / "scenes")

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        sample_ids: dict[str, Split] = {}
        for split in SPLITS:
            file = from_ / f"{split}.txt"
            listed = self._sample_ids(from_, split)
            if file.exists() and file.read_bytes() != self._listed(listed):
                yield f"{split}.txt: expected '{self._line('<id>')}', a line a pair, sorted, each once"
            twice = [sample_id for sample_id in listed if sample_id in sample_ids]
            yield from (f"{split}.txt: {sample_id} is in {sample_ids[sample_id]} too" for sample_id in twice)
            sample_ids.update(dict.fromkeys(listed, split))
        problems = map_ordered(lambda sample_id: self._problem(from_, sample_id), sorted(sample_ids))
        yield from (problem for problem in problems if problem)
        for folder, suffix in ((self.pictures, ".jpg"), (self.labels, ".png")):
            there = {file.name.removesuffix(suffix) for file in (from_ / folder).glob(f"*{suffix}")}
            yield from (f"{folder}/{sample_id}{suffix}: in no list" for sample_id in sorted(there - set(sample_ids)))
        names = from_ / "classes.txt"
        if not names.is_file() or names.read_text(encoding="utf-8", errors="replace").splitlines() != list(
            class_maps.NAMES[self.classes]
        ):
            yield f"classes.txt: expected the names of {self.classes} classes"
        yield from scene_lists.find_problems(from_ / "scenes", sample_ids)
        config = from_ / "mmseg_config.py"
        if not config.is_file() or config.read_bytes() != self._config(set(sample_ids.values())):
            yield "mmseg_config.py: missing, or not the one for exactly these splits and classes"
        yield from scene_lists.find_problems(from_ / _STEMS, sample_ids)
        if scene_lists.read(from_ / _STEMS) != {sample_id: (split,) for sample_id, split in sample_ids.items()}:
            yield f"{_STEMS}: missing, or not the sample ids of train.txt, val.txt and test.txt"

    def _pair(self, folder: Path, sample_id: str) -> tuple[Path, Path]:
        return folder / self.pictures / f"{sample_id}.jpg", folder / self.labels / f"{sample_id}.png"

    def _line(self, sample_id: str) -> str:
        return f"{self.pictures}/{sample_id}.jpg {self.labels}/{sample_id}.png"

    def _listed(self, sample_ids: Iterable[str]) -> bytes:
        return "".join(f"{self._line(sample_id)}\n" for sample_id in sorted(set(sample_ids))).encode()

    def _sample_ids(self, folder: Path, split: str) -> list[str]:
        file = folder / f"{split}.txt"
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
        return [line.split(f".jpg {self.labels}/")[0].removeprefix(f"{self.pictures}/") for line in lines if line]

    def _problem(self, folder: Path, sample_id: str) -> str:
        image_file, label = self._pair(folder, sample_id)
        try:
            ids, (width, height) = self._read_ids(label), jpeg.size(image_file.read_bytes())
        except (ReleaseError, ArrayError, OSError) as error:
            return f"{sample_id}: {error}"
        if ids.shape != (height, width):
            actual = f"{ids.shape[1]}x{ids.shape[0]} pixels, its image {width}x{height}"
            return f"labels/{sample_id}.png: {actual}; expected one size"
        return ""


def _listed_pairs(folder: Path, file: Path, split: Split) -> Iterator[Pair]:
    """Give the pairs that a list names; a line that names none is a pair without files, with the reason."""
    try:
        lines = documents.decode_lines(documents.read_bytes(file))
    except (OSError, ValueError) as error:
        yield Pair(split, None, None, f"{file.name}: {error}", split)
        return
    for number, line in enumerate(lines, start=1):
        words = [] if line is None else line.split()
        if len(words) == 2 and all(PurePosixPath(word).parts[:1] != ("/",) and ".." not in word.split("/") for word in words):
            yield pairs.from_list(folder / words[0], folder / words[1], split, _name_below_first_folder(words[0]))
        elif words or line is None:
            actual = "bytes that are not UTF-8; save the list as UTF-8" if line is None else documents.abridge(line)
            reason = f"{file.name}, line {number}: expected an image and a label below this folder; found {actual}"
            yield Pair(f"{split}-{number}", None, None, reason, split)


def _name_below_first_folder(image: str) -> str:
    """Give an image's sample id: its path below the folder of the images, without extension.

    >>> _name_below_first_folder("images/vidA/0001.jpg")
    'vidA/0001'
    """
    path = PurePosixPath(image)
    folders = path.parent.parts[1:]
    return str(PurePosixPath(*folders, path.stem))
