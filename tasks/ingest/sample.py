"""A video or photos → the sampled frames, as JPEG files. What cannot be read is a row with a reason."""

import logging
from collections.abc import Iterator, Mapping

from figureground import progress, tables
from figureground.catalog import Catalog
from figureground.catalog.recipes import SampleRecipe, ScenesRecipe
from figureground.errors import SourceError
from figureground.media import decoding, photos, regenerate, sampling, shots
from figureground.parallel import map_ordered
from figureground.storage.store import Store
from figureground.tables import FrameRow, VideoRow
from figureground.types import Frame, Source, TableRef
from tasks import retried_task

VERSION = 2
"""Raised by 1 when the frames change for the same inputs."""

_log = logging.getLogger(__name__)


@retried_task
def sample(source: Source, videos: TableRef, catalog: Catalog) -> TableRef:
    """Take frames from a source's video as ``recipe.sample`` says, or every photo of an images source.

    Parameters
    ----------
    source
        The source.
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
        When a fetched file was damaged since, or the storage cannot be written to.
    """
    store, recipe = Store(catalog.storage_root), catalog.recipe.sample
    mark = fingerprint(videos, source.kind, catalog)
    ref = tables.fresh(store, "frames", source.source_id, mark)
    if ref is None:
        is_video = source.kind == "video"
        rows, facts = _sample_video(source, videos, recipe, store) if is_video else _sample_photos(source, videos, store)
        ref = tables.write_rows(store, "frames", source.source_id, rows, fingerprint=mark, facts=facts)
    _check_readable(store, ref)
    return ref


def fingerprint(videos: TableRef, kind: str, catalog: Catalog) -> tables.Fingerprint:
    """Hash what the frames of a source depend on; photos do not depend on the steps."""
    steps = catalog.recipe.sample.model_dump() if kind == "video" else {}
    return tables.fingerprint("frames", [videos], version=VERSION, quality=regenerate.FRAME_QUALITY, kind=kind, **steps)


def _check_readable(store: Store, ref: TableRef) -> None:
    """Refuse a source of which nothing can be read."""
    reasons = [row.reason for row in tables.read_rows(store, ref, FrameRow) if row.reason]
    if reasons and len(reasons) == ref.rows:
        more = f" (and so on: none of {ref.rows} pictures can be read)" if ref.rows > 1 else ""
        raise SourceError(f"source {ref.source_id}: {store.root}/{reasons[0]}{more}")


def _sample_video(
    source: Source, videos: TableRef, recipe: SampleRecipe, store: Store
) -> tuple[list[FrameRow], Mapping[str, object]]:
    [original] = tables.read_rows(store, videos, VideoRow)
    with store.local_file(original.file, original.sha256) as path:
        try:
            with decoding.VideoReader(path) as video:
                detector = _shot_detector(video, recipe.scenes)
                frames = (decoding.convert(chosen, source.source_id) for chosen in _choose(video, detector, recipe))
                rows = list(map_ordered(lambda frame: _write(store, frame, original.path), _report_progress(frames, video)))
        except SourceError as error:
            reason = str(error).replace(str(path), original.file)
            return [_unreadable(f"{source.source_id}-{0:06d}", source, 0, original.path, reason)], {"decoded": 0}
    progress.report("sample", source.source_id, video.decoded, video.decoded)
    return rows, {**_facts(video), **({"shots": detector.count} if detector else {})}


def _shot_detector(video: decoding.VideoReader, scenes: ScenesRecipe | None) -> shots.ShotDetector | None:
    return shots.ShotDetector(video.fps, scenes.detector, scenes.threshold, scenes.seconds_at_least) if scenes else None


def _choose(
    video: decoding.VideoReader, detector: shots.ShotDetector | None, recipe: SampleRecipe
) -> Iterator[decoding.DecodedFrame]:
    if detector and recipe.scenes:
        return shots.choose(detector.mark_starts(video.frames()), recipe.scenes.frames, recipe.sharpest_within)
    return sampling.choose(
        video.frames(),
        every_seconds=recipe.every_seconds,
        every_frames=recipe.every_frames,
        sharpest_within=recipe.sharpest_within,
    )


def _sample_photos(source: Source, videos: TableRef, store: Store) -> tuple[list[FrameRow], Mapping[str, object]]:
    facts = tables.read_facts(store, videos)
    frame_ids, unreadable = facts["frame_ids"], dict(facts["unreadable"])

    def read(numbered: tuple[int, VideoRow]) -> FrameRow:
        index, original = numbered
        frame_id = frame_ids[index]
        if frame_id in unreadable:
            return _unreadable(frame_id, source, index, original.path, unreadable[frame_id])
        return _read_photo(store, source, frame_id, index, original)

    photo_rows = list(enumerate(tables.read_rows(store, videos, VideoRow)))
    rows = list(progress.track(map_ordered(read, photo_rows), "sample", source.source_id, len(photo_rows)))
    for row in rows:
        if row.reason:
            _log.warning("%s: %s", source.source_id, row.reason)
    return rows, {"pictures": len(rows), "unreadable": sum(bool(row.reason) for row in rows)}


def _read_photo(store: Store, source: Source, frame_id: str, index: int, original: VideoRow) -> FrameRow:
    with store.local_file(original.file, original.sha256) as path:
        try:
            return _write(store, Frame(frame_id, source.source_id, index, 0.0, photos.read(path)), original.path)
        except SourceError as error:
            reason = str(error).replace(str(path), original.file)
            return _unreadable(frame_id, source, index, original.path, reason)


def _report_progress(frames: Iterator[Frame], video: decoding.VideoReader) -> Iterator[Frame]:
    """Report how many frames are decoded; how many of them are chosen is not known in advance."""
    for frame in frames:
        progress.report("sample", frame.source_id, frame.index, video.promised or 0)
        yield frame


def _write(store: Store, frame: Frame, original: str) -> FrameRow:
    file = f"frames/{frame.source_id}/{frame.frame_id}.jpg"
    height, width = frame.image.shape[:2]
    return FrameRow(
        frame_id=frame.frame_id,
        source_id=frame.source_id,
        index=frame.index,
        seconds=frame.seconds,
        width=width,
        height=height,
        original=original,
        reason="",
        file=file,
        sha256=store.write(file, regenerate.encode_frame(frame.image, frame.frame_id)),
    )


def _unreadable(frame_id: str, source: Source, index: int, original: str, reason: str) -> FrameRow:
    return FrameRow(
        frame_id=frame_id,
        source_id=source.source_id,
        index=index,
        seconds=0.0,
        width=0,
        height=0,
        original=original,
        reason=reason,
        file="",
        sha256="",
    )


def _facts(video: decoding.VideoReader) -> Mapping[str, object]:
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
