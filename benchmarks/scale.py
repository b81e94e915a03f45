"""What a thousand frames cost by stage, and what a second worker brings: prints the tables of docs/scale.md.

    python benchmarks/scale.py VIDEO [--catalog data_catalog.yaml] [--every 0.5] [--rounds 2] [--stages | --workers | --long]

``--stages`` runs the stages one after the other in this process and counts processor seconds, which other people's load
does not change much, wall seconds, which it does, and what lies on the storage afterwards. ``--workers`` runs the whole
flow on several sources with one and two workers of one core each, in turn, in processes of their own; time is counted from
the first to the last file written, without what starting takes, and each worker's processor seconds, which tell on a busy
machine, too, how the work was shared. ``--long`` does the same with one source alone: with one worker, with two that take
its stages whole, and with two that share it in shards.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = 4
LONG: dict[str, dict[str, Any]] = {
    "1 worker": {"workers": 1},
    "2 workers, not cut": {"workers": 2, "shards": 1},
    "2 workers, shards": {"workers": 2, "shard_at_least": 8},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("--catalog", type=Path, default=ROOT / "data_catalog.yaml")
    parser.add_argument("--every", type=float, default=0.5, help="seconds between frames")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--stages", action="store_true")
    parser.add_argument("--workers", action="store_true")
    parser.add_argument("--long", action="store_true")
    options = parser.parse_args()
    if not options.video.is_file():
        sys.exit(f"no {options.video}: give any video with people in it")
    every = not (options.stages or options.workers or options.long)
    if options.stages or every:
        _stages(options)
    if options.workers or every:
        _workers(options, SOURCES, {"1 worker": {"workers": 1}, "2 workers": {"workers": 2}})
    if options.long or every:
        _workers(options, 1, LONG)


def _written(options: argparse.Namespace, folder: Path, count: int, **more: Any) -> Path:
    """Write a catalog with the same video under several names: nothing is shared between sources but duplicates."""
    content = yaml.safe_load(options.catalog.read_text())
    entry = {"path": str(options.video.resolve()), "license": "unknown"}
    content["sources"] = {f"video{number}": dict(entry) for number in range(count)}
    content["recipe"]["sample"] = {"every_seconds": options.every, "sharpest_within": 0.0}
    content["recipe"]["checks"].pop("duplicate", None)  # the copies would be each other's
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content | more, sort_keys=False))
    return folder / "data_catalog.yaml"


def _stages(options: argparse.Namespace) -> None:
    from figureground import catalog, tables
    from figureground.clients.sources.fetching import fetch_asset
    from figureground.storage.store import Store
    from tasks.ingest.crop import crop
    from tasks.ingest.deduplicate import deduplicate
    from tasks.ingest.fetch import fetch
    from tasks.ingest.judge import judge
    from tasks.ingest.matte import matte
    from tasks.ingest.measure import measure
    from tasks.ingest.report import report
    from tasks.ingest.sample import sample

    with tempfile.TemporaryDirectory() as folder:
        settings = catalog.load(_written(options, Path(folder), 2))
        for weights in settings.weights():
            fetch_asset(settings.asset(weights.name))
        costs: dict[str, tuple[float, float]] = {}
        for name in ("video0", "video1"):  # the first one opens the networks; only the second one counts
            refs = {"fetch": _timed(costs, fetch, settings.source(name), settings)}
            refs["sample"] = _timed(costs, sample, settings.source(name), refs["fetch"], settings)
            refs["crop"] = _timed(costs, crop, refs["sample"], settings)
            measures = _timed(costs, measure, refs["crop"], settings)
            verdicts = _timed(costs, judge, _timed(costs, deduplicate, measures, settings), settings)
            refs["matte"] = _timed(costs, matte, refs["crop"], verdicts, settings)
            _timed(costs, report, name, settings)
        facts = tables.read(Store(settings.storage_root), refs["sample"]).facts
        counts = {stage: refs[stage].rows for stage in ("sample", "crop", "matte")}
        _show(costs, counts, facts, {stage: _size(Path(folder), stage, name) for stage in ("frames", "crops", "mattes")})


def _timed(costs: dict[str, tuple[float, float]], stage: Any, *arguments: Any) -> Any:
    wall, busy = time.monotonic(), time.process_time()
    result = stage.fn(*arguments)
    costs[stage.fn.__name__] = (time.monotonic() - wall, time.process_time() - busy)
    return result


def _size(folder: Path, kind: str, name: str) -> float:
    return sum(path.stat().st_size for path in (folder / "data" / kind / name).iterdir()) / 1e6


def _show(costs: dict[str, tuple[float, float]], counts: dict[str, int], facts: Any, sizes: dict[str, float]) -> None:
    thousand = 1000 / counts["sample"]
    print(f"{counts['sample']} frames of {facts['decoded']} decoded, {counts['crop']} crops, {counts['matte']} mattes\n")
    print("| per 1,000 frames | processor seconds | wall seconds |\n|---|---|---|")
    for stage, (wall, busy) in costs.items():
        print(f"| {stage} | {busy * thousand:.1f} | {wall * thousand:.1f} |")
    busy, wall = (sum(pair[at] for pair in costs.values()) * thousand for at in (1, 0))
    print(f"| together | {busy:.0f} | {wall:.0f} |\n")
    print("| per 1,000 frames | files | MB |\n|---|---|---|")
    for kind, stage in (("frames", "sample"), ("crops", "crop"), ("mattes", "matte")):
        print(f"| {kind} | {counts[stage] * thousand:.0f} | {sizes[kind] * thousand:.0f} |")
    print(f"\npeak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def _workers(options: argparse.Namespace, sources: int, ways: dict[str, dict[str, Any]]) -> None:
    measured: dict[str, list[tuple[float, list[float]]]] = {way: [] for way in ways}
    for _ in range(options.rounds):
        for way, dask in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                rate, busy = _rate(options, Path(folder), sources, dask)
            measured[way].append((rate, busy))
            print(
                f"{way}: {rate:.1f} frames a minute, {' + '.join(f'{seconds:.0f}' for seconds in busy)} processor seconds",
                flush=True,
            )
    first, *_ = measured.values()
    print("\n| workers of one core | frames a minute | beside the first | most processor seconds of a worker | of all |")
    print("|---|---|---|---|---|")
    for way, rounds in measured.items():
        rate, most, every = (statistics.median(column) for column in zip(*map(_columns, rounds), strict=True))
        beside = rate / statistics.median(rate for rate, _ in first)
        print(f"| {way} | {rate:.1f} | {beside:.2f} | {most:.0f} | {every:.0f} |")
    print(f"\nmedians of {options.rounds} rounds in turn; one video under {sources} names")


def _columns(measured: tuple[float, list[float]]) -> tuple[float, float, float]:
    return measured[0], max(measured[1]), sum(measured[1])


def _rate(options: argparse.Namespace, folder: Path, sources: int, dask: dict[str, Any]) -> tuple[float, list[float]]:
    """Give the frames a minute and each worker's processor seconds, what starting takes among them."""
    _written(options, folder, sources, runner={"dask": dask})
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FIGUREGROUND_CORES": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "flows.cli", "ingest"]
    busy: dict[int, float] = {}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            busy |= _busy(process.pid)
            time.sleep(0.2)
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    written = [path.stat().st_mtime for path in (folder / "data").rglob("*") if path.is_file()]
    frames = len(list((folder / "data/frames").rglob("*.jpg")))
    return 60 * frames / (max(written) - min(written)), sorted(busy.values(), reverse=True)


def _busy(run: int) -> dict[int, float]:
    """Give the processor seconds of a run's workers so far; one that ends while we look is left out."""
    rates = {}
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(run).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    rates[child.pid] = sum(child.cpu_times()[:2])
    return rates


if __name__ == "__main__":
    main()
