"""filter_backgrounds: images and frames → backgrounds; what shows people, is too small or damaged is rejected."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from figureground import documents, ids, plugins, progress, tables
from figureground.catalog import Catalog, ComposeRecipe
from figureground.datasets import splits
from figureground.detectors import Detector
from figureground.errors import ArrayError, SourceError, StoreError
from figureground.imaging import crops
from figureground.inference import cores
from figureground.media import photos
from figureground.media.restore import restore_evicted
from figureground.parallel import map_ordered
from figureground.similarity import duplicates
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.synthesis import backgrounds
from figureground.synthesis.backgrounds import Size
from figureground.tables import BackgroundRow, FrameRow
from figureground.types import Image, TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the backgrounds change for the same inputs."""

_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")
_LARGER = 2.0
_TILED_FROM = 480


class _Candidate(NamedTuple):
    """An image that may become a background: ``stored`` and ``sha256`` name it in the storage, else ``original`` is a file."""

    background_id: str
    origin: str
    original: str
    horizon: float = float("nan")
    stored: str = ""
    sha256: str = ""


@retried_task
def filter_backgrounds(frames: Mapping[str, Sequence[TableRef]], catalog: Catalog) -> TableRef:
    """Look at every background that the catalog's ``compose.backgrounds`` names, and refuse those that cannot be used.

    People are looked for in the whole picture and in its four overlapping quarters: small ones are missed otherwise.

    Parameters
    ----------
    frames
        The frames tables of the catalog sources that are named: source name to those of its files.
    catalog
        Gives folders, detector and storage; files go to ``plates/<note>/``.

    Returns
    -------
    TableRef
        The backgrounds table, one row a picture, sorted by id; those that cannot be used have a ``reason`` and no file.

    Raises
    ------
    SourceError
        When a folder is not there or holds no picture.
    AssetError
        When the detector's weights are not in the cache.
    StoreError
        When the storage cannot be written to.
    """
    recipe, store, detector = catalog.composition(), Store(catalog.storage_root), catalog.background_detector()
    candidates = sorted(_list_candidates(recipe, catalog, store, frames), key=lambda candidate: candidate.background_id)
    contents = [_digest(candidate) for candidate in candidates]
    size = recipe.width, recipe.height, recipe.enlarged_at_most
    decides = {"detector": plugins.identity(detector), "size": size}
    files = [[candidate.background_id, candidate.origin, candidate.horizon] for candidate in candidates]
    mark = tables.fingerprint("backgrounds", [], version=VERSION, files=files, digests=contents, **decides)
    if ref := tables.fresh(store, "backgrounds", recipe.note, mark):
        return ref
    done = map_ordered(lambda candidate: _row(candidate, recipe, store, detector), candidates, threads=cores.parallel_calls())
    rows = list(progress.track(done, "screen", recipe.note, len(candidates)))
    weights = {asset.name: asset.sha256 for asset in plugins.weights(detector)}
    facts = {"usable": sum(not row.reason for row in rows), "weights": weights}
    return tables.write_rows(store, "backgrounds", recipe.note, rows, fingerprint=mark, facts=facts)


def _list_candidates(
    recipe: ComposeRecipe, catalog: Catalog, store: Store, frames: Mapping[str, Sequence[TableRef]]
) -> Iterator[_Candidate]:
    taken: Counter[str] = Counter()
    for entry in recipe.backgrounds:
        some = _of_source(entry.source, store, frames) if entry.source else _of_folder(str(entry.path), catalog.folder)
        for candidate in some:
            name = candidate.background_id
            taken[name] += 1
            name = f"{name}_{taken[name]}" if taken[name] > 1 else name  # two folders may hold one name
            horizon = float("nan") if entry.horizon is None else entry.horizon
            yield candidate._replace(background_id=name, horizon=horizon)


def _of_source(name: str, store: Store, frames: Mapping[str, Sequence[TableRef]]) -> Iterator[_Candidate]:
    for ref in frames[name]:
        restore_evicted(store, ref.source_id, "frames")
        for row in tables.read_rows(store, ref, FrameRow):
            if not row.reason:
                yield _Candidate(row.frame_id, row.source_id, row.original, stored=row.file, sha256=row.sha256)


def _of_folder(place: str, base: Path) -> Iterator[_Candidate]:
    folder = (base / Path(place).expanduser()).resolve()
    files = documents.list_regular_files(folder, _SUFFIXES) if folder.is_dir() else []
    if not files:
        raise SourceError(f"compose.backgrounds: {folder} is no folder with pictures; expected {', '.join(_SUFFIXES)}")
    for file in files:
        inside = file.relative_to(folder).parent.as_posix().removeprefix(".")
        name = ids.make_slug(f"{inside}-{file.stem}" if inside else file.stem, 120)
        yield _Candidate(name, splits.source_of(file.stem, inside), str(file))


def _digest(candidate: _Candidate) -> str:
    return candidate.sha256 if candidate.stored else sha256(Path(candidate.original).read_bytes())


def _row(candidate: _Candidate, recipe: ComposeRecipe, store: Store, detector: Detector) -> BackgroundRow:
    try:
        image = _read(candidate, store)
    except (SourceError, StoreError, ArrayError) as error:
        return _reject(candidate, f"not readable: {error}")
    of = Size(recipe.width, recipe.height)
    needed = backgrounds.enlargement(Size(image.shape[1], image.shape[0]), of)
    if needed > recipe.enlarged_at_most:
        size = f"{image.shape[1]}x{image.shape[0]}"
        return _reject(
            candidate,
            f"too small: {size} pixels for {of.width}x{of.height}, enlarged at most {recipe.enlarged_at_most:g} times",
        )
    if people := _people(image, detector):
        return _reject(candidate, f"person: {people} found in it", people)
    image = _shrunk(image, needed)
    file, content = f"plates/{recipe.note}/{candidate.background_id}.jpg", crops.encode(image)
    return BackgroundRow(
        background_id=candidate.background_id,
        origin=candidate.origin,
        original=candidate.original,
        width=image.shape[1],
        height=image.shape[0],
        horizon=candidate.horizon,
        people=0,
        signature=duplicates.pack(duplicates.compute_signature(image)),
        reason="",
        file=file,
        sha256=store.write(file, content),
    )


def _reject(candidate: _Candidate, reason: str, people: int = -1) -> BackgroundRow:
    return BackgroundRow(
        background_id=candidate.background_id,
        origin=candidate.origin,
        original=candidate.original,
        width=0,
        height=0,
        horizon=candidate.horizon,
        people=people,
        signature=b"",
        reason=reason,
        file="",
        sha256="",
    )


def _read(candidate: _Candidate, store: Store) -> Image:
    if candidate.stored:
        return crops.decode(store.read(candidate.stored, candidate.sha256), candidate.stored)
    return photos.read(Path(candidate.original))


def _people(image: Image, detector: Detector) -> int:
    """Count people in the whole picture, or else in the quarter that shows most."""
    whole = len(detector.find([image])[0])
    if whole or min(image.shape[:2]) < _TILED_FROM:
        return whole
    high, wide = (round(side * 0.6) for side in image.shape[:2])
    tiles = [image[y, x] for y in (slice(0, high), slice(-high, None)) for x in (slice(0, wide), slice(-wide, None))]
    return max(len(candidates) for candidates in detector.find([np.ascontiguousarray(tile) for tile in tiles]))


def _shrunk(image: Image, needed: float) -> Image:
    """Keep twice what a picture shows of it, no more: smaller files are read faster."""
    scale = _LARGER * needed
    if scale >= 1:
        return image
    size = round(image.shape[1] * scale), round(image.shape[0] * scale)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
