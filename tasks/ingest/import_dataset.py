"""A dataset that others labelled → the tables of a source that was pulled, so that releases can hold it.

Its images are the crops, whole, and its labels stand where those of annotators would. An image or label that cannot be trusted
is a frame with a reason: nothing is resized, guessed or left out silently.
"""

import io
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL.JpegImagePlugin import JpegImageFile

from figureground import documents, escaping, ids, plugins, progress, tables
from figureground.annotation import class_resolution, label_interface, label_table
from figureground.catalog import Catalog
from figureground.clients.sources import identity
from figureground.datasets import pairs
from figureground.datasets.pairs import Label, Pair
from figureground.errors import ArrayError, SourceError
from figureground.imaging import class_maps, crops, jpeg, masks
from figureground.media import photos
from figureground.parallel import map_ordered
from figureground.similarity import duplicates, signatures
from figureground.similarity.duplicates import Signature
from figureground.storage.store import Store
from figureground.tables import CropRow, FrameRow, LabelRow, Row, VideoRow, crop_rows
from figureground.types import Alpha, Box, Mask, PersonCrop, Source, TableRef
from tasks import retried_task

VERSION = 3
"""Raised by 1 when the imported tables or files change for the same dataset."""

_log = logging.getLogger(__name__)

_STAGES = ("videos", "frames", "crops", "labels")


@retried_task
def import_dataset(source: Source, catalog: Catalog) -> TableRef:
    """Take a dataset's images and labels as they are.

    Parameters
    ----------
    source
        Of ``kind: layout``, as `figureground.clients.sources.identity.expand` gives it: a whole dataset, or one split of it.
    catalog
        Says which layout it has, what its class ids mean, and where the storage is.

    Returns
    -------
    TableRef
        The labels table. There are tables of videos, frames and crops, too: one row for each image. An image that is not
        used has a row with the reason in the frames table only.

    Raises
    ------
    SourceError
        When there is no such folder, or none of its images can be used.
    StoreError
        When the storage cannot be written to.
    """
    store, entry = Store(catalog.storage_root), catalog.sources[catalog.entry_of(source.source_id)]
    folder, dataset = catalog.folder / Path(source.path).expanduser(), catalog.dataset(source.source_id)
    whole = source.source_id in catalog.sources
    found = (_refuse_irregular(folder, pair) for pair in dataset.find_pairs(folder))
    chosen = [pair for pair in found if whole or (pair.split or "auto") == source.split]
    frames = _name_frames(source, folder, chosen, catalog, whole=whole)
    mark = _fingerprint(source, catalog, frames)
    if ref := _fresh(store, source.source_id, mark):
        return _checked(ref, source, store)
    class_table, goal = class_maps.reading(entry.classes, entry.remap)
    importer = _Importer(store, source, folder, class_table, goal == class_maps.ATR, entry.specks_at_most)
    numbered = [(index, frame_id, pair) for index, (frame_id, pair) in enumerate(frames)]
    read = map_ordered(lambda arguments: importer.read(*arguments), numbered)
    imported = list(progress.track(read, "import_dataset", source.source_id, len(chosen)))
    used = [image for image in imported if isinstance(image, _Imported)]
    signatures.write(store, source.source_id, {image.crop.sha256: image.signature for image in used})
    rows: dict[str, Sequence[Row]] = {
        "videos": [image.video for image in used],
        "frames": [image.frame if isinstance(image, _Imported) else image for image in imported],
        "crops": [image.crop for image in used],
        "labels": [image.label for image in used],
    }
    for stage in _STAGES:
        ref = tables.write_rows(store, stage, source.source_id, rows[stage], fingerprint=mark)
    return _checked(ref, source, store)


def _refuse_irregular(folder: Path, pair: Pair) -> Pair:
    """Give a reason to a pair whose image or mask is a link out of the dataset, or no file at all."""
    for file in (pair.image_file, pair.mask_file):
        if file and (reason := documents.describe_irregular(file, folder)):
            return replace(pair, reason=pair.reason or f"{pair.sample_id}: {file.name} is {reason}")
    return pair


def _fresh(store: Store, source_id: str, mark: tables.Fingerprint) -> TableRef | None:
    """Find the labels table when nothing changed; it is written last, and videos and frames name the crops' own files."""
    before = [tables.find(store, stage, source_id) for stage in ("videos", "frames")]
    crops_, labels = (tables.fresh(store, stage, source_id, mark) for stage in ("crops", "labels"))
    return labels if crops_ and all(before) else None


def _name_frames(
    source: Source, folder: Path, chosen: Sequence[Pair], catalog: Catalog, *, whole: bool
) -> list[tuple[str, Pair]]:
    """Give each pair the id of its frame; an image that is listed twice, or whose id another source has, gets a reason."""
    own: dict[str, list[Pair]] = {}
    for pair in chosen:
        own.setdefault(_path_below(folder, pair), []).append(pair)
    used = {path: next((pair for pair in listed if not pair.reason), listed[0]) for path, listed in own.items()}
    names = {path: f"{pair.split}/{pair.sample_id}" if whole and pair.split else pair.sample_id for path, pair in used.items()}
    frame_ids, refused = identity.give_frame_ids(source, names, catalog)
    frames: list[tuple[str, Pair]] = []
    for path, listed in own.items():
        frames.append((frame_ids[path], replace(used[path], reason=used[path].reason or refused.get(path, ""))))
        again = f"{path} is listed {len(listed)} times; one entry is used"
        others = [pair for pair in listed if pair is not used[path]]
        for number, pair in enumerate(others, start=2):
            frame_id = f"{frame_ids[path]}-{ids.hash_name(f'{path}#{number}')}"
            frames.append((frame_id, replace(pair, reason=pair.reason or again)))
    return frames


def _path_below(folder: Path, pair: Pair) -> str:
    """Give the path that an image's id is remembered by."""
    if pair.image_file:
        return ids.escape_name(pair.image_file.relative_to(folder).as_posix())
    mask = pair.mask_file.relative_to(folder).as_posix() if pair.mask_file else ""
    return ids.escape_name(f"{mask}:{pair.sample_id}")


def _fingerprint(source: Source, catalog: Catalog, frames: Sequence[tuple[str, Pair]]) -> tables.Fingerprint:
    """Hash what the tables depend on; of the files their sizes and times."""
    entry, dataset = catalog.sources[catalog.entry_of(source.source_id)], catalog.dataset(source.source_id)
    files = sorted({file for _, pair in frames if not pair.reason for file in _files(pair)})
    return tables.fingerprint(
        "adopted",
        [],
        version=VERSION,
        layout=plugins.identity(dataset),
        states=[[str(file), file.stat().st_size, file.stat().st_mtime_ns] for file in files],
        pairs=[[frame_id, pair.sample_id, pair.reason, pair.split, list(pair.scenes)] for frame_id, pair in frames],
        license=source.license,
        scenes=source.scenes,
        classes=str(entry.classes),
        remap=entry.remap,
        specks_at_most=entry.specks_at_most,
    )


def _files(pair: Pair) -> list[Path]:
    return [file for file in (pair.image_file, pair.mask_file) if file and file.is_file()]


def _checked(ref: TableRef | None, source: Source, store: Store) -> TableRef:
    """Log which images are not used; refuse a dataset of which none is."""
    frames = tables.find(store, "frames", source.source_id)
    rows = tables.read_rows(store, frames, FrameRow) if frames else []
    for row in rows:
        if row.reason:
            _log.warning("%s: %s", source.source_id, row.reason)
    if ref is None or not ref.rows:
        reasons = "; ".join(dict.fromkeys(row.reason for row in rows[:3])) or "it holds no pictures where the layout has them"
        raise SourceError(f"source {source.source_id}: none of {len(rows)} pictures in {source.path} can be taken: {reasons}")
    return ref


@dataclass(frozen=True, slots=True)
class _Imported:
    """The rows of an image that is used, and its signature."""

    video: VideoRow
    frame: FrameRow
    crop: CropRow
    label: LabelRow
    signature: Signature


@dataclass(frozen=True, slots=True)
class _Importer:
    """Reads the pairs of one dataset.

    ``class_table`` gives the class for each id of the dataset. ``has_parts`` says whether the classes are parts of a person.
    """

    store: Store
    source: Source
    folder: Path
    class_table: class_maps.Table
    has_parts: bool
    specks_at_most: float

    def read(self, index: int, frame_id: str, pair: Pair) -> "_Imported | FrameRow":
        """Import a pair; one that cannot be used gives its row in the frames table, with the reason."""
        shown = pair.image_file or pair.mask_file
        frame = FrameRow(
            frame_id=frame_id,
            source_id=self.source.source_id,
            index=index,
            seconds=0.0,
            width=0,
            height=0,
            original=ids.escape_name(shown.relative_to(self.folder).as_posix() if shown else pair.sample_id),
            reason="",
            file="",
            sha256="",
        )
        try:
            if pair.reason:
                raise ArrayError(pair.reason)
            return self._import(frame, pair, pairs.read_label(pair, np.flatnonzero(self.class_table >= 0).tolist()))
        except (ArrayError, SourceError) as error:
            return replace(frame, reason=escaping.escape_terminal(f"{pair.sample_id}: {error}"))

    def _import(self, frame: FrameRow, pair: Pair, label: Label) -> _Imported:
        class_map = class_maps.remap(np.asarray(label, np.uint8), self.class_table) if label.dtype == np.uint8 else None
        alpha = np.asarray(label, np.float32) if class_map is None else self._alpha(pair, class_map)
        crop = _whole_image(frame, alpha)
        with pairs.refuse_unreadable(pair.image_file.name if pair.image_file else pair.sample_id):
            content = _jpeg(pair.image_file)
            pairs.refuse_other_size(jpeg.size(content), (crop.frame_width, crop.frame_height), "its label")
            signature = duplicates.compute_jpeg_signature(content)
        file = f"crops/{self.source.source_id}/{crop.crop_id}.jpg"
        sha256 = self.store.write(file, content)
        return _Imported(
            video=VideoRow(
                source_id=self.source.source_id,
                path=f"{self.folder.name}/{frame.original}",
                license=self.source.license,
                file=file,
                sha256=sha256,
            ),
            frame=replace(frame, width=crop.frame_width, height=crop.frame_height, file=file, sha256=sha256),
            crop=crop_rows.from_crop(crop, file, sha256),
            label=self._label(crop.crop_id, pair, alpha, class_map),
            signature=signature,
        )

    def _alpha(self, pair: Pair, class_map: Mask) -> Alpha:
        """Give the person of a class map; refuse one that does not look drawn."""
        person = class_maps.remap(class_map, class_maps.TO_TWO) if self.has_parts else class_map
        pairs.check_drawn(person, self.specks_at_most, pair.mask_file.name if pair.mask_file else pair.sample_id)
        return person.astype(np.float32)

    def _label(self, crop_id: str, pair: Pair, alpha: Alpha, class_map: Mask | None) -> LabelRow:
        file = f"labels/{self.source.source_id}/{crop_id}.png"
        row = label_table.unpainted_label(
            crop_id=crop_id,
            annotation_id=0,
            annotator="",
            seconds_spent=0.0,
            origin="imported",
            parent_prediction=0,
            verdict=label_interface.KEEP,
            scenes=pair.scenes,
        )
        row = replace(row, file=file, sha256=self.store.write(file, masks.to_label(alpha)))
        if class_map is None or not self.has_parts:
            return row
        drawn = class_resolution.ResolvedClasses(class_map, class_maps.ATR, {})
        return class_resolution.write_class_map(self.store, self.source.source_id, row, drawn)


def _whole_image(frame: FrameRow, alpha: Alpha) -> PersonCrop:
    """Give an image as a crop of itself, its person where the label is; of its pixels only the size is known."""
    left, top, wide, high = cv2.boundingRect((alpha >= 0.5).astype(np.uint8))
    if not (wide and high):
        raise ArrayError("its label has no person")
    height, width = alpha.shape
    return PersonCrop(
        crop_id=f"{frame.frame_id}-00",
        frame_id=frame.frame_id,
        source_id=frame.source_id,
        box=Box(0, 0, width, height),
        person=Box(left, top, left + wide, top + high),
        score=1.0,
        keypoints=np.zeros((0, 3), np.float32),
        others=(),
        frame_width=width,
        frame_height=height,
        image=np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (height, width, 3)),
        track=frame.index,
    )


def _jpeg(file: Path | None) -> bytes:
    """Give an image's own pixels where it is a plain JPEG; others are converted to sRGB and encoded. No tag is kept."""
    if file is None:
        raise ArrayError("no picture")
    content = documents.read_bytes(file)
    if content[:2] == b"\xff\xd8":
        with JpegImageFile(io.BytesIO(content)) as image:
            if image.mode == "RGB" and not image.getexif() and not {"comment", "icc_profile"} & image.info.keys():
                return jpeg.strip_metadata(content)
    return crops.encode(photos.read(file))
