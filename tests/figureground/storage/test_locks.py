"""Locks across real processes: one holder, free when it is killed, and notes that name it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from figureground import progress
from figureground.errors import StoreError
from figureground.storage import locks, processes
from figureground.storage.processes import Process, find_by_environment, start_time

ROOT = Path(__file__).parents[3]
HOLD = """
import sys, time
from pathlib import Path
from figureground.storage import locks, processes
with locks.hold_locks(Path(sys.argv[1]), "make", "ingest", ["park", "walk"]) as (_, busy):
    print(sorted(busy), flush=True)
    time.sleep(60)
"""


def holder(folder: Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "[]\n"
    return process


def test_a_killed_process_holds_no_lock_and_its_notes_are_ignored(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with locks.hold_locks(tmp_path, "make", "push", ["walk", "lake"]) as (_, busy):
            assert list(busy) == ["walk"]
            assert (busy["walk"].flow, busy["walk"].process) == ("ingest", str(Process(process.pid, start_time(process.pid))))
        with locks.hold_locks(tmp_path, "labels", "pull", ["walk"]) as (_, busy):
            assert not busy  # a pull does not wait for an ingest
        assert sorted(locks.read_notes(tmp_path, "make")) == ["park", "walk"]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert locks.read_notes(tmp_path, "make") == {}
        assert locks.remove_stale_notes(tmp_path) == ["make/park.json", "make/walk.json"]
        with locks.hold_locks(tmp_path, "make", "push", ["park", "walk"]) as (_, busy):
            assert not busy
    assert list((tmp_path / "make").glob("*.json")) == []


def test_a_process_cannot_take_its_own_lock_twice_but_again_after_it_was_released(tmp_path: Path) -> None:
    with locks.hold_locks(tmp_path, "make", "ingest", ["park"]):
        with locks.hold_locks(tmp_path, "make", "tidy", ["park"]) as (_, busy):
            assert str(busy["park"]).startswith("ingest (process ")
        assert "park" in locks.read_notes(tmp_path, "make")  # the refused run removed nothing
    with locks.hold_locks(tmp_path, "make", "tidy", ["park"]) as (_, busy):
        assert not busy


def test_progress_is_written_to_the_note_at_most_once_a_second(tmp_path: Path) -> None:
    with locks.hold_locks(tmp_path, "make", "ingest", ["park"]):
        for done in range(50):
            progress.report("crop", "park", done, 50)
            progress.report("crop", "elsewhere", done, 50)
        note = locks.read_notes(tmp_path, "make")["park"]
        assert (note.stage, note.done, note.total) == ("crop", 0, 50)
        progress.report("matte", "park", 7, 9)
        assert locks.read_notes(tmp_path, "make")["park"].done == 7
        time.sleep(1.05)
        progress.report("matte", "park", 8, 9)
        assert locks.read_notes(tmp_path, "make")["park"].done == 8
    progress.report("matte", "park", 9, 9)
    assert not (tmp_path / "make/elsewhere.json").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StoreError, match=r"cannot write .*file"),
        locks.hold_locks(tmp_path / "file", "make", "ingest", ["park"]),
    ):
        pass


def test_a_process_is_identified_by_number_and_start_time() -> None:
    own = Process.own()
    assert own.alive
    assert Process.parse(str(own)) == own
    assert not Process(own.pid, "1").alive
    assert not Process(2**22 + 1, "1").alive


def test_without_proc_a_process_is_identified_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_PROC", tmp_path)
    own = Process.own()
    assert own.alive
    assert Process.parse(str(own)) == own
    assert not Process(own.pid, "1").alive
    assert not Process(2**22 + 1, "1").alive
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.DEVNULL) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        assert start_time(ended.pid) == "", "it has ended, and its parent has not read its exit code"


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc")
def test_processes_are_found_by_their_environment() -> None:
    environment = os.environ | {"FIGUREGROUND_TEST": "a b"}
    command = [sys.executable, "-c", "print(flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdout
        process.stdout.readline()  # for a moment after it began the kernel shows no environment
        found = [(process_.pid, value) for process_, value, _ in find_by_environment("FIGUREGROUND_TEST")]
        process.communicate(b"\n")
    assert found == [(process.pid, "a b")]


@pytest.mark.parametrize(
    "content", [b"\x00\x05\x16\x07Mac OS X", b"[]", b"{}", b'{"flow": 1, "host": 2, "process": 3, "since": 4}', b"null"]
)
def test_a_stray_file_beside_the_notes_is_no_note_and_stays(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "make").mkdir()
    (tmp_path / "make/._copy.json").write_bytes(content)
    (tmp_path / "make/folder.json").mkdir()
    (tmp_path / "make/copy.json").write_bytes(content)
    assert locks.read_notes(tmp_path, "make") == {}
    locks.remove_stale_notes(tmp_path)
    assert (tmp_path / "make/._copy.json").exists() and (tmp_path / "make/folder.json").exists()
