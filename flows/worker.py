"""What runs on a worker of a Dask cluster: a stage of one source, or a shard of it.

A worker needs no Prefect server. It gets names and table references and returns a reference, never an image. Functions are
sent by name, so what a module keeps in the process, such as opened networks, is used for all sources that come after.
"""

import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from figureground import __version__, progress
from figureground.catalog import Catalog
from figureground.memo import Memo
from figureground.storage.locks import hold_storage
from figureground.storage.store import Store
from figureground.tables import shards
from figureground.types import TableRef

PROGRESS_TOPIC = "figureground"
"""The topic of the cluster on which workers report progress."""

REPORT_SECONDS = 0.5

_PREPARED = Memo()
"""What this process has prepared: the reports of its progress, and the weights that are in the machine's cache."""


def version() -> str:
    """Give the version of figureground that the worker runs."""
    return __version__


def run_stage(module: str, name: str, arguments: tuple[Any, ...]) -> Any:
    """Run a stage for one source.

    Parameters
    ----------
    module, name
        The task of `tasks`.
    arguments
        The arguments of the task.

    Returns
    -------
    object
        What the task returns.
    """
    _prepare(arguments)
    with _share_storage(name, arguments):
        return getattr(importlib.import_module(module), name).fn(*arguments)


def plan_shards(module: str, arguments: tuple[Any, ...], at_most: int, at_least: int) -> TableRef | list[tuple[int, int]]:
    """Divide a stage of one source into shards.

    Parameters
    ----------
    module, arguments
        See `run_stage`.
    at_most
        Largest number of shards.
    at_least
        Smallest number of inputs in a shard.

    Returns
    -------
    TableRef or list of tuple of int
        The stage's table when it is up to date; else the shards, see `figureground.tables.shards.split`.
    """
    _prepare(arguments)
    stage = _sharded_stage(module, arguments)
    return stage.fresh() or shards.split(len(stage.read_inputs()), at_most, at_least, stage.batch_size)


def run_shard(module: str, arguments: tuple[Any, ...], first: int, end: int, name: str) -> None:
    """Process one shard of a stage and keep its outputs in the storage.

    Parameters
    ----------
    module, arguments
        See `run_stage`.
    first, end, name
        See `figureground.tables.shards.ShardedStage.process_shard`.
    """
    _prepare(arguments)
    with _share_storage(name, arguments):
        _sharded_stage(module, arguments).process_shard(first, end, name)


@contextmanager
def _share_storage(name: str, arguments: tuple[Any, ...]) -> Iterator[None]:
    """Share a local storage during a stage: its run may be killed before it, and nothing may be deleted below a stage."""
    with ExitStack() as stack:
        for catalog in arguments:
            if isinstance(catalog, Catalog) and (store := Store(catalog.storage_root)).local_only:
                stack.enter_context(hold_storage(store.path(".locks"), f"a worker's {name}", wait=False))
        yield


def _sharded_stage(module: str, arguments: tuple[Any, ...]) -> shards.ShardedStage[Any, Any]:
    stage: shards.ShardedStage[Any, Any] = importlib.import_module(module).sharded_stage(*arguments)
    return stage


def _prepare(arguments: tuple[Any, ...]) -> None:
    """Report this process's progress to the cluster, and download the weights into the machine's cache; each once."""
    from figureground.clients.sources.fetching import fetch_asset

    _PREPARED.get("progress", lambda: progress.subscribe(_progress_reporter()))
    for catalog in arguments:
        if isinstance(catalog, Catalog):
            for weights in catalog.weights():
                asset = catalog.asset(weights.name)
                _PREPARED.get(weights.sha256, lambda asset=asset: fetch_asset(asset))  # type: ignore[misc]


def _progress_reporter() -> Callable[[str, str, int, int], None]:
    """Send the progress of each stage: its end, and before that twice a second at most."""
    from distributed import get_worker

    worker = get_worker()
    reported: dict[tuple[str, str], float] = {}

    def report(stage: str, source_id: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total > 0 or now - reported.get((stage, source_id), 0.0) >= REPORT_SECONDS:
            reported[stage, source_id] = now
            worker.log_event(PROGRESS_TOPIC, [stage, source_id, done, total])

    return report
