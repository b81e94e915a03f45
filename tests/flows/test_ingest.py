"""Ingest as a user runs it: real weights, a real clip, Prefect's embedded server, a process of its own."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("FIGUREGROUND_ROUNDS", "3"))

pytestmark = [pytest.mark.weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """The first two seconds of the park clip."""
    from figureground.catalog import load
    from tasks.ingest.fetch import fetch

    folder = tmp_path_factory.mktemp("clip")
    catalog = load(ROOT / "data_catalog.yaml").model_copy(update={"storage": str(folder)})
    fetch.fn(catalog.source("park"), catalog)
    whole = next((folder / "videos/park").iterdir())
    short = folder / "short.mp4"
    with av.open(str(whole)) as source, av.open(str(short), "w") as into:
        stream = source.streams.video[0]
        copy = into.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and float(packet.pts * stream.time_base) < 2.0:
                packet.stream = copy
                into.mux(packet)
    return short


def write_catalog(folder: Path, clip: Path, **sources: str) -> Path:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    entry = {"license": "BSD-3-Clause", "scenes": ["park"]}
    content["sources"] = {"short": {**entry, "path": str(clip)}} | {
        name: {**entry, "path": path} for name, path in sources.items()
    }
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    file = folder / "data_catalog.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


@pytest.fixture(scope="module")
def ingested(tmp_path_factory, clip, run) -> Path:
    folder = tmp_path_factory.mktemp("ingested")
    write_catalog(folder, clip)
    found = run("ingest", cwd=folder)
    assert re.search(r"short\s.*\d+", found.stdout), found.stdout
    return folder


def test_every_stage_left_its_table_and_files(ingested: Path) -> None:
    stages = {path.parent.name for path in (ingested / "data/tables").rglob("*.parquet")}
    assert stages == {"videos", "frames", "crops", "signatures", "measures", "scores", "verdicts", "mattes"}
    kept = pd.read_parquet(ingested / "data/tables/verdicts/short.parquet").query("kept")
    assert len(kept) >= 3
    assert sorted(path.stem for path in (ingested / "data/mattes/short").iterdir()) == sorted(kept["crop_id"])
    assert "<img" in (ingested / "data/reports/short.html").read_text()


def test_a_second_run_writes_no_file(ingested: Path, run, folder_snapshot) -> None:
    before = folder_snapshot(ingested / "data")
    run("ingest", cwd=ingested)
    assert folder_snapshot(ingested / "data") == before


def test_damaged_and_missing_files_are_made_again_with_the_same_bytes(ingested: Path, run, folder_contents) -> None:
    before = folder_contents(ingested / "data")
    next((ingested / "data/frames/short").iterdir()).write_bytes(b"damaged")
    next((ingested / "data/crops/short").iterdir()).unlink()
    (ingested / "data/tables/scores/short.parquet").write_bytes(b"PAR1 and nothing more")
    left = ingested / "data/shards/short/crop-0123456789abcdef-00000000-00000004.json"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"of a run on a cluster, with other settings, that was killed")
    run("ingest", cwd=ingested)
    assert folder_contents(ingested / "data") == before


def test_moving_a_limit_judges_again_and_touches_nothing_before(ingested: Path, run, folder_snapshot, tmp_path) -> None:
    shutil.copytree(ingested / "data", tmp_path / "data", copy_function=shutil.copy2)
    content = catalog_defaults() | yaml.safe_load((ingested / "data_catalog.yaml").read_text())
    content["recipe"]["checks"] |= {"size": {"at_least": 100000}}
    (tmp_path / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    before = folder_snapshot(tmp_path / "data")
    found = run("judge", cwd=tmp_path)
    after = folder_snapshot(tmp_path / "data")
    assert {name for name in after if after[name] != before[name]} == {"tables/verdicts/short.parquet"}
    verdicts = pd.read_parquet(tmp_path / "data/tables/verdicts/short.parquet")
    assert not verdicts["kept"].any()
    assert "dropped: size" in found.stdout


@pytest.mark.faults
def test_killed_anywhere_the_next_run_ends_in_the_same_bytes(
    ingested: Path, clip: Path, tmp_path, run, folder_contents
) -> None:
    write_catalog(tmp_path, clip)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command, quiet, dice = [sys.executable, "-m", "flows.cli", "ingest"], subprocess.DEVNULL, random.Random(0)
    for _ in range(ROUNDS):
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, start_new_session=True, stdout=quiet, stderr=quiet)
        time.sleep(dice.uniform(3, 25))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    run("ingest", cwd=tmp_path)
    assert folder_contents(tmp_path / "data") == folder_contents(ingested / "data")


def test_a_source_without_people_gives_no_crops_and_says_so(tmp_path, run) -> None:
    with av.open(str(tmp_path / "wall.mp4"), "w") as into:
        stream = into.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 320, 240
        for level in range(10):
            frame = av.VideoFrame.from_ndarray(np.full((240, 320, 3), 100 + level, np.uint8), format="rgb24")
            into.mux(stream.encode(frame))
        into.mux(stream.encode())
    write_catalog(tmp_path, tmp_path / "wall.mp4")
    found = run("ingest", cwd=tmp_path)
    assert "short: no people found in 2 frames" in found.stdout
    assert len(pd.read_parquet(tmp_path / "data/tables/crops/short.parquet")) == 0
    assert "no person" in (tmp_path / "data/reports/short.html").read_text().lower()


def test_every_bad_file_gets_one_message_and_the_others_go_on(clip: Path, tmp_path, run, shared_videos) -> None:
    bad = {f"bad{number}": str(path) for number, path in enumerate(sorted((shared_videos / "bad").iterdir()))}
    (tmp_path / "empty_folder").mkdir()
    write_catalog(tmp_path, clip, **bad, hollow="empty_folder", gone="no/such/file.mp4")
    found = run("ingest", cwd=tmp_path, expect=1)
    told = {line.split(": ")[0]: line for line in found.stderr.splitlines() if ": " in line}
    assert "Traceback" not in found.stderr
    assert (tmp_path / "data/reports/short.html").exists()
    assert "folder without videos" in told["hollow"]
    assert "no/such/file.mp4" in told["gone"]
    for name, path in bad.items():
        fine = (tmp_path / f"data/tables/mattes/{name}.parquet").exists()
        assert fine or Path(path).name in told[name], f"{path} went unnoticed"
    for kind in ("audio", "empty", "random"):
        name = next((name for name, path in bad.items() if kind in path), None)
        assert name is None or name in told, f"{kind} file was not refused"
    assert run("ingest", "short", cwd=tmp_path).returncode == 0


def test_a_storage_that_cannot_be_written_is_one_message(clip: Path, tmp_path, run) -> None:
    catalog = write_catalog(tmp_path, clip)
    (tmp_path / "file").write_text("not a folder")
    catalog.write_text(catalog.read_text().replace("storage: data", "storage: file/below"))
    found = run("ingest", cwd=tmp_path, expect=1)
    assert "Traceback" not in found.stderr
    assert "file/below" in found.stderr
    assert "storage:" in found.stderr
