"""Runs that are monitored, without Prefect: summaries, notices that are sent once, and runs that crashed."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from figureground import progress
from figureground.catalog import defaults as catalog_defaults
from figureground.catalog import load
from figureground.errors import StoreError
from figureground.storage import locks, run_records
from figureground.storage.store import Store
from flows.cli.status_fast_path import render_status
from flows.outcomes import Outcome
from flows.scheduling import failure_notice, interruption
from flows.scheduling.crashed_runs import record_crashed_runs
from flows.scheduling.run_monitor import monitor_run
from tasks.operation.status import read_status

ROOT = Path(__file__).parents[3]


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    content["notify"] = {"command": ["true"]}
    content["schedules"] = {"runs_kept": 3}
    file = tmp_path / "data_catalog.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    sent: list[tuple[str, str]] = []
    monkeypatch.setattr(failure_notice, "notify", lambda entry, subject, text, facts: sent.append((subject, text)) or [])
    return sent


def store_of(catalog: Path) -> Store:
    return Store(load(catalog).storage_root)


def running(catalog: Path, name: str, action: Callable[[], Any], *, nested: bool = False) -> Any:
    with monitor_run(name, str(catalog), nested=nested) as run:
        return run.add_outcomes(name, action() or [])


def test_a_run_leaves_a_summary_and_no_run_note(catalog: Path, letters: list[tuple[str, str]]) -> None:
    def action() -> list[Outcome]:
        with progress.measure_duration("crop"):
            pass
        [note] = list(run_records.note_folder(store_of(catalog).path(".locks")).iterdir())
        assert locks.read_note(note) is not None
        return [Outcome("park", ""), Outcome("walk", "", "left alone: somebody")]

    running(catalog, "ingest", action)
    [summary] = run_records.read_latest(store_of(catalog))
    assert (summary.flow, summary.outcome, summary.error) == ("ingest", "done", "")
    assert [(end.source, end.left) for end in summary.sources] == [("park", ""), ("walk", "left alone: somebody")]
    assert set(summary.stages) == {"crop"}
    assert {"figureground", "python", "openvino"} <= set(summary.versions)
    assert list(run_records.note_folder(store_of(catalog).path(".locks")).iterdir()) == []
    assert letters == []


def test_the_same_problem_is_notified_once_and_another_problem_again(catalog: Path, letters: list[tuple[str, str]]) -> None:
    for _ in range(3):
        running(catalog, "ingest", lambda: [Outcome("park", "no video"), Outcome("walk", "")])
    assert len(letters) == 1
    subject, text = letters[0]
    assert "ingest failed: 1 of 2 sources" in subject
    assert "- park: no video" in text and "figureground ingest park" in text
    running(catalog, "ingest", lambda: [Outcome("park", "a damaged video")])
    running(catalog, "push", lambda: [Outcome("park", "no video")])
    running(catalog, "ingest", lambda: [Outcome("park", "")])
    running(catalog, "ingest", lambda: [Outcome("park", "a damaged video")])  # it was well in between: that is news
    assert len(letters) == 4


def test_a_notification_is_repeated_when_the_catalog_says_so(catalog: Path, letters: list[tuple[str, str]]) -> None:
    catalog.write_text(catalog.read_text().replace("notify:", "notify:\n  repeat_after_hours: 0"))
    for _ in range(2):
        running(catalog, "ingest", lambda: [Outcome("park", "no video")])
    assert len(letters) == 2


def test_a_failed_notification_is_sent_the_next_time(catalog: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([["nobody answers"], [], []])
    tried: list[str] = []
    monkeypatch.setattr(failure_notice, "notify", lambda entry, subject, *_: tried.append(subject) or next(answers))
    for _ in range(3):
        running(catalog, "ingest", lambda: [Outcome("park", "no video")])
    assert len(tried) == 2


def test_errors_and_interruptions_are_distinguished(catalog: Path, letters: list[tuple[str, str]]) -> None:
    def fails() -> None:
        raise StoreError("the disk is full")

    def stops() -> None:
        raise KeyboardInterrupt

    with pytest.raises(StoreError):
        running(catalog, "ingest", fails)
    with pytest.raises(KeyboardInterrupt):
        running(catalog, "ingest", stops)
    stopped, failed = run_records.read_latest(store_of(catalog))
    assert (failed.outcome, failed.error) == ("failed", "the disk is full")
    assert (stopped.outcome, len(letters)) == ("stopped", 1)


def test_a_nested_flow_is_a_part_of_the_run_around_it(catalog: Path, letters: list[tuple[str, str]]) -> None:
    with monitor_run("nightly-ingest", str(catalog)) as run:
        for part, outcome in (("ingest", Outcome("park", "")), ("push", Outcome("park", "no server"))):
            run.add_outcomes(part, running(catalog, part, lambda outcome=outcome: [outcome], nested=True))
    [summary] = run_records.read_latest(store_of(catalog))
    assert (summary.flow, summary.outcome) == ("nightly-ingest", "failed")
    assert summary.sources == (run_records.SourceOutcome("park", "no server"),)


def test_the_newest_summaries_are_kept_by_flow(catalog: Path) -> None:
    running(catalog, "release", lambda: None)
    for _ in range(5):
        running(catalog, "pull", list)
    kept = [run.partition("-")[2] for run in run_records.list_runs(store_of(catalog))]
    assert sorted(kept) == ["pull"] * 3 + ["release"]


KILLED = """
import os, signal, sys
from figureground import progress
from figureground.storage import locks
from figureground.catalog import load
from figureground.storage.store import Store
from pathlib import Path
from flows.scheduling.run_monitor import monitor_run
from tasks.operation.status import read_status
with monitor_run("nightly-ingest", sys.argv[1]):
    folder = Store(load(Path(sys.argv[1])).storage_root).path(".locks")
    with locks.hold_locks(folder, "make", "ingest", ["park"]):
        progress.report("crop", "park", 3, 9)
        (folder.parent / "frames").mkdir(parents=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.faults
def test_a_killed_run_is_reported_once_by_the_next_run(catalog: Path, letters: list[tuple[str, str]]) -> None:
    environment = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{ROOT}"}
    subprocess.run([sys.executable, "-c", KILLED, str(catalog)], env=environment, check=False)
    assert list(run_records.list_runs(store_of(catalog))) == []
    running(catalog, "pull", list)
    running(catalog, "pull", list)
    [(subject, text)] = letters
    assert "nightly-ingest crashed" in subject and "ended without a word" in text
    crashed = next(run_records.read_latest(store_of(catalog), "nightly-ingest"))
    assert crashed.outcome == "crashed" and crashed.notified
    assert crashed.sources == (run_records.SourceOutcome("park", left="it was at crop 3 of 9"),)
    assert list((store_of(catalog).path(".locks") / "make").glob("*.json")) == []


def test_a_run_of_another_machine_is_left_alone(catalog: Path, letters: list[tuple[str, str]]) -> None:
    folder = run_records.note_folder(store_of(catalog).path(".locks"))
    note = replace(locks.LockNote.own("ingest"), host="elsewhere", process="1@1")
    locks.write_note(folder / "20260101T000000.000Z-ingest.json", asdict(note))
    assert record_crashed_runs(load(catalog)) == []
    assert letters == []


def test_a_summary_is_json_for_programs(catalog: Path) -> None:
    running(catalog, "ingest", lambda: [Outcome("park", "")])
    [file] = (store_of(catalog).path("runs")).iterdir()
    told = json.loads(file.read_text())
    assert told["sources"] == [{"source": "park", "error": "", "left": ""}]


def test_interactive_runs_are_not_notified_but_schedules_and_crashes_are(
    catalog: Path, letters: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    running(catalog, "ingest", lambda: [Outcome("park", "no video")])
    assert letters == []
    running(catalog, "nightly-ingest", lambda: [Outcome("park", "no video")])
    assert len(letters) == 1


@pytest.mark.parametrize("name", ["._copy.json", "copy.json", "._20261121T020000.000Z-ingest.json"])
def test_a_stray_file_beside_the_notes_of_runs_is_no_run(catalog: Path, letters: list[tuple[str, str]], name: str) -> None:
    folder = run_records.note_folder(store_of(catalog).path(".locks"))
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"\x00\x05\x16\x07")
    (folder / "20261121T020000.000Z-ingest.json").mkdir()
    running(catalog, "ingest", lambda: [Outcome("park", "")])
    [summary] = run_records.read_latest(store_of(catalog))
    assert (summary.outcome, letters) == ("done", [])
    assert (folder / name).exists()


def test_a_run_that_a_signal_stopped_is_recorded_once(catalog: Path, letters: list[tuple[str, str]]) -> None:
    def stop() -> None:
        with monitor_run("ingest", str(catalog)) as run:
            interruption.record_stops()
            assert run.recorded
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    [summary] = run_records.read_latest(store_of(catalog))
    assert (summary.outcome, summary.error, letters) == ("stopped", "it was told to stop", [])


def test_warnings_of_a_run_stand_in_its_summary_and_in_the_status(catalog: Path, letters: list[tuple[str, str]]) -> None:
    def action() -> list[Outcome]:
        logging.getLogger("figureground.datasets.release_plan").warning("%s was in val and is now in train", "park\x1b[2J")
        return [Outcome("park", "")]

    running(catalog, "release", action)
    logging.getLogger("figureground.datasets.release_plan").warning("after it")
    [summary] = run_records.read_latest(store_of(catalog))
    assert (summary.outcome, summary.warnings) == ("done", ("park\\x1b[2J was in val and is now in train",))
    status = read_status(load(catalog))
    lines = render_status(status).splitlines()
    assert lines[-2].startswith("release: done") and lines[-2].endswith(", 1 warning")
    assert lines[-1] == "release: warning: park\\x1b[2J was in val and is now in train"
    assert json.loads(render_status(status, as_json=True))["runs"][0]["warnings"] == list(summary.warnings)


def test_a_summary_of_before_warnings_were_kept_is_read(catalog: Path, letters: list[tuple[str, str]]) -> None:
    running(catalog, "ingest", lambda: [Outcome("park", "")])
    store = store_of(catalog)
    [run] = run_records.list_runs(store)
    fields = json.loads(store.read(run_records.name(run)))
    del fields["warnings"]
    store.write(run_records.name(run), json.dumps(fields).encode())
    [summary] = run_records.read_latest(store)
    assert (summary.outcome, summary.warnings) == ("done", ())
