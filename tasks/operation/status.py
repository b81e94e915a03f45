"""The status of every source and stage: pending, running, failed, waiting for annotators, labelled, released.

Only the footers of tables, the notes of locks and the summaries of runs are read, so it is fast while an ingest is running.
Prefect is never asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from figureground.storage import locks, run_records
from figureground.storage.locks import LockNote
from figureground.storage.run_records import RunSummary
from figureground.storage.store import StorageAddress, Store
from figureground.tables import formats
from figureground.tables.statistics import Tallies, Tally

SHOWN_STAGES = ("videos", "frames", "crops", "verdicts", "mattes")
"""The tables whose state is shown; measures and scores are steps on the way to verdicts."""

_TABLE_ORDER = ("videos", "frames", "crops", "measures", "scores", "verdicts", "mattes")
_SUMMARIES_PER_FLOW = 4

_TABLE_OF_TASK = {
    "fetch": "videos",
    "sample": "frames",
    "crop": "crops",
    "restore frames": "frames",
    "restore crops": "crops",
    "measure": "measures",
    "deduplicate": "scores",
    "judge": "verdicts",
    "matte": "mattes",
}
"""The table that a running task writes, by the name in its lock's note."""


@dataclass(frozen=True, slots=True)
class StageStatus:
    """The status of one stage of one source.

    Parameters
    ----------
    stage
        The table that the stage writes.
    state
        ``done``, ``pending`` or ``running``.
    rows
        Number of rows in the table.
    done, total
        Progress of a running stage; `total` is 0 when it is unknown.
    """

    stage: str
    state: str
    rows: int = 0
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """The status of one source.

    Parameters
    ----------
    source
        The source's id.
    stages
        The status of its stages.
    kept
        Crops that all checks kept.
    pushed
        Tasks in Label Studio.
    waiting
        Tasks without an annotation.
    answered
        Tasks with an annotation.
    rejected
        Annotations that reject the crop.
    released
        Samples in the newest release.
    running
        The run that is working on it, and since when.
    failed
        The last failure that no later run has repaired.
    """

    source: str
    stages: tuple[StageStatus, ...] = ()
    kept: int = 0
    pushed: int = 0
    waiting: int = 0
    answered: int = 0
    rejected: int = 0
    released: int = 0
    running: str = ""
    failed: str = ""

    @property
    def pending(self) -> tuple[str, ...]:
        """The stages that have to run."""
        return tuple(stage.stage for stage in self.stages if stage.state == "pending")


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """The status of a storage.

    Parameters
    ----------
    sources
        The status of each source, by name.
    working
        The runs that are running now.
    runs
        The newest finished run of each flow.
    """

    sources: tuple[SourceStatus, ...]
    working: tuple[str, ...]
    runs: tuple[RunSummary, ...]


class CatalogInfo(Protocol):
    """What is needed of a catalog: a whole catalog, or what `tasks.operation.catalog_cache` keeps of it."""

    @property
    def storage_root(self) -> StorageAddress:
        """The address of the storage."""

    @property
    def sources(self) -> Iterable[str]:
        """The names of the entries."""

    def entry_of(self, source_id: str) -> str:
        """Give the name of the catalog entry that a source comes from."""


def read_status(catalog: CatalogInfo) -> StorageStatus:
    """Read the status of all sources.

    Parameters
    ----------
    catalog
        Names the storage and the entries.

    Returns
    -------
    StorageStatus
        With one item per source. An entry that is a folder, a pattern or a page has an item for each file that was fetched, or
        one of its own when there is none yet.

    Raises
    ------
    StoreError
        When the storage cannot be read, or has another format.
    """
    store = Store(catalog.storage_root)
    formats.require_current(store)
    folder = store.path(".locks")
    statistics = Tallies(store, folder / "tallies.json")
    tables, released = statistics.read(), statistics.released()
    statistics.remember()
    notes: dict[str, Mapping[str, LockNote]] = {kind: locks.read_notes(folder, kind) for kind in locks.KINDS}
    recent = _recent_summaries(store)
    failures = _last_failures(recent)
    names = _source_names(catalog, tables, notes.values())
    sources = tuple(_source_status(name, tables.get(name, {}), notes, failures, released) for name in names)
    return StorageStatus(sources, tuple(_running_runs(folder)), tuple(_newest_per_flow(recent)))


def _source_names(catalog: CatalogInfo, tables: Iterable[str], notes: Iterable[Mapping[str, LockNote]]) -> list[str]:
    """List the sources that have tables or are being worked on, and the catalog entries that have no source yet."""
    source_ids = set(tables).union(*notes)
    entries = {catalog.entry_of(source_id) for source_id in source_ids}
    return sorted(source_ids | {name for name in catalog.sources if name not in entries})


def _source_status(
    name: str,
    tables: Mapping[str, Tally],
    notes: Mapping[str, Mapping[str, LockNote]],
    failures: Mapping[str, str],
    released: Mapping[str, int],
) -> SourceStatus:
    making, pulling = (notes[kind].get(name) for kind in locks.KINDS)
    rows = {stage: int(table["rows"]) for stage, table in tables.items()}
    verdicts = tables.get("labels", {}).get("counts", {}).get("verdict", {})
    return SourceStatus(
        name,
        _stage_statuses(tables, making),
        kept=int(tables.get("verdicts", {}).get("counts", {}).get("kept", {}).get("True", 0)),
        pushed=rows.get("tasks", 0),
        waiting=max(0, rows.get("tasks", 0) - rows.get("labels", 0)),
        answered=rows.get("labels", 0),
        rejected=sum(count for verdict, count in verdicts.items() if verdict != "keep"),
        released=released.get(name, 0),
        running="; ".join(str(note) for note in (making, pulling) if note),
        failed=failures.get(name, ""),
    )


def _stage_statuses(tables: Mapping[str, Tally], note: LockNote | None) -> tuple[StageStatus, ...]:
    """Decide the state of each stage: it is pending when its table is missing, or older than a table it is made from."""
    if "crops" in tables and "frames" in tables and "measures" not in tables and "labels" in tables:
        # a dataset that came with labels, see tasks.ingest.import_dataset
        return tuple(StageStatus(stage, "done", _count_rows(tables, stage)) for stage in SHOWN_STAGES if stage in tables)
    is_stale, changed_before, statuses = False, 0.0, []
    for stage in _TABLE_ORDER:
        table = tables.get(stage)
        is_stale = is_stale or table is None or float(table["changed"]) < changed_before
        changed_before = changed_before if table is None else float(table["changed"])
        is_running = note is not None and _TABLE_OF_TASK.get(note.stage) == stage
        if stage in SHOWN_STAGES or is_running:
            done, total = (note.done, note.total) if note and is_running else (0, 0)
            state = "running" if is_running else "pending" if is_stale else "done"
            statuses.append(StageStatus(stage, state, _count_rows(tables, stage), done, total))
    return tuple(statuses)


def _count_rows(tables: Mapping[str, Tally], stage: str) -> int:
    """Count the rows of a table, of frames only those that were not rejected."""
    table = tables.get(stage)
    if table is None:
        return 0
    reasons: Mapping[str, int] = table["counts"].get("reason", {}) if stage == "frames" else {}
    return int(table["rows"]) - sum(count for reason, count in reasons.items() if reason)


def _recent_summaries(store: Store) -> list[RunSummary]:
    """Read the newest summaries of each flow: pulls every few minutes must not hide the last ingest."""
    by_flow: dict[str, list[str]] = {}
    for run in run_records.list_runs(store):
        by_flow.setdefault(run.partition("-")[2], []).append(run)
    newest = sorted((run for runs in by_flow.values() for run in runs[:_SUMMARIES_PER_FLOW]), reverse=True)
    return [summary for run in newest if (summary := run_records.read(store, run))]


def _newest_per_flow(recent: Sequence[RunSummary]) -> list[RunSummary]:
    newest: dict[str, RunSummary] = {}
    for summary in recent:
        newest.setdefault(summary.flow, summary)
    return sorted(newest.values(), key=lambda summary: summary.flow)


def _last_failures(recent: Sequence[RunSummary]) -> dict[str, str]:
    """Give the last failure of each source in each flow, unless the same flow has succeeded since."""
    messages: dict[tuple[str, str], str] = {}
    for summary in recent:
        for end in summary.sources:
            if not end.left:
                message = f"{summary.flow} at {summary.ended}: {end.error}" if end.error else ""
                messages.setdefault((summary.flow, end.source), message)
    failures: dict[str, str] = {}
    for (_, source), message in messages.items():
        if message:
            failures[source] = f"{failures[source]}; {message}" if source in failures else message
    return failures


def _running_runs(folder: Path) -> list[str]:
    notes = (locks.read_note(path) for path in run_records.list_notes(folder))
    return [str(note) for note in notes if note and note.alive]


def as_json(status: StorageStatus) -> dict[str, Any]:
    """Convert a status to what `json.dumps` can write."""
    from dataclasses import asdict

    content = asdict(status)
    for source, item in zip(status.sources, content["sources"], strict=True):
        item["pending"] = list(source.pending)
    return content
