"""What each run did: a summary as JSON in ``runs/``, and while it goes a note that says which process it is.

The note of a run whose process is gone is how a crash is found, whatever killed it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from figureground.storage.store import Store

FOLDER = "runs"
RunOutcome = Literal["done", "failed", "crashed", "stopped"]


@dataclass(frozen=True, slots=True)
class SourceOutcome:
    """How one source ended: ``error`` says what failed, ``left`` why it was left alone; both "" when it is done."""

    source: str
    error: str = ""
    left: str = ""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run. ``stages`` is seconds by stage, summed over sources; ``counts`` is what the storage held at its end."""

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

    @property
    def failed(self) -> tuple[SourceOutcome, ...]:
        """The sources that failed."""
        return tuple(end for end in self.sources if end.error)

    @property
    def trouble(self) -> str:
        """What failed, without what changes from run to run: two runs with the same trouble tell the same news."""
        return "\n".join([self.outcome, self.error, *(f"{end.source}: {end.error}" for end in self.failed)])


def format_timestamp(moment: datetime) -> str:
    """Write a moment as part of a file name, UTC.

    >>> format_timestamp(datetime(2026, 11, 21, 2, 0, 0, 5000, UTC))
    '20261121T020000.005Z'
    """
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S.") + f"{moment.microsecond // 1000:03d}Z"


def parse_timestamp(run: str) -> datetime:
    """Read the moment a run's name begins with."""
    return datetime.strptime(run.partition("-")[0], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)


def name(run: str) -> str:
    """Name a run's summary in the storage."""
    return f"{FOLDER}/{run}.json"


def write(store: Store, summary: RunSummary) -> None:
    """Write a summary, whole or not at all."""
    store.write(name(summary.run), json.dumps(asdict(summary), indent=1, ensure_ascii=False).encode())


def read(store: Store, run: str) -> RunSummary | None:
    """Read a summary; None when it is damaged or of another version."""
    try:
        told = json.loads(store.read(name(run)))
        return RunSummary(**{**told, "sources": tuple(SourceOutcome(**end) for end in told["sources"])})
    except (ValueError, TypeError, KeyError):
        return None


def list_runs(store: Store, flow: str = "") -> list[str]:
    """List the runs there are, of one flow or all, the newest first."""
    runs = [file[len(FOLDER) + 1 : -len(".json")] for file in store.names(FOLDER) if file.endswith(".json")]
    return sorted((run for run in runs if not flow or run.partition("-")[2] == flow), reverse=True)


def read_latest(store: Store, flow: str = "") -> Iterator[RunSummary]:
    """Give the summaries of one flow or all, the newest first."""
    yield from (found for run in list_runs(store, flow) if (found := read(store, run)))


def remove_old(store: Store, flow: str, kept: int) -> list[str]:
    """Remove all but the newest summaries of a flow, and name what went."""
    old = list_runs(store, flow)[kept:]
    for run in old:
        store.remove(name(run))
    return old


def note_folder(locks: Path) -> Path:
    """Where the notes of running runs lie."""
    return locks / FOLDER
