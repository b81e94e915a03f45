"""What a run shows in Prefect: how far it is, and at its end what became of everybody and where the reports are."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from figureground import progress
from figureground.catalog import Catalog
from figureground.storage.run_records import RunSummary
from figureground.storage.store import Store
from figureground.tables.statistics import Tallies, Tally

_EVERY_SECONDS = 5.0
_LINKS = 50
_ANSWERS = ("pull", "frequent-pull")
_STAGES = 7

_log = logging.getLogger(__name__)


class _Far:
    """How far each source is with each stage."""

    def __init__(self) -> None:
        self._shares: dict[tuple[str, str], float] = {}
        self._now: dict[str, str] = {}

    def tell(self, stage: str, source_id: str, done: int, total: int) -> None:
        self._shares[source_id, stage] = min(1.0, done / total) if total else 0.0
        self._now[source_id] = f"{source_id}: {stage} {done}" + (f" of {total}" if total else "")

    def percent(self) -> float:
        shares = dict(self._shares)
        sources = {source for source, _ in shares}
        return round(min(99.0, 100 * sum(shares.values()) / max(1, len(sources) * _STAGES)), 1)

    def words(self) -> str:
        return "; ".join(list(self._now.values())[-5:]) or "nothing to do so far"


@contextmanager
def showing(flow_run_id: str, flow: str, catalog: Catalog) -> Iterator[Callable[[RunSummary], None]]:
    """Show a run's progress while the block lasts; what it gives shows a summary.

    Parameters
    ----------
    flow_run_id
        Prefect's number of the run.
    flow
        What the artifacts are called after.
    catalog
        Gives the storage.
    """
    far, ended = _Far(), threading.Event()
    unsubscribe = progress.subscribe(far.tell)
    bar = _Bar(flow_run_id, flow)
    thread = threading.Thread(target=_tell_until, args=(bar, far, ended), name="artifacts", daemon=True)
    thread.start()

    def show(summary: RunSummary) -> None:
        ended.set()
        thread.join(30)
        _careful(lambda: _show(bar, summary, flow_run_id, catalog))

    try:
        yield show
    finally:
        ended.set()
        unsubscribe()


def _tell_until(bar: "_Bar", far: _Far, ended: threading.Event) -> None:
    while not ended.wait(_EVERY_SECONDS):
        _careful(lambda: bar.tell(far.percent(), far.words()))


def _careful(deed: Callable[[], None]) -> None:
    """Do what is only for looking at: when Prefect's server does not take it, the run goes on."""
    import httpx
    from prefect.exceptions import PrefectException

    try:
        deed()
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        _log.warning("Prefect did not take an artifact: %s", error)


class _Bar:
    """The progress artifact of one run; it comes to be with the first news."""

    def __init__(self, flow_run_id: str, flow: str) -> None:
        self._flow_run_id, self._flow = flow_run_id, flow
        self._id: UUID | None = None

    def tell(self, percent: float, words: str) -> None:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        with get_client(sync_client=True) as client:
            if self._id is not None:
                client.update_artifact(self._id, ArtifactUpdate(data=percent, description=words))
                return
            new = ArtifactCreate(
                type="progress", key=f"{self._flow}-progress", data=percent, description=words, flow_run_id=self._flow_run_id
            )
            self._id = client.create_artifact(new).id


def _show(bar: _Bar, summary: RunSummary, flow_run_id: str, catalog: Catalog) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate

    bar.tell(100.0 if summary.outcome == "done" else 99.0, f"{summary.outcome} after {summary.seconds:.0f} s")
    store = Store(catalog.storage_root)
    known = Tallies(store, store.path(".locks") / "tallies.json").read()
    named = {end.source: known.get(end.source, {}) for end in summary.sources}
    made = [("markdown", f"{summary.flow}-funnel", markdown(summary, named), "what became of everybody")]
    for source in list(named)[: 0 if summary.flow in _ANSWERS else _LINKS]:
        link = _report(store, catalog, source)
        if link:
            text = f"[{link}]({link})"
            made.append(("markdown", f"report-{source.lower().replace('_', '-')}", text, f"the report of {source}"))
    with get_client(sync_client=True) as client:
        for kind, key, data, words in made:
            client.create_artifact(
                ArtifactCreate(type=kind, key=key, data=data, description=words, flow_run_id=UUID(flow_run_id))
            )


def _report(store: Store, catalog: Catalog, source: str) -> str:
    """Give the address of a source's report: where a web server shows it, or else its file."""
    name = f"reports/{source}.html"
    if not store.exists(name):
        return ""
    if catalog.schedules.reports_url:
        return f"{catalog.schedules.reports_url.rstrip('/')}/{source}.html"
    return store.path(name).as_uri() if "://" not in store.root else f"{store.root}/{name}"


def markdown(summary: RunSummary, known: dict[str, dict[str, Tally]]) -> str:
    """Write a run's funnel as a table: a row a source, and what went wrong or was left below.

    Parameters
    ----------
    summary
        How the run ended.
    known
        Source to tallies, see `figureground.tables.statistics`.
    """
    head = ("source", "frames", "people", "crops", "kept", "pushed", "labelled", "how it ended")
    lines = [f"# {summary.flow}: {summary.outcome}", "", _row(head), _row(["---"] * len(head))]
    for end in summary.sources:
        lines.append(_row([end.source, *map(str, _numbers(known.get(end.source, {}))), _ended(end.error, end.left)]))
    lines += ["", f"{summary.seconds:.0f} s, from {summary.started} to {summary.ended} on {summary.host}"]
    if summary.error:
        lines += ["", f"**{_cell(summary.error)}**"]
    dropped = _dropped(known)
    if dropped:
        lines += ["", "dropped: " + ", ".join(f"{reason} {count}" for reason, count in dropped)]
    lines += ["", _row(("stage", "seconds")), _row(("---", "---:"))]
    lines += [_row((name, f"{spent:.1f}")) for name, spent in summary.stages.items()]
    return "\n".join(lines)


def _numbers(stages: dict[str, Tally]) -> list[int]:
    def rows(stage: str) -> int:
        return int(stages[stage]["rows"]) if stage in stages else 0

    people = int(stages.get("crops", {}).get("facts", {}).get("people", 0))
    kept = int(stages.get("verdicts", {}).get("counts", {}).get("kept", {}).get("True", 0))
    return [rows("frames"), people, rows("crops"), kept, rows("tasks"), rows("labels")]


def _dropped(known: dict[str, dict[str, Tally]]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {}
    for stages in known.values():
        for reason, count in stages.get("verdicts", {}).get("counts", {}).get("reason", {}).items():
            if reason:
                counts[reason] = counts.get(reason, 0) + int(count)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _ended(error: str, left: str) -> str:
    return f"**failed**: {error}" if error else left or "done"


def _row(cells: Any) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
