"""Frames → crops: one image for each person, at the source's resolution."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.detectors import Detector
from figureground.imaging import crops, geometry
from figureground.inference import cores
from figureground.media.restore import restore_evicted
from figureground.parallel import map_ordered
from figureground.people import faces, instances, portraits, tracks
from figureground.people.tracks import Appearance, Tracker
from figureground.similarity import duplicates, signatures
from figureground.similarity.duplicates import Signature
from figureground.storage.store import Store
from figureground.tables import CropRow, FrameRow, crop_rows
from figureground.tables.rows import from_json, to_json
from figureground.tables.shards import ShardedStage
from figureground.types import Box, Frame, Person, PersonCrop, TableRef, Weights
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the crops change for the same inputs."""

_log = logging.getLogger(__name__)

FRAMES_AT_A_TIME = 4
"""So many decoded frames go to the detector in one call; each thread holds as many in memory."""


@retried_task
def crop(frames: TableRef, catalog: Catalog) -> TableRef:
    """Find the people of each frame and cut one crop each.

    Parameters
    ----------
    frames
        The frames of one source; each file's hash is checked before it is decoded.
    catalog
        Names the detector and the crop recipe.

    Returns
    -------
    TableRef
        The crops table, sorted as the frames are. Its facts count ``frames``, ``frames_without_people``, ``people`` and
        ``too_small``: people whose crop's short side is under the recipe's limit, which are not written.

    Raises
    ------
    StoreError
        When a frame is missing or damaged, or the storage cannot be written to.
    ArrayError
        When a frame's file is no picture.
    AssetError
        When the detector's weights are not in the cache.
    """
    stage = sharded_stage(frames, catalog)
    if ref := stage.fresh():
        return ref
    signature_of: dict[str, Signature] = {}
    rows: list[CropRow] = []
    counts, tracker = Counter(frames=0, frames_without_people=0, people=0, too_small=0), Tracker()
    for frame in stage.process_all(stage.read_inputs()):
        numbers = tracker.update(frame.seconds, _appearances(frame))
        rows += [replace(row, track=track) for row, track in zip(frame.rows, numbers, strict=True)]
        counts.update(frame.counts)
        hashes = (row.sha256 for row in frame.rows)
        signature_of |= {sha256: _array(text, np.int8) for sha256, text in zip(hashes, frame.signatures, strict=True)}
    _log_counts(frames.source_id, counts)
    used = [*plugins.weights(catalog.detector()), *(weights for weights in _other_weights(catalog).values() if weights)]
    facts = {**counts, "weights": {weights.name: weights.sha256 for weights in used}}
    signatures.write(stage.store, frames.source_id, signature_of)
    return tables.write_rows(stage.store, "crops", frames.source_id, rows, fingerprint=stage.fingerprint, facts=facts)


@dataclass(frozen=True, slots=True)
class _FrameCrops:
    """The crops of one frame, without their tracks, which need the frames in order. Arrays are text, one for each row."""

    seconds: float
    rows: list[CropRow]
    colours: list[str]
    signatures: list[str]
    counts: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        own = {name: getattr(self, name) for name in ("seconds", "colours", "signatures", "counts")}
        return own | {"rows": [to_json(row) for row in self.rows]}

    @staticmethod
    def from_json(values: dict[str, Any]) -> "_FrameCrops":
        return _FrameCrops(**values | {"rows": [from_json(CropRow, row) for row in values["rows"]]})


def sharded_stage(frames: TableRef, catalog: Catalog) -> ShardedStage[FrameRow, _FrameCrops]:
    """Describe what `crop` does so that it can run in shards: everything of a frame except the tracks."""
    store, recipe, detector = Store(catalog.storage_root), catalog.recipe.crop, catalog.detector()
    others = {name: weights and asdict(weights) for name, weights in _other_weights(catalog).items()}
    networks = {"detector": plugins.identity(detector), **others}

    def read_inputs() -> list[FrameRow]:
        restore_evicted(store, frames.source_id, "frames")
        return [row for row in tables.iterate_rows(store, frames, FrameRow) if not row.reason]

    return ShardedStage(
        store,
        task="crop",
        stage="crops",
        source_id=frames.source_id,
        fingerprint=tables.fingerprint("crops", [frames], version=VERSION, crop=recipe.model_dump(), **networks),
        batch_size=FRAMES_AT_A_TIME,
        read_inputs=read_inputs,
        process=lambda rows: _crop_frames(rows, detector, catalog, store),
        files=lambda frame: [(row.file, row.sha256) for row in frame.rows],
        to_json=_FrameCrops.to_json,
        from_json=_FrameCrops.from_json,
    )


def _other_weights(catalog: Catalog) -> dict[str, Weights | None]:
    """Give the weights of the networks that process a frame's people besides the detector."""
    return {"faces": catalog.face_weights(), "instances": catalog.instance_weights()}


def _crop_frames(rows: Sequence[FrameRow], detector: Detector, catalog: Catalog, store: Store) -> Iterator[_FrameCrops]:
    """Crop frames, some batches at a time in threads of their own."""
    starts = range(0, len(rows), FRAMES_AT_A_TIME)
    batches = (rows[start : start + FRAMES_AT_A_TIME] for start in starts)

    def crop_batch(batch: Sequence[FrameRow]) -> list[_FrameCrops]:
        frames = [_read(row, store) for row in batch]
        people = detector.find([frame.image for frame in frames])
        return [_crop_frame(frame, of_frame, catalog, store) for frame, of_frame in zip(frames, people, strict=True)]

    for done in map_ordered(crop_batch, batches, threads=cores.parallel_calls()):
        yield from done


def _crop_frame(frame: Frame, people: Sequence[Person], catalog: Catalog, store: Store) -> _FrameCrops:
    cut = _cut(frame, people, catalog)
    wanted = [crop for crop in cut if geometry.short_side(crop.box) >= catalog.recipe.crop.short_side_at_least]
    counts = {
        "frames": 1,
        "frames_without_people": int(not people),
        "people": len(people),
        "too_small": len(cut) - len(wanted),
    }
    contents = [crops.encode(crop.image) for crop in wanted]
    if weights := catalog.instance_weights():
        wanted = [replace(crop, instances=instances.segment(crop.image, weights)) for crop in wanted]
    return _FrameCrops(
        seconds=float(frame.seconds),
        rows=[_write(crop, content, store) for crop, content in zip(wanted, contents, strict=True)],
        colours=[_text(tracks.count_colours(crop)) for crop in wanted],
        signatures=[_text(duplicates.compute_jpeg_signature(content)) for content in contents],
        counts=counts,
    )


def _appearances(frame: _FrameCrops) -> list[Appearance]:
    boxes = (Box(row.person_x0, row.person_y0, row.person_x1, row.person_y1) for row in frame.rows)
    return [Appearance(box, _array(text, np.float32)) for box, text in zip(boxes, frame.colours, strict=True)]


def _text(array: NDArray[Any]) -> str:
    return array.tobytes().hex()


def _array(text: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(bytes.fromhex(text), kind)


def _cut(frame: Frame, people: Sequence[Person], catalog: Catalog) -> list[PersonCrop]:
    recipe, weights = catalog.recipe.crop, catalog.face_weights()
    if recipe.portrait is None or weights is None:
        return crops.cut(frame, people, recipe.margin)
    size = portraits.PortraitSize(recipe.portrait.width, recipe.portrait.height, recipe.portrait.face_share)
    face_of_each = faces.find_face_of_each(frame.image, people, weights)
    return portraits.cut_portraits(frame, people, face_of_each, recipe.margin, size)


def _read(row: FrameRow, store: Store) -> Frame:
    image = crops.decode(store.read(row.file, row.sha256), row.file)
    return Frame(row.frame_id, row.source_id, row.index, row.seconds, image)


def _write(person_crop: PersonCrop, content: bytes, store: Store) -> CropRow:
    file = f"crops/{person_crop.source_id}/{person_crop.crop_id}.jpg"
    return crop_rows.from_crop(person_crop, file, store.write(file, content))


def _log_counts(source_id: str, counts: Mapping[str, int]) -> None:
    if not counts["people"]:
        _log.warning("%s: no person found in %d frames; it gives no crops", source_id, counts["frames"])
        return
    message = "%s: %d people in %d frames, %d too small to cut, %d frames without people"
    _log.info(message, source_id, counts["people"], counts["frames"], counts["too_small"], counts["frames_without_people"])
