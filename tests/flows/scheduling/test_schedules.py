"""A real Prefect server with real schedules: refused overlaps, missed runs made up for, kills noticed, artifacts, its pages."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import httpx
import numpy as np
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults
from figureground.catalog import load
from figureground.storage import locks, run_records
from figureground.storage.processes import Process
from figureground.storage.store import Store
from flows.scheduling.schedules import ScheduledFlow, last_missed, parse_schedule

ROOT = Path(__file__).parents[3]
PICTURE = os.environ.get("FIGUREGROUND_PICTURE", "")


def write_clip(path: Path, frames: int) -> None:
    """Nobody is in it: coloured noise that moves."""
    noise = np.random.default_rng(1).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    with av.open(str(path), "w") as into:
        stream = into.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(frames):
            into.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, number * 5, 1), format="rgb24")))
        into.mux(stream.encode())


def write_catalog(folder: Path, **more: Any) -> Path:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    write_clip(folder / "meadow.mp4", 20)
    content["sources"] = {"meadow": {"path": "meadow.mp4", "license": "CC0-1.0"}}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    file = folder / "data_catalog.yaml"
    file.write_text(yaml.safe_dump(content | more, sort_keys=False))
    return file


class Listener:
    """Who is notified: a web server that keeps what it is sent."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        heard = self.heard

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/T0/secret-part-of-the-address"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


class Schedule:
    """`figureground schedule` in a process of its own."""

    def __init__(self, folder: Path, number: int, **environment: str) -> None:
        self.folder, self.log = folder, folder / f"out{number}"
        given = os.environ | {"PYTHONPATH": f"{os.environ.get('PYTHONPATH', '')}:{ROOT}", "COLUMNS": "200"} | environment
        with self.log.open("wb") as out:
            command = [sys.executable, "-m", "flows.cli", "schedule"]
            self.process = subprocess.Popen(command, cwd=folder, env=given, stdout=out, stderr=out, start_new_session=True)

    def wait(self, until: Callable[[], Any], seconds: float = 150) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.HTTPError):
                if found := until():
                    return found
            time.sleep(0.3)
        raise AssertionError(f"waited {seconds} s\n{self.log.read_text()}")

    def ready(self) -> "Schedule":
        self.wait(lambda: "being served" in self.log.read_text())
        return self

    @property
    def api(self) -> str:
        return str(json.loads((self.folder / ".prefect/figureground-server.json").read_text())["address"])

    @property
    def auth(self) -> tuple[str, str]:
        user, _, password = (self.folder / ".prefect/figureground-auth").read_text().partition(":")
        return user, password

    def ask(self, path: str, **body: Any) -> Any:
        answer = httpx.post(f"{self.api}{path}", json=body, timeout=20, auth=self.auth)
        answer.raise_for_status()
        return answer.json()

    def deployment(self, flow: str) -> dict[str, Any]:
        flows = {one["id"]: one["name"] for one in self.ask("/flows/filter")}
        return next(one for one in self.ask("/deployments/filter") if flows[one["flow_id"]] == flow)

    def start(self, flow: str, **parameters: Any) -> str:
        body = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        return str(self.ask(f"/deployments/{self.deployment(flow)['id']}/create_flow_run", **body)["id"])

    def state(self, run: str) -> dict[str, Any]:
        return dict(httpx.get(f"{self.api}/flow_runs/{run}", timeout=20, auth=self.auth).json()["state"])

    def ended(self, run: str) -> dict[str, Any]:
        final = ("COMPLETED", "CANCELLED", "FAILED", "CRASHED")
        return dict(self.wait(lambda: (state := self.state(run))["type"] in final and state))

    def runs_called(self, words: str) -> list[dict[str, Any]]:
        return [run for run in self.ask("/flow_runs/filter") if words in run["name"]]

    def end(self) -> None:
        """Whatever a failed test has left."""
        for number in [self.process.pid, *servers_of(self.folder)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


def servers_of(folder: Path) -> list[int]:
    """The Prefect servers whose home is in a folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            mine = f"PREFECT_HOME={folder}/.prefect".encode() in (place / "environ").read_bytes().split(b"\0")
            if mine and b"server\0start" in (place / "cmdline").read_bytes():
                found.append(int(place.name))
    return found


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.faults
@pytest.mark.browser
def test_missed_nights_are_caught_up_overlaps_refused_and_kills_reported(
    tmp_path: Path, listener: Listener, chromium: Any, request: pytest.FixtureRequest
) -> None:
    file = write_catalog(
        tmp_path,
        schedules={"ingest": "30 3 * * *", "pull": "every 3 hours", "release": "never", "timezone": "Europe/Berlin"},
        notify={"webhook": "env:HOOK"},
    )
    store = Store(load(file).storage_root)
    long_ago = datetime.now(UTC) - timedelta(days=9)
    stamp = f"{run_records.format_timestamp(long_ago)}-nightly-ingest"
    run_records.write(
        store, run_records.RunSummary(stamp, "nightly-ingest", "done", "2026-01-01T02:00:00Z", "2026-01-01T03:00:00Z", 3600.0)
    )

    with locks.hold_locks(store.path(".locks"), "make", "somebody else", ["meadow"]):
        first = Schedule(tmp_path, 1, HOOK=listener.url)
        request.addfinalizer(first.end)
        first.ready()
        # nine nights were missed: one run makes up for them, and finds the source taken
        made_up = first.wait(lambda: first.runs_called("nightly-ingest-made-up"))
        assert len(made_up) == 1
        refused = first.ended(made_up[0]["id"])
    assert (refused["type"], listener.heard) == ("CANCELLED", [])
    assert "somebody else" in refused["message"]
    summary = next(run_records.read_latest(store, "nightly-ingest"))
    assert summary.outcome == "done"
    assert "left alone: somebody else" in summary.sources[0].left

    form = first.deployment("nightly-ingest")
    assert form["schedules"][0]["schedule"] == {"cron": "30 3 * * *", "timezone": "Europe/Berlin", "day_or": True}
    assert form["parameter_openapi_schema"]["properties"]["push"]["type"] == "boolean"
    assert all(one["description"] for one in form["parameter_openapi_schema"]["properties"].values())
    first.wait(lambda: [run for run in first.ask("/flow_runs/filter") if run["auto_scheduled"]])  # the scheduler plans

    # a run is killed with its parent; the server stays behind
    doomed = first.start("nightly-ingest", push=False, catalog=str(file))
    notes = store.path(".locks/make")
    note = first.wait(lambda: locks.read_note(notes / "meadow.json"))
    [server] = servers_of(tmp_path)
    os.kill(first.process.pid, signal.SIGKILL)
    process = Process.parse(note.process)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    first.process.wait()
    assert first.state(doomed)["type"] == "RUNNING"

    second = Schedule(tmp_path, 2, HOOK=listener.url)
    request.addfinalizer(second.end)
    second.ready()
    assert server not in servers_of(tmp_path)
    crashed = second.state(doomed)
    assert crashed["type"] == "CRASHED"
    again = second.wait(lambda: [one for one in second.runs_called("nightly-ingest-made-up") if one["id"] != made_up[0]["id"]])
    assert len(again) == 1
    assert second.ended(again[0]["id"])["type"] == "COMPLETED"
    [heard] = listener.heard
    assert heard["outcome"] == "crashed"
    assert "figureground status" in heard["text"]
    assert "secret-part" not in json.dumps(heard)

    funnels = [one for one in second.ask("/artifacts/filter") if one["key"] == "nightly-ingest-funnel"]
    funnel = next(one for one in funnels if one["flow_run_id"] == again[0]["id"])
    assert "| meadow | 4 | 0 | 0 | 0 | 0 | 0 | done |" in funnel["data"]
    assert any(one["key"] == "nightly-ingest-progress" and one["data"] == 100 for one in second.ask("/artifacts/filter"))
    assert any(one["key"] == "report-meadow" and "meadow.html" in one["data"] for one in second.ask("/artifacts/filter"))

    page = chromium.new_page(viewport={"width": 1280, "height": 900})
    page.goto(second.api.removesuffix("/api"), wait_until="domcontentloaded")
    page.locator("input").fill(":".join(second.auth))
    page.keyboard.press("Enter")
    page.get_by_text("Flow Runs").first.wait_for(timeout=30000)
    page.goto(f"{second.api.removesuffix('/api')}/artifacts/artifact/{funnel['id']}", wait_until="domcontentloaded")
    page.get_by_text("how it ended").wait_for(timeout=30000)
    if PICTURE:
        page.wait_for_timeout(1500)
        page.screenshot(path=PICTURE)
    page.goto(f"{second.api.removesuffix('/api')}/runs", wait_until="domcontentloaded")
    page.get_by_text("nightly-ingest").first.wait_for(timeout=30000)
    page.close()

    assert second.stop() == 0
    assert "Traceback" not in second.log.read_text()
    assert servers_of(tmp_path) == []
    assert not (tmp_path / ".prefect/figureground-server.json").exists()


@pytest.mark.parametrize(
    ("when", "last", "outcome", "expected"),
    [
        ("0 2 * * *", "2026-03-01T02:00:05", "done", None),
        ("0 2 * * *", "2026-02-28T02:00:05", "done", "2026-03-01T02:00:00"),
        ("0 2 * * *", "2026-02-01T02:00:05", "done", "2026-03-01T02:00:00"),
        ("0 2 * * *", "2026-03-01T02:00:05", "crashed", "2026-03-01T02:00:05"),
        ("0 2 * * *", "2026-03-01T02:00:05", "stopped", "2026-03-01T02:00:05"),
        ("0 2 * * *", "2026-03-01T02:00:05", "failed", None),
        ("every 15 minutes", "2026-03-01T11:50:00", "done", "2026-03-01T12:00:00"),
        ("every 15 minutes", "2026-03-01T12:00:01", "done", None),
        ("never", "2026-01-01T00:00:00", "crashed", None),
        ("0 2 * * *", "", "", None),
    ],
)
def test_what_was_missed(tmp_path: Path, when: str, last: str, outcome: Any, expected: str | None) -> None:
    catalog = load(write_catalog(tmp_path))
    if last:
        run = f"{run_records.format_timestamp(datetime.fromisoformat(last).replace(tzinfo=UTC))}-nightly-ingest"
        run_records.write(Store(catalog.storage_root), run_records.RunSummary(run, "nightly-ingest", outcome, "", "", 0.0))
    now = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
    found = last_missed(catalog, ScheduledFlow(None, "nightly-ingest", when, {}), now)
    assert found == (datetime.fromisoformat(expected).replace(tzinfo=UTC) if expected else None)


def test_cron_means_the_catalogs_time_zone() -> None:
    assert parse_schedule("0 2 * * *", "Europe/Berlin").timezone == "Europe/Berlin"
    assert parse_schedule("every 2 hours", "UTC").interval == timedelta(hours=2)
    assert parse_schedule("never", "UTC") is None


def test_prefect_yaml_deploys_the_same_flows_as_schedule() -> None:
    told = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert [one["entrypoint"] for one in told] == [
        f"flows.scheduling.scheduled_flows.{name}" for name in ("nightly_ingest", "frequent_pull", "weekly_release")
    ]
    from figureground.catalog import ScheduleEntry

    crons = [one["schedules"][0]["cron"] for one in told]
    default = ScheduleEntry()
    assert crons == [default.ingest, default.pull, default.release]


@pytest.mark.slow
def test_prefect_yaml_deploys_to_a_real_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows.scheduling.prefect_server import run_server

    for name in ("PREFECT_HOME", "PREFECT_API_URL", "FIGUREGROUND_OWNER"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    with run_server(tmp_path) as api:
        given = os.environ | {"PREFECT_API_URL": api, "FIGUREGROUND_HOME": str(tmp_path), "COLUMNS": "200"}
        given["PYTHONPATH"] = f"{os.environ.get('PYTHONPATH', '')}:{ROOT}"
        prefect = [sys.executable, "-m", "prefect", "--no-prompt"]
        user, _, password = given["PREFECT_API_AUTH_STRING"].partition(":")
        subprocess.run([*prefect, "work-pool", "create", "figureground", "--type", "process"], env=given, check=True)
        subprocess.run([*prefect, "deploy", "--all"], cwd=ROOT, env=given, check=True)
        found = httpx.post(f"{api}/deployments/filter", json={}, timeout=20, auth=(user, password)).json()
    told = {one["entrypoint"]: one["schedules"][0]["schedule"]["cron"] for one in found}
    assert told == {
        "flows.scheduling.scheduled_flows.nightly_ingest": "0 2 * * *",
        "flows.scheduling.scheduled_flows.frequent_pull": "*/15 * * * *",
        "flows.scheduling.scheduled_flows.weekly_release": "0 6 * * 1",
    }
    assert all(one["pull_steps"][0].popitem()[1] == {"directory": str(tmp_path)} for one in found)


@pytest.mark.postgres
@pytest.mark.weights
@pytest.mark.soak
def test_a_night_under_a_prefect_on_postgresql(tmp_path: Path, postgres: int) -> None:
    write_catalog(tmp_path)
    database = f"postgresql+asyncpg://studio:none@127.0.0.1:{postgres}/postgres"
    schedule = Schedule(tmp_path, 1, PREFECT_API_DATABASE_CONNECTION_URL=database)
    try:
        schedule.wait(lambda: "being served" in schedule.log.read_text(), 400)
        run = schedule.start("nightly-ingest", push=False)
        assert schedule.ended(run)["name"] == "Completed"
        assert not list((tmp_path / ".prefect").glob("*.db")), "the database is PostgreSQL's"
        [summary] = run_records.read_latest(Store(str(tmp_path / "data")), "nightly-ingest")
        assert (summary.outcome, summary.prefect_run) == ("done", run)
        assert schedule.stop() == 0
    finally:
        schedule.end()
