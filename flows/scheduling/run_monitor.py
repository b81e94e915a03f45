"""A run that is watched: its summary, its artifacts in Prefect, and who hears when it fails, also when it was killed."""

import functools
import inspect
import logging
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from filelock import FileLock

from figureground import __version__, progress
from figureground.catalog import Catalog, load
from figureground.clients.notification import notify
from figureground.errors import FiguregroundError
from figureground.storage import locks, run_records
from figureground.storage.locks import LockNote
from figureground.storage.run_records import RunSummary, SourceOutcome
from figureground.storage.store import Store
from figureground.tables.statistics import Tallies
from flows.cli import catalog_cache

_P = ParamSpec("_P")
_R = TypeVar("_R")
_BY_HAND = ("ingest", "push", "pull", "release", "rebuild")
_log = logging.getLogger(__name__)
_current: ContextVar["Watch | None"] = ContextVar("_current", default=None)


class Watch:
    """What is known of a run while it goes."""

    def __init__(self, flow: str, catalog: Catalog, catalog_file: str) -> None:
        self.begun = datetime.now(UTC)
        self.run = f"{run_records.format_timestamp(self.begun)}-{flow}"
        self.flow, self.catalog, self.catalog_file = flow, catalog, catalog_file
        self.ends: dict[tuple[str, str], SourceOutcome] = {}
        self.stages: dict[str, float] = {}
        self.prefect_run = _prefect_run()
        self.made_from = ""

    def take(self, flow: str, outcomes: Sequence[Any]) -> None:
        """Take down how sources ended in a part of the run."""
        for outcome in outcomes:
            self.ends[flow, outcome.source_id] = SourceOutcome(outcome.source_id, outcome.error, outcome.left)

    def took(self, stage: str, seconds: float) -> None:
        """Take down how long a stage took for one source; a `progress.Stopwatch`."""
        self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def summary(self, outcome: run_records.RunOutcome, error: str) -> RunSummary:
        """Give what is known now as the run's summary."""
        ended = datetime.now(UTC)
        return RunSummary(
            run=self.run,
            flow=self.flow,
            outcome=outcome,
            started=self.begun.strftime("%Y-%m-%dT%H:%M:%SZ"),
            ended=ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
            seconds=round((ended - self.begun).total_seconds(), 1),
            error=error,
            sources=_together(self.ends.values()),
            stages={stage: round(seconds, 2) for stage, seconds in self.stages.items()},
            counts=_counts(self.catalog),
            versions=versions(),
            host=platform.node(),
            catalog=self.catalog_file,
            prefect_run=self.prefect_run,
            made_from=self.made_from,
        )


def _together(ends: Any) -> tuple[SourceOutcome, ...]:
    """Give one end a source: what failed in any part of the run counts, then what was left."""
    found: dict[str, SourceOutcome] = {}
    for end in ends:
        before = found.get(end.source, SourceOutcome(end.source))
        error = "; ".join(dict.fromkeys(filter(None, (before.error, end.error))))
        found[end.source] = SourceOutcome(end.source, error, "; ".join(dict.fromkeys(filter(None, (before.left, end.left)))))
    return tuple(found[name] for name in sorted(found))


def watched(name: str) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]:
    """Watch a flow's body: put it below ``@flow``. A flow inside a watched one is a part of that run."""

    def wrap(function: Callable[_P, _R]) -> Callable[_P, _R]:
        @functools.wraps(function)
        def go(*given: _P.args, **named: _P.kwargs) -> _R:
            bound = inspect.signature(function).bind(*given, **named)
            bound.apply_defaults()
            with watching(name, str(bound.arguments["catalog"])) as watch:
                result = function(*given, **named)
                if isinstance(result, list):
                    watch.take(name, result)
                return result

        return go

    return wrap


def current() -> Watch | None:
    """Give the run that goes on here, if one does."""
    return _current.get()


@contextmanager
def watching(flow: str, catalog_file: str) -> Iterator[Watch]:
    """Watch a run while the block lasts.

    Its summary is written whatever happens, and when something failed, whom the catalog names hears of it. What runs that
    were killed left is told and cleared before.
    """
    outer = _current.get()
    if outer is not None:
        yield outer
        return
    catalog = load(Path(catalog_file))
    catalog_cache.remember(Path(catalog_file), catalog)
    bury(catalog)
    watch = Watch(flow, catalog, catalog_file)
    with ExitStack() as stack:
        note = _note_file(catalog, watch.run)
        locks.write_note(note, asdict(replace(LockNote.own(flow), prefect_run=watch.prefect_run)))
        stack.callback(_current.reset, _current.set(watch))
        stack.callback(progress.subscribe_durations(watch.took))
        shown = stack.enter_context(_shown(watch))
        try:
            yield watch
        except BaseException as error:
            _end(watch, note, _ending(error), _said(error), shown)
            raise
        _end(watch, note, "failed" if any(end.error for end in watch.ends.values()) else "done", "", shown)


def _ending(error: BaseException) -> run_records.RunOutcome:
    return "failed" if isinstance(error, Exception) else "stopped"


def _said(error: BaseException) -> str:
    if isinstance(error, FiguregroundError):
        return str(error)
    return f"{type(error).__name__}: {error}" if isinstance(error, Exception) else "it was told to stop"


def _note_file(catalog: Catalog, run: str) -> Path:
    return run_records.note_folder(Store(catalog.storage_root).path(".locks")) / f"{run}.json"


def _end(watch: Watch, note: Path, outcome: run_records.RunOutcome, error: str, shown: Callable[[RunSummary], None]) -> None:
    """Write, tell and show how a run ended; what fails here is logged, so that the run's own error is what is seen."""
    try:
        summary = watch.summary(outcome, error)
        shown(summary)
        settle(watch.catalog, summary)
        run_records.remove_old(Store(watch.catalog.storage_root), watch.flow, watch.catalog.schedules.runs_kept)
        note.unlink(missing_ok=True)
    except (FiguregroundError, OSError) as failure:
        _log.error("the run's summary: %s", failure)


def settle(catalog: Catalog, summary: RunSummary) -> None:
    """Write a run's summary and, when it failed, tell whom the catalog names: once, and not the same news again and again.

    Parameters
    ----------
    catalog
        Its ``notify`` says who and how often.
    summary
        How the run ended.
    """
    store = Store(catalog.storage_root)
    run_records.write(store, summary)
    if summary.outcome not in ("failed", "crashed") or catalog.notify is None or _seen(summary):
        return
    told = _told_already(store, catalog, summary)
    if not told and not notify(catalog.notify, *letter(summary, catalog), asdict(summary)):
        told = locks.format_now()
    run_records.write(store, replace(summary, notified=told))


def _seen(summary: RunSummary) -> bool:
    """Tell whether somebody sits there who started the run and reads its error anyway."""
    return summary.outcome == "failed" and summary.flow in _BY_HAND and sys.stdout.isatty()


def _told_already(store: Store, catalog: Catalog, summary: RunSummary) -> str:
    """Give when the same trouble was told last, if that is not long ago."""
    before = next((one for one in run_records.read_latest(store, summary.flow) if one.run < summary.run), None)
    if before is None or not before.notified or before.trouble != summary.trouble or catalog.notify is None:
        return ""
    hours = (datetime.now(UTC) - datetime.fromisoformat(before.notified)).total_seconds() / 3600
    return before.notified if hours < catalog.notify.repeat_after_hours else ""


def letter(summary: RunSummary, catalog: Catalog) -> tuple[str, str]:
    """Write what people are told of a failed run: a subject, and what failed, why and what to do."""
    failed = summary.failed
    count = f": {len(failed)} of {len(summary.sources)} sources" if failed else ""
    subject = f"figureground {summary.flow} {summary.outcome}{count} ({summary.host}, {summary.ended})"
    lines = [summary.error] if summary.error else []
    lines += [f"- {end.source}: {end.error}" for end in failed]
    names = " ".join(dict.fromkeys(catalog.entry_of(end.source) for end in failed))
    where = f" --catalog {summary.catalog}" if summary.catalog else ""
    lines += ["", f"What was done is safe, and the next run carries on. Look with `figureground status{where}`."]
    if failed:
        lines.append(f"Try again at once with `figureground ingest {names}{where}`; docs/operate.md says more.")
    return subject, "\n".join(lines)


def bury(catalog: Catalog) -> list[RunSummary]:
    """Find runs whose process is gone: write their summaries, tell Prefect and people, and clear their notes.

    Returns
    -------
    list of Summary
        What was found.
    """
    folder = Store(catalog.storage_root).path(".locks")
    dead = [path for path in sorted(run_records.note_folder(folder).glob("*.json")) if _is_dead(locks.read_note(path))]
    if not dead:
        locks.remove_stale_notes(folder)
        return []
    with FileLock(folder / "runs.lock", timeout=60):
        found = [_buried(catalog, folder, path) for path in dead if path.exists()]
    locks.remove_stale_notes(folder)
    return found


def _is_dead(note: LockNote | None) -> bool:
    return note is None or (note.host == platform.node() and not note.alive)


def _buried(catalog: Catalog, folder: Path, path: Path) -> RunSummary:
    store, note = Store(catalog.storage_root), locks.read_note(path)
    summary = run_records.read(store, path.stem) if store.exists(run_records.name(path.stem)) else _crashed(folder, path, note)
    if summary is not None and not summary.notified:
        settle(catalog, summary)
    if note is not None and note.prefect_run:
        _tell_prefect(note.prefect_run)
    path.unlink(missing_ok=True)
    return summary or _crashed(folder, path, note)


def _crashed(folder: Path, path: Path, note: LockNote | None) -> RunSummary:
    pid = note.process.partition("@")[0] if note else "?"
    return RunSummary(
        run=path.stem,
        flow=path.stem.partition("-")[2],
        outcome="crashed",
        started=run_records.parse_timestamp(path.stem).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ended=locks.format_now(),
        seconds=0.0,
        error=f"its process {pid} ended without a word: it was killed, ran out of memory, or the machine went down",
        sources=_at_work(folder, note),
        versions=versions(),
        host=platform.node(),
        prefect_run=note.prefect_run if note else "",
    )


def _at_work(folder: Path, dead: LockNote | None) -> tuple[SourceOutcome, ...]:
    """Tell what the dead run was at, from the notes it left beside its locks."""
    found = {}
    for kind in locks.KINDS:
        for path in sorted((folder / kind).glob("*.json")):
            note = locks.read_note(path)
            if dead is not None and note is not None and note.process == dead.process:
                far = f" {note.done} of {note.total}" if note.total else ""
                found[path.stem] = SourceOutcome(path.stem, left=f"it was at {note.stage or 'the start'}{far}")
    return tuple(found[name] for name in sorted(found))


def _tell_prefect(flow_run_id: str) -> None:
    import httpx

    from flows.scheduling.prefect_cleanup import mark_crashed

    try:
        mark_crashed([flow_run_id], "its process was gone when the next run looked")
    except (httpx.HTTPError, RuntimeError) as error:
        _log.warning("Prefect could not be told that the run %s crashed: %s", flow_run_id, error)


def versions() -> dict[str, str]:
    """Give the versions that decide what comes out."""
    from importlib.metadata import version

    names = ("prefect", "numpy", "opencv-python", "av", "openvino", "torch")
    return {"figureground": __version__, "python": platform.python_version(), **{name: version(name) for name in names}}


def _counts(catalog: Catalog) -> dict[str, int]:
    """Count what the storage holds, from the tables' footers."""
    store = Store(catalog.storage_root)
    tallies = Tallies(store, store.path(".locks") / "tallies.json")
    counts: dict[str, int] = {}
    for stages in tallies.read().values():
        for stage, tally in stages.items():
            counts[stage] = counts.get(stage, 0) + int(tally["rows"])
        kept = stages.get("verdicts", {}).get("counts", {}).get("kept", {}).get("True", 0)
        counts["kept"] = counts.get("kept", 0) + int(kept)
    counts["released"] = sum(tallies.released().values())
    tallies.remember()
    return counts


def _prefect_run() -> str:
    from prefect.context import FlowRunContext

    context = FlowRunContext.get()
    return str(context.flow_run.id) if context is not None and context.flow_run is not None else ""


@contextmanager
def _shown(watch: Watch) -> Iterator[Callable[[RunSummary], None]]:
    if not watch.prefect_run:
        yield lambda _: None
        return
    from flows.scheduling.artifacts import showing

    with showing(watch.prefect_run, watch.flow, watch.catalog) as show:
        yield show
