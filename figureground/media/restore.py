"""Evicted files are made again on demand: frames from their video or photos, crops from their frames. Every hash is checked."""

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

Row = dict[str, Any]
_log = logging.getLogger(__name__)


def restore_evicted(store: Store, source_id: str, *stages: str) -> int:
    """Make the evicted files of a source again.

    A matte cannot be restored: networks round differently on another machine.

    Parameters
    ----------
    store
        The storage.
    source_id
        The source whose files are restored.
    *stages
        The tables whose files are restored: ``frames``, ``crops``.

    Returns
    -------
    int
        How many files were evicted.

    Raises
    ------
    StoreError
        When the original is gone, or a restored file has another hash than the evicted one.
    """
    return sum(_restore_table(store, ref) for stage in stages if (ref := tables.find(store, stage, source_id)))


def _restore_table(store: Store, ref: TableRef) -> int:
    files = evicted.listed(store, ref.stage, ref.source_id, ref.sha256)
    if not files:
        return 0
    _log.info("%s: making %d evicted %s again", ref.source_id, len(files), ref.stage)
    rows = {row["file"]: row for row in tables.read(store, ref).rows.to_dict("records")}
    missing = {file: rows[file] for file in sorted(files) if not store.verifies(file, rows[file]["sha256"])}
    made = regenerate_files(store, ref, list(missing.values()))
    for row, content in progress.track(made, f"restore {ref.stage}", ref.source_id, len(missing)):
        store.write(row["file"], _checked(row, content))
        missing.pop(row["file"])
    if missing:
        raise StoreError(
            f"{len(missing)} evicted {ref.stage} of {ref.source_id} cannot be made again, for example {next(iter(missing))}: "
            f"the original does not have them any more; run `figureground ingest {ref.source_id}`, which starts from "
            "what there is"
        )
    evicted.note(store, ref.stage, ref.source_id, ref.sha256, ())
    return len(files)


def regenerate_files(store: Store, ref: TableRef, rows: Collection[Row]) -> Iterator[tuple[Row, bytes]]:
    """Make the files of some rows again. Nothing is written.

    Parameters
    ----------
    store
        The storage.
    ref
        A frames or crops table.
    rows
        Rows of that table.

    Yields
    ------
    tuple
        A row and the bytes of its file, in the order in which they are decoded.

    Raises
    ------
    StoreError
        When the original is missing or damaged.
    """
    if ref.stage == "frames":
        by_id = {row["frame_id"]: row for row in rows}
        yield from ((by_id[frame_id], content) for frame_id, content in _frames(store, ref.source_id, list(by_id.values())))
        return
    by_frame = defaultdict(list)
    for row in rows:
        by_frame[row["frame_id"]].append(row)
    frames = tables.latest(store, "frames", ref.source_id)
    wanted = [row for row in ([] if frames is None else frames.rows.to_dict("records")) if row["frame_id"] in by_frame]
    for frame_id, content in _frames(store, ref.source_id, wanted, stored=True):
        image = crops.decode(content, frame_id)
        yield from ((row, regenerate.crop(row, image)) for row in by_frame[frame_id])


def _frames(store: Store, source_id: str, rows: list[Row], *, stored: bool = False) -> Iterator[tuple[str, bytes]]:
    """Give frames as JPEG; with `stored` those that are still in the storage come from there."""
    missing = []
    for row in rows:
        if stored and store.exists(row["file"]):
            yield row["frame_id"], store.read(row["file"], row["sha256"])
        else:
            missing.append(row)
    if missing:
        by_id = {row["frame_id"]: row for row in missing}
        yield from ((name, _checked(by_id[name], content)) for name, content in _from_originals(store, source_id, missing))


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
    if (digest := sha256(content)) != row["sha256"]:
        raise StoreError(
            f"{row['file']} was evicted and cannot be made again as it was: expected sha256 {row['sha256']}, found {digest}. "
            f"Another version of OpenCV or FFmpeg is installed than made it; remove tables/frames/{row['source_id']}.parquet "
            f"from the storage and run `figureground ingest {row['source_id']}`, which makes everything after it anew"
        )
    return content
