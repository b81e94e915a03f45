"""To the annotators and back."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from prefect import flow
from prefect.futures import PrefectFuture

from figureground import tables
from figureground.catalog import Catalog, load
from figureground.storage.store import Store
from figureground.types import Source
from flows.ingest import Outcome, expand_sources, first_failure, lock_sources
from flows.scheduling.run_monitor import watched
from tasks.annotation.pull import pull
from tasks.annotation.push import push

_log = logging.getLogger(__name__)


@flow(name="push", validate_parameters=False, persist_result=False)
@watched("push")
def push_all(catalog: str = "data_catalog.yaml", sources: list[str] | None = None, *, patient: bool = False) -> list[Outcome]:
    """Give every pre-annotated crop to Label Studio, once.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or none means all.
    patient
        Leave sources that are not that far yet for another time, instead of calling them failed.

    Returns
    -------
    list of Outcome
        One a source.
    """
    settings = load(Path(catalog))
    found, refused = expand_sources(settings, sources)
    need = _Need(("crops", "mattes"), "is not ingested yet; run `figureground ingest` first", patient)
    with lock_sources(found, settings, "make", "push") as (mine, busy):
        return refused + busy + _one_by_one(settings, mine, need, lambda source, refs: push.submit(*refs, source, settings))


@flow(name="pull", validate_parameters=False, persist_result=False)
@watched("pull")
def pull_all(catalog: str = "data_catalog.yaml", sources: list[str] | None = None, *, patient: bool = False) -> list[Outcome]:
    """Fetch what the annotators have done since.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or none means all.
    patient
        Leave sources that are not that far yet for another time, instead of calling them failed.

    Returns
    -------
    list of Outcome
        One a source.
    """
    settings = load(Path(catalog))
    found, refused = expand_sources(settings, sources)
    need = _Need(("crops", "mattes", "tasks"), "is not pushed yet; run `figureground push` first", patient)
    with lock_sources(found, settings, "answers", "pull") as (mine, busy):
        return refused + busy + _one_by_one(settings, mine, need, lambda _, refs: pull.submit(*refs, settings))


class _Need(NamedTuple):
    """The tables that a source must have, what is said when it has not, and whether that can wait."""

    stages: tuple[str, ...]
    missing: str
    patient: bool


def _one_by_one(
    catalog: Catalog, found: list[Source], need: _Need, submit: Callable[[Source, list[Any]], PrefectFuture[Any]]
) -> list[Outcome]:
    """Work on one source at a time: Label Studio on SQLite loses predictions under concurrent writers."""
    store, outcomes = Store(catalog.storage_root), []
    for source in found:
        if source.kind == "layout":
            _log.info("%s came with its labels: there is nothing to ask", source.source_id)
            continue
        refs = [ref for stage in need.stages if (ref := tables.find(store, stage, source.source_id))]
        if len(refs) == len(need.stages):
            outcomes.append(Outcome(source.source_id, first_failure([submit(source, refs)])))
        elif need.patient:
            outcomes.append(Outcome(source.source_id, "", need.missing.partition(";")[0]))
        else:
            outcomes.append(Outcome(source.source_id, f"{source.source_id} {need.missing}"))
    return outcomes
