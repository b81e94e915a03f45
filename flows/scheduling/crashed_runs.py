"""Runs whose process ended without recording how: they are found by their notes, recorded as crashed, and reported."""

import logging
import platform
from pathlib import Path

from filelock import FileLock

from figureground.catalog import Catalog
from figureground.storage import locks, run_records
from figureground.storage.locks import LockNote
from figureground.storage.run_records import RunSummary, SourceOutcome
from figureground.storage.store import Store
from flows.scheduling.failure_notice import record_and_notify
from flows.scheduling.versions import read_versions

_log = logging.getLogger(__name__)


def record_crashed_runs(catalog: Catalog) -> list[RunSummary]:
    """Find runs whose process has ended, record them as crashed, tell Prefect, notify people, and remove their notes.

    Parameters
    ----------
    catalog
        Gives the storage, and the receivers of notices.

    Returns
    -------
    list of RunSummary
        The runs that were found.
    """
    folder = Store(catalog.storage_root).path(".locks")
    stale = [path for path in run_records.list_notes(folder) if _is_stale(locks.read_note(path))]
    if not stale:
        locks.remove_stale_notes(folder)
        return []
    with FileLock(folder / "runs.lock", timeout=60):
        summaries = [_record(catalog, folder, path) for path in stale if path.exists()]
    locks.remove_stale_notes(folder)
    return summaries


def _is_stale(note: LockNote | None) -> bool:
    return note is None or (note.host == platform.node() and not note.alive)


def _record(catalog: Catalog, folder: Path, path: Path) -> RunSummary:
    store, note = Store(catalog.storage_root), locks.read_note(path)
    written = run_records.read(store, path.stem) if store.exists(run_records.name(path.stem)) else None
    summary = written or _crashed_summary(folder, path, note)
    if not summary.notified:
        record_and_notify(catalog, summary)
    if note is not None and note.prefect_run:
        _mark_crashed_in_prefect(note.prefect_run)
    path.unlink(missing_ok=True)
    return summary


def _crashed_summary(folder: Path, path: Path, note: LockNote | None) -> RunSummary:
    pid = note.process.partition("@")[0] if note else "?"
    return RunSummary(
        run=path.stem,
        flow=path.stem.partition("-")[2],
        outcome="crashed",
        started=run_records.parse_timestamp(path.stem).strftime("%Y-%m-%dT%H:%M:%SZ"),
        ended=locks.format_now(),
        seconds=0.0,
        error=f"its process {pid} ended without a word: it was killed, ran out of memory, or the machine went down",
        sources=_unfinished_sources(folder, note),
        versions=read_versions(),
        host=platform.node(),
        prefect_run=note.prefect_run if note else "",
    )


def _unfinished_sources(folder: Path, crashed: LockNote | None) -> tuple[SourceOutcome, ...]:
    """Read which stage each source of the crashed run was in, from the notes beside its locks."""
    ends = {}
    for kind in locks.KINDS:
        for path in locks.list_notes(folder / kind):
            note = locks.read_note(path)
            if crashed is not None and note is not None and note.process == crashed.process:
                progress = f" {note.done} of {note.total}" if note.total else ""
                ends[path.stem] = SourceOutcome(path.stem, left=f"it was at {note.stage or 'the start'}{progress}")
    return tuple(ends[name] for name in sorted(ends))


def _mark_crashed_in_prefect(flow_run_id: str) -> None:
    import httpx

    from flows.scheduling.prefect_cleanup import mark_crashed

    try:
        mark_crashed([flow_run_id], "its process had ended when the next run started")
    except (httpx.HTTPError, RuntimeError) as error:
        _log.warning("the run %s could not be marked as crashed in Prefect: %s", flow_run_id, error)
