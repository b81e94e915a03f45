"""Kills at random over several sources, and damage between them: the storage ends as an undisturbed run's."""

import os
import random
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import pytest
import yaml

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("FIGUREGROUND_ROUNDS", "100"))
CUTS = {"early": (0.0, 1.2), "middle": (2.2, 3.4), "late": (4.4, 5.6)}  # seconds of the park clip

pytestmark = [pytest.mark.weights, pytest.mark.soak]


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> dict[str, Path]:
    """Three short clips of one video."""
    from figureground.catalog import load
    from tasks.fetch import fetch

    folder = tmp_path_factory.mktemp("clips")
    catalog = load(ROOT / "data_catalog.yaml").model_copy(update={"storage": str(folder)})
    fetch.fn(catalog.source("park"), catalog)
    whole = next((folder / "videos/park").iterdir())
    return {name: cut(whole, folder / f"{name}.mp4", *seconds) for name, seconds in CUTS.items()}


def cut(whole: Path, into: Path, start: float, end: float) -> Path:
    with av.open(str(whole)) as source, av.open(str(into), "w") as made:
        given = source.streams.video[0]
        stream = made.add_stream("h264", rate=30)
        stream.width, stream.height, stream.pix_fmt = given.width // 2 * 2, given.height // 2 * 2, "yuv420p"
        taken = (frame for frame in source.decode(given) if start <= frame.time < end)
        for number, frame in enumerate(taken):
            frame.pts, frame.time_base = number, Fraction(1, 30)
            made.mux(stream.encode(frame))
        made.mux(stream.encode())
    return into


def write_catalog(folder: Path, clips: dict[str, Path], **more: object) -> Path:
    content = yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    entry = {"license": "BSD-3-Clause", "scenes": ["park"]}
    content["sources"] = {name: {**entry, "path": str(clip)} for name, clip in clips.items()}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    file = folder / "data_catalog.yaml"
    file.write_text(yaml.safe_dump(content | more, sort_keys=False))
    return file


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
def test_many_kills_and_damages_end_in_the_bytes_of_an_undisturbed_run(clips, tmp_path, run, folder_contents) -> None:
    (tmp_path / "calm").mkdir(), (tmp_path / "rough").mkdir()
    write_catalog(tmp_path / "calm", clips)
    began = time.monotonic()
    run("ingest", cwd=tmp_path / "calm")
    whole = time.monotonic() - began
    expected = folder_contents(tmp_path / "calm/data")
    write_catalog(tmp_path / "rough", clips)
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
