"""From video to pre-annotated crops: the flow that runs every night."""

import functools
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from prefect import allow_failure, flow
from prefect.futures import PrefectFuture

from figureground.catalog import Catalog
from figureground.clients.sources.fetching import fetch_asset
from figureground.clients.sources.identity import (
    describe_refused_files,
    describe_unfinished_files,
    expand,
    expand_and_remember,
    has_listing,
)
from figureground.storage.leases import hold_lease
from figureground.storage.locks import Kind, hold_locks
from figureground.storage.store import Store
from figureground.tables import shards
from figureground.types import Source
from flows.executor import Executor, open_executor
from flows.outcomes import Outcome, find_first_failure, try_source
from flows.scheduling.run_monitor import monitor_run
from tasks.ingest.crop import crop
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.discover import describe_refusals, discover
from tasks.ingest.fetch import fetch
from tasks.ingest.import_dataset import import_dataset
from tasks.ingest.judge import judge
from tasks.ingest.matte import matte
from tasks.ingest.measure import measure
from tasks.ingest.report import report
from tasks.ingest.sample import sample

_log = logging.getLogger(__name__)


@flow(name="ingest", validate_parameters=False, persist_result=False)
def ingest(
    catalog: str = "data_catalog.yaml", sources: list[str] | None = None, *, nested: bool = False
) -> list[Outcome]:
    """Bring every source that is not done yet to pre-annotated crops and a report.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or none means all.
    nested
        The flow is a part of another monitored run, see `flows.scheduling.run_monitor.monitor_run`.

    Returns
    -------
    list of Outcome
        One a source. A source that fails never stops the others.

    Raises
    ------
    FiguregroundError
        When nothing can be done for any source: a broken catalog, missing weights, a storage that cannot be written.
    """
    with monitor_run("ingest", catalog, nested=nested) as run:
        return run.add_outcomes("ingest", _ingest(run.catalog, sources))


def _ingest(settings: Catalog, sources: list[str] | None) -> list[Outcome]:
    _remove_leftovers(settings)
    fetch_weights(settings)
    refused = _discover(settings, sources)
    expanded, unusable = expand_sources(settings, sources, remember=True)
    refused += [outcome for outcome in unusable if outcome not in refused]
    with lock_sources(expanded, settings, "make", "ingest") as (free, busy), open_executor(settings) as executor:
        done = _outcomes(_submit(free, settings, executor))
        shards.remove_shards(Store(settings.storage_root), [outcome.source_id for outcome in done if not outcome.error])
    if settings.cluster:
        _remove_leftovers(settings)  # a worker that was killed left what it was writing, and the run went on without it
    return refused + busy + done


def _remove_leftovers(catalog: Catalog) -> None:
    """Remove the temporary files of processes that were killed."""
    for file in Store(catalog.storage_root).remove_temporary_files():
        _log.info("removed %s, left by a run that was killed", file)


@contextmanager
def lock_sources(
    sources: list[Source], catalog: Catalog, kind: Kind, flow: str
) -> Iterator[tuple[list[Source], list[Outcome]]]:
    """Lock sources while the block lasts.

    Parameters
    ----------
    sources
        The sources.
    catalog
        Gives the storage.
    kind
        Which lock: that of the stages, or that of the annotations.
    flow
        The flow's name, which the message of another run names.

    Yields
    ------
    tuple
        The sources that were free, and an outcome for each other one.
    """
    store, names = Store(catalog.storage_root), [source.source_id for source in sources]
    with hold_lease(store, f"leases/{kind}"), hold_locks(store.path(".locks"), kind, flow, names) as (_, taken):
        free = [source for source in sources if source.source_id not in taken]
        yield free, [Outcome(name, "", f"left alone: {note} works on it") for name, note in taken.items()]


def fetch_weights(catalog: Catalog) -> None:
    """Fetch all weights that the recipe needs."""
    for weights in catalog.weights():
        fetch_asset(catalog.asset(weights.name))


def _discover(catalog: Catalog, names: Iterable[str] | None) -> list[Outcome]:
    """List pages and prefixes anew. One that cannot be listed is an outcome, and what it had before goes on."""
    outcomes: list[Outcome] = []
    for source in [catalog.source(name) for name in (names or catalog.sources)]:
        left, failed = try_source(source.source_id, functools.partial(_list_anew, source, catalog))
        outcomes += failed or ([Outcome(source.source_id, "", left)] if left else [])
    return outcomes


def _list_anew(source: Source, catalog: Catalog) -> str:
    """List a page or prefix anew, and say which clips or files of a source are not taken now; "" for none."""
    if has_listing(source):
        return describe_refusals(discover(source, catalog), catalog)
    return describe_unfinished_files(source, catalog)


def expand_sources(
    catalog: Catalog, names: Iterable[str] | None, *, remember: bool = False
) -> tuple[list[Source], list[Outcome]]:
    """Give the sources that catalog names stand for: one for each file of a glob or folder, one for each clip of a page.

    Parameters
    ----------
    catalog
        Has the names.
    names
        Names of catalog sources; None or none means all.
    remember
        Remember the ids that files are given, and name the files whose id another source has.

    Returns
    -------
    tuple
        The sources, and an outcome for each name that gave none or, with `remember`, of which files are refused.

    Raises
    ------
    CatalogError
        When a name is not in the catalog.
    """
    sources: list[Source] = []
    refused: list[Outcome] = []
    for source in [catalog.source(name) for name in (names or catalog.sources)]:
        parts, failed = try_source(source.source_id, functools.partial(_expand, source, catalog, remember=remember))
        sources += parts[0] if parts else []
        refused += failed or ([Outcome(source.source_id, parts[1])] if parts and parts[1] else [])
    return sources, refused


def _expand(source: Source, catalog: Catalog, *, remember: bool) -> tuple[list[Source], str]:
    if not remember:
        return expand(source, catalog), ""
    return expand_and_remember(source, catalog), describe_refused_files(source, catalog)


def _submit(sources: list[Source], catalog: Catalog, executor: Executor) -> dict[str, list[PrefectFuture[Any]]]:
    """Submit all sources stage by stage: a worker then seldom waits for another one's result. Datasets have their labels."""
    datasets = [source for source in sources if source.kind == "layout"]
    footage = [source for source in sources if source.kind != "layout"]
    ids = [source.source_id for source in footage]
    videos = [executor.submit(fetch, source, catalog) for source in footage]
    frames = [executor.submit(sample, source, video, catalog) for source, video in zip(footage, videos, strict=True)]
    crops = [executor.submit(crop, table, catalog) for table in frames]
    measures = [executor.submit(measure, table, catalog) for table in crops]
    measured = [allow_failure(table) for table in measures]  # near-duplicates are searched in all sources
    scores = [executor.submit(deduplicate, table, catalog, wait_for=measured) for table in measures]
    verdicts = [executor.submit(judge, table, catalog) for table in scores]
    mattes = [executor.submit(matte, table, verdict, catalog) for table, verdict in zip(crops, verdicts, strict=True)]
    reports = [executor.submit(report, name, catalog, wait_for=[table]) for name, table in zip(ids, mattes, strict=True)]
    stages = zip(videos, frames, crops, measures, scores, verdicts, mattes, reports, strict=True)
    imported = {source.source_id: [executor.submit(import_dataset, source, catalog)] for source in datasets}
    return imported | {name: list(futures) for name, futures in zip(ids, stages, strict=True)}


def _outcomes(futures: dict[str, list[PrefectFuture[Any]]]) -> list[Outcome]:
    return [Outcome(name, find_first_failure(stages)) for name, stages in futures.items()]
