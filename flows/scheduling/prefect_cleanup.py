"""Cleans up after killed runs: ends stale Prefect servers, and marks runs as crashed that Prefect believes to be running.

Only our own are touched: processes whose environment names this catalog's folder and an owner that has ended, and runs whose
note names a process that has ended.
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
"""The environment variable that names, in every process we start, the process that started it and the folder."""

_PREFECT_MODULES = ("prefect.server.api.server:create_app", "prefect.flow_engine", "prefect.engine")
_END_SECONDS = 5.0

_log = logging.getLogger(__name__)


def mark_environment(folder: Path) -> None:
    """Name this process and the folder as the owner of every process that this process starts."""
    os.environ[OWNER] = f"{Process.own()}|{folder.resolve()}"


def end_stale_processes(folder: Path) -> list[int]:
    """End Prefect's servers and workers of a folder whose owner has ended.

    Returns
    -------
    list of int
        Their process ids.
    """
    left = [process for process in _find_stale_processes(folder) if process.alive]
    for process in left:
        _log.info("ending process %d, a part of Prefect that a killed run left behind", process.pid)
    for number in (signal.SIGTERM, signal.SIGKILL):
        for process in left:
            if process.alive:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process.pid, number)
        until = time.monotonic() + _END_SECONDS
        while any(process.alive for process in left) and time.monotonic() < until:
            time.sleep(0.05)
    return [process.pid for process in left]


def _find_stale_processes(folder: Path) -> list[Process]:
    stale = []
    for process, value, command in find_by_environment(OWNER):
        owner_text, _, owner_folder = value.partition("|")
        owner = Process.parse(owner_text)
        is_ours = owner_folder == str(folder.resolve()) and process.pid != os.getpid() and _is_prefect(command)
        if is_ours and owner is not None and not owner.alive:
            stale.append(process)
    return stale


def _is_prefect(command: list[str]) -> bool:
    is_server = "prefect" in command and command[command.index("prefect") + 1 :][:2] == ["server", "start"]
    return is_server or any(part in _PREFECT_MODULES for part in command)


def mark_crashed(flow_run_ids: Iterable[str], reason: str) -> list[str]:
    """Mark runs as crashed that Prefect believes to be running, with their subflows and tasks.

    Parameters
    ----------
    flow_run_ids
        Prefect's ids of the runs.
    reason
        The message of the new state.

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
        for run_id in filter(None, flow_run_ids):
            try:
                run = client.read_flow_run(UUID(run_id))
            except ObjectNotFound:
                continue  # it is on another server, or was deleted
            for flow_run in [*_subflow_runs(client, run.id), run]:
                if flow_run.state is not None and not flow_run.state.is_final():
                    client.set_flow_run_state(flow_run.id, Crashed(message=reason), force=True)
                    marked.append(str(flow_run.id))
                _crash_tasks(client, flow_run.id, reason)
    return marked


def _subflow_runs(client: Any, flow_run_id: UUID) -> list[Any]:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterParentFlowRunId

    subflows = FlowRunFilter(parent_flow_run_id=FlowRunFilterParentFlowRunId(any_=[flow_run_id]))
    return list(client.read_flow_runs(flow_run_filter=subflows))


def _crash_tasks(client: Any, flow_run_id: UUID, reason: str) -> None:
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
    from prefect.states import Crashed

    for run in client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))):
        if run.state is None or not run.state.is_final():
            client.set_task_run_state(run.id, Crashed(message=reason), force=True)
