"""Output that cannot be written is lost, and nothing else is."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flows.cli.streams import TolerantStream

ROOT = Path(__file__).parents[3]
PROGRAM = """
from flows.cli.streams import make_streams_tolerant
import os, sys
make_streams_tolerant()
from pathlib import Path
file = Path(sys.argv[1]).open("w")
print("Straße → 人 \\udce9", flush=True)
print("more")
os.write(2, f"file {file.fileno()}".encode())
sys.exit(7)
"""


def run_program(tmp_path: Path, redirection: str, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    command = f'"{sys.executable}" -c "$PROGRAM" "{tmp_path}/file" {redirection}'
    given = {"PROGRAM": PROGRAM, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(["/bin/sh", "-c", command], env=os.environ | given, capture_output=True, check=False)


def test_a_full_disk_is_reported_once_and_the_exit_code_is_that_of_the_work(tmp_path: Path) -> None:
    done = run_program(tmp_path, "> /dev/full")
    assert done.returncode == 7
    assert done.stderr.count(b"No space left on device") == 1 and b"Traceback" not in done.stderr


def test_a_closed_output_keeps_its_number_free_of_other_files(tmp_path: Path) -> None:
    done = run_program(tmp_path, ">&-")
    assert done.returncode == 7
    assert int(done.stderr.removeprefix(b"file ")) > 2
    assert (tmp_path / "file").read_bytes() == b""


def test_a_pipe_whose_reader_has_ended_is_no_failure() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    reports: list[str] = []
    with os.fdopen(writing, "w") as pipe:
        stream = TolerantStream(pipe, reports.append)
        stream.write("a line\n")
        stream.flush()
        stream.write("another\n")
        stream.flush()
    assert reports == []


@pytest.mark.parametrize(
    ("encoding", "written"), [("latin-1", b"Stra\xdfe \\u2192 \\u4eba \\udce9\nmore\n"), ("ascii", b"Stra\\xdfe ")]
)
def test_a_terminal_without_unicode_gets_escapes(tmp_path: Path, encoding: str, written: bytes) -> None:
    done = run_program(tmp_path, "", PYTHONIOENCODING=encoding)
    assert done.returncode == 7
    assert done.stdout.startswith(written)


def test_a_closed_file_is_reported_once() -> None:
    reports: list[str] = []
    file = io.StringIO()
    stream = TolerantStream(file, reports.append)
    file.close()
    assert stream.write("text") == 4
    stream.flush()
    assert not stream.isatty()
    assert len(reports) == 1
