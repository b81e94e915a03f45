"""tasks.ingest.report: pages from tables, with pictures drawn for the purpose."""

import re

import cv2
import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import ReleaseError, StoreError
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from tasks.datasets.release import release
from tasks.ingest.report import report, write_pipeline_page, write_poster

STEPS = ("videos", "frames", "crops", "scores", "verdicts", "mattes", "tasks", "labels")


@pytest.fixture
def catalog(tmp_path):
    def source(split):
        return {"path": "clip.mp4", "license": "BSD-3-Clause", "scenes": ["park"], "split": split}

    recipe = {
        "sample": {"every_seconds": 1},
        "detector": {"yolo": {}},
        "checks": {"size": {"at_least": 96}},
        "remover": {"rembg": {}},
    }
    return Catalog.model_validate(
        {
            "folder": tmp_path,
            "storage": "data",
            "sources": {"park": source("train"), "walk": source("val")},
            "recipe": recipe,
            "releases": {"val": 0.1},
        }
    )


@pytest.fixture
def store(catalog):
    return Store(catalog.storage_root)


def stored(store, name, content):
    return {"file": name, "sha256": store.write(name, content)}


def alpha_of(width, height, at=0.5):
    alpha = np.zeros((height, width), np.float32)
    cv2.ellipse(alpha, (int(width * at), height // 2), (width // 4, height // 3), 0, 0, 360, 1.0, -1)
    return alpha


def tables_of(store, source, frames=4, facts=None, crop_facts=None):
    """Make a source: one person a frame; the second is dropped, of the kept one is corrected and the last rejected."""
    rows = {stage: [] for stage in STEPS}
    video = {"source_id": source, "path": "clip.mp4", "license": "BSD-3-Clause", "file": ""}
    rows["videos"].append(video | {"sha256": sha256(source.encode())})
    for number in range(frames):
        frame_id, crop_id = f"{source}-{number:06d}", f"{source}-{number:06d}-00"
        image = np.random.default_rng([number, *source.encode()]).integers(0, 255, (90, 160, 3), np.uint8)
        box = {"x0": 20, "y0": 5, "x1": 20 + 40 + number, "y1": 85}
        crop = np.ascontiguousarray(image[5:85, 20 : 60 + number])
        width, height = 40 + number, 80
        size = {"width": width, "height": height}
        frame = {"frame_id": frame_id, "source_id": source, "index": number, "seconds": number / 2, "width": 160, "height": 90}
        frame |= {"original": "clip.mp4", "reason": ""}
        rows["frames"].append(frame | stored(store, f"frames/{source}/{frame_id}.jpg", cutting.encode(image)))
        person = {f"person_{side}": float(value) for side, value in box.items()}
        ids = {"crop_id": crop_id, "frame_id": frame_id, "source_id": source, "score": 0.9, "keypoints": [], "others": []}
        ids |= {"seconds": 0.0, "track": 0, "face": [], "face_score": float("nan")}
        file = stored(store, f"crops/{source}/{crop_id}.jpg", cutting.encode(crop))
        rows["crops"].append({**ids, **box, **person, "frame_width": 160, "frame_height": 90, **size, **file})
        kept = number != 1
        rows["scores"].append({"crop_id": crop_id, "check": "size", "value": 120.0 if kept else 61.8})
        rows["verdicts"].append({"crop_id": crop_id, "kept": kept, "reason": "" if kept else "size"})
        if not kept:
            continue
        alpha, corrected = alpha_of(width, height), number == 2
        matte = stored(store, f"mattes/{source}/{crop_id}.png", masks.to_png(alpha))
        rows["mattes"].append({"crop_id": crop_id, "remover": "rembg", "score": 1 - number / 10, **matte})
        asked = {"prediction_sha256": "x", "blank": "", "remover": "rembg", "people": 1}
        rows["tasks"].append({"crop_id": crop_id, "key": crop_id, "project_id": 1, "task_id": number, **asked})
        rejected = number == frames - 1
        label = {"annotation_id": number, "annotator": "anna", "seconds_spent": 2.0, "scenes": ["park"], "iou_with_matte": 0.8}
        label |= {"parent_prediction": 0, "boundary_iou_with_matte": 0.7, "changed": 0.1, "classes": 0, "overlaps": []}
        label |= dict.fromkeys(("second_annotator", "second_verdict", "parts", "parts_sha256"), "")
        label |= dict.fromkeys(("agreement", "boundary_agreement"), float("nan"))
        mask = stored(store, f"labels/{source}/{crop_id}.png", masks.to_png(alpha_of(width, height, 0.6 if corrected else 0.5)))
        label |= {"file": "", "sha256": "", "verdict": "blurred"} if rejected else mask | {"verdict": "keep"}
        rows["labels"].append({"crop_id": crop_id, "origin": "prediction-changed" if corrected else "prediction", **label})
    known = {"frames": facts or {}, "crops": crop_facts or {"people": frames, "too_small": 0}}
    for stage in STEPS:
        tables.write(store, stage, source, pd.DataFrame(rows[stage]), fingerprint="made", facts=known.get(stage))


def read(store, name):
    page = store.read(name).decode()
    words = re.sub(r"<style>.*?</style>|<[^>]+>", " ", page, flags=re.DOTALL)
    return page, " ".join(words.split())


def test_a_source_page_shows_the_counts_of_every_stage(store, catalog):
    facts = {"promised": 41, "decoded": 28, "truncated": True, "seconds": 1.5, "fps": 29.97, "codec": "h264", "corrupt": 0}
    tables_of(store, "park", facts=facts, crop_facts={"people": 5, "too_small": 1})
    assert report.fn("park", catalog) == "reports/park.html"
    page, words = read(store, "reports/park.html")
    for told in (
        "BSD-3-Clause",
        "160×90 pixels, 1.5 seconds, 29.97 frames a second, h264",
        "its header promises 41 frames, 28 could be read",
        "frames taken 4",
        "people found 5",
        "dropped: too small to cut 1",
        "dropped: size 1",
        "kept 3",
        "61.8, at least 96",
        "park-000003-00",
    ):
        assert told in words, told
    assert page.count("its matte over a checkerboard") == 3
    assert "0 of 3 are below 0.7 and need an annotator" in words
    assert words.index("matte 0.70") < words.index("matte 0.80") < words.index("matte 1.00")  # the least sure first
    assert page.count("dropped because of size") == 1
    assert page.count("Frame park-") == 4
    assert "anna" not in page  # a page made before the push must not change after it


def test_a_second_run_writes_nothing_and_a_moved_limit_does(store, catalog):
    tables_of(store, "park")
    report.fn("park", catalog)
    path = store.path("reports/park.html")
    before = path.stat().st_mtime_ns, path.read_bytes()
    report.fn("park", catalog)
    assert (path.stat().st_mtime_ns, path.read_bytes()) == before
    checks = {"size": {"at_least": 50}}
    moved = catalog.model_copy(update={"recipe": catalog.recipe.model_copy(update={"checks": checks})})
    report.fn("park", moved)
    assert "at least 50" in read(store, "reports/park.html")[1]


def test_a_page_that_was_damaged_is_made_again(store, catalog):
    tables_of(store, "park")
    report.fn("park", catalog)
    path = store.path("reports/park.html")
    whole = path.read_bytes()
    path.write_bytes(whole[:1000])
    report.fn("park", catalog)
    assert path.read_bytes() == whole


def test_later_stages_change_nothing_in_a_source_page(store, catalog):
    tables_of(store, "park")
    report.fn("park", catalog)
    whole = store.read("reports/park.html")
    for stage in ("tasks", "labels"):
        store.path(f"tables/{stage}/park.parquet").unlink()
    report.fn("park", catalog)
    assert store.read("reports/park.html") == whole


@pytest.mark.parametrize(
    ("people", "told"), [(0, "no person was found in its 3 frames"), (7, "all 7 people found are too small to cut out")]
)
def test_a_source_without_crops_says_so_in_words_and_shows_its_frames(store, catalog, people, told):
    tables_of(store, "park", frames=3)
    for stage in ("crops", "scores", "verdicts", "mattes"):
        facts = {"people": people, "too_small": people} if stage == "crops" else None
        tables.write(store, stage, "park", pd.DataFrame(), fingerprint="none", facts=facts)
    report.fn("park", catalog)
    page, words = read(store, "reports/park.html")
    assert f"This source gives no crops: {told}" in words
    assert page.count("nobody found") == 3
    assert "Kept crops" not in words


def test_a_source_whose_crops_are_all_rejected_says_so(store, catalog):
    tables_of(store, "park", frames=2)
    crops = [f"park-{number:06d}-00" for number in range(2)]
    rows = [{"crop_id": crop, "kept": False, "reason": "size"} for crop in crops]
    tables.write(store, "verdicts", "park", pd.DataFrame(rows), fingerprint="strict")
    tables.write(store, "mattes", "park", pd.DataFrame(), fingerprint="none")
    report.fn("park", catalog)
    assert "All 2 crops were dropped" in read(store, "reports/park.html")[1]


@pytest.mark.parametrize("last", range(1, len(STEPS)))
def test_whatever_tables_exist_make_a_page(store, catalog, last):
    tables_of(store, "park")
    for stage in STEPS[last:]:
        store.path(f"tables/{stage}/park.parquet").unlink()
    report.fn("park", catalog)
    _, words = read(store, "reports/park.html")
    assert "park" in words
    assert ("not judged yet" in words) == (STEPS[last] in ("scores", "verdicts"))


def test_a_source_without_tables_or_with_a_damaged_picture_is_named(store, catalog):
    with pytest.raises(StoreError, match=r"park has no tables .* run `figureground ingest park`"):
        report.fn("park", catalog)
    tables_of(store, "park")
    store.path("crops/park/park-000000-00.jpg").write_bytes(b"other")
    with pytest.raises(StoreError, match=r"crops/park/park-000000-00\.jpg .* is damaged"):
        report.fn("park", catalog)


@pytest.fixture
def released(store, catalog):
    tables_of(store, "park", frames=8)
    tables_of(store, "walk", frames=5)
    made = release.fn([catalog.source("park"), catalog.source("walk")], catalog, "test", "20261121")
    return store.path(f"releases/{made.name}")


@pytest.mark.slow
def test_the_pipeline_page_shows_counts_labels_and_the_release(store, catalog, released):
    path = write_pipeline_page(catalog, released)
    assert path == store.path("reports/pipeline.html")
    page, words = read(store, "reports/pipeline.html")
    for told in (
        "source frames people crops dropped pushed accepted corrected rejected in train in val",
        "park 8 8 8 1 7 5 1 1 6 0",
        "walk 5 5 5 1 4 2 1 1 0 3",
        "together 13 13 13 2 11 7 2 2 6 3",
        "Corrected by the annotator: 1",
        "Rejected by the annotator: 1",
        "Accepted as it was: 5",
        "blurred",
        "├── manifest.json",
        "└── mmseg_config.py",
        released.name,
    ):
        assert told in words, told
    assert page.count("and its mask, person in white") == 9
    assert "http" not in page
    before = path.stat().st_mtime_ns
    write_pipeline_page(catalog, released)
    assert path.stat().st_mtime_ns == before


@pytest.mark.slow
def test_the_picture_is_one_png_of_one_source(store, catalog, released):
    path = write_poster(catalog, released, "park")
    drawn = cv2.imread(str(path))
    assert drawn.shape == (900, 1600, 3)
    assert len(np.unique(drawn)) > 200
    before = path.read_bytes()
    assert write_poster(catalog, released, "park").read_bytes() == before


def test_a_folder_that_is_no_release_is_named(store, catalog, tmp_path):
    tables_of(store, "park")
    with pytest.raises(ReleaseError, match=r"has no readable manifest\.json"):
        write_pipeline_page(catalog, tmp_path)


def test_a_source_that_was_not_released_cannot_be_pictured(store, catalog, released):
    tables_of(store, "other")
    with pytest.raises(ReleaseError, match="holds no picture of other; it has park, walk"):
        write_poster(catalog, released, "other")
    store.path("tables/labels/other.parquet").unlink()
    with pytest.raises(StoreError, match="other has no table labels"):
        write_poster(catalog, released, "other")
