"""Reads inputs through the doors of datasets, labels, lists, manifests, pages, answers, notes, packages and catalogs.

It runs in a process of its own, as `tests.fuzz.footage_doors` does, and answers in the same way.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from figureground import documents, layouts, tables
from figureground.annotation import class_resolution, label_interface
from figureground.annotation.label_interface import Interface
from figureground.annotation.label_table import read_with_classes
from figureground.catalog import load
from figureground.clients.sources import ytdlp
from figureground.clients.sources.host_allowlist import HostAllowlist
from figureground.clients.sources.transfer import TransferLimits
from figureground.datasets import certificate, manifest
from figureground.errors import FiguregroundError
from figureground.imaging import masks
from figureground.media import clips, tarballs, wheels
from figureground.storage import downloads, locks, run_records
from figureground.storage.store import Store
from figureground.synthesis import composition_manifest
from tests.field.dataset_cases import coco, figure, healthy, lists, polygon, write
from tests.field.test_datasets import import_source
from tests.fuzz.footage_doors import serve

ROOT = Path(__file__).parents[2]


def import_with(layout: dict[str, Any], prepare: Callable[[Path], object], file: str) -> Callable[[Path], None]:
    """Make a door: a healthy dataset, of which one file is the input, is imported. What is wrong ends no import."""

    def read(path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            prepare(Path(folder) / "other")
            write(Path(folder) / "other" / file, path.read_bytes())
            _, reasons = import_source(Path(folder), layout)
            foreign = [reason for reason in reasons if "Traceback" in reason or not reason.isprintable()]
            if foreign:
                raise AssertionError(foreign[0])

    return read


def read_yolo(path: Path) -> None:
    """Check a release's YOLO label, and read it."""
    with tempfile.TemporaryDirectory() as folder:
        layout = layouts.build("yolo_seg", {})
        write(Path(folder) / "images/train/a.jpg", coco_image())
        write(Path(folder) / "labels/train/a.txt", path.read_bytes())
        list(layout.find_problems(Path(folder)))
        list(layout.read(Path(folder)))


@cache
def coco_image() -> bytes:
    """Draw an image as a JPEG."""
    import cv2

    return bytes(cv2.imencode(".jpg", figure(20)[0])[1])


@cache
def interfaces() -> list[Interface]:
    """Give the label config with brushes, and with bitmasks."""
    file = ROOT / "label_config/person.xml"
    return [label_interface.load_interface(file, mask)[0] for mask in ("brush", "bitmask")]


def parse(path: Path) -> Any:
    """Parse JSON as it comes from a server; what cannot be parsed never reaches the code that is tried here."""
    try:
        return documents.parse_json(path.read_bytes())
    except ValueError:
        return None


def read_answer(path: Path) -> None:
    """Read what an annotator submitted, as the server gives it."""
    annotation = parse(path)
    if not isinstance(annotation, dict):
        return
    for interface in interfaces():
        try:
            read = read_with_classes(annotation | {"id": 7}, interface, 60, 80, "park-1")[0]
        except FiguregroundError as error:
            str(error).encode()
            continue
        assert read.parent_prediction is None or 0 < read.parent_prediction < 2**63


def read_page(path: Path) -> None:
    """Read what an extractor says of a page."""
    answer = parse(path)
    ytdlp._GuardedYoutubeDL.extract_info = lambda *_, **__: answer  # type: ignore[method-assign]
    limits = TransferLimits(HostAllowlist.of([]), 1000)
    address = "https://example.org/clips"
    ytdlp.list_clips(address, limits)
    said = ytdlp.read_page(ytdlp.ListedClip("X", "1", address), limits)
    for clip in said if isinstance(said, list) else [said]:
        for value in dataclasses.asdict(clip).values() if isinstance(clip, clips.Clip) else ():
            assert not isinstance(value, str) or value.encode("utf-8", "surrogateescape") is not None


def read_html(path: Path) -> None:
    """Look for a licence in a page."""
    clips.find_license(path.read_bytes().decode("utf-8", "replace"))


def from_bytes(read: Callable[[bytes], object]) -> Callable[[Path], None]:
    """Make a door of a function that reads bytes."""

    def read_file(path: Path) -> None:
        read(path.read_bytes())

    return read_file


def read_config(path: Path) -> None:
    """Read a label config."""
    label_interface.load_interface(path, "brush")


def read_catalog(path: Path) -> None:
    """Load a catalog."""
    load(path)


def read_table(path: Path) -> None:
    """Read a table of the storage."""
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "tables/videos/park.parquet", path.read_bytes())
        store = Store(folder)
        ref = tables.find(store, "videos", "park")
        if ref:
            tables.read_rows(store, ref, tables.VideoRow)
            tables.read_facts(store, ref)


def read_notes(path: Path) -> None:
    """Read a run's summary, a lock's note, and the note of a download."""
    content = path.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        store.write(run_records.name("20261130T120000.000Z-ingest"), content)
        list(run_records.read_latest(store))
        if note := locks.read_note(path):
            str((note.alive, note))
        store.write(downloads.name("Vimeo", "7"), content)
        downloads.find(store, "Vimeo", "7")


def take_member(unpack: Callable[[Path, str, Path, int], None]) -> Callable[[Path], None]:
    """Make a door: a file is taken out of a package."""

    def read(path: Path) -> None:
        with tempfile.TemporaryDirectory() as folder:
            unpack(path, "a/clip.mp4", Path(folder) / "out", 1 << 20)

    return read


LINE = b"images/vidA/0001.jpg labels/vidA/0001.png\n"
DOORS: dict[str, Callable[[Path], None]] = {
    "coco": import_with({"coco": {}}, lambda folder: coco(folder, {"1.jpg": polygon()}), "annotations/instances_train.json"),
    "list": import_with({"human_parsing": {}}, lambda folder: lists(folder, LINE), "train.txt"),
    "index": import_with({"aisegment": {}}, lambda folder: write(folder / "clip_img/a/b/c.jpg", coco_image()), "index.tsv"),
    "scenes": import_with({"mmseg_custom": {}}, healthy, "split_dir/park.txt"),
    "mask": import_with({"mmseg_custom": {}}, healthy, "ann_dir/train/two.png"),
    "matlab": import_with({"mmseg_custom": {}}, lambda folder: (healthy(folder) / "ann_dir/train/two.png").unlink(),
                          "ann_dir/train/two.mat"),
    "yolo": read_yolo,
    "label": from_bytes(masks.from_png),
    "parts": from_bytes(lambda content: class_resolution.decode_png(content, 18)),
    "manifest": from_bytes(manifest.parse),
    "seal": from_bytes(manifest.check_seal),
    "composition": from_bytes(lambda content: composition_manifest.parse(content, "there")),
    "certificate": from_bytes(lambda content: certificate.check(content, {})),
    "answer": read_answer,
    "page": read_page,
    "html": read_html,
    "catalog": read_catalog,
    "config": read_config,
    "table": read_table,
    "note": read_notes,
    "wheel": take_member(wheels.extract_member),
    "tarball": take_member(tarballs.extract_member),
}  # fmt: skip


if __name__ == "__main__":
    serve(DOORS)
