"""What checks cost of a default ingest: prints the table of docs/checks.md, ## What checks cost.

    python benchmarks/checks_cost.py [VIDEO ...] [--catalog data_catalog.yaml] [--rounds 3]

Each round is a process of its own that takes the catalog as it is, its recipe and its sources (or the given videos instead),
through all stages of `figureground ingest`, one after the other, every file hashed and written, and opens every network on
the way as any first ingest does. Prefect's own start is left out: it would make the share smaller. Processor seconds are
printed beside wall seconds, as others' load changes them less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHECKS = ("measure", "deduplicate", "judge")
Costs = dict[str, list[float]]
"""Wall and processor seconds a stage."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="*", help="instead of the catalog's own sources")
    parser.add_argument("--catalog", type=Path, default=ROOT / "data_catalog.yaml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if missing := [str(video) for video in options.videos if not video.is_file()]:
        sys.exit(f"no {missing[0]}: give videos with people in them")
    if options.into:
        print(json.dumps(_ingested(options)))
        return
    _show([_round(options) for _ in range(options.rounds)])


def _round(options: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *map(str, options.videos), "--catalog", str(options.catalog), "--into", folder]
        completed = subprocess.run(
            command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
    measured: dict[str, Any] = json.loads(completed.stdout.strip().splitlines()[-1])
    return measured


def _ingested(options: argparse.Namespace) -> dict[str, Any]:
    from figureground.clients.sources.fetching import fetch_asset
    from tasks.ingest.crop import crop
    from tasks.ingest.deduplicate import deduplicate
    from tasks.ingest.fetch import fetch
    from tasks.ingest.judge import judge
    from tasks.ingest.matte import matte
    from tasks.ingest.measure import measure
    from tasks.ingest.report import report
    from tasks.ingest.sample import sample

    settings = _settings(options)
    for weights in settings.weights():
        fetch_asset(settings.asset(weights.name))
    costs: Costs = {}

    def timed(stage: Any, *arguments: Any) -> Any:
        wall, busy = time.perf_counter(), time.process_time()
        result = stage.fn(*arguments)
        spent = costs.setdefault(stage.fn.__name__, [0.0, 0.0])
        spent[0] += time.perf_counter() - wall
        spent[1] += time.process_time() - busy
        return result

    sources = [settings.source(name) for name in settings.sources]
    fetched = [fetch.fn(source, settings) for source in sources]  # a download, or a copy from the cache
    frames = [timed(sample, *pair, settings) for pair in zip(sources, fetched, strict=True)]
    crops = [timed(crop, ref, settings) for ref in frames]
    measures = [timed(measure, ref, settings) for ref in crops]
    scores = [timed(deduplicate, ref, settings) for ref in measures]
    verdicts = [timed(judge, ref, settings) for ref in scores]
    mattes = [timed(matte, *pair, settings) for pair in zip(crops, verdicts, strict=True)]
    for source in sources:
        timed(report, source.source_id, settings)
    counts = {name: sum(ref.rows for ref in refs) for name, refs in (("frames", frames), ("crops", crops), ("mattes", mattes))}
    return {"costs": costs, "counts": counts}


def _settings(options: argparse.Namespace) -> Any:
    from figureground.catalog import Catalog

    written = yaml.safe_load(options.catalog.read_text())
    if options.videos:
        entry = {"license": "unstated", "scenes": []}
        written["sources"] = {f"video{n}": entry | {"path": str(path.resolve())} for n, path in enumerate(options.videos)}
    changed = {"storage": str(options.into.resolve()), "folder": options.catalog.resolve().parent}
    return Catalog.model_validate(written | changed)


def _show(rounds: list[dict[str, Any]]) -> None:
    print(", ".join(f"{count} {name}" for name, count in rounds[0]["counts"].items()))
    print(f"\n| median of {len(rounds)} | wall seconds | processor seconds |\n|---|---|---|")
    for stage in rounds[0]["costs"]:
        wall, busy = (statistics.median(measured["costs"][stage][at] for measured in rounds) for at in (0, 1))
        print(f"| {stage} | {wall:.2f} | {busy:.2f} |")
    for at, words in ((0, "wall time"), (1, "processor time")):
        shares = [_share(measured["costs"], at) for measured in rounds]
        span = f"{min(shares):.1%} to {max(shares):.1%}"
        print(f"\nmeasuring, comparing and judging: {statistics.median(shares):.1%} of the {words} ({span})")


def _share(costs: Costs, at: int) -> float:
    return sum(costs[name][at] for name in CHECKS) / sum(spent[at] for spent in costs.values())


if __name__ == "__main__":
    main()
