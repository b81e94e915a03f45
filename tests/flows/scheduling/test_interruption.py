"""A signal ends a process within seconds, whatever its threads are doing; what was unfinished is recorded."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import subprocess, sys, threading, time
from pathlib import Path
from flows.scheduling import interruption

def stage():
    while True:
        time.sleep(0.1)

with interruption.end_on_signals(), interruption.recorded_when_stopped(lambda: Path(sys.argv[1]).write_text("stopped")):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    threading.Thread(target=stage).start()
    try:
        print(child.pid, flush=True)
        threading.Event().wait()
    finally:
        threading.Event().wait()
"""


def start_program(record: Path) -> tuple["subprocess.Popen[str]", int]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(record)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # under nohup it is ignored, and stays so
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_thread_that_never_ends_delays_the_end_by_seconds_at_most(tmp_path: Path, number: signal.Signals) -> None:
    process, child = start_program(tmp_path / "record")
    began = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert process.returncode == 128 + number
    assert (tmp_path / "record").read_text() == "stopped"
    assert not is_running(child)
    assert errors.splitlines()[0].startswith("stopping: what is finished is kept") and errors.splitlines()[-1] == "stopped"
    assert "Traceback" not in errors


@pytest.mark.slow
@pytest.mark.faults
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    process, child = start_program(tmp_path / "record")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    assert time.monotonic() - began < 1.5
    assert (tmp_path / "record").read_text() == "stopped"
    assert not is_running(child)
