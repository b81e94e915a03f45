"""The layout of mmsegmentation's custom datasets, for person (1) and background (0).

::

    img_dir/<split>/<id>.jpg        the images
    ann_dir/<split>/<id>.png        8-bit, one channel, 0 or 1, the image's size
    mmseg_config.py                 the datasets and their loaders, for a config's ``_base_``
    split_dir/<scene>.txt           the sample ids of a scene, one a line, sorted; an image may stand in several

A label becomes 1 where its alpha is at least ``person_at_least``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from figureground.datasets import mmseg, pairs, samples, scene_lists
from figureground.datasets.pairs import Pair
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import class_maps, codecs, jpeg, masks
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog, read_file
from figureground.types import Mask, Sample


@dataclass(frozen=True)
class MmsegCustom:
    """Images, masks and scene lists as mmsegmentation's ``BaseSegDataset`` reads them."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    person_at_least: Annotated[float, Field(gt=0, le=1)] = 0.5

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`."""
        seen: set[str] = set()
        scenes: dict[str, list[str]] = defaultdict(list)
        for folder in ("img_dir", "ann_dir"):
            (into / folder).mkdir(parents=True, exist_ok=True)
        for sample_id, its_scenes in map_ordered(lambda item: self._write_one(item, into, log), items):
            if sample_id in seen:
                raise ReleaseError(f"two samples have the id {sample_id}; expected each once")
            seen.add(sample_id)
            for scene in its_scenes:
                scenes[scene].append(sample_id)
        scene_lists.write(scenes, into / "split_dir")
        (into / "mmseg_config.py").write_bytes(_config({split for split in SPLITS if (into / "img_dir" / split).is_dir()}))

    def _write_one(self, sample: Sample, into: Path, log: ReadLog | None) -> tuple[str, frozenset[str]]:
        samples.check(sample)
        image_file, mask = _names(into, sample.split, sample.sample_id)
        samples.write(image_file, sample.image, sample.sha256, log)
        samples.write(mask, self._hard(sample))
        return sample.sample_id, frozenset(sample.scenes)

    def _hard(self, sample: Sample) -> bytes:
        if self.person_at_least == 0.5 and not isinstance(sample.label, np.ndarray) and (kept := sample.label.hard):
            return kept
        return masks.mask_to_png((sample.alpha >= self.person_at_least).astype(np.uint8))

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        scenes = scene_lists.read(from_ / "split_dir")
        for split in SPLITS:
            for sample_id in _sample_ids(from_, "img_dir", split, ".jpg"):
                image_file, mask = _pair(from_, split, sample_id)
                alpha = _mask(mask).astype(np.float32)
                yield Sample(sample_id, split, scenes.get(sample_id, ()), image_file.read_bytes(), alpha)

    def find_pairs(self, from_: Path) -> Iterator[Pair]:
        """See `figureground.layouts.ImportableLayout`; without folders of splits the images lie in ``img_dir`` itself."""
        folders: tuple[Split | None, ...] = SPLITS if any((from_ / "img_dir" / split).is_dir() for split in SPLITS) else (None,)
        by_name = (
            pair
            for split in folders
            for pair in pairs.pair_by_name(from_ / "img_dir" / (split or ""), from_ / "ann_dir" / (split or ""), split)
        )
        yield from pairs.with_scenes(by_name, from_ / "split_dir")

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        sample_ids: dict[str, Split] = {}
        for split in SPLITS:
            images, masks = (_sample_ids(from_, *kind) for kind in (("img_dir", split, ".jpg"), ("ann_dir", split, ".png")))
            for sample_id in _less(images, masks):
                yield f"img_dir/{split}/{sample_id}.jpg: no mask ann_dir/{split}/{sample_id}.png"
            for sample_id in _less(masks, images):
                yield f"ann_dir/{split}/{sample_id}.png: no image img_dir/{split}/{sample_id}.jpg"
            for sample_id in (sample_id for sample_id in images if sample_id in sample_ids):
                yield f"{split}/{sample_id}: the sample id is in {sample_ids[sample_id]} too"
            sample_ids.update(dict.fromkeys(images, split))
            complete = sorted(set(images) & set(masks))
            pairs = ((split, sample_id) for sample_id in complete)
            yield from (
                problem for problem in map_ordered(lambda pair: _problem(from_, *pair, log), pairs, batch_size=16) if problem
            )
        yield from scene_lists.find_problems(from_ / "split_dir", sample_ids)
        config = from_ / "mmseg_config.py"
        if not config.is_file() or config.read_bytes() != _config(set(sample_ids.values())):
            yield "mmseg_config.py: missing, or not the one for exactly these splits"


def _config(splits: Collection[Split]) -> bytes:
    return mmseg.config(class_maps.TWO, {split: mmseg.Places(f"img_dir/{split}", f"ann_dir/{split}") for split in splits})


def _pair(folder: Path, split: str, sample_id: str) -> tuple[Path, Path]:
    image_file, mask = _names(folder, split, sample_id)
    return Path(image_file), Path(mask)


def _names(folder: Path, split: str, sample_id: str) -> tuple[str, str]:
    """Give an image's and its mask's paths as text: making paths of them costs a tenth of all that is done with a sample."""
    return f"{folder}/img_dir/{split}/{sample_id}.jpg", f"{folder}/ann_dir/{split}/{sample_id}.png"


def _sample_ids(folder: Path, kind: str, split: str, suffix: str) -> list[str]:
    return sorted(file.name.removesuffix(suffix) for file in (folder / kind / split).glob(f"*{suffix}"))


def _less(names: list[str], others: list[str]) -> list[str]:
    return sorted(set(names) - set(others))


def _mask(file: Path | str, log: ReadLog | None = None) -> Mask:
    """Read a mask as it is stored, whatever its depth and channels."""
    try:
        mask = codecs.decode_unchanged(read_file(file, log))
    except FileNotFoundError as error:
        raise ReleaseError(f"{file} is missing; every image needs its mask") from error
    except cv2.error as error:
        raise ReleaseError(f"{file} is not a readable image: {error.err}") from error
    if mask is None:
        raise ReleaseError(f"{file} is not a readable PNG")
    return np.asarray(mask, dtype=mask.dtype)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}" if len(shape) >= 2 else f"of shape {shape}"


def _problem(folder: Path, split: Split, sample_id: str, log: ReadLog | None) -> str:
    """Name what is wrong with one image and its mask, "" when nothing is."""
    image_file, file = _names(folder, split, sample_id)
    try:
        mask, (width, height) = _mask(file, log), jpeg.size(read_file(image_file, log))
    except (ReleaseError, ArrayError) as error:
        return f"ann_dir/{split}/{sample_id}.png or its image: {error}"
    where = f"ann_dir/{split}/{sample_id}.png"
    if mask.ndim != 2 or mask.dtype != np.uint8:
        return f"{where}: {mask.dtype} of shape {mask.shape}; expected 8 bits and one channel"
    if mask.shape != (height, width):
        return f"{where}: {_size(mask.shape)} pixels, its image {width}x{height}; expected one size"
    if mask.size and mask.max() > 1:
        return f"{where}: holds the value {mask.max()}; expected only 0 (background) and 1 (person)"
    return ""
