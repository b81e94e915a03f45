"""A release as pictures with truth, whatever layout it has: what networks learn from and are scored on."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from figureground import layouts
from figureground.datasets import manifest, splits
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.imaging import class_maps, crops
from figureground.storage import hashing
from figureground.synthesis import composition_manifest
from figureground.types import Alpha, Box, Image, Mask, Sample

CLASSES = (1, 2, 5)
"""How many a network may have: 1 is soft alpha; 2 and 5 are those of `parsing.NAMES`."""
_PREFERRED = {
    1: ("im_gt", "huggingface", "aisegment", "mmseg_custom", "human_parsing", "coco", "yolo_seg", "cutouts"),
    2: ("mmseg_custom", "human_parsing", "im_gt", "huggingface", "aisegment", "coco", "yolo_seg", "cutouts"),
    5: ("human_parsing",),
}
_SIGNS = {"img_dir": "mmseg_custom", "classes.txt": "human_parsing", "im": "im_gt", "cutouts": "cutouts"}
"""What a folder without a manifest has when it is of a layout."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingSample:
    """A picture with its truth: class ids (uint8), or of one class its soft alpha (float32), of the picture's size.

    ``person`` is the detected box in the picture's pixels, None where the release does not say.
    """

    stem: str
    split: Split
    scenes: tuple[str, ...]
    source: str
    image: Image
    truth: Mask | Alpha
    person: Box | None = None


class Origin(NamedTuple):
    """Where a picture comes from, and the detected box in it."""

    source: str
    person: Box | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OpenedRelease:
    """A release that was opened for so many classes; ``origins`` is what its manifest says of each stem."""

    folder: Path
    name: str
    digest: str
    layout: str
    settings: Mapping[str, Any]
    inside: str
    classes: int
    origins: Mapping[str, Origin]
    licenses: tuple[str, ...]

    def examples(self, *splits: Split) -> Iterator[TrainingSample]:
        """Give the pictures of some splits, or of all, by split and stem.

        Raises
        ------
        ReleaseError
            When a file is missing or damaged.
        """
        for sample in self.samples():
            if not splits or sample.split in splits:
                yield self._example(sample)

    def samples(self) -> Iterator[Sample]:
        """Give all that the layout reads, pictures not yet decoded."""
        read: Iterator[Sample] = layouts.build(self.layout, self.settings).read(self.folder / self.inside)
        return read

    def places(self) -> Counter[tuple[str, Split]]:
        """Count the pictures of each source in each split."""
        return Counter((self._origin(sample.sample_id).source, sample.split) for sample in self.samples())

    def _origin(self, stem: str) -> Origin:
        return self.origins.get(stem) or Origin(splits.source_of(stem))

    def _example(self, sample: Sample) -> TrainingSample:
        image = crops.decode(sample.image, sample.sample_id)
        origin = self._origin(sample.sample_id)
        truth = _truth(sample, self.classes)
        return TrainingSample(sample.sample_id, sample.split, sample.scenes, origin.source, image, truth, origin.person)


def open_release(folder: Path, classes: int) -> OpenedRelease:
    """Open a release, a composition, or a folder in one of the layouts.

    Parameters
    ----------
    folder
        The release's.
    classes
        One of `CLASSES`: decides which of its layouts is read.

    Raises
    ------
    ReleaseError
        When it is none, its manifest was altered, or no layout of it has so many classes.
    """
    if classes not in CLASSES:
        raise ReleaseError(f"expected 1 (soft alpha), 2 or 5 classes; found {classes}")
    if (folder / manifest.FILE).is_file():
        return _released(folder, classes)
    if (folder / composition_manifest.FILE).is_file():
        return _composed(folder, classes)
    if not folder.is_dir():
        raise ReleaseError(f"{folder} is no folder; expected that of a release")
    return _foreign(folder, classes)


def _released(folder: Path, classes: int) -> OpenedRelease:
    content = (folder / manifest.FILE).read_bytes()
    if ill := manifest.check_seal(content):
        raise ReleaseError(f"{folder}: {ill}")
    release_manifest = manifest.parse(content)
    layout = _chosen(folder, release_manifest.layouts, release_manifest.settings, classes)
    licenses = tuple(sorted({source.license for source in release_manifest.sources.values() if source.license}))
    settings, inside = release_manifest.settings.get(layout, {}), release_manifest.layouts[layout]
    origins = {
        stem: Origin(sample.source, Box(*sample.person) if any(sample.person) else None)
        for stem, sample in release_manifest.samples.items()
    }
    return OpenedRelease(folder, folder.name, release_manifest.digest, layout, settings, inside, classes, origins, licenses)


def _composed(folder: Path, classes: int) -> OpenedRelease:
    text = composition_manifest.parse((folder / composition_manifest.FILE).read_bytes(), str(folder))
    layout = _chosen(folder, text["layouts"], text["settings"], classes)
    settings, inside = text["settings"].get(layout, {}), text["layouts"][layout]
    licenses = tuple(sorted(set(text["licenses"].values())))
    return OpenedRelease(folder, folder.name, text["digest"], layout, settings, inside, classes, _backgrounds(folder), licenses)


def _backgrounds(folder: Path) -> dict[str, Origin]:
    """Give each synthetic picture the source of its background: pictures of one place are no independent evidence."""
    import pandas as pd

    rows = pd.read_parquet(folder / composition_manifest.RECIPES, columns=["picture_id", "background_id"])
    known = json.loads((folder / composition_manifest.CERTIFICATE).read_bytes())["inputs"].get("backgrounds", {})
    pairs = zip(rows["picture_id"], rows["background_id"], strict=True)
    return {stem: Origin(known[name]["source"]) for stem, name in pairs if name in known}


def _foreign(folder: Path, classes: int) -> OpenedRelease:
    result = {layout: _guessed(folder, layout) for sign, layout in _SIGNS.items() if (folder / sign).exists()}
    if not result:
        raise ReleaseError(f"{folder} is no release: it has neither {manifest.FILE} nor any of {', '.join(_SIGNS)}")
    layout = _chosen(folder, dict.fromkeys(result, "."), result, classes)
    digest = hashlib.sha256(repr(list(hashing.hash_folder(folder).items())).encode()).hexdigest()
    return OpenedRelease(folder, folder.name, digest, layout, result[layout], ".", classes, {}, ())


def _guessed(folder: Path, layout: str) -> dict[str, Any]:
    if layout != "human_parsing":
        return {}
    return {"classes": len((folder / "classes.txt").read_text(encoding="utf-8").splitlines())}


def _chosen(folder: Path, there: Mapping[str, str], settings: Mapping[str, Mapping[str, Any]], classes: int) -> str:
    for wanted in _PREFERRED[classes]:
        for layout in there:
            if layout.partition("-")[0] == wanted and (
                classes != 5 or settings.get(layout, {}).get("classes", 2) in (5, 18)
            ):
                return layout
    way = "; cut it with `human_parsing: {classes: 5}` among releases.layouts" if classes == 5 else ""
    raise ReleaseError(f"{folder} cannot teach {classes} classes: it has the layouts {', '.join(there)}{way}")


def _truth(sample: Sample, classes: int) -> Mask | Alpha:
    if classes == 1:
        return sample.alpha
    if classes == 2:
        return (sample.alpha >= 0.5).astype(np.uint8)
    if sample.parts is None:
        raise ReleaseError(f"{sample.sample_id}: nobody drew its parts, so it cannot have {classes} classes")
    return sample.parts if sample.parts_of == classes else class_maps.remap(sample.parts, class_maps.FROM_ATR[classes])
