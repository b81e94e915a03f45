"""From video to pre-annotated crops: the flow that runs every night."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import allow_failure, flow
from prefect.futures import PrefectFuture

from figureground.catalog import Catalog, load
from figureground.errors import FiguregroundError
from figureground.storage.leases import hold_lease
from figureground.storage.locks import Kind, hold_locks
from figureground.storage.store import Store
from figureground.tables import shards
from figureground.types import Source
from flows.executor import Executor, open_executor
from flows.scheduling.run_monitor import watched
from tasks.ingest.crop import crop
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.discover import discover, refusals
from tasks.ingest.fetch import being_written, expand, fetch, fetch_asset, is_listed
from tasks.ingest.import_dataset import adopt
from tasks.ingest.judge import judge
from tasks.ingest.matte import matte
from tasks.ingest.measure import measure
from tasks.ingest.report import report
from tasks.ingest.sample import sample

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one source ended; ``error`` is "" when every stage is done, ``left`` says why it was left alone."""

    source_id: str
    error: str
    left: str = ""


@flow(name="ingest", validate_parameters=False, persist_result=False)
@watched("ingest")
def ingest(catalog: str = "data_catalog.yaml", sources: list[str] | None = None) -> list[Outcome]:
    """Bring every source that is not done yet to pre-annotated crops and a report.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or none means all.

    Returns
    -------
    list of Outcome
        One a source. A source that fails never stops the others.

    Raises
    ------
    FiguregroundError
        When nothing can be done for any source: a broken catalog, missing weights, a storage that cannot be written.
    """
    settings = load(Path(catalog))
    _remove_leftovers(settings)
    fetch_weights(settings)
    seen = _discover(settings, sources)
    found, refused = resolve(settings, sources)
    refused = seen + [outcome for outcome in refused if outcome not in seen]
    with alone(found, settings, "make", "ingest") as (mine, busy), open_executor(settings) as executor:
        made = _outcomes(_submit(mine, settings, executor))
        shards.remove_shards(Store(settings.storage_root), [outcome.source_id for outcome in made if not outcome.error])
    outcomes = refused + busy + made
    if settings.cluster:
        _remove_leftovers(settings)  # a worker that was killed left what it was writing, and the run went on without it
    return outcomes


def _remove_leftovers(catalog: Catalog) -> None:
    """Remove the temporary files of processes that were killed."""
    for file in Store(catalog.storage_root).sweep():
        _log.info("removed %s, left by a run that was killed", file)


@contextmanager
def alone(found: list[Source], catalog: Catalog, kind: Kind, flow: str) -> Iterator[tuple[list[Source], list[Outcome]]]:
    """Hold the sources' locks while the block lasts: give those that were free, and an outcome for each other one."""
    store, names = Store(catalog.storage_root), [source.source_id for source in found]
    with hold_lease(store, f"leases/{kind}"), hold_locks(store.path(".locks"), kind, flow, names) as (_, taken):
        mine = [source for source in found if source.source_id not in taken]
        yield mine, [Outcome(name, "", f"left alone: {note} works on it") for name, note in taken.items()]


def fetch_weights(catalog: Catalog) -> None:
    """Fetch all weights that the recipe needs."""
    for weights in catalog.weights():
        fetch_asset(catalog.asset(weights.name))


def _discover(catalog: Catalog, names: Iterable[str] | None) -> list[Outcome]:
    """Ask pages and prefixes what is new; one that cannot be asked is an outcome, and what it had before goes on."""
    seen = []
    for source in [catalog.source(name) for name in (names or catalog.sources)]:
        try:
            listed = is_listed(source)
            left = refusals(discover(source, catalog), catalog) if listed else being_written(source, catalog)
        except FiguregroundError as error:
            seen.append(Outcome(source.source_id, str(error)))
        else:
            seen += [Outcome(source.source_id, "", left)] if left else []
    return seen


def resolve(catalog: Catalog, names: Iterable[str] | None) -> tuple[list[Source], list[Outcome]]:
    """Turn catalog names into sources, one for each file of a glob or folder.

    Returns
    -------
    tuple
        The sources, and an outcome for each name that gave none.

    Raises
    ------
    CatalogError
        When a name is not in the catalog.
    """
    sources, refused = [], []
    for source in [catalog.source(name) for name in (names or catalog.sources)]:
        try:
            sources += expand(source, catalog)
        except FiguregroundError as error:
            refused.append(Outcome(source.source_id, str(error)))
    return sources, refused


def _submit(found: list[Source], catalog: Catalog, executor: Executor) -> dict[str, list[PrefectFuture[Any]]]:
    """Submit stage by stage, so that a worker seldom waits for another one's result. Datasets come with labels."""
    datasets = [source for source in found if source.kind == "layout"]
    sources = [source for source in found if source.kind != "layout"]
    ids = [source.source_id for source in sources]
    videos = [executor.submit(fetch, source, catalog) for source in sources]
    frames = [executor.submit(sample, source, video, catalog) for source, video in zip(sources, videos, strict=True)]
    crops = [executor.submit(crop, table, catalog) for table in frames]
    measures = [executor.submit(measure, table, catalog) for table in crops]
    measured = [allow_failure(table) for table in measures]  # near-duplicates are looked for in all sources
    scores = [executor.submit(deduplicate, table, catalog, wait_for=measured) for table in measures]
    verdicts = [executor.submit(judge, table, catalog) for table in scores]
    mattes = [executor.submit(matte, table, verdict, catalog) for table, verdict in zip(crops, verdicts, strict=True)]
    reports = [executor.submit(report, name, catalog, wait_for=[table]) for name, table in zip(ids, mattes, strict=True)]
    stages = zip(videos, frames, crops, measures, scores, verdicts, mattes, reports, strict=True)
    adopted = {source.source_id: [executor.submit(adopt, source, catalog)] for source in datasets}
    return adopted | {name: list(futures) for name, futures in zip(ids, stages, strict=True)}


def _outcomes(futures: dict[str, list[PrefectFuture[Any]]]) -> list[Outcome]:
    return [Outcome(name, failure(stages)) for name, stages in futures.items()]


def failure(futures: Iterable[PrefectFuture[Any]]) -> str:
    """Wait for tasks and give the first failure's message, or "".

    Raises
    ------
    Exception
        When a task failed with anything but a `FiguregroundError`: that is a defect, and its traceback is wanted.
    """
    for future in futures:
        future.wait()
        if future.state.is_failed() or future.state.is_crashed():
            error = future.state.result(raise_on_failure=False)
            if isinstance(error, FiguregroundError):
                return str(error)
            raise error
    return ""
