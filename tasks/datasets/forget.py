"""Deleting a source on a take-down request: its video and everything made from it."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.annotation_server import connect
from figureground.datasets import manifest
from figureground.datasets.manifest import Manifest
from figureground.errors import LabelError, ReleaseError, StoreError, TransientError
from figureground.storage import archive, downloads
from figureground.storage.leases import hold_lease
from figureground.storage.locks import hold_storage
from figureground.storage.store import Store
from figureground.synthesis import composition_manifest
from figureground.tables import TaskRow, evicted, statistics

_FOLDERS = ("videos", "frames", "crops", "mattes", "labels", "shards")


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted and what is left.

    ``releases`` names the releases that still hold images of it, with their number; ``unreadable`` those that may. ``tasks`` is
    the number of tasks deleted in Label Studio. When not all could be deleted, ``reason`` says why and ``task_ids`` are left.
    """

    sources: tuple[str, ...]
    files: int
    releases: dict[str, int]
    unreadable: tuple[str, ...]
    tasks: int
    task_ids: tuple[int, ...]
    reason: str


def find_source_ids(source_id: str, catalog: Catalog) -> tuple[str, ...]:
    """List a source's ids in the storage: its own, or those of the files that its folder or glob was expanded to.

    Raises
    ------
    StoreError
        When neither the storage nor a release has anything of it.
    """
    store = Store(catalog.storage_root)
    stored = {stored_id for stage in tables.SCHEMAS for stored_id in tables.sources(store, stage)}
    stored |= {file.split("/")[1] for folder in _FOLDERS for file in store.names(folder)}
    released = {
        released_id
        for release_manifest in _read_manifests(store).values()
        if release_manifest
        for released_id in release_manifest.sources
    }
    entries = set(catalog.sources)
    own = {name for name in stored | released if name == source_id or _is_expanded_from(name, source_id, entries)}
    if not own:
        known = ", ".join(sorted(stored | released)) or "none"
        raise StoreError(f"nothing of a source {source_id!r} is in {store.root}; the sources in it are {known}")
    return tuple(sorted(own))


def forget(source_id: str, catalog: Catalog) -> Deleted:
    """Delete a source's video, frames, crops, mattes, labels, tables and report, and its tasks in Label Studio.

    Releases are immutable and are not touched: the result names those that hold images of it. When Label Studio cannot be
    asked, the table of its tasks stays, and a second run deletes them. No other command writes meanwhile, and a run that
    begins meanwhile waits: what is deleted is not made again by a run that began before.

    Raises
    ------
    StoreError
        When there is nothing of it, another command writes to the storage, or a file cannot be removed.
    TransientError
        When another machine writes to a storage that both share.
    """
    store = Store(catalog.storage_root)
    with (
        hold_storage(store.path(".locks"), "forget", alone=True),
        hold_lease(store, "leases/make"),
        hold_lease(store, "leases/labels"),
    ):
        return _delete(store, source_id, catalog)


def _delete(store: Store, source_id: str, catalog: Catalog) -> Deleted:
    own = find_source_ids(source_id, catalog)
    manifests = _read_manifests(store)
    releases = {
        name: count
        for name, release_manifest in manifests.items()
        if release_manifest and (count := _count_samples(release_manifest, own))
    }
    releases |= composition_manifest.count_source_images(store.path("releases"), own)
    pushed = {name: _read_tasks(store, name) for name in own}
    deleted_tasks, reason = _delete_tasks(pushed, catalog)
    hashes = {sha256 for name in own for sha256 in _table_hashes(store, name)}
    hashes |= {
        sha256
        for release_manifest in manifests.values()
        if release_manifest
        for sha256 in _manifest_hashes(release_manifest, own)
    }
    downloads.forget(store, own)  # first: a table that is deleted could be made again from there
    files = sum(_delete_files(store, name, keep_tasks=bool(reason and pushed[name])) for name in own)
    for name in own:
        statistics.forget(store, name)
    files += sum(archive.remove(store, sha256) for sha256 in sorted(hashes))
    files += sum(_delete_composition_inputs(store, note, own) for note in tables.sources(store, "composites"))
    return Deleted(
        sources=own,
        files=files,
        releases=releases,
        unreadable=tuple(name for name, release_manifest in manifests.items() if release_manifest is None),
        tasks=deleted_tasks,
        task_ids=tuple(sorted(task.task_id for tasks in pushed.values() for task in tasks)) if reason else (),
        reason=reason,
    )


def _is_expanded_from(name: str, source_id: str, entries: set[str]) -> bool:
    """Tell whether an id is a file of this entry, not an entry of its own and not a file of an entry with a longer name."""
    begins = [entry for entry in entries if name.startswith(f"{entry}-")]
    return name not in entries and max(begins, key=len, default="") == source_id


def _read_manifests(store: Store) -> dict[str, Manifest | None]:
    """Read the manifest of each release; None where it is unreadable."""
    manifests: dict[str, Manifest | None] = {}
    for file in sorted(store.path("releases").glob(f"*/{manifest.FILE}")):
        try:
            manifests[file.parent.name] = manifest.parse(file.read_bytes())
        except ReleaseError:
            manifests[file.parent.name] = None
    return manifests


def _count_samples(release_manifest: Manifest, own: Sequence[str]) -> int:
    return sum(sample.source in own for sample in release_manifest.samples.values())


def _manifest_hashes(release_manifest: Manifest, own: Sequence[str]) -> set[str]:
    samples = (sample for sample in release_manifest.samples.values() if sample.source in own)
    return {sha256 for sample in samples for sha256 in (sample.sha256, *sample.annotation.digests)}


def _table_hashes(store: Store, name: str) -> list[str]:
    tables_read = [table.rows for stage in ("crops", "labels") if (table := tables.latest(store, stage, name))]
    columns = [rows[column] for rows in tables_read for column in ("sha256", "parts_sha256") if column in rows]
    return [sha256 for column in columns for sha256 in column if sha256]


def _read_tasks(store: Store, name: str) -> list[TaskRow]:
    ref = tables.find(store, TaskRow.stage, name)
    return tables.read_rows(store, ref, TaskRow) if ref else []


def _delete_tasks(pushed: Mapping[str, Sequence[TaskRow]], catalog: Catalog) -> tuple[int, str]:
    """Delete the tasks in Label Studio; give their number, and why not all were deleted."""
    deleted = 0
    if not any(pushed.values()):
        return 0, ""
    try:
        with connect(catalog) as server:
            for name, tasks in pushed.items():
                for project_id in sorted({task.project_id for task in tasks}):
                    deleted += server.delete_source_tasks(project_id, name)
    except (LabelError, TransientError) as error:
        return deleted, str(error)
    return deleted, ""


def _delete_files(store: Store, name: str, keep_tasks: bool) -> int:
    """Delete one id's files, its tables last, so that a second run finds what a killed run left."""
    stages = [stage for stage in reversed(tables.SCHEMAS) if not (keep_tasks and stage == TaskRow.stage)]
    notes = [file for stage in stages for file in (evicted.name(stage, name), tables.name(stage, name))]
    files = [file for folder in _FOLDERS for file in store.names(f"{folder}/{name}")]
    files += [file for file in (f"reports/{name}.html", *notes) if store.exists(file)]
    for file in files:
        store.remove(file)
    for folder in _FOLDERS if store.local_only else ("crops",):  # behind a URL only what was served has copies here
        place = store.served_path(f"{folder}/{name}")
        if place.is_symlink():
            place.unlink()  # the link goes, and what it leads to stays
        shutil.rmtree(place, ignore_errors=True)  # else empty but for what a killed run left
    return len(files)


def _delete_composition_inputs(store: Store, note: str, own: Sequence[str]) -> int:
    """Delete the cut-outs and backgrounds that a composition keeps of these sources; composing again does without them."""
    files = [
        file
        for stage in ("people", "backgrounds")
        if (table := tables.latest(store, stage, note))
        for origin, file in zip(table.rows["origin"], table.rows["file"], strict=True)
        if origin in own and file and store.exists(file)
    ]
    for file in files:
        store.remove(file)
    return len(files)
