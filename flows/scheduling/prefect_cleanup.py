"""What a killed run leaves behind: Prefect servers nobody uses, runs that Prefect believes to be running. Found and ended.

Only ours are touched: a process whose environment names this catalog's folder and an owner that is gone, and runs whose own
note says which process they were.
"""

import logging
import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from figureground.storage.processes import Process, find_by_environment

OWNER = "FIGUREGROUND_OWNER"
"""Says in the environment of everything we start: which process started it, for which folder."""

_OURS = ("prefect.server.api.server:create_app", "prefect.flow_engine", "prefect.engine")
_SECONDS = 5.0

_log = logging.getLogger(__name__)


def mark(folder: Path) -> None:
    """Say in this process's environment, and so in that of all it starts, whose they are."""
    os.environ[OWNER] = f"{Process.own()}|{folder.resolve()}"


def end_servers(folder: Path) -> list[int]:
    """End Prefect's servers and workers of this folder whose owner is gone.

    Returns
    -------
    list of int
        Their process numbers. Nothing is found where there is no /proc.
    """
    left = [process for process in _orphans(folder) if process.alive]
    for process in left:
        _log.info("ending process %d, a part of Prefect that a killed run left behind", process.pid)
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in left:
            if process.alive:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, sign)
        until = time.monotonic() + _SECONDS
        while any(process.alive for process in left) and time.monotonic() < until:
            time.sleep(0.05)
    return [process.pid for process in left]


def _orphans(folder: Path) -> list[Process]:
    found = []
    for process, value, command in find_by_environment(OWNER):
        owner, _, place = value.partition("|")
        began = Process.parse(owner)
        ours = place == str(folder.resolve()) and process.pid != os.getpid() and _is_prefect(command)
        if ours and began is not None and not began.alive:
            found.append(process)
    return found


def _is_prefect(command: list[str]) -> bool:
    serves = "prefect" in command and command[command.index("prefect") + 1 :][:2] == ["server", "start"]
    return serves or any(part in _OURS for part in command)


def mark_crashed(flow_run_ids: Iterable[str], why: str) -> list[str]:
    """Tell Prefect that runs have crashed which it believes to be running, with all that ran below them.

    Returns
    -------
    list of str
        The runs that were marked.
    """
    from prefect.client.orchestration import get_client
    from prefect.exceptions import ObjectNotFound
    from prefect.states import Crashed

    marked = []
    with get_client(sync_client=True) as client:
        for name in filter(None, flow_run_ids):
            try:
                run = client.read_flow_run(UUID(name))
            except ObjectNotFound:
                continue  # of another server, or cleared since
            for below in [*_below(client, run.id), run]:
                if below.state is not None and not below.state.is_final():
                    client.set_flow_run_state(below.id, Crashed(message=why), force=True)
                    marked.append(str(below.id))
                _crash_tasks(client, below.id, why)
    return marked


def _below(client: Any, flow_run_id: UUID) -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    wanted = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    return list(client.read_flow_runs(flow_run_filter=wanted))


def _crash_tasks(client: Any, flow_run_id: UUID, why: str) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    for run in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))):
        if run.state is None or not run.state.is_final():
            client.set_task_run_state(run.id, Crashed(message=why), force=True)
