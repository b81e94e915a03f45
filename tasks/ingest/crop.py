"""Frames → crops: one picture a person, at the source's resolution."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from figureground import plugins, tables
from figureground.catalog import Catalog
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

logger = logging.getLogger(__name__)

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
    looked: dict[str, Signature] = {}
    rows, facts, followed = [], Counter(frames=0, frames_without_people=0, people=0, too_small=0), Tracker()
    for found in stage.process_all(stage.read_inputs()):
        numbers = followed.update(found["seconds"], _appearances(found))
        rows += [
            replace(from_json(CropRow, row), track=number)
            for row, number in zip(found["rows"], numbers, strict=True)
        ]
        facts.update(found["counts"])
        looked |= {row["sha256"]: _array(text, np.int8) for row, text in zip(found["rows"], found["signatures"], strict=True)}
    _tell(frames.source_id, facts)
    used = [*plugins.weights(catalog.detector()), *(found for found in _looking(catalog).values() if found)]
    said = {**facts, "weights": {found.name: found.sha256 for found in used}}
    signatures.keep(stage.store, frames.source_id, looked)
    return tables.write_rows(stage.store, "crops", frames.source_id, rows, fingerprint=stage.fingerprint, facts=said)


class _Found(TypedDict):
    """What one frame gives; who is who of the frames before is asked in the frames' order, not in threads.

    Arrays are text, one a row of the crops table.
    """

    seconds: float
    rows: list[dict[str, Any]]
    colours: list[str]
    signatures: list[str]
    counts: dict[str, int]


def sharded_stage(frames: TableRef, catalog: Catalog) -> ShardedStage[FrameRow, _Found]:
    """Describe what `crop` does so that it can run in shards: everything of a frame except the tracks."""
    store, recipe, detector = Store(catalog.storage_root), catalog.recipe.crop, catalog.detector()
    looking = {name: used and asdict(used) for name, used in _looking(catalog).items()}
    looks = {"detector": plugins.identity(detector), **looking}

    def read_inputs() -> list[FrameRow]:
        restore_evicted(store, frames.source_id, "frames")
        return [row for row in tables.iterate_rows(store, frames, FrameRow) if not row.reason]

    return ShardedStage(
        store,
        task="crop",
        stage="crops",
        source_id=frames.source_id,
        fingerprint=tables.fingerprint("crops", [frames], version=VERSION, crop=recipe.model_dump(), **looks),
        batch_size=FRAMES_AT_A_TIME,
        read_inputs=read_inputs,
        process=lambda rows: _found(rows, detector, catalog, store),
        files=lambda found: [(row["file"], row["sha256"]) for row in found["rows"]],
        to_json=lambda found: found,
        from_json=lambda values: values,
    )


def _looking(catalog: Catalog) -> dict[str, Weights | None]:
    """Give the networks that look at a frame's people besides the detector."""
    return {"faces": catalog.face_weights(), "instances": catalog.instance_weights()}


def _found(records: Sequence[FrameRow], detector: Any, catalog: Catalog, store: Store) -> Iterator[_Found]:
    """Give what each frame holds, some batches at a time in threads of their own."""
    starts = range(0, len(records), FRAMES_AT_A_TIME)
    batches = (records[start : start + FRAMES_AT_A_TIME] for start in starts)

    def of_batch(batch: Sequence[FrameRow]) -> list[_Found]:
        decoded = [_frame(record, store) for record in batch]
        people = detector.find([frame.image for frame in decoded])
        return [_of_frame(frame, found, catalog, store) for frame, found in zip(decoded, people, strict=True)]

    for done in map_ordered(of_batch, batches, threads=cores.parallel_calls()):
        yield from done


def _of_frame(frame: Frame, people: Sequence[Person], catalog: Catalog, store: Store) -> _Found:
    found = _cut(frame, people, catalog)
    wanted = [crop for crop in found if geometry.short_side(crop.box) >= catalog.recipe.crop.short_side_at_least]
    counts = {
        "frames": 1,
        "frames_without_people": int(not people),
        "people": len(people),
        "too_small": len(found) - len(wanted),
    }
    contents = [crops.encode(crop.image) for crop in wanted]
    if weights := catalog.instance_weights():
        wanted = [replace(crop, instances=instances.segment(crop.image, weights)) for crop in wanted]
    return {
        "seconds": float(frame.seconds),
        "rows": [_written(crop, content, store) for crop, content in zip(wanted, contents, strict=True)],
        "colours": [_text(tracks.count_colours(crop)) for crop in wanted],
        "signatures": [_text(duplicates.of_jpeg(content)) for content in contents],
        "counts": counts,
    }


def _appearances(found: _Found) -> list[Appearance]:
    boxes = (Box(*(row[f"person_{side}"] for side in ("x0", "y0", "x1", "y1"))) for row in found["rows"])
    return [Appearance(box, _array(text, np.float32)) for box, text in zip(boxes, found["colours"], strict=True)]


def _text(array: NDArray[Any]) -> str:
    return array.tobytes().hex()


def _array(text: str, kind: type[np.generic]) -> NDArray[Any]:
    return np.frombuffer(bytes.fromhex(text), kind)


def _cut(frame: Frame, people: Sequence[Person], catalog: Catalog) -> list[PersonCrop]:
    recipe, weights = catalog.recipe.crop, catalog.face_weights()
    if recipe.portrait is None or weights is None:
        return crops.cut(frame, people, recipe.margin)
    size = portraits.PortraitSize(recipe.portrait.width, recipe.portrait.height, recipe.portrait.face_share)
    found = faces.find_face_of_each(frame.image, people, weights)
    return portraits.cut_portraits(frame, people, found, recipe.margin, size)


def _frame(row: FrameRow, store: Store) -> Frame:
    image = crops.decode(store.read(row.file, row.sha256), row.file)
    return Frame(row.frame_id, row.source_id, row.index, row.seconds, image)


def _written(person_crop: PersonCrop, content: bytes, store: Store) -> dict[str, Any]:
    file = f"crops/{person_crop.source_id}/{person_crop.crop_id}.jpg"
    return to_json(crop_rows.from_crop(person_crop, file, store.write(file, content)))


def _tell(source_id: str, facts: Mapping[str, int]) -> None:
    if not facts["people"]:
        logger.warning("%s: no person found in %d frames; it gives no crops", source_id, facts["frames"])
        return
    message = "%s: %d people in %d frames, %d too small to cut, %d frames without people"
    logger.info(message, source_id, facts["people"], facts["frames"], facts["too_small"], facts["frames_without_people"])
