"""sample: a video → the frames worth looking at, as JPEG files."""

from collections.abc import Iterator
from typing import Any

import cv2
import pandas as pd

from figureground import progress, tables, video
from figureground.catalog import Catalog
from figureground.errors import SourceError
from figureground.parallel import ordered
from figureground.store import Store
from figureground.types import Frame, Source, TableRef
from tasks import verb

_QUALITY = 95


@verb
def sample(source: Source, videos: TableRef, catalog: Catalog) -> TableRef:
    """Take frames from a source's video as ``recipe.sample`` says.

    Parameters
    ----------
    source
        Which one.
    videos
        Its table of one fetched video.
    catalog
        Gives the storage and the recipe.

    Returns
    -------
    TableRef
        The frames table. Its facts say what the header ``promised``, how many frames were ``decoded``, whether the
        video was ``truncated``, how many packets or frames were ``corrupt``, how many frames were left out as
        ``smeared`` by that, and the video's ``seconds``, ``fps`` and ``codec``.

    Raises
    ------
    SourceError
        When no frame can be read.
    StoreError
        When the fetched video was damaged since, or the storage cannot be written to.
    """
    store, steps = Store(catalog.storage_root), catalog.recipe.sample.model_dump()
    mark = tables.fingerprint("frames", [videos], quality=_QUALITY, **steps)
    if ref := tables.fresh(store, "frames", source.source_id, mark):
        return ref
    row = tables.read(store, videos).rows.iloc[0]
    with store.local(row["file"], row["sha256"]) as path, video.Footage(path) as footage:
        frames = _told(video.sample(footage, source.source_id, **steps), footage)
        rows = list(ordered(lambda frame: _keep(store, frame), frames))
    progress.tell("sample", source.source_id, footage.decoded, footage.decoded)
    return tables.write(store, "frames", source.source_id, pd.DataFrame(rows), fingerprint=mark, facts=_facts(footage))


def _told(frames: Iterator[Frame], footage: video.Footage) -> Iterator[Frame]:
    """Tell how far the decoding is; how many frames will be taken nobody knows."""
    for frame in frames:
        progress.tell("sample", frame.source_id, frame.index, footage.promised or 0)
        yield frame


def _keep(store: Store, frame: Frame) -> dict[str, Any]:
    file = f"frames/{frame.source_id}/{frame.frame_id}.jpg"
    encoded, content = cv2.imencode(".jpg", cv2.cvtColor(frame.image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not encoded:
        raise SourceError(f"{frame.frame_id}: a frame of {frame.image.shape} pixels cannot be written as JPEG (65535 at most)")
    height, width = frame.image.shape[:2]
    return {
        "frame_id": frame.frame_id,
        "source_id": frame.source_id,
        "index": frame.index,
        "seconds": frame.seconds,
        "width": width,
        "height": height,
        "file": file,
        "sha256": store.write(file, content.tobytes()),
    }


def _facts(footage: video.Footage) -> dict[str, Any]:
    return {
        "promised": footage.promised,
        "decoded": footage.decoded,
        "truncated": footage.truncated,
        "corrupt": footage.corrupt,
        "smeared": footage.smeared,
        "seconds": footage.seconds,
        "fps": footage.fps,
        "codec": footage.codec,
    }
