"""Who does the stages' work: threads of this process, or the workers of a Dask cluster, as the catalog says.

Prefect sees the same tasks either way: their retries, order and records are this process's. With a cluster a task's body
is only handed on and waited for. A worker gets a stage of one source: names and references in, a reference out, never a
picture. It needs no Prefect server, opens each network once for all sources it works on, and when it dies, Dask gives
what it had begun to another one, who finds on the storage what was done already.
"""

import functools
import importlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.callables import get_call_parameters

from figureground import __version__, inference, progress
from figureground.catalog import Catalog, DaskEntry
from figureground.errors import CatalogError, TransientError
from tasks import verb

_log = logging.getLogger(__name__)

_THREADS = 2
"""Decoding of one source fills the waits of another."""

_WORKERS_SECONDS = 120.0
"""How long a cluster may have no worker before somebody is told; own ones take some seconds to start."""

_CONNECT_SECONDS = 30.0

_HANDED_ON = frozenset({"fetch", "sample", "crop", "measure", "compare", "judge", "matte", "report", "adopt"})
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
    """A Dask client, and which stages want a GPU."""

    client: Any
    gpu_stages: frozenset[str]

    def hands(self) -> int:
        """Count what the workers can do at the same time; more may come later, so some more are kept ready."""
        return 2 * sum(self.client.nthreads().values())

    def carried(self, stage: Any) -> Any:
        """Make a Prefect task of the same name and retries whose body runs on a worker."""
        name = stage.fn.__name__
        if name not in _HANDED_ON:
            return stage

        @functools.wraps(stage.fn)
        def there(*given: Any, **named: Any) -> Any:
            return self._done(stage.fn.__module__, name, given, named)

        return verb(there)

    def _done(self, module: str, name: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        wants = {_GPU: 1} if name in self.gpu_stages else None
        future = self.client.submit(perform, module, name, given, named, pure=False, resources=wants)
        return _patient(self.client, future, name)


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
    except (OSError, TimeoutError):  # a closed connection is one of these
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
        client.subscribe_topic(_TOPIC, _hear)
        yield _Cluster(client, frozenset(entry.gpu_stages))


@contextmanager
def _own(entry: DaskEntry) -> Iterator[str]:
    """Run workers of our own on this machine; each gets its share of the cores."""
    from distributed import LocalCluster

    lanes = max(1, inference.usable_cores() // ((entry.workers or 1) * entry.threads))
    with LocalCluster(
        n_workers=entry.workers,
        threads_per_worker=entry.threads,
        processes=True,
        memory_limit=0,  # the system's: Dask would else end a worker for what OpenVINO keeps
        dashboard_address=None,
        resources={_GPU: 1} if entry.gpu_stages else None,
        env={inference.LANES: os.environ.get(inference.LANES, str(lanes)), "OMP_NUM_THREADS": str(lanes)},
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


def perform(module: str, name: str, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Do a stage's work on a worker.

    Parameters
    ----------
    module, name
        The verb. It is looked up here rather than sent: what a module keeps, such as opened networks, then lasts.
    given, named
        What it takes.

    Returns
    -------
    object
        What the verb gives.
    """
    for one in (*given, *named.values()):
        if isinstance(one, Catalog):
            _equip(one)
    return getattr(importlib.import_module(module), name).fn(*given, **named)


_equipped: set[str] = set()
_lock = threading.Lock()


def _equip(catalog: Catalog) -> None:
    """Once a worker: fetch the weights into this machine's cache, and tell the one who started the run how far we are."""
    from tasks.fetch import fetch_asset

    with _lock:
        if not _equipped:
            progress.subscribe(_teller())
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


def _hear(event: tuple[float, Any]) -> None:
    progress.tell(*event[1])
