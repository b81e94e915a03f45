"""The story of one image."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.reports.sample_history import Line
from figureground.storage.store import Store
from tasks.datasets.explain import explain
from tasks.datasets.release import release

Make = Callable[..., Catalog]
TWO = {"park": ["keep", "blurred"], "park-000": ["keep"]}
SPLITS = {"park": "train", "park-000": "val"}


@pytest.fixture
def catalog(labelled: Make, tmp_path: Path) -> Catalog:
    return labelled(tmp_path, TWO, SPLITS)


def subjects(story: list[Line]) -> list[str]:
    return [line.subject for line in story]


def said(story: list[Line], subject: str) -> str:
    return "\n".join(line.text for line in story if line.subject == subject)


def test_explain_shows_the_file_of_a_photo_and_why_it_cannot_be_read(catalog: Catalog) -> None:
    store, nothing = Store(catalog.storage_root), {"width": 0, "height": 0, "file": "", "sha256": ""}
    ids = {"source_id": "shoot", "seconds": 0.0}
    good = {"frame_id": "shoot-a", "index": 0, "original": "in/a.jpg", "reason": "", **ids, **nothing}
    cut = {"frame_id": "shoot-b", "index": 1, "original": "in/b.jpg", "reason": "b.jpg: cut off", **ids, **nothing}
    tables.write(store, "frames", "shoot", pd.DataFrame([good, cut]), fingerprint="")
    files = [{"source_id": "shoot", "path": f"in/{name}.jpg", "license": "MIT", "file": "", "sha256": ""} for name in "ab"]
    tables.write(store, "videos", "shoot", pd.DataFrame(files), fingerprint="")

    story = explain("shoot-b", catalog)
    assert subjects(story) == ["video", "frame"]
    assert "from in/b.jpg" in said(story, "video")
    assert said(story, "frame") == "shoot-b: cannot be read: b.jpg: cut off"
    assert said(explain("shoot-a", catalog), "frame").startswith("shoot-a: photo 0, 0x0 px")


def test_explain_follows_a_crop_from_its_video_to_its_release(catalog: Catalog) -> None:
    release.fn([catalog.source(name) for name in TWO], catalog, "demo", "20261130")
    story = explain("park-000000-00", catalog)
    assert subjects(story) == ["video", "frame", "crop", "score", "verdict", "matte", "task", "label", "release"]
    assert "videos/park/park.mp4 from clips/park.mp4, license CC0-1.0, sha256 " in said(story, "video")
    assert said(story, "frame").startswith("park-000000: decoded frame 0 at 0.000 s, 24x32 px")
    assert "x 0..24, y 0..32 of 24x32 px, detected with score 0.90, 1 other person in it" in said(story, "crop")
    assert said(story, "score") == "size 24: accepted by at_least 16.0"
    assert said(story, "verdict") == "kept"
    assert said(story, "matte") == "by rembg, confidence 0.50: an annotator must look at it, mattes/park/park-000000-00.png"
    assert said(story, "task") == "task 1000 in Label Studio's project 1, key key-park-000000-00"
    assert said(story, "label").startswith("keep by anna in 4.5 s, prediction-changed, annotation 1000, scenes: none chosen")
    assert said(story, "release") == "CustomSeg_Person_20261130_demo: in train, with annotation 1000"


def test_a_rejected_crop_is_in_no_release(catalog: Catalog) -> None:
    story = explain("park-000015-00", catalog)
    assert said(story, "label").startswith("blurred by anna")
    assert said(story, "label").endswith("no mask")
    assert said(story, "release") == "in none"


def test_the_longest_matching_source_id_is_used(catalog: Catalog) -> None:
    assert "clips/park-000.mp4" in said(explain("park-000-000000-00", catalog), "video")


def test_explain_lists_the_crops_of_a_frame(catalog: Catalog) -> None:
    assert subjects(explain("park-000015", catalog))[:3] == ["video", "frame", "crop"]


def test_a_score_is_shown_with_the_present_limit(labelled: Make, catalog: Catalog) -> None:
    recipe = catalog.recipe.model_copy(update={"checks": {"size": {"at_least": 30}}})
    strict = catalog.model_copy(update={"recipe": recipe})
    assert said(explain("park-000000-00", strict), "score") == "size 24: rejected by at_least 30.0"
    without = catalog.model_copy(update={"recipe": recipe.model_copy(update={"checks": {}})})
    assert "the recipe no longer has this check" in said(explain("park-000000-00", without), "score")


def test_stages_that_have_not_run_yet_are_listed(catalog: Catalog) -> None:
    for stage in ("scores", "verdicts", "mattes", "tasks", "labels"):
        (Path(catalog.storage_root.url) / tables.name(stage, "park")).unlink()
    story = explain("park-000000-00", catalog)
    assert [line.text for line in story[3:]] == [
        "not measured yet",
        "not judged yet",
        "none",
        "not pushed to Label Studio",
        "none pulled",
        "in none",
    ]


def test_a_frame_without_people_says_so(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    ref = tables.find(store, "crops", "park")
    assert ref is not None
    tables.write(store, "crops", "park", tables.read(store, ref).rows.iloc[1:], fingerprint="")
    assert said(explain("park-000000", catalog), "crop") == "no person was cut out of this frame"


def test_a_sample_that_only_a_release_has_is_explained_from_its_manifest(catalog: Catalog) -> None:
    release.fn([catalog.source(name) for name in TWO], catalog, "demo", "20261130")
    for stage in ("frames", "crops"):
        (Path(catalog.storage_root.url) / tables.name(stage, "park")).unlink()
    story = explain("park-000000-00", catalog)
    assert subjects(story) == ["video", "frame", "crop", "label", "release"]
    assert said(story, "release") == "CustomSeg_Person_20261130_demo: in train"


def test_an_unknown_name_suggests_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(StoreError, match=r"'park-000016-00'.*the nearest are .*park-000015-00"):
        explain("park-000016-00", catalog)
    with pytest.raises(StoreError, match="3 crops are known"):
        explain("zzzzzzzzzzzzzzzzzzzzzzzzzzz", catalog)


def test_a_damaged_release_is_reported(catalog: Catalog) -> None:
    file = Path(catalog.storage_root.url) / "releases/CustomSeg_Person_20260101_old/manifest.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"{")
    assert "CustomSeg_Person_20260101_old cannot be read" in said(explain("park-000000-00", catalog), "release")
