"""Damaged datasets, lists, labels, manifests, pages, answers, notes, packages and catalogs: no error but ours, and in bounds.

Bytes are damaged as those of footage are; in JSON and YAML any value is replaced by an odd one, too. What was found stays in
`FOUND`. The short run is for every check; the long one takes half of `FIGUREGROUND_FUZZ_SECONDS`.
"""

import io
import json
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from figureground import tables
from figureground.annotation import label_interface, predictions
from figureground.imaging import masks
from figureground.storage import locks, run_records
from figureground.storage.store import Store
from tests.field.dataset_cases import HEIGHT, WIDTH, coco, figure, png, polygon
from tests.fuzz.test_footage import MEGABYTES_AT_MOST, MUTATION, SECONDS, SECONDS_AT_MOST, Doors, Mutation, mutate
from tests.security.test_manifests import sealed

ROOT = Path(__file__).parents[2]
Change = tuple[float, Any]

ODD = (
    None, True, 0, -1, 1e308, -1e308, float("nan"), float("inf"), 2**31, 2**63, 10**400,
    "", "x", "\ud800", "\0", "../../x", "/etc",
    "1" * 5000, "a" * 1_000_000, "9" * 100_000, [], {}, [[]], [[1, 2]], {"a": None}, [None] * 10_000,
)  # fmt: skip
VALUE = st.one_of(
    st.sampled_from(range(len(ODD))).map(lambda number: ODD[number]),
    st.integers(), st.floats(), st.text(max_size=20),
    st.integers(10, 100_000).map(lambda depth: ("deep", depth)),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=10,
    ),
)  # fmt: skip
CHANGE = st.tuples(st.floats(0, 1, exclude_max=True), VALUE)


# --- healthy inputs ---


@cache
def annotations_of_coco() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        coco(Path(folder), {"1.jpg": polygon(), "2.jpg": {"size": [HEIGHT, WIDTH], "counts": [100, HEIGHT * WIDTH - 100]}})
        return (Path(folder) / "annotations/instances_train.json").read_bytes()


def matlab_mask() -> bytes:
    from scipy.io import savemat

    buffer = io.BytesIO()
    savemat(buffer, {"mask": figure(0)[1]}, do_compression=True)
    return buffer.getvalue()


def answer(kind: str) -> bytes:
    interface, _ = label_interface.load_interface(ROOT / "label_config/person.xml", kind)
    mask = np.zeros((80, 60), np.uint8)
    mask[20:60, 20:40] = 255
    result = predictions.make_result(interface, mask=mask, origin="manual", verdict="", scenes=["night"])
    return json.dumps({"id": 7, "result": result, "lead_time": 3.5, "parent_prediction": 4, "completed_by": 1}).encode()


def page(listed: bool) -> bytes:
    clip = {
        "id": "7", "extractor_key": "Vimeo", "webpage_url": "https://vimeo.com/7", "title": "walk", "uploader": "ann",
        "license": "CC BY", "upload_date": "20261130", "duration": 12.5, "filesize": 1000, "is_live": False,
        "formats": [{"url": "https://a.example/b.mp4"}],
    }  # fmt: skip
    entry = {"_type": "url", "url": "https://vimeo.com/8", "ie_key": "Vimeo", "id": "8", "title": "run"}
    return json.dumps({"_type": "playlist", "entries": [clip, entry]} if listed else clip).encode()


def stored_table() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        row = tables.VideoRow(source_id="park", path="park.mp4", license="MIT", file="videos/park/park.mp4", sha256="a" * 64)
        tables.write_rows(Store(folder), "videos", "park", [row], fingerprint=tables.fingerprint("videos", [], version=1))
        return (Path(folder) / "tables/videos/park.parquet").read_bytes()


def package(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "wheel":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a/clip.mp4", bytes(1000))
        return buffer.getvalue()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name in ("package/b", "package/a/clip.mp4", "package/" + "long" * 50):
            info = tarfile.TarInfo(name)
            info.size = 1000
            tar.addfile(info, io.BytesIO(bytes(1000)))
    return buffer.getvalue()


NOTES = {
    "lock": asdict(locks.LockNote("ingest", "elsewhere", "7@1", "2026-11-30T12:00:00Z", "crop", 1, 2, "2026-11-30T12:00:00Z")),
    "run": asdict(run_records.RunSummary("20261130T120000.000Z-ingest", "ingest", "done", "", "", 1.5, sources=(
        run_records.SourceOutcome("park"),
    ))),
    "download": {"site": "Vimeo", "clip_id": "7", "source_id": "park", "row": {"file": "videos/park/a.mp4"}},
}  # fmt: skip
LISTED = b"images/vidA/0001.jpg labels/vidA/0001.png\nimages/vidB/0002.jpg labels/vidB/0002.png\n"
SEEDS: dict[str, Callable[[], bytes]] = {
    "coco json": annotations_of_coco,
    "list": lambda: LISTED,
    "index": lambda: b"00000000-00000000\tgood\ttrain\tpark\n00000000-00000001\tbetter\tval\tpark street\n",
    "scenes": lambda: b"one\ntwo\n",
    "mask": lambda: png(figure(0)[1]),
    "matlab": matlab_mask,
    "yolo": lambda: b"0 0.1 0.1 0.5 0.1 0.5 0.5\n",
    "label": lambda: masks.to_label(figure(0)[1].astype(np.float32)),
    "parts": lambda: png(figure(0)[1]),
    "manifest": sealed,
    "manifest json": sealed,
    "seal": sealed,
    "seal json": sealed,
    "composition json": lambda: json.dumps({"files": {"a": {"sha256": "a", "bytes": 1}}, "digest": ""}).encode(),
    "certificate json": lambda: json.dumps({"pairs": [{"splits": ["train", "val"], "similarity": 0.5}]}).encode(),
    "answer json brush": lambda: answer("brush"),
    "answer json bitmask": lambda: answer("bitmask"),
    "page json clip": lambda: page(listed=False),
    "page json list": lambda: page(listed=True),
    "html": lambda: b'<html><a rel="license" href="https://creativecommons.org/licenses/by/4.0/">CC BY</a><link rel=x></html>',
    "catalog": lambda: (ROOT / "data_catalog.yaml").read_bytes(),
    "catalog yaml": lambda: (ROOT / "data_catalog.yaml").read_bytes(),
    "config": lambda: (ROOT / "label_config/person.xml").read_bytes(),
    "table": stored_table,
    **{f"note json {kind}": lambda kind=kind: json.dumps(NOTES[kind]).encode() for kind in NOTES},  # type: ignore[misc]
    "wheel": lambda: package("wheel"),
    "tarball": lambda: package("tarball"),
}  # fmt: skip
KEPT = ("composition json", "certificate json", "note json lock", "note json run")
"""Inputs that are refused all the same: sealed with nothing, or no note of every kind at once."""

FOUND: list[tuple[str, list[Any]]] = [
    ("note json lock", [(0.0, ("deep", 65537))]),
    ("answer json bitmask", [(0.0, ("deep", 994))]),
    ("note json lock", [(0.911948570151322, ("deep", 500))]),
    ("wheel", [("cut", 0.0, 0)]),
    ("matlab", [("number 4", 0.0, 0)]),
    ("catalog yaml", [(0.0, {"\U00010000": None})]),
    ("page json clip", [(0.79453921145302, "\ud800"), (0.31763070882603417, "\ud800")]),
]
"""Inputs that broke a limit once: the changes of a document, or the mutations of bytes."""


# --- odd values in documents ---


def change(content: bytes, name: str, changes: list[Change]) -> bytes:
    """Replace values of a document; places are fractions of the number of its values."""
    is_yaml = "yaml" in name
    document = {"": yaml.safe_load(content) if is_yaml else json.loads(content)}
    marks: dict[str, str] = {}
    for place, odd in changes:
        holders = list_places(document)
        holder, key = holders[int(place * len(holders))]
        if isinstance(odd, tuple):
            mark = f"deep-{len(marks)}"
            marks[f'"{mark}"'] = "[" * odd[1] + "]" * odd[1]
            odd = mark
        holder[key] = odd
    try:
        text = json.dumps(document[""])
    except (ValueError, RecursionError):
        return content
    for mark, deep in marks.items():
        text = text.replace(mark, deep)
    return text.encode()


def list_places(document: Any) -> list[tuple[Any, Any]]:
    """List every value's holder and key."""
    places, waiting = [], [document]
    while waiting:
        holder = waiting.pop()
        for key in list(holder) if isinstance(holder, dict) else range(len(holder)):
            places.append((holder, key))
            if isinstance(holder[key], dict | list) and len(places) < 20_000:
                waiting.append(holder[key])
    return places


class DocumentDoors(Doors):
    """The process that reads documents."""

    program = "document_doors.py"
    healthy = ("coco json", "mask", "page json clip", "catalog", "answer json brush")

    def make_seed(self, name: str) -> bytes:
        return SEEDS[name]()


@pytest.fixture(scope="module")
def doors() -> Iterator[DocumentDoors]:
    made = DocumentDoors()
    yield made
    made.close()


def check(doors: Doors, name: str, changes: list[Any]) -> None:
    content = SEEDS[name]()
    content = change(content, name, changes) if changes and len(changes[0]) == 2 else mutate(content, changes)
    answer = doors.read(name.split()[0], content)
    if answer["megabytes"] > MEGABYTES_AT_MOST:
        doors.close()  # the next input starts anew
    assert answer["outcome"] == "read" or answer["outcome"].endswith("Error"), (name, changes, answer)
    assert not answer["outcome"].startswith("foreign"), (name, changes, answer)
    assert answer["seconds"] < SECONDS_AT_MOST and answer["megabytes"] < MEGABYTES_AT_MOST, (name, changes, answer)


BYTES, VALUES = st.lists(MUTATION, min_size=1, max_size=6), st.lists(CHANGE, min_size=1, max_size=3)
DAMAGE = st.sampled_from(sorted(SEEDS)).flatmap(
    lambda name: st.tuples(st.just(name), VALUES if "json" in name or "yaml" in name else BYTES)
)


def run(doors: Doors, number: int, examples: int) -> None:
    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(DAMAGE)
    def damaged(damage: tuple[str, list[Change] | list[Mutation]]) -> None:
        check(doors, *damage)

    damaged()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SEEDS.keys() - set(KEPT)))
def test_the_seeds_are_read(doors: DocumentDoors, name: str) -> None:
    assert doors.read(name.split()[0], SEEDS[name]())["outcome"] == "read"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), FOUND)
def test_what_was_found_stays_mended(doors: DocumentDoors, name: str, changes: list[Any]) -> None:
    check(doors, name, changes)


@pytest.mark.slow
def test_damaged_documents_are_refused_or_read(doors: DocumentDoors) -> None:
    run(doors, 0, 400)


@pytest.mark.soak
def test_damaged_documents_are_refused_or_read_for_minutes(doors: DocumentDoors) -> None:
    until, number = time.monotonic() + SECONDS / 2, int(time.time())
    while time.monotonic() < until:
        run(doors, number, 300)
        number += 1
