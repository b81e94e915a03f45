"""When the flows run by themselves."""

import asyncio
import contextvars
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zoneinfo
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from figureground.catalog import Catalog, load
from figureground.errors import CatalogError, FiguregroundError, StoreError
from figureground.storage import run_records
from figureground.storage.store import Store
from flows.scheduling.engine import announced, embed, healthy

NAME = "figureground"
"""What the deployments are called."""

_ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)
_LOOK_SECONDS = 20.0
_PLANNED_SECONDS = 90.0
_log = logging.getLogger(__name__)


@contextmanager
def server(folder: Path, *, seconds: float = 180.0) -> Iterator[str]:
    """Run a Prefect server of our own while the block lasts, on Prefect's usual port or a free one.

    Prefect's ephemeral server starts no scheduler, so a schedule needs a real one.

    Parameters
    ----------
    folder
        The catalog's folder, see `flows.scheduling.engine.embed`.
    seconds
        How long the server may take to answer.

    Yields
    ------
    str
        The address of its API.

    Raises
    ------
    StoreError
        When it ends or stays silent.
    """
    embed(folder, shared=False)
    port = _port()
    log = folder / ".prefect" / "server.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=sink,
            stderr=sink,
            env=os.environ | {"PREFECT_SERVER_UI_API_URL": "/api"},  # else its pages ask port 4200, whoever listens there
            start_new_session=True,  # Ctrl-C is for us: the server goes last, when everybody has said goodbye to it
        )
    address = f"http://127.0.0.1:{port}/api"
    try:
        until = time.monotonic() + seconds
        while not healthy(address):
            if process.poll() is not None or time.monotonic() > until:
                raise StoreError(f"Prefect's server on port {port} did not come up within {seconds:.0f} s; its log is {log}")
            time.sleep(0.5)
        with announced(folder, address):
            yield address
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _port() -> int:
    for wanted in (4200, 0):
        with socket.socket() as free:
            free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that has just ended still shows there
            try:
                free.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(free.getsockname()[1])
    raise StoreError("no port of 127.0.0.1 is free for Prefect's server")


@dataclass(frozen=True, slots=True)
class Planned:
    """A flow, what its runs are called, when it runs, and with which parameters."""

    flow: Any
    run: str
    when: str
    parameters: dict[str, Any]


def planned(catalog_file: Path) -> list[Planned]:
    """List what the catalog's ``schedules`` ask for; ``never`` is served too, to be started by hand."""
    from flows.scheduling.nightly import answers, nightly, weekly

    schedules = load(catalog_file).schedules
    where = {"catalog": str(catalog_file)}
    return [
        Planned(nightly, "nightly-ingest", schedules.ingest, where),
        Planned(answers, "frequent-pull", schedules.pull, where),
        Planned(weekly, "weekly-release", schedules.release, where),
    ]


def timetable(when: str, timezone: str) -> Any:
    """Read the catalog's words as a Prefect schedule; None for ``never``.

    Parameters
    ----------
    when
        Cron's five fields, ``every 15 minutes``, or ``never``.
    timezone
        What cron's fields mean.

    Raises
    ------
    CatalogError
        When the fields are none that cron knows.
    """
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    if when == "never":
        return None
    if when.startswith("every "):
        return IntervalSchedule(interval=_interval(when), anchor_date=_ANCHOR)
    try:
        return CronSchedule(cron=when, timezone=timezone)
    except ValueError as error:
        raise CatalogError(f"schedules: cron does not know {when!r}; expected five fields such as '0 2 * * *'") from error


def deployments(catalog_file: Path) -> list[Any]:
    """Give the scheduled flows of a catalog as Prefect deployments.

    Prefect's own limit on overlapping runs is not used: a run that was killed keeps its place there, and every later one is
    cancelled. Our locks are free when their process is gone.
    """
    zone = load(catalog_file).schedules.timezone
    return [_deployment(plan, zone) for plan in planned(catalog_file)]


def _deployment(plan: Planned, zone: str) -> Any:
    schedule = timetable(plan.when, zone)
    entry = [] if schedule is None else [schedule]
    return plan.flow.to_deployment(NAME, schedules=entry, parameters=plan.parameters, tags=[NAME])


def missed(catalog: Catalog, plan: Planned, now: datetime) -> datetime | None:
    """Give the last moment a flow should have run and did not, or did not end as it should; None when all is well.

    A flow that never ran has missed nothing: it waits for its first time. One that was killed or stopped in the middle has
    missed the rest; one that failed has not, it would fail again.

    Parameters
    ----------
    catalog
        Says when, and where the runs' summaries are.
    plan
        The flow.
    now
        With its time zone.
    """
    last = next(run_records.read_latest(Store(catalog.storage_root), plan.run), None)
    if plan.when == "never" or last is None:
        return None
    begun, due = run_records.parse_timestamp(last.run), _due(plan.when, catalog.schedules.timezone, now)
    if due > begun:
        return due
    return begun if last.outcome in ("crashed", "stopped") else None


def _due(when: str, timezone: str, now: datetime) -> datetime:
    """Give the last moment that came due."""
    if when.startswith("every "):
        return now - (now - _ANCHOR) % _interval(when)
    from prefect._vendor.croniter import croniter  # what Prefect itself reads cron with; croniter proper is another package

    here = now.astimezone(zoneinfo.ZoneInfo(timezone)) + timedelta(seconds=1)
    found: datetime = croniter(when, here).get_prev(datetime)
    return found.astimezone(UTC)


def _interval(when: str) -> timedelta:
    count, unit = when.split()[1:]
    return timedelta(seconds={"minute": 60, "hour": 3600, "day": 86400}[unit.rstrip("s")] * int(count))


def schedule(catalog_file: Path, say: Callable[[str], None] = _log.info) -> None:
    """Serve the scheduled flows until stopped.

    They are served on the server that PREFECT_API_URL names, or on one of our own. What came due while nothing served them is
    made up for by one run each.

    Parameters
    ----------
    catalog_file
        The catalog.
    say
        Is told what a person may want to know.

    Raises
    ------
    CatalogError
        When a schedule is not understood.
    StoreError
        When the server cannot be had.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    served = deployments(catalog_file)  # refuses a schedule before anything is started
    with _stoppable(), _server_to_use(catalog_file.parent) as api, temporary_settings({PREFECT_API_URL: api}):
        os.environ["PREFECT_API_URL"] = api  # for the runs, which are processes of their own
        catalog = load(catalog_file)
        with _buried_while(catalog):
            asyncio.run(_serve(served, planned(catalog_file), catalog, say))


@contextmanager
def _stoppable() -> Iterator[None]:
    """End quietly on Ctrl-C and SIGTERM, after the runs that go on were told to stop, too."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in a shell's background was told to ignore it
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    except KeyboardInterrupt:
        _log.info("stopped")


@contextmanager
def _server_to_use(folder: Path) -> Iterator[str]:
    """Give the server that the user names, or one of our own. One that another `schedule` of this folder runs is refused."""
    from flows.scheduling.engine import serving

    if running := serving(folder):
        raise StoreError(f"another `figureground schedule` serves this folder at {running}; stop it first")
    if named := os.environ.get("PREFECT_API_URL", ""):
        if not healthy(named):
            raise StoreError(f"PREFECT_API_URL names {named}, where no Prefect server answers; start it, or unset the variable")
        with announced(folder, named):
            yield named
        return
    with server(folder) as api:
        yield api


async def _serve(served: list[Any], plans: list[Planned], catalog: Catalog, say: Callable[[str], None]) -> None:
    from prefect.runner import Runner

    # Not paused at the end: what comes due while nothing is served is seen as late, and made up for at the next start.
    runner = Runner(name=NAME, pause_on_shutdown=False, limit=None, query_seconds=5)
    runner.handle_sigterm = lambda *_: signal.raise_signal(signal.SIGINT)  # type: ignore[method-assign]  # its own needs no loop
    for deployment, plan in zip(served, plans, strict=True):
        await _catch_up(catalog, plan, await runner.aadd_deployment(deployment), say)
    address = os.environ["PREFECT_API_URL"].removesuffix("/api")
    watch = asyncio.create_task(_look_at_scheduler([plan for plan in plans if plan.when != "never"], say))
    say(f"being served, seen at {address}: " + "; ".join(f"{plan.run} {plan.when}" for plan in plans))
    try:
        await runner.start()
    finally:
        watch.cancel()


async def _catch_up(catalog: Catalog, plan: Planned, deployment_id: Any, say: Callable[[str], None]) -> None:
    """Replace everything that came due meanwhile by one run: each takes all that is not done, so more would find nothing."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    now, gone = datetime.now(UTC), Cancelled(message="nothing served it in time; one run makes up for all of them")
    async with get_client() as client:
        late = [run for run in await _scheduled(client, deployment_id) if run.expected_start_time <= now]
        due = await asyncio.to_thread(missed, catalog, plan, now)
        for run in late:
            await client.set_flow_run_state(run.id, gone, force=True)
        if due is not None or late:
            await client.create_flow_run_from_deployment(deployment_id, name=f"{plan.run}-made-up-{now:%Y%m%d-%H%M%S}")
            say(f"{plan.run} was due at {due or late[-1].expected_start_time:%Y-%m-%d %H:%M} UTC and did not end: it runs now")


async def _look_at_scheduler(plans: list[Planned], say: Callable[[str], None]) -> None:
    """Say so when the server plans nothing: its scheduler was seen to die quietly of a library that was too new for it."""
    from prefect.client.orchestration import get_client

    await asyncio.sleep(_PLANNED_SECONDS)
    async with get_client() as client:
        for plan in plans:
            served = await client.read_deployment_by_name(f"{plan.flow.name}/{NAME}")
            if not await _scheduled(client, served.id):
                say(
                    f"Prefect's server has planned no run of {plan.run} after {_PLANNED_SECONDS:.0f} s: its scheduler fails. "
                    "Look into its log (.prefect/server.log) and install the versions of requirements.lock"
                )


async def _scheduled(client: Any, deployment_id: Any) -> list[Any]:
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    of = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    return list(await client.read_flow_runs(deployment_filter=of, flow_run_filter=FlowRunFilter(state=states), limit=200))


@contextmanager
def _buried_while(catalog: Catalog) -> Iterator[None]:
    """Look every few seconds whether a run died without a word, so that somebody hears of it before the next one starts."""
    from flows.scheduling.run_monitor import bury

    bury(catalog)
    ended = threading.Event()
    here = contextvars.copy_context()  # with it goes which Prefect server is meant
    thread = threading.Thread(target=here.run, args=(_bury_until, catalog, ended), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def _bury_until(catalog: Catalog, ended: threading.Event) -> None:
    from flows.scheduling.run_monitor import bury

    while not ended.wait(_LOOK_SECONDS):
        try:
            bury(catalog)
        except (FiguregroundError, OSError) as error:
            _log.error("looking for runs that died: %s", error)
