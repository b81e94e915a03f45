"""Who does the stages' work: threads of this process, or the workers of a Dask cluster, as the catalog says.

Prefect sees the same tasks either way: their retries, order and records are this process's. With a cluster a task's body
is only handed on and waited for. A worker gets a stage of one source: names and references in, a reference out, never a
picture. It needs no Prefect server, opens each network once for all sources it works on, and when it dies, Dask gives
what it had begun to another one, who finds on the storage what was done already.

A long source's stage is done in shards, by several workers at once, before the stage itself puts together what they left
(see `figureground.tables.shards`). Prefect and Dask see each by its name, ``matte 2/4``.
"""

import contextvars
import functools
import importlib
import inspect
import logging
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from prefect import task
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.callables import get_call_parameters

from figureground import __version__, progress
from figureground.catalog import Catalog, DaskEntry
from figureground.errors import CatalogError, TransientError
from figureground.inference import backends
from figureground.tables import shards
from figureground.types import TableRef
from tasks import verb

_log = logging.getLogger(__name__)

_THREADS = 2
"""Decoding of one source fills the waits of another."""

_WORKERS_SECONDS = 120.0
"""How long a cluster may have no worker before somebody is told; own ones take some seconds to start."""

_CONNECT_SECONDS = 30.0

_HANDED_ON = frozenset({"fetch", "sample", "crop", "measure", "deduplicate", "judge", "matte", "report", "adopt"})
_IN_SHARDS = frozenset({"crop", "measure", "matte"})
"""What is done to a row whatever the others are; their modules have a ``work`` beside the verb."""

_SHARDS_A_HAND = 2
"""Shards take unlike times; who has a quick one takes another."""

_AWAY = (OSError, TimeoutError)
"""What a scheduler that went away gives: a closed connection is one of these."""

_GPU = "GPU"
_TOPIC = "figureground"
_TOLD_EVERY = 0.5


class Crew:
    """Takes stages to do; see `crew`."""

    def __init__(self, runner: Any, cluster: "_Cluster | None") -> None:
        self._runner, self._cluster = runner, cluster

    def submit(self, stage: Any, *parameters: Any, wait_for: Iterable[Any] = ()) -> PrefectFuture[Any]:
        """Have a stage done when its parameters and what it waits for are there.

        Parameters
        ----------
        stage
            A verb of `tasks`.
        *parameters
            What it takes; a future stands for its result.
        wait_for
            Futures that must have ended before.

        Returns
        -------
        PrefectFuture
            Of the stage's result.
        """
        task = stage if self._cluster is None else self._cluster.carried(stage)
        given = get_call_parameters(task.fn, parameters, {}, apply_defaults=False)
        found: PrefectFuture[Any] = self._runner.submit(task, given, wait_for=list(wait_for) or None)
        return found


@contextmanager
def crew(catalog: Catalog) -> Iterator[Crew]:
    """Give who does the stages' work while the block lasts.

    Parameters
    ----------
    catalog
        Its ``runner`` says who.

    Raises
    ------
    CatalogError
        When the cluster cannot do what the recipe asks for: no worker, none with a GPU, another version of this program.
    TransientError
        When no scheduler answers at the address.
    """
    with ExitStack() as ends:
        cluster = ends.enter_context(_cluster(catalog.cluster)) if catalog.cluster else None
        threads = _THREADS if cluster is None else cluster.hands() + _THREADS
        yield Crew(ends.enter_context(ThreadPoolTaskRunner(max_workers=threads)), cluster)


@dataclass(frozen=True)
class _Cluster:
    """A Dask client, what the catalog says of it, threads in which shards are waited for, and how far these are."""

    client: Any
    entry: DaskEntry
    waiting: ThreadPoolExecutor
    far: "_Far"

    def hands(self) -> int:
        """Count what the workers can do at the same time; more may come later, so some more are kept ready."""
        return 2 * _hands(self.client)

    def carried(self, stage: Any) -> Any:
        """Make a Prefect task of the same name and retries whose body runs on a worker."""
        name, module = stage.fn.__name__, stage.fn.__module__
        if name not in _HANDED_ON:
            return stage

        @functools.wraps(stage.fn)
        def there(*given: Any, **named: Any) -> Any:
            takes = inspect.signature(stage.fn).bind(*given, **named).args
            ready = self._ahead(name, module, takes) if name in _IN_SHARDS else None
            return ready or self._done(name, name, perform, module, name, takes)

        return verb(there)

    def _ahead(self, name: str, module: str, given: tuple[Any, ...]) -> TableRef | None:
        """Have a long source's work done in shards and give None; or its table, when that is right already."""
        tables = [one for one in given if isinstance(one, TableRef)]
        if max(table.rows for table in tables) < 2 * self.entry.shard_at_least:
            return None
        at_most = self.entry.shards or _SHARDS_A_HAND * self._hands_of(name)
        if at_most < 2:
            return None
        parts = self._done(name, f"{name} begins", begin, module, given, at_most, self.entry.shard_at_least)
        if isinstance(parts, TableRef):
            return parts
        source_id, names = tables[0].source_id, [f"{name} {number}/{len(parts)}" for number in range(1, len(parts) + 1)]
        with self.far.told(name, source_id, names, max((end for _, end in parts), default=0)):
            asked = [
                self.waiting.submit(contextvars.copy_context().run, self._shard, name, shard, module, given, *bounds)
                for shard, bounds in zip(names, parts, strict=True)
            ]
            for shard, future in zip(names, asked, strict=True):
                if error := future.result():
                    _log.warning("%s: %s failed, the stage does that part itself: %s", source_id, shard, error)
        return None

    def _shard(self, name: str, shard: str, *given: Any) -> BaseException | None:
        """Have one shard done as a task that Prefect sees; give what it failed with."""
        doing = functools.partial(self._done, name, shard, ahead, *given, shard)
        state = task(doing, name=shard, persist_result=False, cache_policy=None, log_prints=False)(return_state=True)
        return None if state.is_completed() else state.result(raise_on_failure=False)

    def _hands_of(self, name: str) -> int:
        """Count what the workers can do of a stage at the same time; a scheduler that does not answer has none to give."""
        try:
            if name not in self.entry.gpu_stages:
                return _hands(self.client)
            workers = self.client.scheduler_info(n_workers=-1)["workers"].values()
            return int(sum(worker["resources"].get(_GPU, 0) for worker in workers))
        except _AWAY:
            return 0

    def _done(self, name: str, told: str, what: Callable[..., Any], *given: Any) -> Any:
        wants = {_GPU: 1} if name in self.entry.gpu_stages and what is not begin else None
        future = self.client.submit(what, *given, key=f"{told}-{uuid.uuid4().hex}", pure=False, resources=wants)
        return _patient(self.client, future, told)


class _Shares(NamedTuple):
    stage: str
    rows: int
    done: dict[str, int]


class _Far:
    """Adds up how far a source's shards are, and tells it as the stage's own progress; all else is told on as it comes."""

    def __init__(self) -> None:
        self._of: dict[tuple[str, str], _Shares | None] = {}

    @contextmanager
    def told(self, stage: str, source_id: str, names: Iterable[str], rows: int) -> Iterator[None]:
        """Add up what is told of these shards while the block lasts; what comes later is old."""
        mine = dict.fromkeys([(name, source_id) for name in names], _Shares(stage, rows, {}))
        self._of.update(mine)
        try:
            yield
        finally:
            self._of.update(dict.fromkeys(mine))

    def hear(self, event: tuple[float, Any]) -> None:
        """Take what a worker tells; see `_teller`."""
        name, source_id, done, total = event[1]
        if (name, source_id) not in self._of:
            progress.tell(name, source_id, done, total)
        elif shares := self._of[name, source_id]:
            shares.done[name] = done
            far = min(shares.rows - 1, sum(shares.done.values()))  # that all is done is told by the stage itself
            progress.tell(shares.stage, source_id, far, shares.rows)


def _hands(client: Any) -> int:
    return sum(client.nthreads().values())


def _patient(client: Any, future: Any, name: str) -> Any:
    """Wait for a worker's result for as long as there are workers."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    alone = 0.0
    while True:
        try:
            return future.result(timeout=_TOLD_EVERY * 10)
        except TimeoutError as error:
            if future.done():
                raise
            alone = 0.0 if _workers(client) else alone + _TOLD_EVERY * 10
            if alone >= _WORKERS_SECONDS:
                told = f"{name}: the cluster has had no worker for {alone:.0f} s; start some, then run again"
                raise TransientError(told) from error
        except KilledWorker as error:
            raise TransientError(
                f"{name}: its worker died again and again ({error}): mostly of too little memory. Look into the workers' logs; "
                "what was done is kept"
            ) from error
        except (CancelledError, CommClosedError) as error:
            raise TransientError(f"{name}: the cluster's scheduler went away ({error}); start it, then run again") from error


def _workers(client: Any) -> bool:
    """Tell whether the cluster has workers; a scheduler that does not answer has none to give."""
    try:
        return bool(client.nthreads())
    except _AWAY:
        return False


@contextmanager
def _cluster(entry: DaskEntry) -> Iterator[_Cluster]:
    from distributed import Client

    if not _log.isEnabledFor(logging.INFO):
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # errors come out once, as our own one message
    with ExitStack() as ends:
        address = entry.address or ends.enter_context(_own(entry))
        try:
            client = ends.enter_context(Client(address, timeout=_CONNECT_SECONDS, set_as_default=False))
        except OSError as error:
            told = f"no Dask scheduler answers at {address} ({error}); start one with `dask scheduler`"
            raise TransientError(told) from error
        _look_over(client, entry, address)
        far = _Far()
        client.subscribe_topic(_TOPIC, far.hear)
        waiting = ends.enter_context(ThreadPoolExecutor(2 * _hands(client), thread_name_prefix="shards"))
        yield _Cluster(client, entry, waiting, far)


@contextmanager
def _own(entry: DaskEntry) -> Iterator[str]:
    """Run workers of our own on this machine; each gets its share of the cores."""
    from distributed import LocalCluster

    lanes = max(1, backends.usable_cores() // ((entry.workers or 1) * entry.threads))
    with LocalCluster(
        n_workers=entry.workers,
        threads_per_worker=entry.threads,
        processes=True,
        memory_limit=0,  # the system's: Dask would else end a worker for what OpenVINO keeps
        dashboard_address=None,
        resources={_GPU: 1} if entry.gpu_stages else None,
        env={backends.LANES: os.environ.get(backends.LANES, str(lanes)), "OMP_NUM_THREADS": str(lanes)},
        silence_logs=logging.getLogger("distributed").level,
    ) as cluster:
        yield cluster.scheduler_address


def _look_over(client: Any, entry: DaskEntry, address: str) -> None:
    """Refuse a cluster on which the run would wait for ever or come out differently."""
    try:
        client.wait_for_workers(1, timeout=_WORKERS_SECONDS)
    except TimeoutError as error:
        raise CatalogError(
            f"runner: the cluster at {address} has no worker after {_WORKERS_SECONDS:.0f} s; start some with "
            f"`dask worker {address}`"
        ) from error
    workers = client.scheduler_info(n_workers=-1)["workers"]
    if entry.gpu_stages and not any(worker["resources"].get(_GPU) for worker in workers.values()):
        raise CatalogError(
            f"runner: no worker at {address} has the resource {_GPU}, which gpu_stages asks for; start one with "
            f"`dask worker {address} --resources {_GPU}=1`, or name no gpu_stages"
        )
    told = client.run(version, on_error="return")
    if odd := sorted(f"{worker}: {found}" for worker, found in told.items() if found != __version__):
        raise CatalogError(f"runner: expected figureground {__version__} on every worker; found {'; '.join(odd)}")


def version() -> str:
    """Give this program's version, asked on a worker."""
    return __version__


def perform(module: str, name: str, given: tuple[Any, ...]) -> Any:
    """Do a stage's work on a worker.

    Parameters
    ----------
    module, name
        The verb. It is looked up here rather than sent: what a module keeps, such as opened networks, then lasts.
    given
        What it takes.

    Returns
    -------
    object
        What the verb gives.
    """
    _equip(given)
    return getattr(importlib.import_module(module), name).fn(*given)


def begin(module: str, given: tuple[Any, ...], at_most: int, at_least: int) -> TableRef | list[tuple[int, int]]:
    """Find out on a worker how a stage's work on a source is cut into shards.

    Parameters
    ----------
    module, given
        As `perform` takes them.
    at_most, at_least
        So many shards, and so many rows a shard.

    Returns
    -------
    TableRef or list of tuple of int
        The stage's table when it is right already; else the shards' bounds, see `figureground.tables.shards.split`.
    """
    _equip(given)
    stage: shards.ShardedStage[Any, Any] = importlib.import_module(module).sharded_stage(*given)
    return stage.fresh() or shards.split(len(stage.read_inputs()), at_most, at_least, stage.batch_size)


def ahead(module: str, given: tuple[Any, ...], first: int, end: int, name: str) -> None:
    """Do one shard of a stage on a worker.

    Parameters
    ----------
    module, given
        As `perform` takes them.
    first, end, name
        As `figureground.tables.shards.ShardedStage.process_shard` takes them.
    """
    _equip(given)
    importlib.import_module(module).sharded_stage(*given).process_shard(first, end, name)


_equipped: set[str] = set()
_lock = threading.Lock()


def _equip(given: tuple[Any, ...]) -> None:
    """Once a worker: fetch the weights into this machine's cache, and tell the one who started the run how far we are."""
    from tasks.ingest.fetch import fetch_asset

    with _lock:
        if not _equipped:
            progress.subscribe(_teller())
        for catalog in [one for one in given if isinstance(one, Catalog)]:
            for weights in catalog.weights():
                if weights.sha256 not in _equipped:
                    fetch_asset(catalog.asset(weights.name))
                    _equipped.add(weights.sha256)
        _equipped.add("")


def _teller() -> Callable[[str, str, int, int], None]:
    """Send progress to the client, now and then: first, last, and twice a second between."""
    from distributed import get_worker

    worker = get_worker()
    told: dict[tuple[str, str], float] = {}

    def tell(stage: str, source_id: str, done: int, total: int) -> None:
        now = time.monotonic()
        if done >= total > 0 or now - told.get((stage, source_id), 0.0) >= _TOLD_EVERY:
            told[stage, source_id] = now
            worker.log_event(_TOPIC, [stage, source_id, done, total])

    return tell
