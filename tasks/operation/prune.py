"""Keeping within the catalog's disk budget: what can be made again to the same bytes goes first.

See `figureground.storage.disk_budget`.
"""

import logging
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import FiguregroundError, StoreError
from figureground.media.restore import regenerate_files
from figureground.storage import disk_budget
from figureground.storage.disk_budget import EvictionCandidate
from figureground.storage.hashing import sha256
from figureground.storage.locks import hold_locks
from figureground.storage.store import Store
from figureground.tables import VideoRow, evicted
from figureground.types import TableRef

_log = logging.getLogger(__name__)

_ORDER = ("mattes", "crops", "frames")
"""Crops before frames: they are proven by frames, which cost less to look at while these are there still."""


@dataclass(frozen=True, slots=True)
class Tidied:
    """What became of one class of files of one source, or of the class as a whole (then without a source)."""

    kind: str
    source_id: str
    files: int
    bytes: int
    said: str


def tidy(catalog: Catalog, *, dry: bool = False) -> list[Tidied]:
    """Drop what is over the budget, sources worked on longest ago first; nothing that cannot be made again.

    Of frames those of sources whose crops are cut; of crops those that no check kept; of mattes those that no table names any
    more. Before files of a source are dropped, its original is verified and one of them is made again and compared. A
    source that somebody works on is left for the next time.

    Parameters
    ----------
    catalog
        Its ``budget`` says how much each class may take.
    dry
        Only say what would go.

    Returns
    -------
    list of Tidied
        One for each source that something was dropped of or should have been, and one for each class that is still over
        its budget.

    Raises
    ------
    StoreError
        When the storage cannot be read or written.
    """
    store = Store(catalog.storage_root)
    done: list[Tidied] = []
    for kind in _ORDER:
        text = getattr(catalog.budget, kind)
        if text is not None:
            done += _class(catalog, store, kind, disk_budget.parse_size(text), dry)
    return done


def _class(catalog: Catalog, store: Store, kind: str, allowed: int, dry: bool) -> Iterator[Tidied]:
    sizes = {name: size for name, size, _ in store.sizes(kind)}
    used = sum(sizes.values())
    candidates = list(_candidates(catalog, store, kind, sizes)) if used > allowed else []
    while used > allowed and (chosen := disk_budget.choose_evictions(used, allowed, candidates)):
        one = chosen[0]
        candidates.remove(one)
        said = "would be dropped" if dry else _drop(store, kind, one)
        used -= one.bytes if said in ("dropped", "would be dropped") else 0
        yield Tidied(kind, one.source_id, len(one.files), one.bytes, said)
    if used > allowed:
        budget = disk_budget.format_size(allowed)
        over = f"still over its budget of {budget}: the rest cannot be made again or is needed; raise the budget"
        yield Tidied(kind, "", 0, used, over)


def _candidates(catalog: Catalog, store: Store, kind: str, sizes: dict[str, int]) -> Iterator[EvictionCandidate]:
    by_source: dict[str, dict[str, int]] = defaultdict(dict)
    for name, size in sizes.items():
        by_source[name.split("/")[1]][name] = size
    worked = {name: changed for name, _, changed in store.sizes("tables/frames")}
    for source_id, files in by_source.items():
        entry = catalog.sources.get(catalog.entry_of(source_id))
        if entry is None or entry.kind == "layout":
            continue  # no original to make them from, or the files are the originals
        spare = _spare(store, kind, source_id)
        going = {name: size for name, size in files.items() if name in spare}
        if going:
            yield EvictionCandidate(source_id, worked.get(tables.name("frames", source_id), 0.0), going)


def _spare(store: Store, kind: str, source_id: str) -> set[str]:
    """Give the files of one class that nothing but their own making needs."""
    if kind == "frames":
        cut = tables.find(store, "crops", source_id)
        return {row["file"] for row in _rows(store, "frames", source_id) if row["file"]} if cut else set()
    if kind == "crops":
        dropped_ones = {row["crop_id"] for row in _rows(store, "verdicts", source_id) if not row["kept"]}
        shown = {row["crop_id"] for row in _rows(store, "tasks", source_id)}
        shown |= {row["crop_id"] for row in _rows(store, "labels", source_id)}
        return {row["file"] for row in _rows(store, "crops", source_id) if row["crop_id"] in dropped_ones - shown}
    named = {row["file"] for row in _rows(store, "mattes", source_id)}
    needed = {row["crop_id"] for stage in ("tasks", "labels") for row in _rows(store, stage, source_id)}
    return {
        name
        for name in store.names(f"mattes/{source_id}")
        if name not in named and name.rpartition("/")[2].removesuffix(".png") not in needed
    }


def _rows(store: Store, stage: str, source_id: str) -> list[dict[str, str]]:
    found = tables.latest(store, stage, source_id)
    return [] if found is None else found.rows.to_dict("records")  # type: ignore[return-value]


def _drop(store: Store, kind: str, one: EvictionCandidate) -> str:
    with hold_locks(store.path(".locks"), "make", "tidy", [one.source_id]) as (_, taken):
        if taken:
            return f"left alone: {next(iter(taken.values()))} works on it"
        spare = _spare(store, kind, one.source_id) & set(one.files)  # what came to be needed since stays
        ref = tables.find(store, kind, one.source_id)
        if kind != "mattes":
            if ref is None:
                return "kept: its table is gone"
            try:
                _prove(store, ref, spare)
            except FiguregroundError as error:
                return f"kept: it cannot be made again ({error})"
            away = evicted.listed(store, kind, one.source_id, ref.sha256)
            evicted.note(store, kind, one.source_id, ref.sha256, away | spare)
        for name in sorted(spare):
            store.remove(name)
    _log.info("%s: dropped %d %s to keep within the budget", one.source_id, len(spare), kind)
    return "dropped"


def _prove(store: Store, ref: TableRef, files: set[str]) -> None:
    """Make sure that dropping is safe: the original is whole, and one file comes out of it as it is."""
    videos = tables.find(store, "videos", ref.source_id)
    for original in tables.read_rows(store, videos, VideoRow) if videos else ():
        if original.file and not store.verifies(original.file, original.sha256):
            raise StoreError(f"its original {original.file} is missing or damaged")
    first = min(files)
    for row, content in regenerate_files(store, ref, [first]):
        if sha256(content) != row.sha256:
            raise StoreError(f"{row.file} comes out differently")
        return
    raise StoreError(f"its original does not have {first} any more")
