"""tasks.ingest.measure: one number a crop and check, whatever the limits are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.imaging import crops
from figureground.storage.store import Store
from figureground.tables import crop_rows
from figureground.types import Box, Frame, Person
from tasks.ingest.measure import measure

CHECKS = {"size": {"at_least": 30}, "truncation": None, "occlusion": None, "sharpness": None}


def catalog_with(folder, checks, scenes=()):
    sources = {name: {"path": "a.mp4", "license": "MIT", "scenes": scenes} for name in ("park", "sky")}
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": checks, "remover": {"rembg": {}}}
    return Catalog.model_validate({"folder": folder, "storage": "data", "sources": sources, "recipe": recipe})


def stored_crops(store, number=3):
    """Write some crops of noise as the crops stage would; gives the table's reference."""
    rows = []
    for index in range(number):
        image = np.random.default_rng(index).integers(0, 255, (200, 160, 3), np.uint8)
        person = Person(Box(40, 20, 40 + 20 * (index + 1), 180), 0.9, np.zeros((0, 3), np.float32))
        [crop] = crops.cut(Frame(f"park-{index:06d}", "park", index, 0.0, image), [person], margin=0.1)
        file = f"crops/park/{crop.crop_id}.jpg"
        rows.append(crop_rows.from_crop(crop, file, store.write(file, crops.encode(crop.image))))
    return tables.write_rows(store, "crops", "park", rows, fingerprint="crops")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "data"))


def test_each_check_measures_each_crop(tmp_path, store):
    ref = measure.fn(stored_crops(store), catalog_with(tmp_path, CHECKS))
    rows = tables.read(store, ref).rows
    assert ref.rows == 12
    assert list(rows["check"][:4]) == ["occlusion", "sharpness", "size", "truncation"]
    sizes = rows[rows["check"] == "size"]
    assert dict(zip(sizes["crop_id"], sizes["value"], strict=True)) == {
        "park-000000-00": 20.0,
        "park-000001-00": 40.0,
        "park-000002-00": 60.0,
    }
    assert rows["value"].notna().all()


def test_moving_a_limit_or_the_order_measures_nothing_again(tmp_path, store, monkeypatch):
    ref = stored_crops(store)
    first = measure.fn(ref, catalog_with(tmp_path, CHECKS))
    monkeypatch.setattr(crops, "decode", lambda *_: pytest.fail("a picture was decoded"))
    moved = {"sharpness": {"at_least": 0.9}, "occlusion": None, "truncation": {"at_most": 0.5}, "size": {"at_least": 1}}
    assert measure.fn(ref, catalog_with(tmp_path, moved)) == first


def test_another_check_is_measured(tmp_path, store):
    ref = stored_crops(store)
    first = measure.fn(ref, catalog_with(tmp_path, {"size": None}))
    second = measure.fn(ref, catalog_with(tmp_path, CHECKS))
    assert (first.rows, second.rows) == (3, 12)


def test_a_check_of_another_version_is_measured_again(tmp_path, store, monkeypatch):
    ref, catalog = stored_crops(store), catalog_with(tmp_path, {"size": None})
    measure.fn(ref, catalog)
    monkeypatch.setattr("figureground.checks.size.Size.VERSION", 2)
    decoded = []
    decode = crops.decode
    monkeypatch.setattr(crops, "decode", lambda content, name: decoded.append(name) or decode(content, name))
    measure.fn(ref, catalog)
    assert len(decoded) == 3


def test_a_score_that_cannot_be_measured_is_stored_as_nan(tmp_path, store, monkeypatch):
    @dataclass(frozen=True)
    class Blind:
        VERSION = 1

        def measure(self, crop):
            return float("nan")

        def accepts(self, value):
            return False

    catalog = catalog_with(tmp_path, {})
    monkeypatch.setattr(Catalog, "checks", lambda self: {"blind": Blind()})
    rows = tables.read(store, measure.fn(stored_crops(store), catalog)).rows
    assert len(rows) == 3 and rows["value"].isna().all()


def test_without_checks_the_crops_are_still_known_and_none_is_opened(tmp_path, store, monkeypatch):
    ref = stored_crops(store)
    monkeypatch.setattr(crops, "decode", lambda *_: pytest.fail("a picture was decoded"))
    scores = measure.fn(ref, catalog_with(tmp_path, {}))
    assert scores.rows == 0
    assert tables.read(store, scores).facts["crops"] == ["park-000000-00", "park-000001-00", "park-000002-00"]


def test_no_crops_no_scores(tmp_path, store):
    ref = tables.write(store, "crops", "sky", pd.DataFrame(), fingerprint="crops")
    scores = measure.fn(ref, catalog_with(tmp_path, CHECKS))
    assert scores.rows == 0 and tables.read(store, scores).facts == {"crops": []}


def test_a_damaged_crop_is_named(tmp_path, store):
    ref = stored_crops(store)
    store.path("crops/park/park-000001-00.jpg").write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"crops/park/park-000001-00.jpg .* is damaged"):
        measure.fn(ref, catalog_with(tmp_path, CHECKS))


def test_a_check_sees_the_scenes_of_its_source(tmp_path, store):
    ref, listed = stored_crops(store), {"excluded_scenes": {"scenes": {"swimming": "water hides half of everybody"}}}
    dry = measure.fn(ref, catalog_with(tmp_path, listed))
    assert set(tables.read(store, dry).rows["value"]) == {0.0}
    wet = measure.fn(ref, catalog_with(tmp_path, listed, scenes=("swimming", "outdoor")))
    assert set(tables.read(store, wet).rows["value"]) == {1.0}
    shorter = measure.fn(ref, catalog_with(tmp_path, {"excluded_scenes": None}, scenes=("swimming", "outdoor")))
    assert set(tables.read(store, shorter).rows["value"]) == {0.0}, "another list is another measurement"
