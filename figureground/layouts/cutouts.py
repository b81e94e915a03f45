"""Cutouts: each person alone on nothing, ready to be put before another background.

::

    cutouts/<split>/<id>.png        8-bit RGBA; soft alpha, colours without the old background's share, black where alpha is 0
    scenes/<scene>.txt              the sample ids of a scene

What was behind the person is not in the file, so the image that is read back shows it before black.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from figureground.datasets import samples, scene_lists
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ReleaseError
from figureground.imaging import codecs, foreground, masks
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Mask, Sample


@dataclass(frozen=True)
class Cutouts:
    """One RGBA image a person."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = False
    exact: ClassVar[bool] = True

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`."""
        scene_lists.take(map_ordered(lambda sample: _written(sample, into), items), into / "scenes")

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        scenes = scene_lists.read(from_ / "scenes")
        for split in SPLITS:
            for file in _files(from_, split):
                sample_id, rgba = file.name.removesuffix(".png"), _rgba(file)
                before_black = (rgba[:, :, :3].astype(np.uint16) * rgba[:, :, 3:] + 127) // 255
                bgr = before_black[:, :, ::-1].astype(np.uint8)
                encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
                alpha = masks.from_levels(np.ascontiguousarray(rgba[:, :, 3]))
                yield Sample(sample_id, split, scenes.get(sample_id, ()), encoded.tobytes(), alpha)

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        sample_ids: dict[str, Split] = {}
        for split in SPLITS:
            files = _files(from_, split)
            yield from (problem for problem in map_ordered(_problem, files) if problem)
            for sample_id in (file.name.removesuffix(".png") for file in files):
                if sample_id in sample_ids:
                    yield f"cutouts/{split}/{sample_id}.png: the sample id is in {sample_ids[sample_id]} too"
                sample_ids[sample_id] = split
        yield from scene_lists.find_problems(from_ / "scenes", sample_ids)


def _files(folder: Path, split: str) -> list[Path]:
    return sorted((folder / "cutouts" / split).glob("*.png"), key=lambda file: file.name.removesuffix(".png"))


def _written(sample: Sample, into: Path) -> Sample:
    samples.check(sample)
    bgr = codecs.decode_bgr(sample.image)
    if bgr is None:
        raise ReleaseError(f"{sample.sample_id}: its JPEG cannot be decoded")
    levels = masks.to_levels(sample.alpha)
    rgb = foreground.matte_foreground(np.ascontiguousarray(bgr[:, :, ::-1]), masks.from_levels(levels))
    file = into / "cutouts" / sample.split / f"{sample.sample_id}.png"
    samples.write(file, cv2.imencode(".png", np.dstack([rgb[:, :, ::-1], levels]))[1].tobytes())
    return sample


def _rgba(file: Path) -> Mask:
    bgra = codecs.decode_unchanged(file.read_bytes())
    if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4 or bgra.dtype != np.uint8:
        actual = "no image" if bgra is None else f"{bgra.dtype} of shape {bgra.shape}"
        raise ReleaseError(f"{actual}; expected an 8-bit RGBA PNG")
    return np.asarray(bgra, np.uint8)[:, :, [2, 1, 0, 3]]


def _problem(file: Path) -> str:
    where = f"cutouts/{file.parent.name}/{file.name}"
    try:
        rgba = _rgba(file)
    except ReleaseError as error:
        return f"{where}: {error}"
    if rgba[rgba[:, :, 3] == 0].any():
        return f"{where}: holds colours where nothing is; expected black where alpha is 0"
    return ""
