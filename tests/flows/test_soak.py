"""Kills at random over several sources, and damage between them: the storage ends as an undisturbed run's."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("FIGUREGROUND_ROUNDS", "100"))

pytestmark = [pytest.mark.weights, pytest.mark.soak]


@pytest.mark.faults
def test_many_kills_and_damages_end_in_the_bytes_of_an_undisturbed_run(
    clips, write_catalog_of, tmp_path, run, folder_contents
) -> None:
    for name in ("calm", "rough"):
        write_catalog_of(tmp_path / name, clips)
    command = [sys.executable, str(Path(__file__).with_name("kills.py")), str(tmp_path), str(ROUNDS), "7"]
    with (tmp_path / "said.txt").open("wb") as said:
        done = subprocess.run(command, env=os.environ | {"PYTHONPATH": str(ROOT)}, stdout=said, stderr=said, timeout=7200)
    assert done.returncode == 0, (tmp_path / "said.txt").read_text()[-6000:]
    told = json.loads((tmp_path / "told.json").read_text())
    assert told["kills"] >= ROUNDS
    run("ingest", cwd=tmp_path / "rough", alone=True)  # the command as a user starts it, on what the last kill left
    assert folder_contents(tmp_path / "rough/data") == told.pop("expected") == folder_contents(tmp_path / "calm/data")
    sys.stdout.write(json.dumps(told) + "\n")
