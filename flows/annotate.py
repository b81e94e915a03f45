"""Push crops to the annotators, and pull their annotations."""

import functools
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from prefect import flow
from prefect.futures import PrefectFuture

from figureground import tables
from figureground.catalog import Catalog
from figureground.storage.store import Store
from figureground.types import Source, TableRef
from flows.ingest import expand_sources, lock_sources
from flows.outcomes import Outcome, find_first_failure, try_source
from flows.scheduling.run_monitor import monitor_run
from tasks.annotation.pull import pull
from tasks.annotation.push import push

_log = logging.getLogger(__name__)


@flow(name="push", validate_parameters=False, persist_result=False)
def push_all(
    catalog: str = "data_catalog.yaml", sources: list[str] | None = None, *, patient: bool = False, nested: bool = False
) -> list[Outcome]:
    """Push every pre-annotated crop to Label Studio, exactly once.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or an empty list means all.
    patient
        Skip sources that lack a required table, instead of counting them as failed.
    nested
        The flow is a part of another monitored run, see `flows.scheduling.run_monitor.monitor_run`.

    Returns
    -------
    list of Outcome
        One for each source.
    """
    with monitor_run("push", catalog, nested=nested) as run:
        return run.add_outcomes("push", _push(run.catalog, sources, patient))


def _push(settings: Catalog, sources: list[str] | None, patient: bool) -> list[Outcome]:
    expanded, refused = expand_sources(settings, sources)
    required = _Required(("crops", "mattes"), "is not ingested yet; run `figureground ingest` first", patient)

    def submit(source: Source, refs: Sequence[TableRef]) -> PrefectFuture[TableRef]:
        crops, mattes = refs
        return push.submit(crops, mattes, source, settings)

    with lock_sources(expanded, settings, "make", "push") as (mine, busy):
        return refused + busy + _run_in_turn(settings, mine, required, submit)


@flow(name="pull", validate_parameters=False, persist_result=False)
def pull_all(
    catalog: str = "data_catalog.yaml", sources: list[str] | None = None, *, patient: bool = False, nested: bool = False
) -> list[Outcome]:
    """Pull the annotations since the last pull.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or an empty list means all.
    patient
        Skip sources that lack a required table, instead of counting them as failed.
    nested
        The flow is a part of another monitored run, see `flows.scheduling.run_monitor.monitor_run`.

    Returns
    -------
    list of Outcome
        One for each source.
    """
    with monitor_run("pull", catalog, nested=nested) as run:
        return run.add_outcomes("pull", _pull(run.catalog, sources, patient))


def _pull(settings: Catalog, sources: list[str] | None, patient: bool) -> list[Outcome]:
    expanded, refused = expand_sources(settings, sources)
    required = _Required(("crops", "mattes", "tasks"), "is not pushed yet; run `figureground push` first", patient)

    def submit(_: Source, refs: Sequence[TableRef]) -> PrefectFuture[TableRef]:
        crops, mattes, tasks = refs
        return pull.submit(crops, mattes, tasks, settings)

    with lock_sources(expanded, settings, "labels", "pull") as (mine, busy):
        return refused + busy + _run_in_turn(settings, mine, required, submit)


class _Required(NamedTuple):
    """The tables that a source must have, the message when it has not, and whether such a source can wait."""

    stages: tuple[str, ...]
    missing: str
    patient: bool


def _run_in_turn(
    catalog: Catalog,
    sources: Sequence[Source],
    required: _Required,
    submit: Callable[[Source, Sequence[TableRef]], PrefectFuture[TableRef]],
) -> list[Outcome]:
    """Run one source at a time: Label Studio on SQLite loses predictions under concurrent writers."""
    outcomes: list[Outcome] = []
    for source in sources:
        if source.kind == "layout":
            _log.info("%s came with its labels: there is nothing to annotate", source.source_id)
            continue
        outcome, failed = try_source(source.source_id, functools.partial(_run_source, catalog, source, required, submit))
        outcomes += [outcome] if outcome else failed
    return outcomes


def _run_source(
    catalog: Catalog,
    source: Source,
    required: _Required,
    submit: Callable[[Source, Sequence[TableRef]], PrefectFuture[TableRef]],
) -> Outcome:
    store = Store(catalog.storage_root)
    refs = [ref for stage in required.stages if (ref := tables.find(store, stage, source.source_id))]
    if len(refs) == len(required.stages):
        return Outcome(source.source_id, find_first_failure([submit(source, refs)]))
    if required.patient:
        return Outcome(source.source_id, "", required.missing.partition(";")[0])
    return Outcome(source.source_id, f"{source.source_id} {required.missing}")
