"""Monitors a run: records how it ended, shows it in Prefect, and reports failures, also of runs that were killed earlier."""

import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol, TypeVar

from figureground import progress
from figureground.catalog import Catalog, load
from figureground.errors import FiguregroundError
from figureground.storage import locks, run_records
from figureground.storage.locks import LockNote
from figureground.storage.run_records import RunSummary, SourceOutcome
from figureground.storage.store import Store
from figureground.tables.statistics import Tallies
from flows.scheduling.crashed_runs import record_crashed_runs
from flows.scheduling.failure_notice import record_and_notify
from flows.scheduling.interruption import recorded_when_stopped, take_signals_back
from flows.scheduling.log_records import WarningCollector, collect_warnings, make_records_safe
from flows.scheduling.versions import read_versions
from tasks.operation.catalog_cache import write_cache

_STOPPED = "it was told to stop"

_log = logging.getLogger(__name__)


class PartOutcome(Protocol):
    """How a part of a run ended for one source; see `flows.outcomes.Outcome`."""

    @property
    def source_id(self) -> str:
        """The source."""

    @property
    def error(self) -> str:
        """What failed, or ""."""

    @property
    def left(self) -> str:
        """Why the source was skipped, or ""."""


_Outcomes = TypeVar("_Outcomes", bound=Sequence[PartOutcome])


class MonitoredRun:
    """What is known about a run while it is running.

    Parameters
    ----------
    flow
        The name of the flow.
    catalog, catalog_file
        The catalog and its file.
    """

    def __init__(self, flow: str, catalog: Catalog, catalog_file: str) -> None:
        self.started = datetime.now(UTC)
        self.run = f"{run_records.format_timestamp(self.started)}-{flow}"
        self.flow, self.catalog, self.catalog_file = flow, catalog, catalog_file
        self.ends: dict[tuple[str, str], SourceOutcome] = {}
        self.stage_seconds: dict[str, float] = {}
        self.prefect_run = _prefect_run_id()
        self.made_from = ""
        self.recorded = False
        self.warnings = WarningCollector()

    def add_outcomes(self, part: str, outcomes: _Outcomes) -> _Outcomes:
        """Record how sources ended in a part of the run, and give the same outcomes."""
        for outcome in outcomes:
            self.ends[part, outcome.source_id] = SourceOutcome(outcome.source_id, outcome.error, outcome.left)
        return outcomes

    def add_seconds(self, stage: str, seconds: float) -> None:
        """Record how long a stage took for one source; a `progress.DurationListener`."""
        self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + seconds

    def summarise(self, outcome: run_records.RunOutcome, error: str) -> RunSummary:
        """Write the summary of the run as it is now."""
        ended = datetime.now(UTC)
        return RunSummary(
            run=self.run,
            flow=self.flow,
            outcome=outcome,
            started=self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ended=ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round((ended - self.started).total_seconds(), 1),
            error=error,
            sources=_merge(self.ends.values()),
            stages={stage: round(seconds, 2) for stage, seconds in self.stage_seconds.items()},
            counts=_count_rows(self.catalog),
            versions=read_versions(),
            host=platform.node(),
            catalog=self.catalog_file,
            prefect_run=self.prefect_run,
            made_from=self.made_from,
            warnings=self.warnings.texts,
        )


def _merge(ends: Iterable[SourceOutcome]) -> tuple[SourceOutcome, ...]:
    """Merge the ends of each source in the parts of a run: all errors, and all reasons why it was skipped."""
    merged: dict[str, SourceOutcome] = {}
    for end in ends:
        earlier = merged.get(end.source, SourceOutcome(end.source))
        error = "; ".join(dict.fromkeys(filter(None, (earlier.error, end.error))))
        merged[end.source] = SourceOutcome(end.source, error, "; ".join(dict.fromkeys(filter(None, (earlier.left, end.left)))))
    return tuple(merged[name] for name in sorted(merged))


@contextmanager
def monitor_run(flow: str, catalog_file: str, *, nested: bool = False) -> Iterator[MonitoredRun]:
    """Monitor a run while the block lasts.

    The summary of the run is written however it ends, and a failure is reported to whom the catalog names. Earlier runs that
    were killed are recorded and reported first.

    Parameters
    ----------
    flow
        The name of the flow.
    catalog_file
        The catalog.
    nested
        The flow is a part of a monitored run, which records the outcomes itself: record nothing here.

    Yields
    ------
    MonitoredRun
        Takes the outcomes of sources.
    """
    with ExitStack() as stack:
        if not nested:
            stack.enter_context(locks.hold_storage(Store(load(Path(catalog_file)).storage_root).path(".locks"), flow))
        yield stack.enter_context(_record_run(flow, catalog_file, nested))


@contextmanager
def _record_run(flow: str, catalog_file: str, nested: bool) -> Iterator[MonitoredRun]:
    """Read the catalog, now that nothing is being forgotten: what was may be out of it since. Then monitor the run."""
    catalog = load(Path(catalog_file))
    run = MonitoredRun(flow, catalog, catalog_file)
    if nested:
        yield run
        return
    take_signals_back()
    make_records_safe()
    write_cache(Path(catalog_file), catalog)
    record_crashed_runs(catalog)
    with ExitStack() as stack:
        run.warnings = stack.enter_context(collect_warnings())
        note = run_records.note_folder(Store(catalog.storage_root).path(".locks")) / f"{run.run}.json"
        locks.write_note(note, asdict(replace(LockNote.own(flow), prefect_run=run.prefect_run)))
        stack.callback(progress.subscribe_durations(run.add_seconds))
        show = stack.enter_context(_shown_in_prefect(run))
        stack.enter_context(recorded_when_stopped(lambda: _record_stop(run, note)))
        try:
            yield run
        except BaseException as error:
            _finish(run, note, "failed" if isinstance(error, Exception) else "stopped", _describe(error), show)
            raise
        _finish(run, note, "failed" if any(end.error for end in run.ends.values()) else "done", "", show)


def _describe(error: BaseException) -> str:
    if isinstance(error, FiguregroundError):
        return str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else _STOPPED


def _finish(
    run: MonitoredRun, note: Path, outcome: run_records.RunOutcome, error: str, show: Callable[[RunSummary], None]
) -> None:
    """Record, show and report how a run ended. Failures here are only logged, so that the run's own error is raised."""
    try:
        summary = run.summarise(outcome, error)
        show(summary)
        record_and_notify(run.catalog, summary)
        run.recorded = True
        run_records.remove_old(Store(run.catalog.storage_root), run.flow, run.catalog.schedules.runs_kept)
        note.unlink(missing_ok=True)
    except (FiguregroundError, OSError) as failure:
        _log.error("the run's summary: %s", failure)


def _record_stop(run: MonitoredRun, note: Path) -> None:
    """Record a run whose process ends now. Prefect may be gone already: the note has the next run tell it."""
    if not run.recorded:
        run_records.write(Store(run.catalog.storage_root), run.summarise("stopped", _STOPPED))
        run.recorded = True
        if not run.prefect_run:
            note.unlink(missing_ok=True)


def _count_rows(catalog: Catalog) -> dict[str, int]:
    """Count the rows of all tables, from their footers."""
    store = Store(catalog.storage_root)
    statistics = Tallies(store, store.path(".locks") / "tallies.json")
    counts: dict[str, int] = {}
    for tables in statistics.read().values():
        for stage, table in tables.items():
            counts[stage] = counts.get(stage, 0) + int(table["rows"])
        kept = tables.get("verdicts", {}).get("counts", {}).get("kept", {}).get("True", 0)
        counts["kept"] = counts.get("kept", 0) + int(kept)
    counts["released"] = sum(statistics.released().values())
    statistics.remember()
    return counts


def _prefect_run_id() -> str:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""


@contextmanager
def _shown_in_prefect(run: MonitoredRun) -> Iterator[Callable[[RunSummary], None]]:
    if not run.prefect_run:
        yield lambda _: None
        return
    from flows.scheduling.artifacts import show_run

    with show_run(run.prefect_run, run.flow, run.catalog) as show:
        yield show
