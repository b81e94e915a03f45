"""Whatever becomes of its output, an ingest does its work, and its exit code is that of the work."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from figureground.catalog import load
from figureground.storage import run_records
from figureground.storage.store import Store
from tests.clip_server import serving

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, clips, write_catalog_of) -> Path:
    path = tmp_path_factory.mktemp("messages")
    write_catalog_of(path, {"early": clips["early"]})
    return path


def ingest(
    folder: Path, server: str, redirection: str, *, options: str = "", **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """Run ingest in a shell; its exit code stands in the file ``code``."""
    command = f'("{sys.executable}" -m flows.cli ingest {options}; echo $? > code) {redirection}'
    given = {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": server, **environment}
    return subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=os.environ | given, capture_output=True, check=False, timeout=600
    )


@pytest.mark.parametrize(
    ("redirection", "environment"),
    [
        ("| head -1", {}),
        ("2>&1 | true", {}),
        ("> /dev/full", {}),
        ("> /dev/full 2>&1", {}),
        (">&-", {}),
        (">&- 2>&- <&-", {}),
        ("", {"PYTHONIOENCODING": "latin-1"}),
        ("", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    ],
)
def test_output_that_goes_nowhere_stops_nothing(folder: Path, prefect_server: str, redirection: str, environment) -> None:
    (folder / "data/.locks/runs").mkdir(parents=True, exist_ok=True)
    for name in ("._copy.json", "make/._copy.json", "runs/._copy.json"):
        (folder / "data/.locks" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "data/.locks" / name).write_bytes(b"\x00\x05\x16\x07")
    done = ingest(folder, prefect_server, redirection, **environment)
    assert (folder / "code").read_text() == "0\n", done
    assert b"Traceback" not in done.stdout + done.stderr
    assert (folder / "data/tables/mattes/early.parquet").exists()
    newest = next(run_records.read_latest(Store(load(folder / "data_catalog.yaml").storage_root)))
    assert newest.outcome == "done"


def start_ingest(folder: Path) -> tuple["subprocess.Popen[str]", list[psutil.Process]]:
    """Start ingest with a Prefect server of its own in a process group of its own; give its children, one second into work."""
    environment = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"} | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "ingest"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 300
    while not any(f'"{process.pid}@' in note.read_text() for note in (folder / "data/.locks/make").glob("*.json")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    time.sleep(1.0)
    return process, psutil.Process(process.pid).children(recursive=True)


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGTERM, True)])
def test_a_signal_ends_an_ingest_in_seconds_and_the_next_run_continues(
    tmp_path: Path, clips: dict[str, Path], write_catalog_of, number: signal.Signals, whole_group: bool
) -> None:
    write_catalog_of(tmp_path, {"early": clips["early"]})
    process, children = start_ingest(tmp_path)
    assert any("uvicorn" in child.cmdline() for child in children)
    began = time.monotonic()
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, errors = process.communicate(timeout=120)
    seconds = time.monotonic() - began
    assert seconds < 5 * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)), "5 s on a machine that has nothing else to do"
    assert process.returncode == 128 + number
    assert "Traceback" not in errors and len(errors.splitlines()) <= 3
    assert errors.startswith("stopping: what is finished is kept")
    assert not any(child.is_running() for child in children)
    store = Store(load(tmp_path / "data_catalog.yaml").storage_root)
    [stopped] = run_records.read_latest(store)
    assert stopped.outcome == "stopped"
    done = ingest(tmp_path, "", "")
    assert (tmp_path / "code").read_text() == "0\n", done.stderr
    assert [run.outcome for run in run_records.read_latest(store)] == ["done", "stopped"]


ODD = "clip\x1b]0;owned\x9b2J\u202egpj.mp4"


def test_names_and_addresses_of_sources_reach_no_terminal_and_no_log_raw(
    tmp_path: Path, prefect_server: str, write_catalog_of
) -> None:
    (tmp_path / ODD).write_bytes(b"no video")
    with serving() as site:
        site.redirects["/clip.mp4"] = f"{site.url}/signed.mp4?X-Amz-Signature=s3cret-signature&Expires=9&page=s3cret-page"
        address = site.url.replace("//", "//me:s3cret-word@") + "/clip.mp4?token=s3cret-token"
        sources = {"odd": tmp_path / ODD, "far": address}
        write_catalog_of(tmp_path, sources, allow_hosts=["127.0.0.1"])
        done = ingest(tmp_path, prefect_server, "", options="--verbose")
        assert "/signed.mp4" in {path.partition("?")[0] for _, path, _ in site.asked}, "the redirect was followed"
    printed = (done.stdout + done.stderr).decode()
    assert (tmp_path / "code").read_text() == "1\n" and "Traceback" in printed
    assert "odd" in printed and f"{site.url}/signed.mp4" in printed
    assert not [character for character in printed if character not in "\n\t" and not character.isprintable()]
    assert "s3cret" not in printed
    written = [file for file in tmp_path.rglob("*") if file.is_file() and file.name != "data_catalog.yaml"]
    assert not [file for file in written if b"s3cret" in file.read_bytes()]
