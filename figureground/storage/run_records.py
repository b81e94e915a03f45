"""Run records: each run leaves a summary as JSON in ``runs/``, and while it is running a note that names its process.

A note whose process is gone shows that the run crashed, whatever killed it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from figureground import documents
from figureground.storage.store import Store

FOLDER = "runs"
_RUN_NAME = re.compile(r"\d{8}T\d{6}\.\d{3}Z-[a-z][a-z-]*")
RunOutcome = Literal["done", "failed", "crashed", "stopped"]


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How a source ended: ``error`` says what failed, ``left`` why it was skipped; both are "" when it is done."""

    source: str
    error: str = ""
    left: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run: ``stages`` holds seconds by stage, summed over sources, ``counts`` how many rows the storage had at its end.

    ``warnings`` holds what was logged as a warning or an error, each text once.
    """

    run: str
    flow: str
    outcome: RunOutcome
    started: str
    ended: str
    seconds: float
    error: str = ""
    sources: tuple[SourceOutcome, ...] = ()
    stages: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    host: str = ""
    catalog: str = ""
    prefect_run: str = ""
    made_from: str = ""
    notified: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[SourceOutcome, ...]:
        """The sources that failed."""
        return tuple(outcome for outcome in self.sources if outcome.error)

    @property
    def failure_text(self) -> str:
        """The failures without what differs from run to run: equal for two runs that failed in the same way."""
        return "\n".join([self.outcome, self.error, *(f"{outcome.source}: {outcome.error}" for outcome in self.failed)])


def format_timestamp(time: datetime) -> str:
    """Format a time as the beginning of a run's name, UTC.

    >>> format_timestamp(datetime(2026, 11, 21, 2, 0, 0, 5000, UTC))
    '20261121T020000.005Z'
    """
    return time.astimezone(UTC).strftime("%Y%m%dT%H%M%S.") + f"{time.microsecond // 1000:03d}Z"


def parse_timestamp(run: str) -> datetime:
    """Parse the time that a run's name begins with."""
    return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def is_run_name(text: str) -> bool:
    """Check whether a text is the name of a run: its time and its flow.

    >>> is_run_name("20261121T020000.005Z-nightly-ingest"), is_run_name("copy")
    (True, False)
    """
    return _RUN_NAME.fullmatch(text) is not None


def name(run: str) -> str:
    """Give the name of a run's summary in the storage."""
    return f"{FOLDER}/{run}.json"


def write(store: Store, summary: RunSummary) -> None:
    """Write a summary, whole or not at all."""
    store.write(name(summary.run), json.dumps(asdict(summary), indent=1, ensure_ascii=False).encode())


def read(store: Store, run: str) -> RunSummary | None:
    """Read a summary; None when it is damaged or was written by another version."""
    try:
        fields = documents.parse_json(store.read(name(run)))
        sources = tuple(SourceOutcome(**outcome) for outcome in fields["sources"])
        return RunSummary(**{**fields, "sources": sources, "warnings": tuple(fields.get("warnings", ()))})
    except (ValueError, TypeError, KeyError):
        return None


def list_runs(store: Store, flow: str = "") -> list[str]:
    """List the names of all runs, or of one flow's, the newest first."""
    runs = [file[len(FOLDER) + 1 : -len(".json")] for file in store.names(FOLDER) if file.endswith(".json")]
    named = (run for run in runs if is_run_name(run))
    return sorted((run for run in named if not flow or run.partition("-")[2] == flow), reverse=True)


def read_latest(store: Store, flow: str = "") -> Iterator[RunSummary]:
    """Read the summaries of all runs, or of one flow's, the newest first; unreadable ones are skipped."""
    yield from (summary for run in list_runs(store, flow) if (summary := read(store, run)))


def remove_old(store: Store, flow: str, keep: int) -> list[str]:
    """Remove all but the newest `keep` summaries of a flow, and name the removed ones."""
    old = list_runs(store, flow)[keep:]
    for run in old:
        store.remove(name(run))
    return old


def note_folder(locks: Path) -> Path:
    """Give the folder with the notes of runs that are running."""
    return locks / FOLDER


def list_notes(locks: Path) -> list[Path]:
    """List the notes of runs, the oldest first; other files in their folder are left alone."""
    return [path for path in sorted(note_folder(locks).glob("*.json")) if is_run_name(path.stem) and path.is_file()]
