"""The flows that run unattended: nightly ingest, frequent pull, weekly release. Each processes all that is not done yet."""

import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

from prefect import State, flow
from prefect.runtime import deployment
from prefect.states import Cancelled
from pydantic import Field

from figureground.catalog import Catalog
from figureground.errors import CatalogError, FiguregroundError
from figureground.storage.run_records import read_latest
from figureground.storage.store import Store
from flows.annotate import pull_all, push_all
from flows.ingest import ingest
from flows.outcomes import Outcome
from flows.release import cut
from flows.scheduling.run_monitor import monitor_run
from tasks.operation.prune import Pruned, prune_storage

_P = ParamSpec("_P")
_R = TypeVar("_R")
CatalogFile = Annotated[str, Field(description="The catalog's file, as the machine sees it that runs the flow.")]
Sources = Annotated[list[str] | None, Field(description="Names of catalog sources; all if empty.")]
Push = Annotated[bool, Field(description="Push new crops to Label Studio afterwards.")]
Prune = Annotated[bool, Field(description="Remove files over the catalog's disk budget afterwards.")]
Note = Annotated[str, Field(description="The last part of the release's name; the catalog's note if empty.")]
Always = Annotated[bool, Field(description="Make a release even when nothing was labelled since the last one.")]


def _with_descriptions(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Add the parameters' descriptions to the docstring in Google's style, from which Prefect's form takes them."""
    descriptions = {
        name: hint.__metadata__[0].description for name, hint in function.__annotations__.items() if name != "return"
    }
    lines = [f"    {name}: {description}" for name, description in descriptions.items()]
    function.__doc__ = "\n".join([inspect.getdoc(function) or "", "", "Args:", *lines])
    return function


@flow(name="nightly-ingest", persist_result=False)
@_with_descriptions
def nightly_ingest(
    catalog: CatalogFile = "data_catalog.yaml", sources: Sources = None, push: Push = True, prune: Prune = True
) -> "str | State[Any]":
    """Bring every source that is not done yet to tasks in Label Studio, and keep the storage within its budget."""
    _require_own_catalog(catalog)
    with monitor_run("nightly-ingest", catalog) as run:
        outcomes = run.add_outcomes("ingest", ingest(catalog, sources, nested=True))
        if push:
            outcomes = outcomes + run.add_outcomes("push", push_all(catalog, sources, patient=True, nested=True))
        pruned = prune_storage(run.catalog) if prune else []
        return _final_state(outcomes, pruned)


@flow(name="frequent-pull", persist_result=False)
@_with_descriptions
def frequent_pull(catalog: CatalogFile = "data_catalog.yaml", sources: Sources = None) -> "str | State[Any]":
    """Download new annotations."""
    _require_own_catalog(catalog)
    with monitor_run("frequent-pull", catalog) as run:
        return _final_state(run.add_outcomes("pull", pull_all(catalog, sources, patient=True, nested=True)), [])


@flow(name="weekly-release", persist_result=False)
@_with_descriptions
def weekly_release(catalog: CatalogFile = "data_catalog.yaml", note: Note = "", always: Always = False) -> str:
    """Make a release of everything that is labelled, if a label has changed since the last release of this flow."""
    _require_own_catalog(catalog)
    with monitor_run("weekly-release", catalog) as run:
        store = Store(run.catalog.storage_root)
        labels = _hash_labels(run.catalog, store)
        if not labels:
            return "nothing is labelled yet, so there is nothing to release"
        done = (summary for summary in read_latest(store, "weekly-release") if summary.outcome == "done" and summary.made_from)
        last = next(done, None)
        run.made_from = labels
        if last is not None and last.made_from == labels and not always:
            return "nothing was labelled since the last release"
        made = cut(catalog, note, nested=True)
        return f"released and verified: {made.name}"


def _require_own_catalog(catalog: str) -> None:
    """Refuse another catalog than the deployment was made for: a catalog names commands that are run.

    Raises
    ------
    CatalogError
        When a run was asked for with another one, on Prefect's pages or over its API.
    """
    own = (deployment.parameters or {}).get("catalog") if deployment.id else None
    if own and Path(own).resolve() != Path(catalog).resolve():
        raise CatalogError(
            f"this deployment runs only the catalog it was made for, {own}; found {catalog}. "
            "Run `figureground schedule` in the folder of the other catalog"
        )


def _hash_labels(catalog: Catalog, store: Store) -> str:
    """Hash all labels and the settings of releases; "" when there are no labels."""
    tables = {name: store.read(name) for name in store.names("tables/labels") if name.endswith(".parquet")}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in tables.items()}
    hashed = [hashes, catalog.releases.model_dump(mode="json")]
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest() if tables else ""


def _final_state(outcomes: Sequence[Outcome], pruned: Sequence[Pruned]) -> "str | State[Any]":
    """Describe how a run ended. A run whose sources are all taken by another run is shown as cancelled, which is no error.

    Raises
    ------
    FiguregroundError
        When a source failed, so that Prefect shows the run as failed.
    """
    failed = {outcome.source_id: outcome.error for outcome in outcomes if outcome.error}
    busy = [outcome for outcome in outcomes if outcome.left.startswith("left alone")]
    sources = {outcome.source_id for outcome in outcomes}
    if failed:
        raise FiguregroundError(f"{len(failed)} of {len(sources)} sources failed: {', '.join(sorted(failed))}")
    if busy and len(busy) == len(outcomes):
        return Cancelled(message=f"nothing was done: {busy[0].left}")
    left = f", {len({outcome.source_id for outcome in busy})} left to another run" if busy else ""
    removed = sum(part.bytes for part in pruned if part.outcome == "dropped")
    return f"{len(sources)} sources{left}" + (f", {removed / 1e9:.2f} GB dropped" if removed else "")
