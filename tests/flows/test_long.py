"""A long video through the real command: memory stays level, however many frames there are, and `status` answers at once."""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults

ROOT = Path(__file__).parents[2]
FRAMES = int(os.environ.get("FIGUREGROUND_FRAMES", "10000"))
EVERY = 40  # frames between one with people and the next
AFTER = 5  # seconds
LONG = 20  # seconds of a stage from which on it can be told whether memory grows; opening a network is a step before

pytestmark = [pytest.mark.weights, pytest.mark.soak]


def film(folder: Path, frames: int) -> Path:
    """A small video of an empty place, where people of the park clip stand now and then."""
    from figureground.catalog import load
    from tasks.ingest.fetch import fetch

    catalog = load(ROOT / "data_catalog.yaml").model_copy(update={"storage": str(folder / "given")})
    fetch.fn(catalog.source("park"), catalog)
    with av.open(str(next((folder / "given/videos/park").iterdir()))) as source:
        people = [frame.reformat(640, 360, "yuv420p") for number, frame in enumerate(source.decode(video=0)) if number % 8 == 0]
        people = [frame.to_ndarray() for frame in people]
    empty = np.full((540, 640), 128, np.uint8)  # planes of a grey ramp, 4:2:0
    empty[:360] = np.linspace(60, 190, 640, dtype=np.uint8)
    with av.open(str(folder / "long.mp4"), "w") as made:
        stream = made.add_stream("h264", rate=30, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for number in range(frames):
            shown = people[number // EVERY % len(people)] if number % EVERY == 0 else empty
            made.mux(stream.encode(av.VideoFrame.from_ndarray(shown, format="yuv420p")))
        made.mux(stream.encode())
    return folder / "long.mp4"


def write_catalog(folder: Path, clip: Path) -> None:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["sources"] = {"long": {"license": "BSD-3-Clause", "scenes": ["park"], "path": str(clip)}}
    content["recipe"]["sample"] = {"every_frames": 1}
    content["recipe"]["detector"]["yolo"]["image_size"] = 320  # a quarter of the time
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def resident(process: psutil.Process) -> tuple[float, float]:
    """Memory of the run's own process, and of all below it (Prefect's server), in MB."""
    below = 0
    for one in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            below += one.memory_info().rss
    return process.memory_info().rss / 2**20, below / 2**20


def ask(folder: Path, asked: list[tuple[float, float]], ended: threading.Event) -> None:
    """Ask for the status every few seconds as a user would; note the seconds and processor seconds each answer took."""
    command = [str(Path(sys.executable).with_name("figureground")), "status", "--json"]
    while not ended.wait(2.0):
        begun = time.monotonic()
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE) as process:
            told = process.stdout.read()
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        asked.append((time.monotonic() - begun, used.ru_utime + used.ru_stime))
        assert process.returncode == 0
        assert json.loads(told)["sources"][0]["source"] == "long"


def stage(folder: Path) -> str:
    """What the run is at, from the note beside its lock."""
    with suppress(OSError, ValueError, KeyError):
        return str(json.loads((folder / "data/.locks/make/long.json").read_text())["stage"])
    return ""


def watch(folder: Path) -> tuple[list[tuple[float, str, float, float]], list[tuple[float, float]]]:
    """Run ingest and give seconds, the stage and memory, once a second; and how long status took beside it."""
    seen, asked, began, ended = [], [], time.monotonic(), threading.Event()
    with (folder / "said.txt").open("wb") as said, ThreadPoolExecutor(1) as other:
        command, environment = [sys.executable, "-m", "flows.cli", "ingest"], os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        while not (folder / "data/.locks/make/long.json").exists():
            assert process.poll() is None, (folder / "said.txt").read_text()
            time.sleep(0.1)
        asking = other.submit(ask, folder, asked, ended)
        while process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                seen.append((time.monotonic() - began, stage(folder), *resident(psutil.Process(process.pid))))
            time.sleep(1.0)
        ended.set()
        asking.result()
    assert process.returncode == 0, (folder / "said.txt").read_text()
    return seen, asked


def level(memory: list[float]) -> tuple[float, float]:
    """The memory in the second and in the last tenth of a stage; its table and the next stage's packages are a step after."""
    memory = memory[:-AFTER]
    tenth = max(1, len(memory) // 10)
    return statistics.median(memory[tenth : 2 * tenth]), statistics.median(memory[-tenth:])


def test_memory_is_level_and_status_answers_at_once(tmp_path) -> None:
    write_catalog(tmp_path, film(tmp_path, FRAMES))
    seen, asked = watch(tmp_path)
    if rows := os.environ.get("FIGUREGROUND_ROWS"):
        Path(rows).write_text(json.dumps({"seen": seen, "asked": asked}))
    counts = {kind: len(list((tmp_path / "data" / kind / "long").glob("*.*"))) for kind in ("frames", "crops", "mattes")}
    assert counts["frames"] == FRAMES
    stages = {name: [own for _, at, own, _ in seen if at == name] for name in dict.fromkeys(at for _, at, *_ in seen)}
    levels = {name: level(memory) for name, memory in stages.items() if name and len(memory) >= LONG}
    waits = sorted(wait for wait, _ in asked)
    told = {**counts, "seconds": round(seen[-1][0]), "peak_mb": round(max(own + below for *_, own, below in seen))}
    told |= {"mb": {name: [round(one) for one in pair] for name, pair in levels.items()}}
    told |= {"status_asked": len(waits), "status_median_s": round(statistics.median(waits), 2)}
    told |= {"status_most_s": round(waits[-1], 2), "status_over_1_s": sum(wait > 1 for wait in waits)}
    told |= {"status_processor_s": round(max(used for _, used in asked), 2), "load": [round(one, 1) for one in os.getloadavg()]}
    sys.stdout.write(json.dumps(told) + "\n")
    assert {"sample", "crop"} <= set(levels), told
    assert all(last <= 1.1 * first for first, last in levels.values()), told
    assert told["peak_mb"] <= 3072, told
    assert told["status_median_s"] < 1.0, told
    assert told["status_processor_s"] < 0.5, told  # the slowest waits tell of the neighbours, what it costs does not
