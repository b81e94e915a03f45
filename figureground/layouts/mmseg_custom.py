"""The layout of mmsegmentation's custom datasets, for person (1) and background (0).

::

    img_dir/<split>/<stem>.jpg      the pictures
    ann_dir/<split>/<stem>.png      8-bit, one channel, 0 or 1, the picture's size
    mmseg_config.py                 the datasets and their loaders, for a config's ``_base_``
    split_dir/<scene>.txt           the stems of a scene, one a line, sorted; a picture may stand in several

A label becomes 1 where its alpha is at least ``person_at_least``.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
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
    """Pictures, masks and scene lists as mmsegmentation's ``BaseSegDataset`` reads them."""

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
        for stem, its_scenes in map_ordered(lambda item: self._write_one(item, into, log), items):
            if stem in seen:
                raise ReleaseError(f"two samples have the stem {stem}; expected each once")
            seen.add(stem)
            for scene in its_scenes:
                scenes[scene].append(stem)
        scene_lists.write(scenes, into / "split_dir")
        (into / "mmseg_config.py").write_bytes(_config({split for split in SPLITS if (into / "img_dir" / split).is_dir()}))

    def _write_one(self, sample: Sample, into: Path, log: ReadLog | None) -> tuple[str, frozenset[str]]:
        samples.check(sample)
        picture, mask = _names(into, sample.split, sample.sample_id)
        samples.write(picture, sample.image, sample.sha256, log)
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
            for stem in _stems(from_, "img_dir", split, ".jpg"):
                picture, mask = _pair(from_, split, stem)
                alpha = _mask(mask).astype(np.float32)
                yield Sample(stem, split, scenes.get(stem, ()), picture.read_bytes(), alpha)

    def find_pairs(self, from_: Path) -> Iterator[Pair]:
        """See `figureground.layouts.ImportableLayout`; without folders of splits the pictures lie in ``img_dir`` itself."""
        scenes = scene_lists.read(from_ / "split_dir")
        folders: tuple[Split | None, ...] = SPLITS if any((from_ / "img_dir" / split).is_dir() for split in SPLITS) else (None,)
        for split in folders:
            for pair in pairs.paired(from_ / "img_dir" / (split or ""), from_ / "ann_dir" / (split or ""), split):
                yield replace(pair, scenes=scenes.get(pair.sample_id, ()))

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        stems: dict[str, Split] = {}
        for split in SPLITS:
            pictures, masks = (_stems(from_, *kind) for kind in (("img_dir", split, ".jpg"), ("ann_dir", split, ".png")))
            yield from (f"img_dir/{split}/{stem}.jpg: no mask ann_dir/{split}/{stem}.png" for stem in _less(pictures, masks))
            yield from (f"ann_dir/{split}/{stem}.png: no picture img_dir/{split}/{stem}.jpg" for stem in _less(masks, pictures))
            yield from (f"{split}/{stem}: the stem is in {stems[stem]} too" for stem in pictures if stem in stems)
            stems.update(dict.fromkeys(pictures, split))
            complete = sorted(set(pictures) & set(masks))
            pairs = ((split, stem) for stem in complete)
            yield from (
                problem for problem in map_ordered(lambda pair: _problem(from_, *pair, log), pairs, batch_size=16) if problem
            )
        yield from scene_lists.find_problems(from_ / "split_dir", stems)
        config = from_ / "mmseg_config.py"
        if not config.is_file() or config.read_bytes() != _config(set(stems.values())):
            yield "mmseg_config.py: missing, or not the one for exactly these splits"


def _config(splits: Collection[Split]) -> bytes:
    return mmseg.config(class_maps.TWO, {split: mmseg.Places(f"img_dir/{split}", f"ann_dir/{split}") for split in splits})


def _pair(folder: Path, split: str, stem: str) -> tuple[Path, Path]:
    picture, mask = _names(folder, split, stem)
    return Path(picture), Path(mask)


def _names(folder: Path, split: str, stem: str) -> tuple[str, str]:
    """Give a picture's and its mask's paths as text: making paths of them costs a tenth of all that is done with a sample."""
    return f"{folder}/img_dir/{split}/{stem}.jpg", f"{folder}/ann_dir/{split}/{stem}.png"


def _stems(folder: Path, kind: str, split: str, suffix: str) -> list[str]:
    return sorted(file.name.removesuffix(suffix) for file in (folder / kind / split).glob(f"*{suffix}"))


def _less(some: list[str], others: list[str]) -> list[str]:
    return sorted(set(some) - set(others))


def _mask(file: Path | str, log: ReadLog | None = None) -> Mask:
    """Read a mask as it is stored, whatever its depth and channels."""
    try:
        mask = codecs.decode_unchanged(read_file(file, log))
    except FileNotFoundError as error:
        raise ReleaseError(f"{file} is missing; every picture needs its mask") from error
    except cv2.error as error:
        raise ReleaseError(f"{file} is not a readable picture: {error.err}") from error
    if mask is None:
        raise ReleaseError(f"{file} is not a readable PNG")
    return np.asarray(mask, dtype=mask.dtype)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}" if len(shape) >= 2 else f"of shape {shape}"


def _problem(folder: Path, split: Split, stem: str, log: ReadLog | None) -> str:
    """Name what is wrong with one picture and its mask, "" when nothing is."""
    picture, file = _names(folder, split, stem)
    try:
        mask, (width, height) = _mask(file, log), jpeg.size(read_file(picture, log))
    except (ReleaseError, ArrayError) as error:
        return f"ann_dir/{split}/{stem}.png or its image: {error}"
    where = f"ann_dir/{split}/{stem}.png"
    if mask.ndim != 2 or mask.dtype != np.uint8:
        return f"{where}: {mask.dtype} of shape {mask.shape}; expected 8 bits and one channel"
    if mask.shape != (height, width):
        return f"{where}: {_size(mask.shape)} pixels, its image {width}x{height}; expected one size"
    if mask.size and mask.max() > 1:
        return f"{where}: holds the value {mask.max()}; expected only 0 (background) and 1 (person)"
    return ""
