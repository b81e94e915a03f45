"""Crop, measure and matte done in shards leave the bytes that they leave when done as a whole."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.imaging import crops as cutting
from figureground.storage.store import Store
from figureground.tables import shards
from figureground.types import Box, Person, TableRef
from tasks.datasets.forget import forget
from tasks.ingest import crop as cropping
from tasks.ingest import matte as matting
from tasks.ingest import measure as measuring
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.judge import judge

SEEN: list[int] = []
"""How many pictures each call of the netsharded had."""


@pytest.fixture(autouse=True)
def nothing_seen_yet() -> None:
    SEEN.clear()


@dataclass(frozen=True)
class Bright:
    """A detector that finds nobody, one or two in a picture, by its pixels; each call has an influence on all it finds."""

    VERSION = 1

    def find(self, images):
        SEEN.append(len(images))
        influence = 1 + float(np.mean([image.mean() for image in images])) / 256
        return [[self._person(image, n, influence) for n in range(int(image[:8].mean()) % 3)] for image in images]

    def _person(self, image, number, influence):
        left = 5 + 60 * number + float(image[-8:].mean()) / 10
        joints = np.tile(np.array([left + 20, 40, 0.9], np.float32), (17, 1))
        return Person(Box(left, 10.25, left + 30 * influence, 85 + number), 0.9 - number / 10, joints)


@dataclass(frozen=True)
class Halves:
    """A remover each of whose answers depends on the ones before in its call."""

    VERSION = 1

    recurrent: bool

    def estimate_alphas(self, crops):
        SEEN.append(len(crops))
        brightness = np.cumsum([crop.image.mean() / 256 for crop in crops])
        return [np.full(crop.image.shape[:2], level % 1, np.float32) for crop, level in zip(crops, brightness, strict=True)]


@pytest.fixture
def catalog_in(tmp_path, monkeypatch):
    def give(name: str, *, recurrent: bool = True) -> Catalog:
        monkeypatch.setattr(Catalog, "detector", lambda _: Bright())
        monkeypatch.setattr(Catalog, "remover", lambda _: Halves(recurrent))
        checks = {"size": {"at_least": 33}, "sharpness": {}, "duplicate": {"at_most": 1.0}}
        recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": checks, "remover": {"rembg": {}}}
        recipe["crop"] = {"short_side_at_least": 20}
        sources = {"park": {"path": "a.mp4", "license": "MIT"}}
        return Catalog.model_validate({"folder": tmp_path / name, "storage": "data", "sources": sources, "recipe": recipe})

    return give


def frames_in(catalog: Catalog, count: int = 41) -> TableRef:
    store, rows = Store(catalog.storage_root), []
    for index in range(count):
        image = np.random.default_rng(index).integers(0, 40 + 5 * (index % 40), (96, 160, 3), np.uint8)
        frame_id = f"park-{index:06d}"
        file = f"frames/park/{frame_id}.jpg"
        row = {"frame_id": frame_id, "source_id": "park", "index": index, "seconds": index / 3, "original": "a.mp4"}
        row |= {"reason": "", "width": 160, "height": 96}
        rows.append({**row, "file": file, "sha256": store.write(file, cutting.encode(image))})
    return tables.write(store, "frames", "park", pd.DataFrame(rows), fingerprint="frames")


def done(catalog: Catalog, count: int, damaged: str = "") -> None:
    """All stages; each that can be in so many shards before itself, where it then has nothing to do."""
    store = Store(catalog.storage_root)

    def stage(module, verb, *given):
        sharded = module.sharded_stage(*given, catalog)
        parts = shards.split(len(sharded.read_inputs()), count, 1, sharded.batch_size)
        assert len(parts) == (count if count > 1 else 0)
        for first, end in reversed(parts):
            sharded.process_shard(first, end, f"{sharded.task} of many")
        calls = len(SEEN)
        for file in store.names("shards") if sharded.task in damaged else ():
            store.path(file).write_bytes(b"")
        ref = verb.fn(*given, catalog)
        assert count == 1 or damaged or len(SEEN) == calls
        assert sharded.fresh() == ref
        return ref

    crops = stage(cropping, cropping.crop, frames_in(catalog))
    measures = stage(measuring, measuring.measure, crops)
    stage(matting, matting.matte, crops, judge.fn(deduplicate.fn(measures, catalog), catalog))
    assert len(shards.remove_shards(store, ["park"])) == (3 * count if count > 1 else 0)


@pytest.mark.slow
@pytest.mark.parametrize("recurrent", [True, False])
def test_shards_leave_the_bytes_of_a_whole(catalog_in, folder_contents, tmp_path, recurrent) -> None:
    done(catalog_in("whole", recurrent=recurrent), 1)
    calls = sorted(SEEN)
    SEEN.clear()
    done(catalog_in("shards", recurrent=recurrent), 3)
    assert folder_contents(tmp_path / "shards/data") == folder_contents(tmp_path / "whole/data")
    assert sorted(SEEN) == calls, "no call was cut, and none done twice"
    crops = pd.read_parquet(tmp_path / "whole/data/tables/crops/park.parquet")
    assert len(crops) > 20 and 1 < crops["track"].nunique() < len(crops), "there was somebody to follow"


@pytest.mark.slow
@pytest.mark.parametrize("damaged", ["crop", "measure", "matte"])
def test_shards_that_were_lost_change_nothing(catalog_in, folder_contents, tmp_path, damaged) -> None:
    done(catalog_in("whole"), 1)
    done(catalog_in("shards"), 2, damaged)
    assert folder_contents(tmp_path / "shards/data") == folder_contents(tmp_path / "whole/data")


def test_a_source_is_forgotten_with_its_shards(catalog_in) -> None:
    catalog = catalog_in("forgotten")
    cropping.sharded_stage(frames_in(catalog), catalog).process_shard(0, 4, "crop 1/2")
    store = Store(catalog.storage_root)
    assert store.names("shards")
    forget("park", catalog)
    assert not store.names("shards") and not store.path("shards/park").exists()
