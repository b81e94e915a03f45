"""What runs by itself: the nightly ingest, the frequent pull, the weekly release. Each takes all that is not done yet."""

import hashlib
import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from prefect import flow
from prefect.states import Cancelled, State
from pydantic import Field

from figureground.catalog import Catalog, load
from figureground.errors import FiguregroundError
from figureground.storage.run_records import read_latest
from figureground.storage.store import Store
from flows.annotate import pull_all, push_all
from flows.ingest import Outcome, ingest
from flows.release import cut
from flows.scheduling.run_monitor import current, watched
from tasks.operation.prune import Tidied, tidy

_P = ParamSpec("_P")
_R = TypeVar("_R")
CatalogFile = Annotated[str, Field(description="The catalog's file, as the machine sees it that does the work.")]
Sources = Annotated[list[str] | None, Field(description="Names of catalog sources; none means all.")]
Push = Annotated[bool, Field(description="Give what is new to Label Studio afterwards.")]
Tidy = Annotated[bool, Field(description="Drop what is over the catalog's budget afterwards.")]
Note = Annotated[str, Field(description="The last part of the release's name; the catalog's note when empty.")]
Always = Annotated[bool, Field(description="Cut a release even when nothing was labelled since the last one.")]


def _with_descriptions(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Put the parameters' descriptions where Prefect's form takes them from: a docstring in Google's style."""
    told = {name: hint.__metadata__[0].description for name, hint in function.__annotations__.items() if name != "return"}
    lines = [f"    {name}: {description}" for name, description in told.items()]
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Args:", *lines])
    return function


@flow(name="nightly-ingest", persist_result=False)
@_with_descriptions
@watched("nightly-ingest")
def nightly(
    catalog: CatalogFile = "data_catalog.yaml", sources: Sources = None, push: Push = True, tidy_up: Tidy = True
) -> "str | State[Any]":
    """Bring every source that is not done yet to tasks in Label Studio, and keep the storage within its budget."""
    settings = load(Path(catalog))
    outcomes = ingest(catalog, sources)
    if push:
        outcomes = outcomes + push_all(catalog, sources, patient=True)
    tidied = tidy(settings) if tidy_up else []
    return _ended(outcomes, tidied)


@flow(name="frequent-pull", persist_result=False)
@_with_descriptions
@watched("frequent-pull")
def answers(catalog: CatalogFile = "data_catalog.yaml", sources: Sources = None) -> "str | State[Any]":
    """Fetch what the annotators have done since."""
    return _ended(pull_all(catalog, sources, patient=True), [])


@flow(name="weekly-release", persist_result=False)
@_with_descriptions
@watched("weekly-release")
def weekly(catalog: CatalogFile = "data_catalog.yaml", note: Note = "", always: Always = False) -> str:
    """Cut a release of everything that is labelled, when there is anything that the last one of this flow did not see."""
    settings = load(Path(catalog))
    store, watch = Store(settings.storage_root), current()
    seen = _labelled(settings, store)
    if not seen:
        return "nothing is labelled yet, so there is nothing to release"
    before = next(
        (run.made_from for run in read_latest(store, "weekly-release") if run.outcome == "done" and run.made_from), ""
    )
    if watch is not None:
        watch.made_from = seen
    if seen == before and not always:
        return "nothing was labelled since the last release"
    made = cut(catalog, note)
    return f"released and verified: {made.name}"


def _labelled(catalog: Catalog, store: Store) -> str:
    """Give a hash of all labels and of how releases are made, "" when there are none."""
    found = {name: store.read(name) for name in store.names("tables/labels") if name.endswith(".parquet")}
    marks = {name: hashlib.sha256(content).hexdigest() for name, content in found.items()}
    told = [marks, catalog.releases.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest() if found else ""


def _ended(outcomes: list[Outcome], tidied: list[Tidied]) -> "str | State[Any]":
    """Say how a run ended. One that another run left nothing to do is shown as cancelled, which is not an error.

    Raises
    ------
    FiguregroundError
        When a source failed: then Prefect shows the run as failed.
    """
    failed = {outcome.source_id: outcome.error for outcome in outcomes if outcome.error}
    busy = [outcome for outcome in outcomes if outcome.left.startswith("left alone")]
    everything = {outcome.source_id for outcome in outcomes}
    if failed:
        raise FiguregroundError(f"{len(failed)} of {len(everything)} sources failed: {', '.join(sorted(failed))}")
    if busy and len(busy) == len(outcomes):
        return Cancelled(message=f"nothing was done: {busy[0].left}")
    left = f", {len({outcome.source_id for outcome in busy})} left to another run" if busy else ""
    dropped = sum(one.bytes for one in tidied if one.said == "dropped")
    return f"{len(everything)} sources{left}" + (f", {dropped / 1e9:.2f} GB dropped" if dropped else "")
