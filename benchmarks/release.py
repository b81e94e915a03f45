"""A release against copying and hashing the same files: `python benchmarks/release.py [SAMPLES]` (default 20000)."""

import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from figureground import duplicates, signatures, store, tables
from figureground.catalog import Catalog
from figureground.masks import to_png
from figureground.store import Store, sha256
from tasks.release import release
from tasks.verify import verify

WIDTH, HEIGHT, SOURCES = 300, 400, 10
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def _row(stage: str, **known: object) -> dict[str, object]:
    empty = {"string": "", "int64": 0, "double": 0.5, "bool": True}
    return {column.name: known.get(column.name, empty.get(str(column.type), [])) for column in tables.SCHEMAS[stage]}


def _fill(root: Path, samples: int) -> None:
    """Write sources of soft spots (which compress like photos) with soft discs as labels."""
    kept = Store(str(root))
    for number in range(SOURCES):
        looked: dict[str, duplicates.Signature] = {}
        name, rows = f"s{number}", {stage: [] for stage in ("videos", "frames", "crops", "labels")}
        for at in range(samples // SOURCES):
            noise = np.random.default_rng(number * samples + at).normal(128, 60, (HEIGHT // 8, WIDTH // 8, 3)).clip(0, 255)
            picture = bytes(cv2.imencode(".jpg", cv2.resize(noise.astype(np.uint8), (WIDTH, HEIGHT)))[1])
            alpha = np.clip((100 + at % 20 - np.hypot(X - 150, Y - 200)) / 4, 0, 1).astype(np.float32)
            frame, crop = f"{name}-{at:06d}", f"{name}-{at:06d}-00"
            files = {f"crops/{name}/{crop}.jpg": picture, f"labels/{name}/{crop}.png": to_png(alpha)}
            for file, content in files.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_bytes(content)
            (image, image_hash), (label, label_hash) = ((file, sha256(content)) for file, content in files.items())
            looked[image_hash] = duplicates.of_jpeg(picture)
            ids = {"frame_id": frame, "crop_id": crop, "source_id": name}
            box = {"x1": WIDTH, "y1": HEIGHT, "width": WIDTH, "height": HEIGHT, "person_x1": WIDTH, "person_y1": HEIGHT}
            rows["frames"].append(_row("frames", **ids))
            rows["crops"].append(_row("crops", **ids, **box, file=image, sha256=image_hash))
            rows["labels"].append(_row("labels", **ids, verdict="keep", origin="prediction", file=label, sha256=label_hash))
        rows["videos"].append(_row("videos", source_id=name, path=f"{name}.mp4", license="MIT", sha256=sha256(name.encode())))
        signatures.keep(kept, name, looked)
        for stage, some in rows.items():
            tables.write(kept, stage, name, pd.DataFrame(some), fingerprint="made")


def _catalog(folder: Path) -> Catalog:
    sources = {
        f"s{number}": {"path": "x.mp4", "license": "MIT", "scenes": ["park"], "split": "val" if number == 0 else "train"}
        for number in range(SOURCES)
    }
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    return Catalog.model_validate({"folder": folder, "sources": sources, "recipe": recipe})


def _timed(what: str, work: object) -> float:
    start = time.perf_counter()
    work()  # type: ignore[operator]
    took = time.perf_counter() - start
    print(f"{what:32} {took:8.1f} s   most memory so far {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MB")
    return took


def main(samples: int) -> None:
    with tempfile.TemporaryDirectory(prefix="figureground-") as name:
        folder = Path(name)
        _fill(folder / "data", samples)
        catalog = _catalog(folder)
        sources = [catalog.source(source_id) for source_id in catalog.sources]
        made: list[str] = []
        _timed("warm the disk's cache", lambda: store.hash_folder(folder / "data"))
        cut = _timed("release", lambda: made.append(release.fn(sources, catalog, "x", "20261130").folder))
        checked = _timed("verify", lambda: verify(Path(made[0])))

        def copied() -> None:
            shutil.copytree(made[0], folder / "copy")
            store.flush_folder(folder / "copy")
            store.hash_folder(folder / "copy")

        plain = _timed("copy, flush and hash the same", copied)
        print(f"{samples} samples: release {cut / plain:.1f}, verify {checked / plain:.1f} times copying and hashing")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
