"""A long video through the real command: memory stays level, however many frames there are."""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import yaml

ROOT = Path(__file__).parents[2]
FRAMES = int(os.environ.get("FIGUREGROUND_FRAMES", "10000"))
EVERY = 40  # frames between one with people and the next

pytestmark = [pytest.mark.weights, pytest.mark.soak]


def film(folder: Path, frames: int) -> Path:
    """A small video of an empty place, where people of the park clip stand now and then."""
    from figureground.catalog import load
    from tasks.fetch import fetch

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
    content = yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["sources"] = {"long": {"license": "BSD-3-Clause", "scenes": ["park"], "path": str(clip)}}
    content["recipe"]["sample"] = {"every_frames": 1}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def resident(process: psutil.Process) -> float:
    """Memory of a process and all below it, in MB; Prefect's server is one of these."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20


def watch(folder: Path) -> list[tuple[float, int, int, float]]:
    """Run ingest and give seconds, frames, mattes and memory, twice a second."""
    seen, began = [], time.monotonic()
    with (folder / "said.txt").open("wb") as said:
        command, environment = [sys.executable, "-m", "flows.cli", "ingest"], os.environ | {"PYTHONPATH": str(ROOT)}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)
        while process.poll() is None:
            counts = [len(list((folder / "data" / kind / "long").glob("*.*"))) for kind in ("frames", "mattes")]
            seen.append((time.monotonic() - began, *counts, resident(psutil.Process(process.pid))))
            time.sleep(0.5)
    assert process.returncode == 0, (folder / "said.txt").read_text()
    return seen


def level(memory: list[float]) -> tuple[float, float]:
    """The memory in the second and in the last tenth of a stage."""
    tenth = max(1, len(memory) // 10)
    return statistics.median(memory[tenth : 2 * tenth]), statistics.median(memory[-tenth:])


def test_memory_is_level(tmp_path) -> None:
    write_catalog(tmp_path, film(tmp_path, FRAMES))
    seen = watch(tmp_path)
    assert seen[-1][1] == FRAMES
    sampling = [memory for _, frames, _, memory in seen if 0 < frames < FRAMES]
    after = [memory for _, frames, _, memory in seen if frames == FRAMES]
    told = {"frames": FRAMES, "mattes": seen[-1][2], "seconds": round(seen[-1][0])}
    told |= {"sampling_mb": [round(one) for one in level(sampling)], "after_mb": [round(one) for one in level(after)]}
    told |= {"peak_mb": round(max(row[3] for row in seen))}
    sys.stdout.write(json.dumps(told) + "\n")
    first, last = level(sampling)
    assert last <= 1.1 * first, told
    first, last = level(after)
    assert last <= 1.2 * first, told
    assert told["peak_mb"] <= 3072, told
