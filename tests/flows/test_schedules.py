import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import httpx
import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_real_server_serves_the_catalogs_schedules_and_ends_when_told(tmp_path: Path) -> None:
    content = yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["schedules"] = {"ingest": "30 3 * * *"}
    (tmp_path / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    command = [sys.executable, "-m", "flows.cli", "schedule"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with (tmp_path / "out").open("wb") as out:
        # A test run in the background may have been told to ignore Ctrl-C, and would hand that on.
        heed = partial(signal.signal, signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=out, stderr=out, preexec_fn=heed)
    try:
        found = wait_for_deployments(tmp_path, process)
        crons = {item["name"]: item["schedules"][0]["schedule"]["cron"] for item in found}
        assert crons == {
            "ingest-scheduled": "30 3 * * *",
            "pull-scheduled": "*/15 * * * *",
            "release-scheduled": "0 6 * * 1",
        }
        assert all(item["global_concurrency_limit"]["limit"] == 1 for item in found)
        assert all(item["parameters"] == {"catalog": str(tmp_path / "data_catalog.yaml")} for item in found)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(90)
    assert "Traceback" not in (tmp_path / "out").read_text()
    with pytest.raises(httpx.ConnectError):
        httpx.get(address(tmp_path) + "/health", timeout=2)


def address(folder: Path) -> str:
    log = folder / ".prefect/server.log"
    found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text()) if log.exists() else None
    return f"{found[0]}/api" if found else ""


def wait_for_deployments(folder: Path, process: "subprocess.Popen[bytes]") -> list[dict[str, object]]:
    until = time.monotonic() + 180
    while time.monotonic() < until:
        assert process.poll() is None, (folder / "out").read_text()
        api = address(folder)
        try:
            found = httpx.post(f"{api}/deployments/filter", json={}, timeout=5).json() if api else []
        except httpx.HTTPError:
            found = []
        if len(found) == 3 and "being served" in (folder / "out").read_text():
            return found
        time.sleep(1)
    raise AssertionError((folder / "out").read_text())
