"""Two commands at once, in processes of their own: what waits, what is refused, and that what was forgotten stays away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.storage.locks import hold_storage
from figureground.storage.store import Store
from flows.judge import rejudge
from tasks.datasets.forget import forget
from tasks.operation.prune import prune_storage

ROOT = Path(__file__).parents[2]
Make = Callable[..., Catalog]

HOLD = """
import sys
from pathlib import Path
from figureground.storage.locks import hold_locks, hold_storage
folder, flow, alone = Path(sys.argv[1]), sys.argv[2], sys.argv[3] == "alone"
with hold_storage(folder, flow, alone=alone), hold_locks(folder, "make", flow, [] if alone else ["park"]):
    print("holds", flush=True)
    sys.stdin.readline()
"""

RUN = """
import sys
from flows.scheduling.run_monitor import monitor_run
print("starts", flush=True)
with monitor_run("ingest", sys.argv[1]) as run:
    print(sorted(run.catalog.sources), flush=True)
"""


def start(*words: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def read_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@contextmanager
def holding(catalog: Catalog, flow: str, how: str = "shared") -> Iterator["subprocess.Popen[str]"]:
    """Another process that writes to the storage, until the block ends."""
    with start(HOLD, str(Store(catalog.storage_root).path(".locks")), flow, how) as process:
        assert read_line(process) == "holds"
        try:
            yield process
        finally:
            with suppress(BrokenPipeError):
                process.communicate("\n")


def list_names(folder: Path) -> list[str]:
    """All files of a storage but notes of locks."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(name for name in names if not name.startswith(".locks/"))


@pytest.mark.parametrize("flow", ["ingest", "a worker's matte"])
def test_forget_is_refused_while_another_command_writes_and_deletes_nothing(labelled: Make, tmp_path: Path, flow: str) -> None:
    catalog = labelled(tmp_path, {"park": ["keep"], "walk": ["keep"]})
    before = list_names(tmp_path / "data")
    with holding(catalog, flow) as process:
        holder = rf"in use by {flow} \(process {process.pid} on .*\) since .* Wait until it ends or stop it"
        with pytest.raises(StoreError, match=holder):
            forget("walk", catalog)
        assert list_names(tmp_path / "data") == before
    assert forget("walk", catalog).sources == ("walk",)


def test_a_killed_command_holds_nothing(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"park": ["keep"]})
    with holding(catalog, "ingest") as process:
        process.kill()
        process.wait()
        assert forget("park", catalog).sources == ("park",)


def test_judge_leaves_a_source_alone_that_an_ingest_works_on(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"park": ["keep"]})
    (tmp_path / "clips").mkdir()
    (tmp_path / catalog.sources["park"].path).touch()
    table = Store(catalog.storage_root).path("tables/verdicts/park.parquet")
    before = table.stat().st_mtime_ns
    with holding(catalog, "ingest") as process:
        [outcome] = rejudge(catalog, None)
        assert outcome.left.startswith(f"left alone: ingest (process {process.pid} on ")
    assert table.stat().st_mtime_ns == before


@pytest.mark.parametrize("begin", [lambda catalog: rejudge(catalog, None), prune_storage], ids=["judge", "prune"])
def test_what_begins_while_a_source_is_deleted_waits_and_is_refused_when_that_takes_too_long(
    labelled: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Catalog], object]
) -> None:
    monkeypatch.setattr("figureground.storage.locks._WAIT_SECONDS", 0.1)
    catalog = labelled(tmp_path, {"park": ["keep"]})
    with holding(catalog, "forget", "alone") as process, pytest.raises(StoreError, match=rf"forget \(process {process.pid} on"):
        begin(catalog)


def test_a_worker_does_not_wait_for_a_source_to_be_deleted(tmp_path: Path) -> None:
    with (
        hold_storage(tmp_path, "forget", alone=True),
        pytest.raises(StoreError, match=r"in use by forget \(process"),
        hold_storage(tmp_path, "a worker's matte", wait=False),
    ):
        pytest.fail("the stage ran")


@pytest.mark.slow
def test_an_ingest_that_began_before_reads_the_catalog_after_the_source_was_forgotten(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"park": ["keep"], "walk": ["keep"]})
    file = tmp_path / "data_catalog.yaml"
    entry = {"path": "none.mp4", "license": "CC0-1.0", "scenes": ["street"]}
    content = {"storage": str(tmp_path / "data"), "sources": {"park": entry, "walk": entry}}
    file.write_text(yaml.safe_dump(content))
    with holding(catalog, "forget", "alone") as deleting, start(RUN, str(file)) as run:
        assert read_line(run) == "starts"
        time.sleep(1.0)
        assert run.poll() is None
        del content["sources"]["walk"]
        file.write_text(yaml.safe_dump(content))
        assert deleting.stdin is not None
        deleting.stdin.write("\n")
        deleting.stdin.flush()
        assert read_line(run) == "['park']"


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.faults
def test_nothing_comes_back_from_an_ingest_that_runs(tmp_path: Path, clips, write_catalog_of, prefect_server: str) -> None:
    write_catalog_of(tmp_path, {"early": clips["early"]})
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": prefect_server, "COLUMNS": "300"}

    def command(*words: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *words],
            cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    ingest = command("ingest")
    until = time.monotonic() + 300
    while not list((tmp_path / "data/.locks/make").glob("*.json")):
        assert ingest.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    ingest.send_signal(signal.SIGSTOP)
    refused, judged = command("forget", "early", "--yes"), command("judge")
    text = refused.communicate(timeout=300)[0]
    assert refused.returncode == 1 and "Traceback" not in text
    assert f"ingest (process {ingest.pid} on" in text or "nothing of a source 'early'" in text
    assert f"left alone: ingest (process {ingest.pid} on" in judged.communicate(timeout=300)[0]
    ingest.send_signal(signal.SIGCONT)
    assert "Traceback" not in ingest.communicate(timeout=600)[0]
    assert ingest.returncode == 0
    deleted = command("forget", "early", "--yes")
    deleted.communicate(timeout=300)
    assert deleted.returncode == 0
    assert [name for name in list_names(tmp_path / "data") if "early" in name] == []
