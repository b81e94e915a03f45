"""Where stages run: in threads of this process, or on the workers of a Dask cluster, as the catalog says.

Prefect sees the same tasks either way; their retries, order and records are in this process. With a cluster, the body of a
task is submitted to a worker (see `flows.worker`) and waited for. When a worker dies, Dask gives its unfinished stages to
another worker, which finds in the storage what was done already.

A stage of a long source is processed in shards by several workers at once, before the stage itself puts their outputs together
(see `figureground.tables.shards`). Prefect and Dask show each shard by its name, ``matte 2/4``.
"""

import contextvars
import functools
import inspect
import logging
import os
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from prefect import Task, allow_failure, task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from figureground import __version__, progress
from figureground.catalog import Catalog, DaskEntry
from figureground.errors import CatalogError, TransientError
from figureground.inference import cores
from figureground.types import TableRef
from flows.worker import PROGRESS_TOPIC, plan_shards, run_shard, run_stage, version
from tasks import retried_task

if TYPE_CHECKING:
    from distributed import Client

_log = logging.getLogger(__name__)
_R = TypeVar("_R")

_THREADS = 2
"""While one source waits for its files, another one is decoded."""

_NO_WORKER_SECONDS = 120.0
"""How long a cluster may have no worker before the run fails; workers of our own take some seconds to start."""

_CONNECT_SECONDS = 30.0
_POLL_SECONDS = 5.0

_SHARDED = frozenset({"crop", "measure", "matte"})
"""Stages that process each row independently of the others; their modules have a function ``sharded_stage``."""

_SHARDS_PER_SLOT = 2
"""Shards take different times; a slot that finishes a short one takes another."""

_CONNECTION_LOST = (OSError, TimeoutError)
"""What a client raises when its scheduler is gone: a closed connection is an OSError."""

_GPU = "GPU"


class Executor:
    """Runs tasks when their inputs are there; see `open_executor`."""

    def __init__(self, runner: ThreadPoolTaskRunner[Any], cluster: "_Cluster | None") -> None:
        self._runner, self._cluster = runner, cluster

    def submit(
        self, stage: Task[..., _R], *arguments: object, wait_for: Iterable[PrefectFuture[Any] | allow_failure] = ()
    ) -> PrefectFuture[_R]:
        """Run a task as soon as its arguments and the tasks that it waits for are done.

        Parameters
        ----------
        stage
            A task of `tasks`.
        *arguments
            The arguments of the task; a future stands for its result.
        wait_for
            Futures that must be done first.

        Returns
        -------
        PrefectFuture
            The future of the task's result.
        """
        runnable: Any = stage if self._cluster is None else self._cluster.remote_task(stage)
        parameters = dict(inspect.signature(stage.fn).bind(*arguments).arguments)
        before: list[Any] = list(wait_for)
        future: PrefectFuture[_R] = self._runner.submit(runnable, parameters, wait_for=before or None)
        return future


@contextmanager
def open_executor(catalog: Catalog) -> Iterator[Executor]:
    """Start or connect to what runs the stages, for as long as the block lasts.

    Parameters
    ----------
    catalog
        Its ``runner`` names threads or a cluster.

    Yields
    ------
    Executor
        Takes the stages.

    Raises
    ------
    CatalogError
        When the cluster cannot do what the recipe needs: it has no worker, no GPU worker, or another version of figureground.
    TransientError
        When no scheduler answers at the address.
    """
    with ExitStack() as stack:
        cluster = stack.enter_context(_connect(catalog.cluster)) if catalog.cluster else None
        # workers may join later: twice the slots are waited for from the start
        threads = _THREADS if cluster is None else 2 * _count_slots(cluster.client) + _THREADS
        yield Executor(stack.enter_context(ThreadPoolTaskRunner(max_workers=threads)), cluster)


@dataclass(frozen=True)
class _Cluster:
    """A connection to a cluster.

    Parameters
    ----------
    client
        The Dask client.
    entry
        What the catalog says about the cluster.
    shard_threads
        Threads that wait for shards.
    shard_progress
        Adds up the progress of shards.
    """

    client: "Client"
    entry: DaskEntry
    shard_threads: ThreadPoolExecutor
    shard_progress: "_ShardProgress"

    def remote_task(self, stage: Task[..., _R]) -> Task[..., _R]:
        """Make a Prefect task of the same name and retries whose body runs on a worker."""
        name, module = stage.fn.__name__, stage.fn.__module__

        @functools.wraps(stage.fn)
        def run_remotely(*positional: object, **named: object) -> _R:
            arguments = inspect.signature(stage.fn).bind(*positional, **named).args
            table = self._process_shards(name, module, arguments) if name in _SHARDED else None
            result: Any = table or self._run(name, name, run_stage, module, name, arguments)
            return cast("_R", result)

        return retried_task(run_remotely)

    def _process_shards(self, name: str, module: str, arguments: tuple[Any, ...]) -> TableRef | None:
        """Process a long source in shards and give None; or give its table, when that is up to date already."""
        tables = [argument for argument in arguments if isinstance(argument, TableRef)]
        if max(table.rows for table in tables) < 2 * self.entry.shard_at_least:
            return None
        at_most = self.entry.shards or _SHARDS_PER_SLOT * self._count_slots_of(name)
        if at_most < 2:
            return None
        planned = self._run(name, f"{name} plan", plan_shards, module, arguments, at_most, self.entry.shard_at_least)
        if isinstance(planned, TableRef):
            return planned
        source_id, names = tables[0].source_id, [f"{name} {number}/{len(planned)}" for number in range(1, len(planned) + 1)]
        with self.shard_progress.adding(name, source_id, names, max((end for _, end in planned), default=0)):
            running = [
                # the copied context holds Prefect's run, of which the shards are tasks
                self.shard_threads.submit(
                    contextvars.copy_context().run, self._run_shard, name, shard, module, arguments, *bounds
                )
                for shard, bounds in zip(names, planned, strict=True)
            ]
            for shard, future in zip(names, running, strict=True):
                if error := future.result():
                    _log.warning("%s: %s failed, the stage processes that part itself: %s", source_id, shard, error)
        return None

    def _run_shard(self, name: str, shard: str, *arguments: Any) -> BaseException | None:
        """Run one shard as a task that Prefect shows; give the error it failed with."""

        def body() -> None:
            self._run(name, shard, run_shard, *arguments, shard)

        state = task(name=shard, persist_result=False, cache_policy=NO_CACHE, log_prints=False)(body)(return_state=True)
        if state.is_completed():
            return None
        error: Any = state.result(raise_on_failure=False)
        return error if isinstance(error, BaseException) else None

    def _count_slots_of(self, name: str) -> int:
        """Count how many workers' threads can run a stage at the same time; 0 when the scheduler does not answer."""
        try:
            if name not in self.entry.gpu_stages:
                return _count_slots(self.client)
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
            return int(sum(worker["resources"].get(_GPU, 0) for worker in workers))
        except _CONNECTION_LOST:
            return 0

    def _run(self, name: str, label: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function of `flows.worker` on a worker that may run the stage, and give its result."""
        resources = {_GPU: 1} if name in self.entry.gpu_stages and function is not plan_shards else None
        key = f"{label}-{uuid.uuid4().hex}"
        return _wait_for(self.client, self.client.submit(function, *arguments, key=key, pure=False, resources=resources), label)


class _ShardedSource(NamedTuple):
    """A stage of one source that is processed in shards: its inputs, and how many of them each shard has done."""

    stage: str
    inputs: int
    done: dict[str, int]


class _ShardProgress:
    """Adds up the progress of a source's shards and reports it as the progress of the stage; passes on all other progress."""

    def __init__(self) -> None:
        self._sources: dict[tuple[str, str], _ShardedSource | None] = {}

    @contextmanager
    def adding(self, stage: str, source_id: str, names: Iterable[str], inputs: int) -> Iterator[None]:
        """Add up the progress of these shards while the block lasts; ignore what arrives later."""
        mine = dict.fromkeys([(name, source_id) for name in names], _ShardedSource(stage, inputs, {}))
        self._sources.update(mine)
        try:
            yield
        finally:
            self._sources.update(dict.fromkeys(mine))

    def receive(self, event: tuple[float, Any]) -> None:
        """Take a progress report of a worker, with its time."""
        name, source_id, done, total = event[1]
        if (name, source_id) not in self._sources:
            progress.report(name, source_id, done, total)
        elif source := self._sources[name, source_id]:
            source.done[name] = done
            whole = min(source.inputs - 1, sum(source.done.values()))  # only the stage itself reports that all is done
            progress.report(source.stage, source_id, whole, source.inputs)


def _count_slots(client: "Client") -> int:
    return sum(client.nthreads().values())


def _wait_for(client: "Client", future: Any, label: str) -> Any:
    """Wait for a worker's result for as long as there are workers."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    seconds = 0.0
    while True:
        try:
            return future.result(timeout=_POLL_SECONDS)
        except TimeoutError as error:
            if future.done():
                raise
            seconds = 0.0 if _has_workers(client) else seconds + _POLL_SECONDS
            if seconds >= _NO_WORKER_SECONDS:
                raise TransientError(
                    f"{label}: the cluster has had no worker for {seconds:.0f} s; start workers, then run again"
                ) from error
        except KilledWorker as error:
            raise TransientError(
                f"{label}: its worker died several times ({error}), mostly because of too little memory. "
                "Read the workers' logs; finished work is kept"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise TransientError(f"{label}: the cluster's scheduler is gone ({error}); start it, then run again") from error


def _has_workers(client: "Client") -> bool:
    """Check whether the cluster has workers; a scheduler that does not answer has none."""
    try:
        return bool(client.nthreads())
    except _CONNECTION_LOST:
        return False


@contextmanager
def _connect(entry: DaskEntry) -> Iterator[_Cluster]:
    """Connect to the cluster at the catalog's address, or start one on this machine."""
    from distributed import Client

    if not _log.isEnabledFor(logging.INFO):
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # an error is reported once, as our own message
    with ExitStack() as stack:
        address = entry.address or stack.enter_context(_local_cluster(entry))
        try:
            client = stack.enter_context(Client(address, timeout=_CONNECT_SECONDS, set_as_default=False))
        except OSError as error:
            raise TransientError(
                f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`"
            ) from error
        _check_cluster(client, entry, address)
        shard_progress = _ShardProgress()
        client.subscribe_topic(PROGRESS_TOPIC, shard_progress.receive)
        shard_threads = stack.enter_context(ThreadPoolExecutor(2 * _count_slots(client), thread_name_prefix="shards"))
        yield _Cluster(client, entry, shard_threads, shard_progress)


@contextmanager
def _local_cluster(entry: DaskEntry) -> Iterator[str]:
    """Run workers on this machine, each with its share of the cores; give the scheduler's address."""
    from distributed import LocalCluster

    cores_per_thread = max(1, cores.usable_cores() // ((entry.workers or 1) * entry.threads))
    with LocalCluster(
        n_workers=entry.workers,
        threads_per_worker=entry.threads,
        processes=True,
        memory_limit=0,  # only the system's limit: Dask would end a worker for the memory that OpenVINO keeps
        dashboard_address=None,
        resources={_GPU: 1} if entry.gpu_stages else None,
        env={
            cores.CORES_VARIABLE: os.environ.get(cores.CORES_VARIABLE, str(cores_per_thread)),
            "OMP_NUM_THREADS": str(cores_per_thread),
        },
        silence_logs=logging.getLogger("distributed").level,
    ) as cluster:
        yield cluster.scheduler_address


def _check_cluster(client: "Client", entry: DaskEntry, address: str) -> None:
    """Reject a cluster on which the run would wait for ever or give other results."""
    try:
        client.wait_for_workers(1, timeout=_NO_WORKER_SECONDS)
    except TimeoutError as error:
        raise CatalogError(
            f"runner: the cluster at {address} has no worker after {_NO_WORKER_SECONDS:.0f} s; start some with "
            f"`dask worker {address}`"
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if entry.gpu_stages and not any(worker["resources"].get(_GPU) for worker in workers.values()):
        raise CatalogError(
            f"runner: no worker at {address} has the resource {_GPU}, which gpu_stages asks for; start one with "
            f"`dask worker {address} --resources {_GPU}=1`, or name no gpu_stages"
        )
    versions = client.run(version, on_error="return")
    if others := sorted(f"{worker}: {installed}" for worker, installed in versions.items() if installed != __version__):
        raise CatalogError(f"runner: expected figureground {__version__} on every worker; found {'; '.join(others)}")
