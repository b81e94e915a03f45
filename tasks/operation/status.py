"""Where everything stands: per source and stage what is pending, running, failed, waiting for annotators, answered, released.

Only tables' footers, the locks' notes and the runs' summaries are read, so it answers while an ingest is at work, and
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

MADE = ("videos", "frames", "crops", "verdicts", "mattes")
"""The stages that are shown; measures and scores are on the way to verdicts."""

_CHAIN = ("videos", "frames", "crops", "measures", "scores", "verdicts", "mattes")
_RECENT = 40


@dataclass(frozen=True, slots=True)
class StageState:
    """One stage of one source: ``done``, ``pending`` or ``running``; ``rows`` it left, and how far a running one is."""

    stage: str
    state: str
    rows: int = 0
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class SourceState:
    """One source. ``waiting`` tasks have no answer yet; ``running`` says who works on it and since when."""

    source: str
    stages: tuple[StageState, ...] = ()
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
class State:
    """The whole storage; ``runs`` are the newest of each flow, ``working`` those that go on now."""

    sources: tuple[SourceState, ...]
    working: tuple[str, ...]
    runs: tuple[RunSummary, ...]


class Known(Protocol):
    """What has to be known of a catalog: a whole one, or the little that `flows.cli.catalog_cache` keeps of it."""

    @property
    def storage_root(self) -> StorageAddress:
        """Where the storage is."""

    @property
    def sources(self) -> Iterable[str]:
        """The entries' names."""

    def entry_of(self, source_id: str) -> str:
        """Name the entry that a source comes from."""


def status(catalog: Known) -> State:
    """Look at where everything stands.

    Parameters
    ----------
    catalog
        Says which sources there shall be and where the storage is.

    Returns
    -------
    State
        Sources by name; of a folder, glob or page those files that were fetched so far, or itself when none was.

    Raises
    ------
    StoreError
        When the storage cannot be read, or has another format.
    """
    store = Store(catalog.storage_root)
    formats.require_current(store)
    folder = store.path(".locks")
    tallies = Tallies(store, folder / "tallies.json")
    known, released = tallies.read(), tallies.released()
    tallies.remember()
    working = {kind: locks.read_notes(folder, kind) for kind in locks.KINDS}
    recent = _recent(store)
    failed = _failed(recent)
    names = _names(catalog, known, working.values())
    sources = tuple(_source(name, known.get(name, {}), working, failed, released) for name in names)
    return State(sources, tuple(_working(folder)), tuple(_newest(recent)))


def _names(catalog: Known, known: Iterable[str], working: Iterable[Mapping[str, LockNote]]) -> list[str]:
    """List the sources: those with tables or being worked on, and catalog entries that have none at all yet."""
    there = set(known).union(*working)
    begun = {catalog.entry_of(name) for name in there}
    return sorted(there | {name for name in catalog.sources if name not in begun})


def _source(
    name: str,
    tallies: Mapping[str, Tally],
    working: Mapping[str, Mapping[str, LockNote]],
    failed: Mapping[str, str],
    released: Mapping[str, int],
) -> SourceState:
    maker, puller = (working[kind].get(name) for kind in locks.KINDS)
    rows = {stage: int(tally["rows"]) for stage, tally in tallies.items()}
    answers = tallies.get("labels", {}).get("counts", {}).get("verdict", {})
    return SourceState(
        name,
        _stages(tallies, maker),
        kept=int(tallies.get("verdicts", {}).get("counts", {}).get("kept", {}).get("True", 0)),
        pushed=rows.get("tasks", 0),
        waiting=max(0, rows.get("tasks", 0) - rows.get("labels", 0)),
        answered=rows.get("labels", 0),
        rejected=sum(count for verdict, count in answers.items() if verdict != "keep"),
        released=released.get(name, 0),
        running="; ".join(str(note) for note in (maker, puller) if note),
        failed=failed.get(name, ""),
    )


def _stages(tallies: Mapping[str, Tally], note: LockNote | None) -> tuple[StageState, ...]:
    """Tell each stage's state: one has to run when its table is missing or older than the one it is made from."""
    if "crops" in tallies and "frames" in tallies and "measures" not in tallies and "labels" in tallies:
        # labelled elsewhere, see tasks.ingest.import_dataset
        return tuple(StageState(stage, "done", _rows(tallies, stage)) for stage in MADE if stage in tallies)
    stale, before, found = False, 0.0, []
    for stage in _CHAIN:
        tally = tallies.get(stage)
        stale = stale or tally is None or float(tally["changed"]) < before
        before = before if tally is None else float(tally["changed"])
        running = note is not None and _TABLE.get(note.stage) == stage
        if stage in MADE or running:
            done, total = (note.done, note.total) if note and running else (0, 0)
            state = "running" if running else "pending" if stale else "done"
            found.append(StageState(stage, state, _rows(tallies, stage), done, total))
    return tuple(found)


_TABLE = {
    **{"fetch": "videos", "sample": "frames", "crop": "crops", "restore frames": "frames", "restore crops": "crops"},
    **{"measure": "measures", "deduplicate": "scores", "judge": "verdicts", "matte": "mattes"},
}


def _rows(tallies: Mapping[str, Tally], stage: str) -> int:
    tally = tallies.get(stage)
    if tally is None:
        return 0
    reasons = tally["counts"].get("reason", {}) if stage == "frames" else {}
    return int(tally["rows"]) - sum(count for reason, count in reasons.items() if reason)


def _recent(store: Store) -> list[RunSummary]:
    """Read the newest summaries; a pull every few minutes must not hide the night's ingest."""
    by_flow: dict[str, list[str]] = {}
    for run in run_records.list_runs(store):
        by_flow.setdefault(run.partition("-")[2], []).append(run)
    chosen = sorted((run for some in by_flow.values() for run in some[: _RECENT // 10]), reverse=True)
    return [found for run in chosen if (found := run_records.read(store, run))]


def _newest(recent: Sequence[RunSummary]) -> list[RunSummary]:
    seen: dict[str, RunSummary] = {}
    for summary in recent:
        seen.setdefault(summary.flow, summary)
    return sorted(seen.values(), key=lambda summary: summary.flow)


def _failed(recent: Sequence[RunSummary]) -> dict[str, str]:
    """Give what failed last of each source, as long as the same flow has not done it since."""
    found: dict[tuple[str, str], str] = {}
    for summary in recent:
        for end in summary.sources:
            if not end.left:
                said = f"{summary.flow} at {summary.ended}: {end.error}" if end.error else ""
                found.setdefault((summary.flow, end.source), said)
    failed: dict[str, str] = {}
    for (_, source), said in found.items():
        if said:
            failed[source] = f"{failed[source]}; {said}" if source in failed else said
    return failed


def _working(folder: Path) -> list[str]:
    found = (locks.read_note(path) for path in sorted(run_records.note_folder(folder).glob("*.json")))
    return [str(note) for note in found if note and note.alive]


def as_json(state: State) -> dict[str, Any]:
    """Give a state as what `json.dumps` can write."""
    from dataclasses import asdict

    told = asdict(state)
    for source, plain in zip(state.sources, told["sources"], strict=True):
        plain["pending"] = list(source.pending)
    return told
