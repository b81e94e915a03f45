"""Dropping what can be made again: the same bytes come back, nothing later is done again, and what is needed stays."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.media.restore import restore_evicted
from figureground.storage import locks
from figureground.storage.store import Store
from figureground.types import Box, Person, TableRef
from tasks.ingest.crop import crop
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample
from tasks.operation.prune import prune_storage
from tasks.operation.status import read_status

JOINTS = np.tile(np.array([30, 30, 0.9], np.float32), (17, 1))
ANN = Person(Box(20.5, 10, 60, 70), 0.9, JOINTS)
BOB = Person(Box(70, 12, 110, 78), 0.8, JOINTS)


@dataclass(frozen=True)
class Both:
    """A detector that finds two people in every frame."""

    VERSION = 1

    def find(self, images: list[Any]) -> list[list[Person]]:
        return [[ANN, BOB] for _ in images]


def write_clip(path: Path, seed: int) -> None:
    noise = np.random.default_rng(seed).integers(0, 255, (96, 128, 3)).astype(np.uint8)
    with av.open(str(path), "w") as into:
        stream = into.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(25):
            into.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(noise, number * 3, 1), format="rgb24")))
        into.mux(stream.encode())


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr(Catalog, "detector", lambda self: Both())
    monkeypatch.setattr("figureground.plugins.describe", lambda plugin: {"name": "both"})
    for number, name in enumerate(("lake", "park")):
        write_clip(tmp_path / f"{name}.mp4", number)
    recipe = {"sample": {"every_seconds": 0.5}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    sources = {name: {"path": f"{name}.mp4", "license": "MIT"} for name in ("lake", "park")}
    return Catalog.model_validate({"folder": tmp_path, "sources": sources, "recipe": recipe})


def with_budget(catalog: Catalog, **sizes: str) -> Catalog:
    return Catalog.model_validate(catalog.model_dump() | {"budget": sizes})


def made(catalog: Catalog, name: str) -> tuple[TableRef, TableRef]:
    """Fetch, sample and crop a source; the first person of each frame is kept, the second not."""
    source = catalog.source(name)
    frames = sample.fn(source, fetch.fn(source, catalog), catalog)
    cut = crop.fn(frames, catalog)
    store = Store(catalog.storage_root)
    ids = list(tables.read(store, cut).rows["crop_id"])
    rows = [{"crop_id": one, "kept": one.endswith("00"), "reason": "" if one.endswith("00") else "overlap"} for one in ids]
    tables.write(store, "verdicts", name, pd.DataFrame(rows), fingerprint="judged")
    return frames, cut


def files(catalog: Catalog, *kinds: str) -> set[str]:
    store = Store(catalog.storage_root)
    return {name for kind in kinds for name in store.names(kind)}


@pytest.mark.slow
def test_evicted_files_are_restored_with_the_same_bytes(
    catalog: Catalog, folder_contents: Callable[[Path], dict[str, str]]
) -> None:
    refs = {name: made(catalog, name) for name in ("lake", "park")}
    store, data = Store(catalog.storage_root), Path(catalog.storage_root.url)
    before = folder_contents(data)
    done = prune_storage(with_budget(catalog, frames="0", crops="0"))
    assert {(one.kind, one.source_id) for one in done if one.outcome == "dropped"} == {
        (kind, name) for kind in ("frames", "crops") for name in refs
    }
    assert files(catalog, "frames") == set()
    assert {name[-6:] for name in files(catalog, "crops")} == {"00.jpg"}  # those that were kept stay
    assert any("still over its budget" in one.outcome for one in done if one.kind == "crops")

    # nothing is done again for it: both stages find their tables fresh, and write nothing
    source = catalog.source("park")
    frames = sample.fn(source, fetch.fn(source, catalog), catalog)
    assert (frames, crop.fn(frames, catalog)) == refs["park"]
    assert files(catalog, "frames") == set()

    for name in refs:
        assert restore_evicted(store, name, "crops", "frames") == 10 + 5 - 5
    assert folder_contents(data) == before


def test_a_changed_detector_gets_its_frames_again(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, _ = made(catalog, "park")
    prune_storage(with_budget(catalog, frames="0"))
    monkeypatch.setattr(Both, "VERSION", 2)
    assert crop.fn(frames, catalog).rows == 10
    assert len(files(catalog, "frames")) == 5


def test_the_oldest_files_are_evicted_first_and_no_more_than_needed(catalog: Catalog) -> None:
    made(catalog, "park")
    made(catalog, "lake")
    store = Store(catalog.storage_root)
    used = sum(size for _, size, _ in store.list_sizes("frames"))
    dry = prune_storage(with_budget(catalog, frames=f"{used - 1}"), dry_run=True)
    assert [(one.source_id, one.outcome) for one in dry] == [("park", "would be dropped")]
    assert len(files(catalog, "frames")) == 10
    prune_storage(with_budget(catalog, frames=f"{used - 1}"))
    assert {name.split("/")[1] for name in files(catalog, "frames")} == {"lake"}
    assert prune_storage(with_budget(catalog, frames=f"{used - 1}")) == []


def test_files_of_open_tasks_and_of_running_sources_are_kept(catalog: Catalog) -> None:
    _, cut = made(catalog, "park")
    store = Store(catalog.storage_root)
    ids = list(tables.read(store, cut).rows["crop_id"])
    columns = {"key": "k", "project_id": 1, "task_id": 1, "prediction_sha256": "", "blank": "", "remover": "r", "people": 1}
    tables.write(store, "tasks", "park", pd.DataFrame([{"crop_id": one, **columns} for one in ids]), fingerprint="pushed")
    with locks.hold_locks(store.path(".locks"), "make", "ingest", ["park"]):
        [busy, _] = prune_storage(with_budget(catalog, frames="0"))
        assert busy.outcome.startswith("left alone: ingest (process ")
    prune_storage(with_budget(catalog, crops="0"))
    assert len(files(catalog, "crops")) == 10


def test_without_its_original_nothing_is_dropped(catalog: Catalog) -> None:
    made(catalog, "park")
    store = Store(catalog.storage_root)
    [video] = store.names("videos/park")
    store.path(video).write_bytes(b"damaged")
    first, second = prune_storage(with_budget(catalog, frames="0"))
    assert "kept: it cannot be made again (its original" in first.outcome
    assert "still over its budget" in second.outcome
    assert len(files(catalog, "frames")) == 5


def test_a_restored_file_with_other_bytes_is_refused(catalog: Catalog) -> None:
    made(catalog, "park")
    store = Store(catalog.storage_root)
    prune_storage(with_budget(catalog, frames="0"))
    write_clip(Path(catalog.storage_root.url) / "other.mp4", 7)
    [video] = store.names("videos/park")
    ref = tables.find(store, "videos", "park")
    assert ref is not None
    rows = tables.read(store, ref).rows
    rows["sha256"] = store.write(video, (Path(catalog.storage_root.url) / "other.mp4").read_bytes())
    tables.write(store, "videos", "park", rows, fingerprint="other")
    with pytest.raises(StoreError, match=r"park-000000\.jpg was evicted and cannot be made again as it was: expected sha256"):
        restore_evicted(store, "park", "frames")


def test_status_counts_what_tables_hold(catalog: Catalog) -> None:
    made(catalog, "park")
    prune_storage(with_budget(catalog, frames="0"))
    lake, park = read_status(catalog).sources
    assert (lake.source, lake.pending) == ("lake", ("videos", "frames", "crops", "verdicts", "mattes"))
    rows = {stage.stage: (stage.state, stage.rows) for stage in park.stages}
    assert rows["frames"] == ("done", 5) and rows["crops"] == ("done", 10)
    assert (park.kept, park.running) == (5, "")
