"""sample: a video or photos → the frames worth looking at, as JPEG files. What cannot be read is a row with a reason."""

import logging
from collections.abc import Iterator
from typing import Any

import pandas as pd

from figureground import progress, tables
from figureground.catalog import Catalog
from figureground.errors import SourceError
from figureground.media import decoding, photos, regenerate, sampling, shots
from figureground.parallel import map_ordered
from figureground.storage.store import Store
from figureground.types import Frame, Source, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the frames change for the same inputs."""

logger = logging.getLogger(__name__)

Row = dict[str, Any]


@retried_task
def sample(source: Source, videos: TableRef, catalog: Catalog) -> TableRef:
    """Take frames from a source's video as ``recipe.sample`` says, or every photo of an images source.

    Parameters
    ----------
    source
        Which one.
    videos
        Its table of one fetched video, or of its photos.
    catalog
        Gives the storage and the recipe.

    Returns
    -------
    TableRef
        The frames table. Its facts say what the header ``promised``, how many frames were ``decoded``, whether the
        video was ``truncated``, how many packets or frames were ``corrupt``, how many frames were left out as
        ``smeared`` by that, and the video's ``seconds``, ``fps`` and ``codec``; with ``scenes`` how many ``shots`` it has.
        Of photos they count the ``pictures`` and how many of them are ``unreadable``.

    Raises
    ------
    SourceError
        When nothing at all can be read; the table then holds a row with the reason.
    StoreError
        When something fetched was damaged since, or the storage cannot be written to.
    """
    store, steps = Store(catalog.storage_root), catalog.recipe.sample.model_dump()
    mark = fingerprint(videos, source.kind, catalog)
    ref = tables.fresh(store, "frames", source.source_id, mark)
    if ref is None:
        rows, facts = _of_video(source, videos, steps, store) if source.kind == "video" else _of_photos(source, videos, store)
        ref = tables.write(store, "frames", source.source_id, pd.DataFrame(rows), fingerprint=mark, facts=facts)
    _refuse_nothing(store, ref)
    return ref


def fingerprint(videos: TableRef, kind: str, catalog: Catalog) -> tables.Fingerprint:
    """Hash what the frames of a source depend on; photos do not depend on the steps."""
    steps = catalog.recipe.sample.model_dump() if kind == "video" else {}
    return tables.fingerprint("frames", [videos], version=VERSION, quality=regenerate.FRAME_QUALITY, kind=kind, **steps)


def _refuse_nothing(store: Store, ref: TableRef) -> None:
    reasons = [reason for reason in tables.read(store, ref).rows["reason"] if reason]
    if reasons and len(reasons) == ref.rows:
        more = f" (and so on: none of {ref.rows} pictures can be read)" if ref.rows > 1 else ""
        raise SourceError(f"source {ref.source_id}: {store.root}/{reasons[0]}{more}")


def _of_video(source: Source, videos: TableRef, steps: Row, store: Store) -> tuple[list[Row], Row]:
    row = tables.read(store, videos).rows.to_dict("records")[0]
    with store.local_file(row["file"], row["sha256"]) as path:
        try:
            with decoding.VideoReader(path) as video:
                split = _split(video, steps)
                frames = (decoding.convert(taken, source.source_id) for taken in _chosen(video, split, steps))
                rows = list(map_ordered(lambda frame: _keep(store, frame, row["path"]), _told(frames, video)))
        except SourceError as error:
            reason = str(error).replace(str(path), row["file"])
            return [_unreadable(f"{source.source_id}-{0:06d}", source, 0, row["path"], reason)], {"decoded": 0}
    progress.report("sample", source.source_id, video.decoded, video.decoded)
    return rows, _facts(video) | ({"shots": split.count} if split else {})


def _split(video: decoding.VideoReader, steps: Row) -> shots.ShotDetector | None:
    rule = {name: value for name, value in (steps["scenes"] or {}).items() if name != "frames"}
    return shots.ShotDetector(video.fps, **rule) if rule else None


def _chosen(video: decoding.VideoReader, split: shots.ShotDetector | None, steps: Row) -> Iterator[decoding.DecodedFrame]:
    if split:
        return shots.choose(split.mark_starts(video.frames()), steps["scenes"]["frames"], steps["sharpest_within"])
    return sampling.choose(video.frames(), **{name: value for name, value in steps.items() if name != "scenes"})


def _of_photos(source: Source, videos: TableRef, store: Store) -> tuple[list[Row], Row]:
    table = tables.read(store, videos)
    ids = table.facts["frame_ids"]
    unreadable = dict(table.facts["unreadable"])

    def one(entry: tuple[int, Row]) -> Row:
        index, row = entry
        if ids[index] in unreadable:
            return _unreadable(ids[index], source, index, row["path"], unreadable[ids[index]])
        return _photo(store, source, ids[index], index, row)

    entries = list(enumerate(table.rows.to_dict("records")))
    rows = list(progress.track(map_ordered(one, entries), "sample", source.source_id, len(entries)))
    for row in rows:
        if row["reason"]:
            logger.warning("%s: %s", source.source_id, row["reason"])
    return rows, {"pictures": len(rows), "unreadable": sum(bool(row["reason"]) for row in rows)}


def _photo(store: Store, source: Source, frame_id: str, index: int, row: Row) -> Row:
    with store.local_file(row["file"], row["sha256"]) as path:
        try:
            return _keep(store, Frame(frame_id, source.source_id, index, 0.0, photos.read(path)), row["path"])
        except SourceError as error:
            reason = str(error).replace(str(path), row["file"])
            return _unreadable(frame_id, source, index, row["path"], reason)


def _told(frames: Iterator[Frame], video: decoding.VideoReader) -> Iterator[Frame]:
    """Tell how far the decoding is; how many frames will be taken nobody knows."""
    for frame in frames:
        progress.report("sample", frame.source_id, frame.index, video.promised or 0)
        yield frame


def _keep(store: Store, frame: Frame, original: str) -> Row:
    file = f"frames/{frame.source_id}/{frame.frame_id}.jpg"
    content = regenerate.encode_frame(frame.image, frame.frame_id)
    height, width = frame.image.shape[:2]
    return {
        "frame_id": frame.frame_id,
        "source_id": frame.source_id,
        "index": frame.index,
        "seconds": frame.seconds,
        "width": width,
        "height": height,
        "original": original,
        "reason": "",
        "file": file,
        "sha256": store.write(file, content),
    }


def _unreadable(frame_id: str, source: Source, index: int, original: str, reason: str) -> Row:
    ids = {"frame_id": frame_id, "source_id": source.source_id, "index": index, "seconds": 0.0, "width": 0, "height": 0}
    return {**ids, "original": original, "reason": reason, "file": "", "sha256": ""}


def _facts(video: decoding.VideoReader) -> Row:
    return {
        "promised": video.promised,
        "decoded": video.decoded,
        "truncated": video.truncated,
        "corrupt": video.corrupt,
        "smeared": video.smeared,
        "seconds": video.seconds,
        "fps": video.fps,
        "codec": video.codec,
    }
