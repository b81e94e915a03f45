"""Evicted files are made again on demand: frames from their video or photos, crops from their frames. Every hash is checked."""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from figureground import progress, tables
from figureground.errors import StoreError
from figureground.imaging import crops
from figureground.media import photos, regenerate
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import CropRow, FrameRow, VideoRow, evicted
from figureground.types import TableRef

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
    missing = {row.file for row in _rows(store, ref) if row.file in files and not store.verifies(row.file, row.sha256)}
    regenerated = regenerate_files(store, ref, missing)
    for row, content in progress.track(regenerated, f"restore {ref.stage}", ref.source_id, len(missing)):
        store.write(row.file, _checked(row, content))
        missing.remove(row.file)
    if missing:
        raise StoreError(
            f"{len(missing)} evicted {ref.stage} of {ref.source_id} cannot be made again, for example {min(missing)}: "
            f"the original does not have them any more; run `figureground ingest {ref.source_id}`, which starts from "
            "what there is"
        )
    evicted.note(store, ref.stage, ref.source_id, ref.sha256, ())
    return len(files)


def regenerate_files(store: Store, ref: TableRef, files: Collection[str]) -> Iterator[tuple[FrameRow | CropRow, bytes]]:
    """Make some files of a table again. Nothing is written.

    Parameters
    ----------
    store
        The storage.
    ref
        A frames or crops table.
    files
        Names of files in that table.

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
        frames = [row for row in tables.read_rows(store, ref, FrameRow) if row.file in files]
        yield from _frames(store, ref.source_id, frames)
        return
    by_frame = defaultdict(list)
    for crop in tables.read_rows(store, ref, CropRow):
        if crop.file in files:
            by_frame[crop.frame_id].append(crop)
    source = tables.find(store, "frames", ref.source_id)
    frames = [row for row in tables.read_rows(store, source, FrameRow) if row.frame_id in by_frame] if source else []
    for frame, content in _frames(store, ref.source_id, frames, stored=True):
        image = crops.decode(content, frame.frame_id)
        yield from ((crop, regenerate.crop(crop, image)) for crop in by_frame[frame.frame_id])


def _rows(store: Store, ref: TableRef) -> Sequence[FrameRow | CropRow]:
    return tables.read_rows(store, ref, FrameRow) if ref.stage == "frames" else tables.read_rows(store, ref, CropRow)


def _frames(
    store: Store, source_id: str, rows: Sequence[FrameRow], *, stored: bool = False
) -> Iterator[tuple[FrameRow, bytes]]:
    """Give frames as JPEG; with `stored` those that are still in the storage come from there."""
    missing = []
    for row in rows:
        if stored and store.exists(row.file):
            yield row, store.read(row.file, row.sha256)
        else:
            missing.append(row)
    if missing:
        yield from ((row, _checked(row, content)) for row, content in _from_originals(store, source_id, missing))


def _from_originals(store: Store, source_id: str, rows: Sequence[FrameRow]) -> Iterator[tuple[FrameRow, bytes]]:
    ref = tables.find(store, "videos", source_id)
    if ref is None:
        raise StoreError(f"the frames of {source_id} cannot be made again: its videos table is gone; ingest it again")
    originals = tables.read_rows(store, ref, VideoRow)
    if "frame_ids" not in tables.read_facts(store, ref):
        by_id = {row.frame_id: row for row in rows}
        with store.local_file(originals[0].file, originals[0].sha256) as path:
            for frame_id, content in regenerate.frames(path, {row.index: row.frame_id for row in rows}):
                yield by_id[frame_id], content
        return
    for row in rows:
        original = originals[row.index]
        with store.local_file(original.file, original.sha256) as path:
            yield row, regenerate.encode_frame(photos.read(path), row.frame_id)


def _checked(row: FrameRow | CropRow, content: bytes) -> bytes:
    if (digest := sha256(content)) != row.sha256:
        raise StoreError(
            f"{row.file} was evicted and cannot be made again as it was: expected sha256 {row.sha256}, found {digest}. "
            f"Another version of OpenCV or FFmpeg is installed than made it; remove tables/frames/{row.source_id}.parquet "
            f"from the storage and run `figureground ingest {row.source_id}`, which makes everything after it anew"
        )
    return content
