"""The history of one image: from its video to the releases that hold it."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import TypeVar

from figureground import tables
from figureground.catalog import Catalog
from figureground.datasets import manifest
from figureground.datasets.manifest import Manifest
from figureground.errors import ReleaseError, StoreError
from figureground.reports import sample_history
from figureground.reports.sample_history import Line, SourceRows
from figureground.storage.store import Store
from figureground.tables import (
    CropRow,
    FrameRow,
    LabelRow,
    MatteRow,
    Row,
    ScoreRow,
    TaskRow,
    VerdictRow,
    VideoRow,
)

_AnyRow = TypeVar("_AnyRow", bound=Row)


def explain(name: str, catalog: Catalog) -> list[Line]:
    """Describe what became of one image.

    Parameters
    ----------
    name
        A frame's or a crop's id; a sample id is the id of its crop. The history of a frame is that of all its crops.
    catalog
        Gives the storage, and the limits that the scores are compared with.

    Returns
    -------
    list of Line
        In the order of the stages.

    Raises
    ------
    StoreError
        When neither the tables nor a release know the name; the message lists the nearest names.
    """
    store = Store(catalog.storage_root)
    lines = sample_history.describe(
        name, _read_rows(store, name), catalog.checks, lambda crop_id: _describe_releases(store, crop_id)
    )
    if lines := lines or _describe_from_releases(store, name):
        return lines
    raise StoreError(f"no frame, crop or sample is called {name!r} in {store.root}; {_near(store, name)}")


def _read_rows(store: Store, name: str) -> SourceRows:
    """Read the tables of the source that an id belongs to: the longest source id that the name begins with."""
    known = {source_id for stage in ("frames", "crops") for source_id in tables.sources(store, stage)}
    source_id = max((known_id for known_id in known if name.startswith(f"{known_id}-")), key=len, default="")
    if not source_id:
        return SourceRows()
    return SourceRows(
        videos=_read(store, source_id, VideoRow),
        frames=_read(store, source_id, FrameRow),
        crops=_read(store, source_id, CropRow),
        scores=_read(store, source_id, ScoreRow),
        verdicts=_read(store, source_id, VerdictRow),
        mattes=_read(store, source_id, MatteRow),
        tasks=_read(store, source_id, TaskRow),
        labels=_read(store, source_id, LabelRow),
    )


def _read(store: Store, source_id: str, row_class: type[_AnyRow]) -> list[_AnyRow]:
    ref = tables.find(store, row_class.stage, source_id)
    return tables.read_rows(store, ref, row_class) if ref else []


def _read_manifests(store: Store) -> Iterator[tuple[str, Manifest | ReleaseError]]:
    for file in sorted(store.path("releases").glob(f"*/{manifest.FILE}")):
        try:
            yield file.parent.name, manifest.parse(file.read_bytes())
        except ReleaseError as error:
            yield file.parent.name, error


def _describe_releases(store: Store, sample_id: str) -> list[Line]:
    lines, in_release = [], False
    for name, read in _read_manifests(store):
        if isinstance(read, ReleaseError):
            lines.append(Line("release", f"{name} cannot be read: {read}"))
        elif line := sample_history.describe_release(name, read, sample_id):
            in_release = True
            lines.append(line)
    return lines if in_release else [*lines, Line("release", "in none")]


def _describe_from_releases(store: Store, sample_id: str) -> list[Line]:
    return [
        line
        for name, read in _read_manifests(store)
        if isinstance(read, Manifest) and sample_id in read.samples
        for line in sample_history.describe_from_manifest(name, read, sample_id)
    ]


def _near(store: Store, name: str) -> str:
    known = [row.crop_id for source_id in tables.sources(store, "crops") for row in _read(store, source_id, CropRow)]
    near = ", ".join(get_close_matches(name, known, n=3, cutoff=0.5))
    return f"the nearest are {near}" if near else f"{len(known)} crops are known; ids look like park-000120-00"
