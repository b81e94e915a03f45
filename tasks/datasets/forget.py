"""Forgetting a source: a take-down request removes a video and everything made from it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figureground import tables
from figureground.catalog import Catalog
from figureground.datasets import manifest
from figureground.errors import LabelError, ReleaseError, StoreError, TransientError
from figureground.storage import archive, downloads
from figureground.storage.store import Store
from figureground.synthesis import composition_manifest
from figureground.tables import evicted, statistics
from tasks.annotation.connection import connect

_FOLDERS = ("videos", "frames", "crops", "mattes", "labels", "shards")


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What went and what is left.

    ``releases`` still hold pictures of it, ``unreadable`` ones may. ``tasks`` were deleted in Label Studio; when that could not
    be done, ``reason`` says why, and ``task_ids`` are still there.
    """

    sources: tuple[str, ...]
    files: int
    releases: dict[str, int]
    unreadable: tuple[str, ...]
    tasks: int
    task_ids: tuple[int, ...]
    reason: str


def holdings(source_id: str, catalog: Catalog) -> tuple[str, ...]:
    """List a source's ids in the storage: its own, or those of the files its folder or glob was expanded to.

    Raises
    ------
    StoreError
        When the storage and the releases know nothing of it.
    """
    store = Store(catalog.storage_root)
    known = {found for stage in tables.SCHEMAS for found in tables.sources(store, stage)}
    known |= {file.split("/")[1] for folder in _FOLDERS for file in store.names(folder)}
    remembered = {found for held in _manifests(store).values() if held for found in held.sources}
    fixed = set(catalog.sources)
    own = {found for found in known | remembered if found == source_id or _expanded(found, source_id, fixed)}
    if not own:
        raise StoreError(
            f"nothing of a source {source_id!r} is in {store.root}; it knows {', '.join(sorted(known | remembered)) or 'none'}"
        )
    return tuple(sorted(own))


def _expanded(found: str, source_id: str, fixed: set[str]) -> bool:
    """Tell whether an id is a file of this source and not a source of its own, or of one with a longer name."""
    begins = [name for name in fixed if found.startswith(f"{name}-")]
    return found not in fixed and max(begins, key=len, default="") == source_id


def forget(source_id: str, catalog: Catalog) -> Forgotten:
    """Remove a source's video, frames, crops, mattes, labels, tables and report, and its tasks in Label Studio.

    Releases are immutable and are not touched: the result names those that hold pictures of it. When Label Studio cannot be
    asked, the table of its tasks stays, and doing this again deletes them.

    Raises
    ------
    StoreError
        When there is nothing of it, or a file cannot be removed.
    """
    store = Store(catalog.storage_root)
    own = holdings(source_id, catalog)
    held = _manifests(store)
    releases = {name: _count(one, own) for name, one in held.items() if one and _count(one, own)}
    pushed = {name: _pushed(store, name) for name in own}
    tasks, reason = _untasked(pushed, catalog)
    task_ids = tuple(sorted(number for some in pushed.values() for number, _ in some)) if reason else ()
    hashes = {digest for name in own for digest in _hashes(store, name)} | {
        digest
        for one in held.values()
        for sample in (one.samples.values() if one else ())
        if sample.source in own
        for digest in (sample.sha256, *sample.annotation.digests)
    }
    releases |= composition_manifest.holding(store.path("releases"), own)
    waiting = {name for name in own if reason and pushed[name]}
    downloads.forget(store, own)  # first: a table that goes could be made again from there
    files = sum(_remove(store, name, ("tasks",) if name in waiting else ()) for name in own)
    for name in own:
        statistics.forget(store, name)
    files += sum(archive.remove(store, digest) for digest in sorted(hashes))
    files += sum(_remove_composed(store, note, own) for note in tables.sources(store, "composites"))
    unreadable = tuple(name for name, one in held.items() if one is None)
    return Forgotten(own, files, releases, unreadable, tasks, task_ids, reason)


def _remove_composed(store: Store, note: str, own: tuple[str, ...]) -> int:
    """Remove the cutouts and backgrounds that a composition keeps of these sources; composing again does without them."""
    files = [
        row["file"]
        for stage in ("people", "backgrounds")
        if (found := tables.latest(store, stage, note))
        for row in found.rows.to_dict("records")
        if row["origin"] in own and row["file"] and store.exists(row["file"])
    ]
    for file in files:
        store.remove(file)
    return len(files)


def _manifests(store: Store) -> dict[str, manifest.Manifest | None]:
    found: dict[str, manifest.Manifest | None] = {}
    for file in sorted(store.path("releases").glob(f"*/{manifest.FILE}")):
        try:
            found[file.parent.name] = manifest.parse(file.read_bytes())
        except ReleaseError:
            found[file.parent.name] = None  # told as unreadable
    return found


def _count(held: manifest.Manifest, own: tuple[str, ...]) -> int:
    return sum(sample.source in own for sample in held.samples.values())


def _pushed(store: Store, name: str) -> list[tuple[int, int]]:
    """Give the numbers of a source's tasks and their projects."""
    found = tables.latest(store, "tasks", name)
    return [] if found is None else [(int(row.task_id), int(row.project_id)) for row in found.rows.itertuples()]


def _untasked(pushed: Mapping[str, Sequence[tuple[int, int]]], catalog: Catalog) -> tuple[int, str]:
    """Delete the tasks in Label Studio; give how many went, and why not all did."""
    deleted = 0
    if not any(pushed.values()):
        return 0, ""
    try:
        with connect(catalog) as server:
            for name, some in pushed.items():
                for project in sorted({project for _, project in some}):
                    deleted += server.delete_source_tasks(project, name)
    except (LabelError, TransientError) as error:
        return deleted, str(error)
    return deleted, ""


def _hashes(store: Store, name: str) -> list[str]:
    refs = [tables.find(store, stage, name) for stage in ("crops", "labels")]
    rows = [tables.read(store, ref).rows for ref in refs if ref]
    columns = [some[name] for some in rows for name in ("sha256", "parts_sha256") if name in some]
    return [digest for column in columns for digest in column if digest]


def _tables(name: str, stages: Sequence[str]) -> list[str]:
    return [file for stage in stages for file in (evicted.name(stage, name), tables.name(stage, name))]


def _remove(store: Store, name: str, keeping: Sequence[str] = ()) -> int:
    """Remove one id's files, its tables last, so that a second run finds what a killed one left."""
    stages = [stage for stage in reversed(tables.SCHEMAS) if stage not in keeping]
    made = [file for folder in _FOLDERS for file in store.names(f"{folder}/{name}")]
    found = [*made, *(file for file in (f"reports/{name}.html", *_tables(name, stages)) if store.exists(file))]
    for file in found:
        store.remove(file)
    for folder in _FOLDERS if store.local_only else ("crops",):  # behind a URL only what was served has copies here
        shutil.rmtree(store.served_path(f"{folder}/{name}"), ignore_errors=True)  # else empty but for what a killed run left
    return len(found)
