"""How fast videos become mattes beside the plain loop: prints the table of benchmarks/ingest_speed.md.

    python benchmarks/ingest_speed.py VIDEO [--catalog data_catalog.yaml] [--rounds 3] [--same-weights]

Both sides take the same frames of one video in turn, each round in processes of their own. Ours is the whole way of
`figureground ingest` on that source (sample, crop, measure, judge, matte), every file hashed and written, after one short
warming run. Bare cost is what cannot be saved: decoding the video plus the time inside the networks, measured in the same
run. ``--same-weights`` mats with u2netp, as the plain loop does, instead of the catalog's remover.
"""

import argparse
import dataclasses
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

_CHECKS = {"size": {"at_least": 96}}  # the plain loop's limit; more checks would leave fewer crops to matte
FIELDS = ("ms_per_frame", "bare_ms", "frames", "crops", "peak_mb")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--catalog", type=Path, default=Path(__file__).parents[1] / "data_catalog.yaml")
    parser.add_argument("--every", type=float, default=0.167)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--same-weights", action="store_true")
    parser.add_argument("--all-checks", action="store_true", help="the catalog's own instead of only the plain loop's size")
    parser.add_argument("--ours-into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.video.is_file():
        sys.exit(f"no {options.video}: give any video with people in it")
    if options.ours_into:
        print(json.dumps(_ours(options)))
        return
    plain, ours = [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            plain.append(_plain(options, Path(folder)))
            ours.append(_again(options, Path(folder)))
    _show(plain, ours)


def _show(plain: list[dict[str, float]], ours: list[dict[str, float]]) -> None:
    print("| median of the rounds | ms a frame | frames | mattes | peak MB |\n|---|---|---|---|---|")
    for words, rounds in (("plain loop", plain), ("ours", ours)):
        middle = {key: statistics.median(measured.get(key, 0) for measured in rounds) for key in FIELDS}
        cells = (f"{middle[key]:.0f}" for key in ("ms_per_frame", "frames", "crops", "peak_mb"))
        print(f"| {words} |", " | ".join(cells), "|")
    faster = statistics.median(slow["ms_per_frame"] / fast["ms_per_frame"] for slow, fast in zip(plain, ours, strict=True))
    over = statistics.median(measured["ms_per_frame"] / measured["bare_ms"] for measured in ours)
    share = statistics.median(
        1000 * measured["seconds_of_checks"] / measured["frames"] / measured["ms_per_frame"] for measured in ours
    )
    print(f"\nmeasuring, comparing and judging take {100 * share:.0f} % of ours")
    print(f"throughput {faster:.2f} times the plain loop's; wall time over the bare cost {over:.2f}")


def _plain(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    from figureground import catalog
    from figureground.clients.sources.fetching import fetch_asset

    settings = catalog.load(options.catalog)
    detector, model = (fetch_asset(settings.asset(name)) for name in ("yolo11n-pose.pt", "u2netp.onnx"))
    command = [sys.executable, str(Path(__file__).with_name("plain.py")), str(options.video), str(folder / "plain")]
    command += ["--every", str(options.every), "--detector", str(detector), "--models", str(model.parent)]
    return _last_line(command)


def _again(options: argparse.Namespace, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, str(options.video), "--catalog", str(options.catalog), "--every", str(options.every)]
    command += ["--ours-into", str(folder / "ours"), *(["--same-weights"] if options.same_weights else [])]
    command += ["--all-checks"] if options.all_checks else []
    return _last_line(command)


def _last_line(command: list[str]) -> dict[str, float]:
    root = str(Path(__file__).parents[1])
    completed = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root})
    measured: dict[str, float] = json.loads(completed.stdout.strip().splitlines()[-1])
    return measured


def _ours(options: argparse.Namespace) -> dict[str, float]:
    settings = _settings(options, options.ours_into)
    for plugin in (settings.detector(), settings.remover()):
        _fetch(plugin, settings)
    _way("warm", _settings(options, options.ours_into / "warm"))
    began = time.perf_counter()
    counts = _way("clip", settings)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    calls = _listen(lambda: _way("again", _settings(options, options.ours_into / "again")))
    bare = _forward(calls) + _decoding(options.video)
    per_frame = {"ms_per_frame": 1000 * seconds / counts["frames"], "bare_ms": 1000 * bare / counts["frames"]}
    return {**per_frame, "peak_mb": peak, **counts}


def _settings(options: argparse.Namespace, storage: Path) -> Any:
    """Give the catalog with this video as its sources, another storage, and the plain loop's frames and limit."""
    from figureground.catalog import Catalog

    written = yaml.safe_load(options.catalog.read_text())
    entry = {"kind": "video", "path": str(options.video.resolve()), "license": "unstated", "scenes": [], "split": "auto"}
    recipe = written["recipe"] | {"sample": {"every_seconds": options.every, "sharpest_within": 0}}
    recipe |= {} if options.all_checks else {"checks": _CHECKS}
    recipe |= {"remover": {"rembg": {"model": "u2netp"}}} if options.same_weights else {}
    changed = {"storage": str(storage.resolve()), "sources": dict.fromkeys(("warm", "clip", "again"), entry), "recipe": recipe}
    return Catalog.model_validate(written | changed | {"folder": options.catalog.resolve().parent})


def _fetch(plugin: Any, settings: Any) -> None:
    from figureground import plugins
    from figureground.clients.sources.fetching import fetch_asset

    for weights in plugins.weights(plugin):
        fetch_asset(settings.asset(weights.name))


def _way(name: str, settings: Any) -> dict[str, float]:
    from tasks.ingest.crop import crop
    from tasks.ingest.deduplicate import deduplicate
    from tasks.ingest.fetch import fetch
    from tasks.ingest.judge import judge
    from tasks.ingest.matte import matte
    from tasks.ingest.measure import measure
    from tasks.ingest.sample import sample

    source = settings.source(name)
    frames = sample.fn(source, fetch.fn(source, settings), settings)
    crops = crop.fn(frames, settings)
    began = time.perf_counter()
    verdicts = judge.fn(deduplicate.fn(measure.fn(crops, settings), settings), settings)
    checked = time.perf_counter() - began
    mattes = matte.fn(crops, verdicts, settings)
    return {"frames": frames.rows, "crops": mattes.rows, "seconds_of_checks": checked}


def _listen(walk: Callable[[], object]) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Keep what networks are asked during a walk, without the pixels: their values cost no time."""
    from figureground.inference import backends

    heard: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    opened = backends._network

    def listening(*arguments: Any) -> Any:
        network = opened(*arguments)

        def call(inputs: Any) -> Any:
            heard.append((arguments, {name: array.copy() if array.size < 9 else array.shape for name, array in inputs.items()}))
            return network.call(inputs)

        return dataclasses.replace(network, call=call)

    backends._network = listening
    try:
        walk()
    finally:
        backends._network = opened
    return heard


def _forward(heard: list[tuple[tuple[Any, ...], dict[str, Any]]]) -> float:
    """Give the seconds that the same forward passes take one after the other, each on all cores."""
    import numpy as np

    from figureground.inference import backends, cores

    backends._networks.restart()
    cores.parallel_calls = lambda: 1
    drawn, warm, seconds = np.random.default_rng(0), set(), 0.0
    for call, kept in heard:
        network = backends._network(*call)
        inputs = {name: drawn.random(value, np.float32) if isinstance(value, tuple) else value for name, value in kept.items()}
        if call not in warm:
            network.call(inputs)
            warm.add(call)
        began = time.perf_counter()
        network.call(inputs)
        seconds += time.perf_counter() - began
    return seconds


def _decoding(video: Path) -> float:
    from figureground.media.decoding import VideoReader

    began = time.perf_counter()
    with VideoReader(video) as footage:
        for _ in footage.frames():
            pass
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
