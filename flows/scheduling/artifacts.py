"""What a run shows in Prefect: its progress, and at its end a table of all sources with links to their reports."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

from figureground import progress
from figureground.catalog import Catalog
from figureground.storage.run_records import RunSummary
from figureground.storage.store import Store
from figureground.tables.statistics import Tallies, Tally

_UPDATE_SECONDS = 5.0
_MAX_LINKS = 50
_PULL_FLOWS = ("pull", "frequent-pull")
_STAGES_PER_SOURCE = 7

_log = logging.getLogger(__name__)


class _Progress:
    """The progress of each source in each stage."""

    def __init__(self) -> None:
        self._shares: dict[tuple[str, str], float] = {}
        self._latest: dict[str, str] = {}

    def update(self, stage: str, source_id: str, done: int, total: int) -> None:
        self._shares[source_id, stage] = min(1.0, done / total) if total else 0.0
        self._latest[source_id] = f"{source_id}: {stage} {done}" + (f" of {total}" if total else "")

    def percent(self) -> float:
        shares = dict(self._shares)
        sources = {source for source, _ in shares}
        return round(min(99.0, 100 * sum(shares.values()) / max(1, len(sources) * _STAGES_PER_SOURCE)), 1)

    def describe(self) -> str:
        return "; ".join(list(self._latest.values())[-5:]) or "nothing to do so far"


@contextmanager
def show_run(flow_run_id: str, flow: str, catalog: Catalog) -> Iterator[Callable[[RunSummary], None]]:
    """Show a run's progress while the block lasts.

    Parameters
    ----------
    flow_run_id
        Prefect's id of the run.
    flow
        The name of the flow, with which the names of the artifacts begin.
    catalog
        Gives the storage.

    Yields
    ------
    callable
        Shows the summary of the run.
    """
    shown, ended = _Progress(), threading.Event()
    unsubscribe = progress.subscribe(shown.update)
    artifact = _ProgressArtifact(flow_run_id, flow)
    thread = threading.Thread(target=_update_until, args=(artifact, shown, ended), name="artifacts", daemon=True)
    thread.start()

    def show(summary: RunSummary) -> None:
        ended.set()
        thread.join(30)
        _try(lambda: _create_artifacts(artifact, summary, flow_run_id, catalog))

    try:
        yield show
    finally:
        ended.set()
        unsubscribe()


def _update_until(artifact: "_ProgressArtifact", shown: _Progress, ended: threading.Event) -> None:
    while not ended.wait(_UPDATE_SECONDS):
        _try(lambda: artifact.update(shown.percent(), shown.describe()))


def _try(action: Callable[[], None]) -> None:
    """Write artifacts if Prefect's server accepts them; the run continues without them."""
    import httpx
    from prefect.exceptions import PrefectException

    try:
        action()
    except (httpx.HTTPError, PrefectException, RuntimeError) as error:
        _log.warning("Prefect did not accept an artifact: %s", error)


class _ProgressArtifact:
    """The progress artifact of one run; it is created by the first update."""

    def __init__(self, flow_run_id: str, flow: str) -> None:
        self._flow_run_id, self._flow = UUID(flow_run_id), flow
        self._id: UUID | None = None

    def update(self, percent: float, description: str) -> None:
        from prefect.client.orchestration import get_client
        from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate

        with get_client(sync_client=True) as client:
            if self._id is not None:
                client.update_artifact(self._id, ArtifactUpdate(data=percent, description=description))
                return
            artifact = ArtifactCreate(
                type="progress",
                key=f"{self._flow}-progress",
                data=percent,
                description=description,
                flow_run_id=self._flow_run_id,
            )
            self._id = client.create_artifact(artifact).id


def _create_artifacts(artifact: _ProgressArtifact, summary: RunSummary, flow_run_id: str, catalog: Catalog) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import ArtifactCreate

    artifact.update(100.0 if summary.outcome == "done" else 99.0, f"{summary.outcome} after {summary.seconds:.0f} s")
    store = Store(catalog.storage_root)
    tables = Tallies(store, store.path(".locks") / "tallies.json").read()
    tables_of = {end.source: tables.get(end.source, {}) for end in summary.sources}
    pages = [(f"{summary.flow}-funnel", render_summary(summary, tables_of), "the counts of every source")]
    for source in list(tables_of)[: 0 if summary.flow in _PULL_FLOWS else _MAX_LINKS]:
        link = _report_link(store, catalog, source)
        if link:
            pages.append((f"report-{source.lower().replace('_', '-')}", f"[{link}]({link})", f"the report of {source}"))
    with get_client(sync_client=True) as client:
        for key, text, description in pages:
            client.create_artifact(
                ArtifactCreate(type="markdown", key=key, data=text, description=description, flow_run_id=UUID(flow_run_id))
            )


def _report_link(store: Store, catalog: Catalog, source: str) -> str:
    """Give the address of a source's report: on the web server that the catalog names, or else of its file."""
    name = f"reports/{source}.html"
    if not store.exists(name):
        return ""
    if catalog.schedules.reports_url:
        return f"{catalog.schedules.reports_url.rstrip('/')}/{source}.html"
    return store.path(name).as_uri() if "://" not in store.root else f"{store.root}/{name}"


def render_summary(summary: RunSummary, tables_of: dict[str, dict[str, Tally]]) -> str:
    """Write a run's summary in Markdown: a table with a row per source, then errors, dropped crops and the stages' times.

    Parameters
    ----------
    summary
        How the run ended.
    tables_of
        The statistics of each source's tables, see `figureground.tables.statistics`.
    """
    header = ("source", "frames", "people", "crops", "kept", "pushed", "labelled", "how it ended")
    lines = [f"# {summary.flow}: {summary.outcome}", "", _row(header), _row(["---"] * len(header))]
    for end in summary.sources:
        ended = f"**failed**: {end.error}" if end.error else end.left or "done"
        lines.append(_row([end.source, *map(str, _counts(tables_of.get(end.source, {}))), ended]))
    lines += ["", f"{summary.seconds:.0f} s, from {summary.started} to {summary.ended} on {summary.host}"]
    if summary.error:
        lines += ["", f"**{_cell(summary.error)}**"]
    dropped = _count_reasons(tables_of)
    if dropped:
        lines += ["", "dropped: " + ", ".join(f"{reason} {count}" for reason, count in dropped)]
    lines += ["", _row(("stage", "seconds")), _row(("---", "---:"))]
    lines += [_row((stage, f"{seconds:.1f}")) for stage, seconds in summary.stages.items()]
    return "\n".join(lines)


def _counts(tables: dict[str, Tally]) -> list[int]:
    def rows(stage: str) -> int:
        return int(tables[stage]["rows"]) if stage in tables else 0

    people = int(tables.get("crops", {}).get("facts", {}).get("people", 0))
    kept = int(tables.get("verdicts", {}).get("counts", {}).get("kept", {}).get("True", 0))
    return [rows("frames"), people, rows("crops"), kept, rows("tasks"), rows("labels")]


def _count_reasons(tables_of: dict[str, dict[str, Tally]]) -> list[tuple[str, int]]:
    """Count the dropped crops of all sources by reason, the most frequent first."""
    counts: dict[str, int] = {}
    for tables in tables_of.values():
        for reason, count in tables.get("verdicts", {}).get("counts", {}).get("reason", {}).items():
            if reason:
                counts[reason] = counts.get(reason, 0) + int(count)
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(_cell, cells)) + " |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
