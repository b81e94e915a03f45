"""A process of its own: mats COUNT crops of many sizes with the catalog's remover and prints what memory that took.

    python mattes_memory.py FOLDER COUNT FROM

FROM is the number of crops after which growth counts: the first ones open networks and fill what is kept for reuse.
"""

import json
import resource
import sys
import threading
import time
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import skimage.data

from figureground import catalog as catalogs
from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources.fetching import fetch_asset
from figureground.imaging import crops as cutting
from figureground.storage.store import Store
from figureground.tables import crop_rows
from figureground.types import Box, PersonCrop
from tasks.ingest.matte import matte

ROOT = Path(__file__).parents[2]


def main() -> None:
    folder, count, start = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    whole = catalogs.load(ROOT / "data_catalog.yaml")
    for name in ("rvm_mobilenetv3_fp32.onnx", "yolo26n-seg.pt"):
        fetch_asset(whole.asset(name))
    catalog = Catalog.model_validate({**whole.model_dump(), "storage": str(folder)})
    store = Store(catalog.storage_root)
    crops = tables.write(store, "crops", "park", pd.DataFrame(rows(store, count)), fingerprint="crops")
    kept = [{"crop_id": row, "kept": True, "reason": ""} for row in tables.read(store, crops).rows["crop_id"]]
    verdicts = tables.write(store, "verdicts", "park", pd.DataFrame(kept), fingerprint="verdicts")
    seen, done = [], threading.Event()
    watcher = threading.Thread(target=watch, args=(folder / "mattes/park", seen, done))
    watcher.start()
    matte.fn(crops, verdicts, catalog)
    done.set()
    watcher.join()
    sys.stdout.write(json.dumps(summary(seen, start)))


def rows(store, count):
    """Crops of one picture in many sizes and shapes: each asks for other memory than the one before."""
    picture, rng = skimage.data.astronaut(), np.random.default_rng(4)
    for number in range(count):
        width, height = (int(side) for side in rng.integers(96, 640, 2))
        image = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
        crop_id, file = f"park-{number:06d}-00", f"crops/park/park-{number:06d}-00.jpg"
        box, joints = Box(0, 0, width, height), np.zeros((0, 3), np.float32)
        crop = PersonCrop(crop_id, crop_id[:-3], "park", box, box, 0.9, joints, (), width, height, image)
        yield asdict(crop_rows.from_crop(crop, file, store.write(file, cutting.encode(image))))


def watch(folder, seen, done):
    while not done.wait(0.2):
        made = sum(1 for file in folder.glob("*.png")) if folder.is_dir() else 0
        seen.append((made, int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20))


def summary(seen, start):
    """Compare the level after the first crops with the level at the end, each a median of a tenth of what lies between."""
    after = [size for made, size in seen if made >= start]
    tenth = max(1, len(after) // 10)
    first, last = float(np.median(after[:tenth])), float(np.median(after[-tenth:]))
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak = int(status["VmHWM"].split()[0]) / 1024  # ru_maxrss begins with what the parent had
    seconds = round(time.process_time(), 1)
    return {"first_mb": first, "last_mb": last, "growth": last / first - 1, "peak_mb": peak, "cpu_s": seconds}


if __name__ == "__main__":
    main()
