"""Memory while mattes are made: level, however many crops there are."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.weights, pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")]


def measured(tmp_path, count, start):
    command = [sys.executable, str(Path(__file__).with_name("mattes_memory.py")), str(tmp_path), str(count), str(start)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_hundred_and_twenty_crops(tmp_path):
    found = measured(tmp_path, 120, 40)
    assert found["peak_mb"] <= 2048
    assert found["growth"] <= 0.1, found  # a short run: what a size asks for the first time is still new now and then


@pytest.mark.soak
def test_two_thousand_crops(tmp_path):
    found = measured(tmp_path, 2000, 100)
    assert found["peak_mb"] <= 2048
    assert found["growth"] <= 0.05, found
