"""The layout of matting datasets: pictures in ``im``, their soft alpha in ``gt``.

::

    im/<split>/<stem>.jpg           the pictures
    gt/<split>/<stem>.png           8-bit alpha, one channel, the picture's size; never a JPEG
    scenes/<scene>.txt              the stems of a scene
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from figureground.datasets import samples, scene_lists
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import codecs, jpeg, masks
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Sample


@dataclass(frozen=True)
class ImGt:
    """Pictures and their alpha, paired by name."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`."""
        scene_lists.take(map_ordered(lambda sample: _written(sample, into, log), items), into / "scenes")

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        scenes = scene_lists.read(from_ / "scenes")
        for split in SPLITS:
            for stem in _stems(from_, "im", split, ".jpg"):
                picture, truth = _pair(from_, split, stem)
                if not truth.exists():
                    raise ReleaseError(f"{truth} is missing; every picture needs its alpha")
                alpha = masks.from_png(truth.read_bytes(), str(truth))
                yield Sample(stem, split, scenes.get(stem, ()), picture.read_bytes(), alpha)

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        stems: dict[str, Split] = {}
        for split in SPLITS:
            pictures, truths = (set(_stems(from_, *kind)) for kind in (("im", split, ".jpg"), ("gt", split, ".png")))
            yield from (f"im/{split}/{stem}.jpg: no alpha gt/{split}/{stem}.png" for stem in sorted(pictures - truths))
            yield from (f"gt/{split}/{stem}.png: no picture im/{split}/{stem}.jpg" for stem in sorted(truths - pictures))
            yield from (f"{split}/{stem}: the stem is in {stems[stem]} too" for stem in sorted(pictures) if stem in stems)
            stems.update(dict.fromkeys(sorted(pictures), split))
            complete = [(split, stem) for stem in sorted(pictures & truths)]
            yield from (problem for problem in map_ordered(lambda pair: _problem(from_, *pair), complete) if problem)
        yield from scene_lists.find_problems(from_ / "scenes", stems)


def _pair(folder: Path, split: str, stem: str) -> tuple[Path, Path]:
    return folder / "im" / split / f"{stem}.jpg", folder / "gt" / split / f"{stem}.png"


def _stems(folder: Path, kind: str, split: str, suffix: str) -> list[str]:
    return sorted(file.name.removesuffix(suffix) for file in (folder / kind / split).glob(f"*{suffix}"))


def _written(sample: Sample, into: Path, log: ReadLog | None) -> Sample:
    samples.check(sample)
    picture, truth = _pair(into, sample.split, sample.sample_id)
    samples.write(picture, sample.image, sample.sha256, log)
    samples.write(truth, masks.to_png(sample.alpha))
    return sample


def _problem(folder: Path, split: str, stem: str) -> str:
    """Name what is wrong with one picture and its alpha, "" when nothing is."""
    picture, truth = _pair(folder, split, stem)
    where = f"gt/{split}/{stem}.png"
    try:
        alpha = codecs.decode_unchanged(truth.read_bytes())
        width, height = jpeg.size(picture.read_bytes())
    except (ArrayError, OSError) as error:
        return f"{where} or its image: {error}"
    if alpha is None:
        return f"{where}: not a readable PNG"
    if alpha.ndim != 2 or alpha.dtype != np.uint8:
        return f"{where}: {alpha.dtype} of shape {alpha.shape}; expected 8 bits and one channel"
    if alpha.shape != (height, width):
        return f"{where}: {alpha.shape[1]}x{alpha.shape[0]} pixels, its image {width}x{height}; expected one size"
    return ""
