"""Keeps a storage within the catalog's disk budget: files that can be made again to the same bytes are removed.

See `figureground.storage.disk_budget`.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import FiguregroundError, StoreError
from figureground.media.restore import regenerate_files
from figureground.storage import disk_budget
from figureground.storage.disk_budget import EvictionCandidate
from figureground.storage.hashing import sha256
from figureground.storage.locks import hold_locks, hold_storage
from figureground.storage.store import Store
from figureground.tables import evicted
from figureground.tables.io import read_rows
from figureground.tables.rows import AnyRow, CropRow, FrameRow, LabelRow, MatteRow, TaskRow, VerdictRow, VideoRow
from figureground.types import TableRef

_log = logging.getLogger(__name__)

_ORDER = ("mattes", "crops", "frames")
"""Crops before frames: a crop is made again from its frame, which is faster while the frame is still there."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done with the files of one kind of one source, or with a whole kind (then `source_id` is empty).

    Parameters
    ----------
    kind
        ``frames``, ``crops`` or ``mattes``.
    source_id
        The source.
    files, bytes
        Their number and size.
    outcome
        ``dropped``, ``would be dropped``, or why they were kept.
    """

    kind: str
    source_id: str
    files: int
    bytes: int
    outcome: str


def prune_storage(catalog: Catalog, *, dry_run: bool = False) -> list[Pruned]:
    """Remove files that are over the budget and can be made again, beginning with the sources that were ingested longest ago.

    Frames are removed of sources whose crops are cut, crops that no check kept, and mattes that no table names. Before files of
    a source are removed, its original is verified, and one of the files is made again and compared. A source that another run
    is working on is skipped.

    Parameters
    ----------
    catalog
        Its ``budget`` gives the size of each kind of files.
    dry_run
        Remove nothing.

    Returns
    -------
    list of Pruned
        One for each source whose files were removed or could not be, and one for each kind that is still over its budget.

    Raises
    ------
    StoreError
        When the storage cannot be read or written.
    """
    store = Store(catalog.storage_root)
    budgets = {"frames": catalog.budget.frames, "crops": catalog.budget.crops, "mattes": catalog.budget.mattes}
    pruned: list[Pruned] = []
    with hold_storage(store.path(".locks"), "prune"):
        for kind in _ORDER:
            budget = budgets[kind]
            if budget is not None:
                pruned += _prune_kind(catalog, store, kind, disk_budget.parse_size(budget), dry_run)
    return pruned


def _prune_kind(catalog: Catalog, store: Store, kind: str, allowed: int, dry_run: bool) -> Iterator[Pruned]:
    sizes = {name: size for name, size, _ in store.list_sizes(kind)}
    used = sum(sizes.values())
    candidates = list(_find_candidates(catalog, store, kind, sizes)) if used > allowed else []
    while used > allowed and (chosen := disk_budget.choose_evictions(used, allowed, candidates)):
        candidate = chosen[0]
        candidates.remove(candidate)
        outcome = "would be dropped" if dry_run else _remove(store, kind, candidate)
        used -= candidate.size_bytes if outcome in ("dropped", "would be dropped") else 0
        yield Pruned(kind, candidate.source_id, len(candidate.files), candidate.size_bytes, outcome)
    if used > allowed:
        budget = disk_budget.format_size(allowed)
        outcome = f"still over its budget of {budget}: the rest cannot be made again or is needed; raise the budget"
        yield Pruned(kind, "", 0, used, outcome)


def _find_candidates(catalog: Catalog, store: Store, kind: str, sizes: Mapping[str, int]) -> Iterator[EvictionCandidate]:
    by_source: dict[str, dict[str, int]] = defaultdict(dict)
    for name, size in sizes.items():
        by_source[name.split("/")[1]][name] = size
    sampled = {name: changed for name, _, changed in store.list_sizes("tables/frames")}
    for source_id, files in by_source.items():
        entry = catalog.sources.get(catalog.entry_of(source_id))
        if entry is None or entry.kind == "layout":
            continue  # there is no original to make them from, or the files are the originals
        removable = _find_removable(store, kind, source_id)
        removed = {name: size for name, size in files.items() if name in removable}
        if removed:
            yield EvictionCandidate(source_id, sampled.get(tables.name("frames", source_id), 0.0), removed)


def _find_removable(store: Store, kind: str, source_id: str) -> set[str]:
    """List the files of one kind that no later stage, no annotator and no release needs."""
    if kind == "frames":
        is_cut = tables.find(store, "crops", source_id) is not None
        return {row.file for row in _read(store, FrameRow, source_id) if row.file} if is_cut else set()
    if kind == "crops":
        dropped = {row.crop_id for row in _read(store, VerdictRow, source_id) if not row.kept}
        needed = _shown_crops(store, source_id)
        return {row.file for row in _read(store, CropRow, source_id) if row.crop_id in dropped - needed}
    named = {row.file for row in _read(store, MatteRow, source_id)}
    needed = _shown_crops(store, source_id)
    return {
        name
        for name in store.names(f"mattes/{source_id}")
        if name not in named and name.rpartition("/")[2].removesuffix(".png") not in needed
    }


def _shown_crops(store: Store, source_id: str) -> set[str]:
    """List the crops that have a task or a label."""
    tasks, labels = _read(store, TaskRow, source_id), _read(store, LabelRow, source_id)
    return {row.crop_id for row in tasks} | {row.crop_id for row in labels}


def _read(store: Store, row_class: type[AnyRow], source_id: str) -> list[AnyRow]:
    """Read the newest table of a source; empty when there is none."""
    ref = tables.find(store, row_class.stage, source_id)
    return [] if ref is None else read_rows(store, ref, row_class)


def _remove(store: Store, kind: str, candidate: EvictionCandidate) -> str:
    """Remove the files of a candidate, and give the outcome."""
    source_id = candidate.source_id
    with hold_locks(store.path(".locks"), "make", "prune", [source_id]) as (_, taken):
        if taken:
            return f"left alone: {next(iter(taken.values()))} works on it"
        files = _find_removable(store, kind, source_id) & set(candidate.files)  # a file may be needed by now
        ref = tables.find(store, kind, source_id)
        if kind != "mattes":
            if ref is None:
                return "kept: its table is missing"
            try:
                _check_reproducible(store, ref, files)
            except FiguregroundError as error:
                return f"kept: it cannot be made again ({error})"
            earlier = evicted.listed(store, kind, source_id, ref.sha256)
            evicted.note(store, kind, source_id, ref.sha256, earlier | files)
        for name in sorted(files):
            store.remove(name)
    _log.info("%s: dropped %d %s to keep within the budget", source_id, len(files), kind)
    return "dropped"


def _check_reproducible(store: Store, ref: TableRef, files: set[str]) -> None:
    """Verify the original, make one file again, and compare it."""
    for video in _read(store, VideoRow, ref.source_id):
        if video.file and not store.verifies(video.file, video.sha256):
            raise StoreError(f"its original {video.file} is missing or damaged")
    first = min(files)
    for row, content in regenerate_files(store, ref, [first]):
        if sha256(content) != row.sha256:
            raise StoreError(f"{row.file} comes out differently")
        return
    raise StoreError(f"its original does not have {first} any more")
