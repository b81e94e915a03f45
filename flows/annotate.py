"""To the annotators and back."""

from pathlib import Path

from prefect import flow

from figureground.catalog import load
from flows.ingest import Outcome, failure, resolve
from tasks.find import find
from tasks.pull import pull
from tasks.push import push


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
        One a source. One source at a time: Label Studio on SQLite loses predictions under concurrent writers.
    """
    settings = load(Path(catalog))
    found, outcomes = resolve(settings, sources)
    for source in found:
        tables = find(source.source_id, settings, "crops", "mattes")
        if tables is None:
            outcomes.append(
                Outcome(source.source_id, f"{source.source_id} is not ingested yet; run `figureground ingest` first")
            )
            continue
        outcomes.append(Outcome(source.source_id, failure([push.submit(*tables, source, settings)])))
    return outcomes


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
    found, outcomes = resolve(settings, sources)
    for source in found:
        tables = find(source.source_id, settings, "crops", "mattes", "tasks")
        if tables is None:
            outcomes.append(Outcome(source.source_id, f"{source.source_id} is not pushed yet; run `figureground push` first"))
            continue
        outcomes.append(Outcome(source.source_id, failure([pull.submit(*tables, settings)])))
    return outcomes
