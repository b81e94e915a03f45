"""Judging again after a limit moved, beside measuring again: ``python benchmarks/judge.py``.

10,000 crops' scores are judged from their table; the plain way measures every crop anew, here with the cheapest check
alone, on pictures already decoded. Prints the median seconds of both and the ratio.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from figureground import catalog, tables
from figureground.checks.exposure import Exposure
from figureground.storage.store import Store
from figureground.types import Box, PersonCrop
from tasks.ingest.judge import judge

CROPS = 10_000
ROUNDS = 5
HERE = Path(__file__).parents[1]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        recipe = catalog.load(HERE / "data_catalog.yaml").model_copy(update={"storage": folder})
        store, names = Store(folder), list(recipe.checks())
        ids = [f"park-{number:06d}-00" for number in range(CROPS)]
        rows = pd.DataFrame([{"crop_id": crop_id, "check": name, "value": 0.5} for crop_id in ids for name in names])
        scores = tables.write(store, "scores", "park", rows, fingerprint="made", facts={"crops": ids})
        ours, theirs = [], []
        for limit in range(ROUNDS):
            moved = recipe.recipe.model_copy(update={"checks": {**recipe.recipe.checks, "size": {"at_least": limit}}})
            start = time.perf_counter()
            judge.fn(scores, recipe.model_copy(update={"recipe": moved}))
            ours.append(time.perf_counter() - start)
            start = time.perf_counter()
            measured(100)
            theirs.append((time.perf_counter() - start) * CROPS / 100)
    mine, plain = statistics.median(ours), statistics.median(theirs)
    print(f"{CROPS:,} crops, {len(names)} checks: judged again in {mine:.2f} s")
    print(f"one check measured again: {plain:.1f} s, {plain / mine:.0f} ×")


def measured(count: int) -> None:
    """Measure one check on as many crops of 300 × 500 pixels."""
    image, nowhere = np.random.default_rng(0).integers(0, 255, (500, 300, 3)).astype(np.uint8), np.zeros((0, 3), np.float32)
    box = Box(0, 0, 300, 500)
    for number in range(count):
        Exposure().measure(PersonCrop(f"{number}", "", "", box, box, 0.9, nowhere, (), 640, 480, image))


if __name__ == "__main__":
    main()
