"""What a killed run leaves: its Prefect server is ended, other folders' and other people's processes are not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from figureground.storage.processes import Process
from flows.scheduling import prefect_cleanup
from flows.scheduling.engine import announce_server, find_server

SLEEP = "import time; time.sleep(60)"
SERVER = "prefect.server.api.server:create_app"
GONE = "4194303@1"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc")


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[bytes]"]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def start(started: list["subprocess.Popen[bytes]"], owner: str, *command: str) -> "subprocess.Popen[bytes]":
    environment = {key: value for key, value in os.environ.items() if key != prefect_cleanup.OWNER}
    environment |= {prefect_cleanup.OWNER: owner} if owner else {}
    process = subprocess.Popen([sys.executable, "-c", SLEEP, *command], env=environment)
    started.append(process)
    return process


def test_only_servers_of_this_folder_whose_owner_is_gone_are_ended(
    tmp_path: Path, started: list["subprocess.Popen[bytes]"]
) -> None:
    left = [start(started, f"{GONE}|{tmp_path}", SERVER), start(started, f"{GONE}|{tmp_path}", "prefect", "server", "start")]
    spared = [
        start(started, f"{Process.own()}|{tmp_path}", SERVER),  # its owner lives
        start(started, f"{GONE}|{tmp_path / 'elsewhere'}", SERVER),  # of another catalog
        start(started, f"{GONE}|{tmp_path}", "label-studio"),  # no part of Prefect: a studio outlives who started it
        start(started, "", SERVER),  # a server that somebody else started
    ]
    assert sorted(prefect_cleanup.end_stale_processes(tmp_path)) == sorted(process.pid for process in left)
    assert [process.wait(10) for process in left] == [-15, -15]
    assert [process.poll() for process in spared] == [None] * 4


def test_child_processes_carry_the_mark_of_their_owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(prefect_cleanup.OWNER, "")
    prefect_cleanup.mark_environment(tmp_path)
    assert os.environ[prefect_cleanup.OWNER] == f"{Process.own()}|{tmp_path.resolve()}"


def test_a_server_that_is_announced_but_silent_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with announce_server(tmp_path, "http://127.0.0.1:9/api"):
        assert find_server(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
