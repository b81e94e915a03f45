"""A dataset that others labelled → the tables of a source that was pulled, so that releases can hold it.

Its pictures are the crops, whole; its labels are what annotators would have answered. What cannot be trusted is a frame with a
reason: nothing is resized, guessed or left out in silence.
"""

import io
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
from PIL.JpegImagePlugin import JpegImageFile

from figureground import ids as slugs
from figureground import plugins, progress, tables
from figureground.annotation import annotations, class_resolution, label_interface
from figureground.catalog import Catalog
from figureground.datasets import pairs
from figureground.datasets.pairs import Label, Pair
from figureground.errors import ArrayError, SourceError
from figureground.imaging import class_maps, crops, masks
from figureground.media import photos
from figureground.parallel import map_ordered
from figureground.similarity import duplicates, signatures
from figureground.storage.store import Store
from figureground.tables import crop_rows
from figureground.types import Alpha, Box, Mask, PersonCrop, Source, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the imported tables or files change for the same dataset."""

_log = logging.getLogger(__name__)

_STAGES = ("videos", "frames", "crops", "labels")
_NOBODY_SAID: dict[str, Any] = {
    **annotations.UNKNOWN_COLUMNS,
    **dict.fromkeys(("annotation_id", "parent_prediction"), 0),
    "annotator": "",
    "seconds_spent": 0.0,
    "origin": "imported",
    "verdict": label_interface.KEEP,
}

Rows = dict[str, dict[str, Any]]


@retried_task
def import_dataset(source: Source, catalog: Catalog) -> TableRef:
    """Take a dataset's pictures and labels as they are.

    Parameters
    ----------
    source
        Of ``kind: layout``, as `figureground.clients.sources.identity.expand` gives it: a whole dataset, or one split of it.
    catalog
        Says which layout it has, what its class ids mean, and where the storage is.

    Returns
    -------
    TableRef
        The labels table. There are tables of videos, frames and crops, too: one row a picture; of one that is not taken
        only a frame with the reason.

    Raises
    ------
    SourceError
        When there is no such folder, or none of its pictures can be taken.
    StoreError
        When the storage cannot be written to.
    """
    store, entry = Store(catalog.storage_root), catalog.sources[catalog.entry_of(source.source_id)]
    folder, dataset = catalog.folder / Path(source.path).expanduser(), catalog.dataset(source.source_id)
    whole = source.source_id in catalog.sources
    found = [pair for pair in dataset.find_pairs(folder) if whole or (pair.split or "auto") == source.split]
    mark = _mark(source, catalog, found)
    if ref := _there(store, source.source_id, mark):
        return _told(ref, source, store)
    by, goal = class_maps.reading(entry.classes, entry.remap)
    ids = slugs.make_frame_ids(source.source_id, [f"{pair.sample_id}.jpg" for pair in found])
    taking = _Taking(store, source, folder, by, goal == class_maps.ATR, entry.specks_at_most)
    numbered = [(at, frame_id, pair) for at, (frame_id, pair) in enumerate(zip(ids, found, strict=True))]
    read = map_ordered(lambda one: taking.rows(*one), numbered)
    taken = list(progress.track(read, "import_dataset", source.source_id, len(found)))
    looked = {rows["looked"]["sha256"]: rows["looked"]["signature"] for rows in taken if "looked" in rows}
    signatures.keep(store, source.source_id, looked)
    for stage in _STAGES:
        rows = pd.DataFrame([rows[stage] for rows in taken if stage in rows])
        ref = tables.write(store, stage, source.source_id, rows, fingerprint=mark)
    return _told(ref, source, store)


def _there(store: Store, source_id: str, mark: tables.Fingerprint) -> TableRef | None:
    """Find the labels table when nothing changed; it is written last, and videos and frames name the crops' own files."""
    before = [tables.find(store, stage, source_id) for stage in ("videos", "frames")]
    crops_, labels = (tables.fresh(store, stage, source_id, mark) for stage in ("crops", "labels"))
    return labels if crops_ and all(before) else None


def _mark(source: Source, catalog: Catalog, found: Sequence[Pair]) -> tables.Fingerprint:
    """Hash what the tables depend on; of the files their sizes and times."""
    entry, dataset = catalog.sources[catalog.entry_of(source.source_id)], catalog.dataset(source.source_id)
    files = sorted({file for pair in found for file in (pair.picture, pair.mask) if file and file.is_file()})
    states = [[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files]
    told = {"license": source.license, "scenes": source.scenes, "classes": str(entry.classes), "remap": entry.remap}
    told["specks_at_most"] = entry.specks_at_most
    pairs_ = [[pair.sample_id, pair.reason, pair.split, list(pair.scenes)] for pair in found]
    layout = plugins.identity(dataset)
    return tables.fingerprint("adopted", [], version=VERSION, layout=layout, states=states, pairs=pairs_, **told)


def _told(ref: TableRef | None, source: Source, store: Store) -> TableRef:
    """Say what was not taken; raise when nothing was."""
    frames = tables.find(store, "frames", source.source_id)
    rows = tables.read(store, frames).rows.to_dict("records") if frames else []
    for row in rows:
        if row["reason"]:
            _log.warning("%s: %s", source.source_id, row["reason"])
    if ref is None or not ref.rows:
        reasons = (
            "; ".join(dict.fromkeys(row["reason"] for row in rows[:3])) or "it holds no pictures where the layout has them"
        )
        raise SourceError(f"source {source.source_id}: none of {len(rows)} pictures in {source.path} can be taken: {reasons}")
    return ref


@dataclass(frozen=True, slots=True)
class _Taking:
    """What taking one pair after the other needs."""

    store: Store
    source: Source
    folder: Path
    by: class_maps.Table
    has_parts: bool
    specks_at_most: float

    def rows(self, at: int, frame_id: str, pair: Pair) -> Rows:
        """Give a pair's row in each table."""
        frame = {"frame_id": frame_id, "source_id": self.source.source_id, "index": at, "seconds": 0.0}
        frame |= {"original": self._original(pair)}
        try:
            if pair.reason:
                raise ArrayError(pair.reason)
            label = pairs.opened(pair, np.flatnonzero(self.by >= 0).tolist())
            return self._taken(frame, pair, label)
        except (ArrayError, SourceError) as error:
            reason = f"{pair.sample_id}: {error}"
            return {"frames": {**frame, "width": 0, "height": 0, "reason": reason, "file": "", "sha256": ""}}

    def _original(self, pair: Pair) -> str:
        shown = pair.picture or pair.mask
        return shown.relative_to(self.folder).as_posix() if shown else pair.sample_id

    def _taken(self, frame: dict[str, Any], pair: Pair, label: Label) -> Rows:
        ids = class_maps.remap(label, self.by) if label.dtype == np.uint8 else None
        alpha = np.asarray(label, np.float32) if ids is None else self._drawn(pair, ids)
        crop = _whole(frame, alpha)
        file = f"crops/{self.source.source_id}/{crop.crop_id}.jpg"
        content = _jpeg(pair.picture)
        stored = {"file": file, "sha256": self.store.write(file, content)}
        path = f"{self.folder.name}/{frame['original']}"
        size = {"width": crop.frame_width, "height": crop.frame_height}
        own = {"crop_id": crop.crop_id, "scenes": list(pair.scenes)}
        return {
            "videos": {"source_id": self.source.source_id, "path": path, "license": self.source.license, **stored},
            "frames": {**frame, **size, "reason": "", **stored},
            "crops": asdict(crop_rows.from_crop(crop, **stored)),
            "labels": {**_NOBODY_SAID, **own, **self._label(crop.crop_id, alpha, ids)},
            "looked": {"sha256": stored["sha256"], "signature": duplicates.of_jpeg(content)},
        }

    def _person(self, ids: Mask) -> Mask:
        return class_maps.remap(ids, class_maps.TO_TWO) if self.has_parts else ids

    def _drawn(self, pair: Pair, ids: Mask) -> Alpha:
        person = self._person(ids)
        pairs.check_drawn(person, self.specks_at_most, pair.mask.name if pair.mask else pair.sample_id)
        return person.astype(np.float32)

    def _label(self, crop_id: str, alpha: Alpha, ids: Mask | None) -> dict[str, Any]:
        file = f"labels/{self.source.source_id}/{crop_id}.png"
        found: dict[str, Any] = {"file": file, "sha256": self.store.write(file, masks.to_label(alpha))}
        if ids is None or not self.has_parts:
            return found
        return found | class_resolution.write_class_map(
            self.store, self.source.source_id, crop_id, class_resolution.ResolvedClasses(ids, class_maps.ATR, {})
        )


def _whole(frame: Mapping[str, Any], alpha: Alpha) -> PersonCrop:
    """Give a picture as a crop of itself, its person where the label is; of its pixels only the size is known."""
    left, top, wide, high = cv2.boundingRect((alpha >= 0.5).astype(np.uint8))
    if not (wide and high):
        raise ArrayError("its label has no person")
    height, width = alpha.shape
    return PersonCrop(
        crop_id=f"{frame['frame_id']}-00",
        frame_id=frame["frame_id"],
        source_id=frame["source_id"],
        box=Box(0, 0, width, height),
        person=Box(left, top, left + wide, top + high),
        score=1.0,
        keypoints=np.zeros((0, 3), np.float32),
        others=(),
        frame_width=width,
        frame_height=height,
        image=np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3)),
        track=frame["index"],
    )


def _jpeg(file: Path | None) -> bytes:
    """Give a picture's own bytes where they are a plain JPEG; others are written as one, without their tags."""
    if file is None:
        raise ArrayError("no picture")
    content = file.read_bytes()
    if content[:2] == b"\xff\xd8":
        with JpegImageFile(io.BytesIO(content)) as picture:
            if picture.mode == "RGB" and not picture.getexif() and "comment" not in picture.info:
                return content
    return crops.encode(photos.read(file))
