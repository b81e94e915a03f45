"""The layout of matting datasets: images in ``im``, their soft alpha in ``gt``.

::

    im/<split>/<id>.jpg             the images
    gt/<split>/<id>.png             8-bit alpha, one channel, the image's size; never a JPEG
    scenes/<scene>.txt              the sample ids of a scene
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
    """Images and their alpha, paired by name."""

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
            for sample_id in _sample_ids(from_, "im", split, ".jpg"):
                image_file, alpha_file = _pair(from_, split, sample_id)
                if not alpha_file.exists():
                    raise ReleaseError(f"{alpha_file} is missing; every image needs its alpha")
                alpha = masks.from_png(alpha_file.read_bytes(), str(alpha_file))
                yield Sample(sample_id, split, scenes.get(sample_id, ()), image_file.read_bytes(), alpha)

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        sample_ids: dict[str, Split] = {}
        for split in SPLITS:
            images, alphas = (set(_sample_ids(from_, *kind)) for kind in (("im", split, ".jpg"), ("gt", split, ".png")))
            for sample_id in sorted(images - alphas):
                yield f"im/{split}/{sample_id}.jpg: no alpha gt/{split}/{sample_id}.png"
            for sample_id in sorted(alphas - images):
                yield f"gt/{split}/{sample_id}.png: no image im/{split}/{sample_id}.jpg"
            for sample_id in sorted(images & sample_ids.keys()):
                yield f"{split}/{sample_id}: the sample id is in {sample_ids[sample_id]} too"
            sample_ids.update(dict.fromkeys(sorted(images), split))
            complete = [(split, sample_id) for sample_id in sorted(images & alphas)]
            yield from (problem for problem in map_ordered(lambda pair: _problem(from_, *pair), complete) if problem)
        yield from scene_lists.find_problems(from_ / "scenes", sample_ids)


def _pair(folder: Path, split: str, sample_id: str) -> tuple[Path, Path]:
    return folder / "im" / split / f"{sample_id}.jpg", folder / "gt" / split / f"{sample_id}.png"


def _sample_ids(folder: Path, kind: str, split: str, suffix: str) -> list[str]:
    return sorted(file.name.removesuffix(suffix) for file in (folder / kind / split).glob(f"*{suffix}"))


def _written(sample: Sample, into: Path, log: ReadLog | None) -> Sample:
    samples.check(sample)
    image_file, alpha_file = _pair(into, sample.split, sample.sample_id)
    samples.write(image_file, sample.image, sample.sha256, log)
    samples.write(alpha_file, masks.to_png(sample.alpha))
    return sample


def _problem(folder: Path, split: str, sample_id: str) -> str:
    """Name what is wrong with one image and its alpha, "" when nothing is."""
    image_file, alpha_file = _pair(folder, split, sample_id)
    where = f"gt/{split}/{sample_id}.png"
    try:
        alpha = codecs.decode_unchanged(alpha_file.read_bytes())
        width, height = jpeg.size(image_file.read_bytes())
    except (ArrayError, OSError) as error:
        return f"{where} or its image: {error}"
    if alpha is None:
        return f"{where}: not a readable PNG"
    if alpha.ndim != 2 or alpha.dtype != np.uint8:
        return f"{where}: {alpha.dtype} of shape {alpha.shape}; expected 8 bits and one channel"
    if alpha.shape != (height, width):
        return f"{where}: {alpha.shape[1]}x{alpha.shape[0]} pixels, its image {width}x{height}; expected one size"
    return ""
