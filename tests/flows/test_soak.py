"""Kills at random over several sources, and damage between them: the storage ends as an undisturbed run's."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("FIGUREGROUND_ROUNDS", "100"))

pytestmark = [pytest.mark.weights, pytest.mark.soak]


def start(folder: Path) -> subprocess.Popen:
    command, environment = [sys.executable, "-m", "flows.cli", "ingest"], os.environ | {"PYTHONPATH": str(ROOT)}
    with (folder / "said.txt").open("wb") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, stdout=said, stderr=said)


def kill(process: subprocess.Popen) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def damage(folder: Path, dice: random.Random) -> str:
    """Cut one stored file short, or change a byte of it; originals are left alone, these are only reported."""
    made = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.parts[len(folder.parts)] in
            {"frames", "crops", "mattes", "tables", "reports"}]  # fmt: skip
    if not made:
        return "nothing"
    chosen = dice.choice(made)
    content = bytearray(chosen.read_bytes())
    if dice.random() < 0.5:
        del content[dice.randrange(len(content)) :]
    else:
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    chosen.write_bytes(content)
    return str(chosen.relative_to(folder))


@pytest.mark.faults
def test_many_kills_and_damages_end_in_the_bytes_of_an_undisturbed_run(
    clips, write_catalog_of, tmp_path, run, folder_contents
) -> None:
    (tmp_path / "calm").mkdir(), (tmp_path / "rough").mkdir()
    write_catalog_of(tmp_path / "calm", clips)
    began = time.monotonic()
    run("ingest", cwd=tmp_path / "calm")
    whole = time.monotonic() - began
    expected = folder_contents(tmp_path / "calm/data")
    write_catalog_of(tmp_path / "rough", clips)
    dice, kills, ends, damages = random.Random(7), 0, 0, 0
    while kills < ROUNDS:
        process = start(tmp_path / "rough")
        try:
            process.wait(dice.uniform(0.1, 0.8) * whole)
            assert process.returncode == 0, (tmp_path / "rough/said.txt").read_text()
            ends += 1
            assert folder_contents(tmp_path / "rough/data") == expected
            subprocess.run(["rm", "-rf", str(tmp_path / "rough/data")], check=True)
        except subprocess.TimeoutExpired:
            kill(process)
            kills += 1
        if dice.random() < 0.3:
            damages += damage(tmp_path / "rough/data", dice) != "nothing"
    run("ingest", cwd=tmp_path / "rough")
    assert folder_contents(tmp_path / "rough/data") == expected
    ended = f"{ends} runs came to their end, {len(expected)} files are the same"
    sys.stdout.write(f"{kills} kills, {damages} damaged files; {ended}\n")
