"""To the annotators and back."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from figureground.catalog import Catalog, load
from figureground.types import Source
from flows.ingest import Outcome, failure, resolve
from tasks.find import find
from tasks.pull import pull
from tasks.push import push

_log = logging.getLogger(__name__)


@flow(name="push", validate_parameters=False, persist_result=False)
def push_all(catalog: str = "data_catalog.yaml", sources: list[str] | None = None) -> list[Outcome]:
    """Give every pre-annotated crop to Label Studio, once.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or none means all.

    Returns
    -------
    list of Outcome
        One a source.
    """
    settings = load(Path(catalog))
    stages, missing = ("crops", "mattes"), "is not ingested yet; run `figureground ingest` first"
    return _one_by_one(settings, sources, stages, missing, lambda source, refs: push.submit(*refs, source, settings))


@flow(name="pull", validate_parameters=False, persist_result=False)
def pull_all(catalog: str = "data_catalog.yaml", sources: list[str] | None = None) -> list[Outcome]:
    """Fetch what the annotators have done since.

    Parameters
    ----------
    catalog
        The catalog's file.
    sources
        Names of catalog sources; None or none means all.

    Returns
    -------
    list of Outcome
        One a source.
    """
    settings = load(Path(catalog))
    stages, missing = ("crops", "mattes", "tasks"), "is not pushed yet; run `figureground push` first"
    return _one_by_one(settings, sources, stages, missing, lambda _, refs: pull.submit(*refs, settings))


def _one_by_one(
    catalog: Catalog,
    names: list[str] | None,
    stages: tuple[str, ...],
    missing: str,
    submit: Callable[[Source, list[Any]], PrefectFuture[Any]],
) -> list[Outcome]:
    """Work on one source at a time: Label Studio on SQLite loses predictions under concurrent writers."""
    found, outcomes = resolve(catalog, names)
    for source in found:
        if source.kind == "layout":
            _log.info("%s came with its labels: there is nothing to ask", source.source_id)
            continue
        refs = find(source.source_id, catalog, *stages)
        error = failure([submit(source, refs)]) if refs else f"{source.source_id} {missing}"
        outcomes.append(Outcome(source.source_id, error))
    return outcomes
