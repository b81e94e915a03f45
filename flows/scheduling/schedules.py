"""Serves the scheduled flows: their deployments, a Prefect server, and runs that were missed."""

import asyncio
import contextvars
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from figureground.catalog import Catalog, load
from figureground.errors import CatalogError, FiguregroundError, StoreError
from figureground.storage import run_records
from figureground.storage.store import Store
from flows.scheduling.crashed_runs import record_crashed_runs
from flows.scheduling.engine import CLIENT_AUTH, announce_server, auth_file, find_server, is_healthy
from flows.scheduling.prefect_server import run_server

NAME = "figureground"
"""The name of the deployments."""

_ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)
"""Intervals are counted from here."""

_CRON_WINDOW = timedelta(hours=12)
"""Prefect lists at most 1000 dates at once: a date every minute of twelve hours is less than that."""

_CRASH_CHECK_SECONDS = 20.0
_PLANNING_SECONDS = 90.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ScheduledFlow:
    """A flow and its schedule.

    Parameters
    ----------
    flow
        The Prefect flow.
    name
        The name of the flow's runs.
    when
        The schedule, see `parse_schedule`.
    parameters
        The parameters of the flow.
    """

    flow: Any
    name: str
    when: str
    parameters: dict[str, Any]


def scheduled_flows(catalog_file: Path) -> list[ScheduledFlow]:
    """List the flows of the catalog's ``schedules``. A flow with ``never`` is included: it can be started by hand."""
    from flows.scheduling.scheduled_flows import frequent_pull, nightly_ingest, weekly_release

    schedules = load(catalog_file).schedules
    parameters = {"catalog": str(catalog_file)}
    return [
        ScheduledFlow(nightly_ingest, "nightly-ingest", schedules.ingest, parameters),
        ScheduledFlow(frequent_pull, "frequent-pull", schedules.pull, parameters),
        ScheduledFlow(weekly_release, "weekly-release", schedules.release, parameters),
    ]


def parse_schedule(when: str, timezone: str) -> Any:
    """Parse a schedule of the catalog.

    Parameters
    ----------
    when
        Cron's five fields, ``every 15 minutes``, or ``never``.
    timezone
        The time zone of cron's fields.

    Returns
    -------
    CronSchedule, IntervalSchedule or None
        Prefect's schedule; None for ``never``.

    Raises
    ------
    CatalogError
        When the fields are not valid in cron.
    """
    from prefect.client.schemas.schedules import CronSchedule, IntervalSchedule

    if when == "never":
        return None
    if when.startswith("every "):
        return IntervalSchedule(interval=_parse_interval(when), anchor_date=_ANCHOR)
    try:
        return CronSchedule(cron=when, timezone=timezone)
    except ValueError as error:
        raise CatalogError(f"schedules: expected five fields of cron, such as '0 2 * * *'; found {when!r}") from error


def deployments(catalog_file: Path) -> list[Any]:
    """Make the Prefect deployments of the scheduled flows of a catalog.

    Prefect's own limit on overlapping runs is not used: a killed run keeps its place there, and every later run is cancelled.
    Our locks are free when their process has ended.
    """
    timezone = load(catalog_file).schedules.timezone
    return [_deployment(scheduled, timezone) for scheduled in scheduled_flows(catalog_file)]


def _deployment(scheduled: ScheduledFlow, timezone: str) -> Any:
    schedule = parse_schedule(scheduled.when, timezone)
    schedules = [] if schedule is None else [schedule]
    return scheduled.flow.to_deployment(NAME, schedules=schedules, parameters=scheduled.parameters, tags=[NAME])


def last_missed(catalog: Catalog, scheduled: ScheduledFlow, now: datetime) -> datetime | None:
    """Find the last time at which a flow should have run and did not, or did not finish.

    A flow that has never run has missed nothing: it waits for its first time. A run that was killed or stopped has missed its
    rest. A run that failed has not: it would fail again.

    Parameters
    ----------
    catalog
        Gives the time zone, and the summaries of runs.
    scheduled
        The flow.
    now
        The present time, with a time zone.

    Returns
    -------
    datetime or None
        The time in UTC; None when nothing was missed.
    """
    last = next(run_records.read_latest(Store(catalog.storage_root), scheduled.name), None)
    if scheduled.when == "never" or last is None:
        return None
    started = run_records.parse_timestamp(last.run)
    due = _last_due(scheduled.when, catalog.schedules.timezone, started, now)
    if due is not None and due > started:
        return due
    return started if last.outcome in ("crashed", "stopped") else None


def _last_due(when: str, timezone: str, earliest: datetime, now: datetime) -> datetime | None:
    """Find the last time in the schedule from `earliest` to now, with Prefect's own reading of cron."""
    if when.startswith("every "):
        return now - (now - _ANCHOR) % _parse_interval(when)
    from prefect.server.schemas.schedules import CronSchedule

    async def search() -> datetime | None:
        schedule, end = CronSchedule(cron=when, timezone=timezone), now
        while end > earliest:
            start = max(earliest, end - _CRON_WINDOW)
            if dates := await schedule.get_dates(start=start, end=end):
                return datetime.fromtimestamp(max(dates).timestamp(), UTC)
            end = start
        return None

    with ThreadPoolExecutor(1) as thread:  # the caller's thread may be running an event loop
        return thread.submit(asyncio.run, search()).result()


def _parse_interval(when: str) -> timedelta:
    count, unit = when.split()[1:]
    return timedelta(seconds={"minute": 60, "hour": 3600, "day": 86400}[unit.rstrip("s")] * int(count))


def serve_schedules(catalog_file: Path, announce: Callable[[str], None] = _log.info) -> None:
    """Serve the scheduled flows until stopped, on the server in PREFECT_API_URL or on one of our own.

    Runs that were missed while nothing was served are replaced by one run of each flow.

    Parameters
    ----------
    catalog_file
        The catalog.
    announce
        Called with messages for the user.

    Raises
    ------
    CatalogError
        When a schedule is not valid.
    StoreError
        When there is no server, or another command serves the folder.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    served = deployments(catalog_file)  # a wrong schedule is reported before anything is started
    with _quiet_stop(), _choose_server(catalog_file.parent) as api, temporary_settings({PREFECT_API_URL: api}):
        os.environ["PREFECT_API_URL"] = api  # the runs are processes of their own
        catalog = load(catalog_file)
        with _recording_crashed_runs(catalog):
            asyncio.run(_serve(served, scheduled_flows(catalog_file), catalog, announce))


@contextmanager
def _quiet_stop() -> Iterator[None]:
    """End quietly on Ctrl-C and SIGTERM, after running flows were told to stop."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it otherwise
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        _log.info("stopped")


def _interrupt(*_: object) -> None:
    signal.raise_signal(signal.SIGINT)


@contextmanager
def _choose_server(folder: Path) -> Iterator[str]:
    """Give the address of the server that the user names, or of one of our own. Two servers of one folder are refused."""
    if running := find_server(folder):
        raise StoreError(f"another `figureground schedule` serves this folder at {running}; stop it first")
    if address := os.environ.get("PREFECT_API_URL", ""):
        if not is_healthy(address):
            raise StoreError(
                f"PREFECT_API_URL is {address}, where no Prefect server answers; start the server, or unset the variable"
            )
        with announce_server(folder, address):
            yield address
        return
    with run_server(folder) as api:
        yield api


async def _serve(
    served: list[Any], scheduled: list[ScheduledFlow], catalog: Catalog, announce: Callable[[str], None]
) -> None:
    from prefect.runner import Runner

    class InterruptedRunner(Runner):
        """A runner that ends by an interrupt, as on Ctrl-C: Prefect's own reaction to SIGTERM fails in a running loop."""

        def handle_sigterm(self, *_args: Any, **_kwargs: Any) -> None:
            _interrupt()

    # The schedules are not paused at the end: runs that come due while nothing is served are replaced at the next start.
    runner = InterruptedRunner(name=NAME, pause_on_shutdown=False, limit=None, query_seconds=5)
    for deployment, flow in zip(served, scheduled, strict=True):
        await _catch_up(catalog, flow, await runner.aadd_deployment(deployment), announce)
    address = os.environ["PREFECT_API_URL"].removesuffix("/api")
    password = f" (its password is in {auth_file(catalog.folder)})" if os.environ.get(CLIENT_AUTH) else ""
    check = asyncio.create_task(_check_scheduler([flow for flow in scheduled if flow.when != "never"], announce))
    announce(f"being served, seen at {address}{password}: " + "; ".join(f"{flow.name} {flow.when}" for flow in scheduled))
    try:
        await runner.start()
    finally:
        check.cancel()


async def _catch_up(catalog: Catalog, scheduled: ScheduledFlow, deployment_id: Any, announce: Callable[[str], None]) -> None:
    """Replace all runs that came due while nothing was served by one run: it processes all that is not done yet."""
    from prefect.client.orchestration import get_client
    from prefect.states import Cancelled

    now = datetime.now(UTC)
    async with get_client() as client:
        late = [run for run in await _planned_runs(client, deployment_id) if run.expected_start_time <= now]
        due = await asyncio.to_thread(last_missed, catalog, scheduled, now)
        for run in late:
            message = "nothing served it in time; one run makes up for all of them"
            await client.set_flow_run_state(run.id, Cancelled(message=message), force=True)
        if due is not None or late:
            await client.create_flow_run_from_deployment(deployment_id, name=f"{scheduled.name}-made-up-{now:%Y%m%d-%H%M%S}")
            missed = due or late[-1].expected_start_time
            announce(f"{scheduled.name} was due at {missed:%Y-%m-%d %H:%M} UTC and did not end: it runs now")


async def _check_scheduler(scheduled: list[ScheduledFlow], announce: Callable[[str], None]) -> None:
    """Warn when the server plans no run: with a library that is too new its scheduler ends without a message."""
    from prefect.client.orchestration import get_client

    await asyncio.sleep(_PLANNING_SECONDS)
    async with get_client() as client:
        for flow in scheduled:
            deployment = await client.read_deployment_by_name(f"{flow.flow.name}/{NAME}")
            if not await _planned_runs(client, deployment.id):
                announce(
                    f"Prefect's server has planned no run of {flow.name} after {_PLANNING_SECONDS:.0f} s: its scheduler fails. "
                    "Read its log (.prefect/server.log) and install the versions of requirements.lock"
                )


async def _planned_runs(client: Any, deployment_id: Any) -> list[Any]:
    from prefect.client.schemas.filters import (
        DeploymentFilter,
        DeploymentFilterId,
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    deployment = DeploymentFilter(id=DeploymentFilterId(any_=[deployment_id]))
    states = FlowRunFilterState(type=FlowRunFilterStateType(any_=[StateType.SCHEDULED]))
    return list(
        await client.read_flow_runs(deployment_filter=deployment, flow_run_filter=FlowRunFilter(state=states), limit=200)
    )


@contextmanager
def _recording_crashed_runs(catalog: Catalog) -> Iterator[None]:
    """Look for crashed runs every few seconds while the block lasts: people are notified before the next run starts."""
    record_crashed_runs(catalog)
    ended = threading.Event()
    context = contextvars.copy_context()  # it holds Prefect's settings, with the address of the server
    thread = threading.Thread(target=context.run, args=(_record_until, catalog, ended), name="crashed-runs", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(30)


def _record_until(catalog: Catalog, ended: threading.Event) -> None:
    while not ended.wait(_CRASH_CHECK_SECONDS):
        try:
            record_crashed_runs(catalog)
        except (FiguregroundError, OSError) as error:
            _log.error("looking for crashed runs: %s", error)
