"""Making dropped files again, on demand: frames from their video or photos, crops from their frames. Every hash is checked."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from figureground import progress, tables
from figureground.errors import StoreError
from figureground.imaging import crops
from figureground.media import photos, regenerate
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import evicted
from figureground.types import TableRef

STAGES = ("frames", "crops")
"""Whose files can be made again. A matte's cannot be promised to: networks round differently on another machine."""

Row = dict[str, Any]
_log = logging.getLogger(__name__)


def restore(store: Store, source_id: str, *stages: str) -> int:
    """Make again what was dropped of a source, and count it.

    Parameters
    ----------
    store
        Where.
    source_id
        Which source.
    *stages
        Of which stages: ``frames``, ``crops``.

    Raises
    ------
    StoreError
        When the original is gone, or what comes out has another hash than what was dropped.
    """
    return sum(_restored(store, ref) for stage in stages if (ref := tables.find(store, stage, source_id)))


def _restored(store: Store, ref: TableRef) -> int:
    away = evicted.listed(store, ref.stage, ref.source_id, ref.sha256)
    if not away:
        return 0
    _log.info("%s: making %d dropped %s again", ref.source_id, len(away), ref.stage)
    rows = {row["file"]: row for row in tables.read(store, ref).rows.to_dict("records")}
    missing = {file: rows[file] for file in sorted(away) if not store.verifies(file, rows[file]["sha256"])}
    made = progress.track(again(store, ref, list(missing.values())), f"restore {ref.stage}", ref.source_id, len(missing))
    for row, content in made:
        store.write(row["file"], _checked(row, content))
        missing.pop(row["file"])
    if missing:
        raise StoreError(
            f"{len(missing)} dropped {ref.stage} of {ref.source_id} cannot be made again, {next(iter(missing))} for one: the "
            f"original does not have them any more; run `figureground ingest {ref.source_id}`, which starts from what there is"
        )
    evicted.note(store, ref.stage, ref.source_id, ref.sha256, ())
    return len(away)


def again(store: Store, ref: TableRef, rows: Collection[Row]) -> Iterator[tuple[Row, bytes]]:
    """Give rows of a table with their files' bytes, made from what they came from; nothing is written."""
    if ref.stage == "frames":
        by_id = {row["frame_id"]: row for row in rows}
        yield from ((by_id[frame_id], content) for frame_id, content in _frames(store, ref.source_id, list(by_id.values())))
        return
    cuts = defaultdict(list)
    for row in rows:
        cuts[row["frame_id"]].append(row)
    frames = tables.latest(store, "frames", ref.source_id)
    wanted = [row for row in ([] if frames is None else frames.rows.to_dict("records")) if row["frame_id"] in cuts]
    for frame_id, content in _frames(store, ref.source_id, wanted, stored=True):
        image = crops.decode(content, frame_id)
        yield from ((row, regenerate.crop(row, image)) for row in cuts[frame_id])


def _frames(store: Store, source_id: str, rows: list[Row], *, stored: bool = False) -> Iterator[tuple[str, bytes]]:
    """Give frames as JPEG: those that are there still as they are, the others from the original."""
    missing = []
    for row in rows:
        if stored and store.exists(row["file"]):
            yield row["frame_id"], store.read(row["file"], row["sha256"])
        else:
            missing.append(row)
    if missing:
        checked = {row["frame_id"]: row for row in missing}
        yield from ((name, _checked(checked[name], content)) for name, content in _from_originals(store, source_id, missing))


def _from_originals(store: Store, source_id: str, rows: list[Row]) -> Iterator[tuple[str, bytes]]:
    videos = tables.latest(store, "videos", source_id)
    if videos is None:
        raise StoreError(f"the frames of {source_id} cannot be made again: its videos table is gone; ingest it again")
    originals = videos.rows.to_dict("records")
    if "frame_ids" not in videos.facts:
        with store.local(originals[0]["file"], originals[0]["sha256"]) as path:
            yield from regenerate.frames(path, {row["index"]: row["frame_id"] for row in rows})
        return
    for row in rows:
        original = originals[row["index"]]
        with store.local(original["file"], original["sha256"]) as path:
            yield row["frame_id"], regenerate.encode_frame(photos.read(path), row["frame_id"])


def _checked(row: Row, content: bytes) -> bytes:
    if (found := sha256(content)) != row["sha256"]:
        raise StoreError(
            f"{row['file']} was dropped and cannot be made again as it was: expected sha256 {row['sha256']}, found {found}. "
            f"Another version of OpenCV or FFmpeg is installed than made it; remove tables/frames/{row['source_id']}.parquet "
            f"from the storage and run `figureground ingest {row['source_id']}`, which makes everything after it anew"
        )
    return content
