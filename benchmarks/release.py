"""A release against copying and hashing the same files: `python benchmarks/release.py [SAMPLES [ROUNDS]]` (default 20000, 3).

What is compared is done in turn, some rounds, and the medians are compared, so that whoever else uses the machine slows all.
With `--page` it writes `benchmarks/release.md`.
"""

import hashlib
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import pandas as pd

from figureground import tables
from figureground.catalog import Catalog
from figureground.imaging.masks import to_label
from figureground.similarity import duplicates, signatures
from figureground.storage import hashing
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from tasks.datasets.release import release
from tasks.datasets.verify import verify

WIDTH, HEIGHT, SOURCES = 300, 400, 10
Y, X = np.mgrid[:HEIGHT, :WIDTH]


def _row(stage: str, **known: object) -> dict[str, object]:
    empty = {"string": "", "int64": 0, "double": 0.5, "bool": True, "binary": b""}
    return {column.name: known.get(column.name, empty.get(str(column.type), [])) for column in tables.SCHEMAS[stage]}


@cache
def _label(larger: int) -> bytes:
    return to_label(np.clip((100 + larger - np.hypot(X - 150, Y - 200)) / 4, 0, 1).astype(np.float32))


def _fill(root: Path, samples: int) -> None:
    """Write sources of soft spots (which compress like photos) with soft discs as labels."""
    kept = Store(str(root))
    for number in range(SOURCES):
        known_signatures: dict[str, duplicates.Signature] = {}
        name, rows = f"s{number}", {stage: [] for stage in ("videos", "frames", "crops", "labels")}
        for at in range(samples // SOURCES):
            noise = np.random.default_rng(number * samples + at).normal(128, 60, (HEIGHT // 8, WIDTH // 8, 3)).clip(0, 255)
            picture = bytes(cv2.imencode(".jpg", cv2.resize(noise.astype(np.uint8), (WIDTH, HEIGHT)))[1])
            frame, crop = f"{name}-{at:06d}", f"{name}-{at:06d}-00"
            files = {f"crops/{name}/{crop}.jpg": picture, f"labels/{name}/{crop}.png": _label(at % 20)}
            for file, content in files.items():
                (root / file).parent.mkdir(parents=True, exist_ok=True)
                (root / file).write_bytes(content)
            (image, image_hash), (label, label_hash) = ((file, sha256(content)) for file, content in files.items())
            known_signatures[image_hash] = duplicates.compute_jpeg_signature(picture)
            ids = {"frame_id": frame, "crop_id": crop, "source_id": name}
            box = {"x1": WIDTH, "y1": HEIGHT, "width": WIDTH, "height": HEIGHT, "person_x1": WIDTH, "person_y1": HEIGHT}
            rows["frames"].append(_row("frames", **ids))
            rows["crops"].append(_row("crops", **ids, **box, file=image, sha256=image_hash))
            rows["labels"].append(_row("labels", **ids, verdict="keep", origin="prediction", file=label, sha256=label_hash))
        rows["videos"].append(_row("videos", source_id=name, path=f"{name}.mp4", license="MIT", sha256=sha256(name.encode())))
        signatures.write(kept, name, known_signatures)
        for stage, stage_rows in rows.items():
            tables.write(kept, stage, name, pd.DataFrame(stage_rows), fingerprint="made")


def _catalog(folder: Path) -> Catalog:
    sources = {
        f"s{number}": {"path": "x.mp4", "license": "MIT", "scenes": ["park"], "split": "val" if number == 0 else "train"}
        for number in range(SOURCES)
    }
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    return Catalog.model_validate({"folder": folder, "sources": sources, "recipe": recipe})


def _copied(release_folder: Path, copy: Path, *, flushed: bool) -> None:
    """Do what a script of five lines would."""
    shutil.copytree(release_folder, copy)
    if flushed:
        os.sync()
    for subfolder, _, files in os.walk(copy):
        for name in files:
            with Path(subfolder, name).open("rb") as file:
                hashlib.file_digest(file, "sha256").hexdigest()


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _round(folder: Path, note: str) -> dict[str, float]:
    """Do each once, on a disk that has nothing left to write; give seconds, and those of the processors.

    Nothing is deleted before the end: for minutes after a deletion ext4 looks through the deleted inodes whenever it makes a
    file, which took up to a third of the time of whatever came next.
    """
    catalog = _catalog(folder)
    sources = [catalog.source(source_id) for source_id in catalog.sources]
    took, release_folder = {}, Path()
    for what in _COLUMNS:
        os.sync()
        start, busy = time.perf_counter(), time.process_time()
        if what == "release":
            release_folder = Path(release.fn(sources, catalog, note, "20261130").folder)
        elif what == "verified":
            verify(release_folder, catalog)
        elif what == "verify":
            verify(release_folder)
        else:
            _copied(release_folder, folder / note / what, flushed="flushed" in what)
        took[what], took[what + _PROCESSOR] = time.perf_counter() - start, time.process_time() - busy
        shown = f"{took[what]:7.2f} s, {took[what + _PROCESSOR]:7.2f} s of the processors"
        print(f"{note:6} {what:28} {shown}   most memory so far {_memory()} MB", flush=True)
    (folder / "data/archive").rename(folder / note / "archive")  # the next round keeps the pictures for the first time, too
    return took


def measured(samples: int, rounds: int) -> dict[str, float]:
    """Give the median seconds of each, and the most memory in MB."""
    with tempfile.TemporaryDirectory(prefix="figureground-") as name:
        folder = Path(name)
        _fill(folder / "warm/data", SOURCES)
        _round(folder / "warm", "warm")  # packages are loaded once
        _fill(folder / "data", samples)
        hashing.hash_folder(folder / "data")  # the disk's cache
        measured = [_round(folder, f"round{number}") for number in range(rounds)]
    return {what: median(round_[what] for round_ in measured) for what in measured[0]} | {"memory": _memory()}


_PROCESSOR = ", processor time"
_COLUMNS = ("release", "verified", "verify", "copied and hashed", "copied, flushed and hashed")
_PAGE = Path(__file__).with_suffix(".md")
_HEAD = """# Releases beside copying and hashing the same files

`PYTHONPATH=. python benchmarks/release.py {asked} --page`: samples of {width} × {height} pixels in {sources} sources,
signatures and labels kept as `ingest` and `pull` leave them, everything in the disk's cache. Each is done in turn, {rounds}
rounds, each on a disk that has nothing left to write; seconds are medians. `figureground release` writes and then verifies
what it wrote; `figureground verify` by itself decodes every picture, too. The copy is what a script of five lines does:
`shutil.copytree`, `os.sync` where it says flushed, then `hashlib.file_digest` of each file. A release is flushed when it is
there, so the last copy is what it is compared with; the goal is twice for releasing and verifying together. The copy keeps
one processor busy, ours two: the column before the last compares their time.

| samples | release: written | and verified | verify by itself | copied, hashed | copied, flushed, hashed \
| release : last | verify : last | processors | memory |
|---|---|---|---|---|---|---|---|---|---|
"""


def _line(samples: int, medians: Mapping[str, float]) -> str:
    seconds = " | ".join(f"{medians[what]:.1f} s" for what in _COLUMNS)
    last = _COLUMNS[-1]

    def ratio(suffix: str, *names: str) -> str:
        return f"{sum(medians[what + suffix] for what in names) / medians[last + suffix]:.1f}"

    ratios = f"**{ratio('', 'release', 'verified')}** | {ratio('', 'verify')}"
    busy = f"{ratio(_PROCESSOR, 'release', 'verified')}, {ratio(_PROCESSOR, 'verify')}"
    return f"| {samples:,} | {seconds} | {ratios} | {busy} | {medians['memory']:.0f} MB |\n"


def _page(options: str, samples: int, rounds: int, line: str) -> str:
    """Give the page with this measurement's line in place of one of as many samples; what people wrote below stays."""
    old = _PAGE.read_text(encoding="utf-8") if _PAGE.exists() else ""
    kept = [row + "\n" for row in old.splitlines() if row[:3].strip("| ").isdigit() and not row.startswith(f"| {samples:,} |")]
    rows = [*(row for row in kept if row.count("|") == line.count("|")), line]
    rows.sort(key=lambda row: int(row.split()[1].replace(",", "")))
    below = old.partition("\n## ")[1:]
    head = _HEAD.format(asked=options, width=WIDTH, height=HEIGHT, sources=SOURCES, rounds=rounds)
    return head + "".join(rows) + "".join(below)


def main(words: list[str]) -> None:
    numbers = [int(word) for word in words if word.isdigit()] or [20_000]
    samples, rounds = numbers[0], numbers[1] if len(numbers) > 1 else 3
    line = _line(samples, measured(samples, rounds))
    print(line)
    if "--page" in words:
        _PAGE.write_text(_page(f"{samples} {rounds}", samples, rounds, line), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
