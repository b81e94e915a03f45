"""Cutting a release: what goes in, what is refused, and that nothing half-built is ever seen."""

import dataclasses
import fcntl
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.errors import ReleaseError, StoreError
from figureground.imaging import masks
from figureground.similarity import duplicates, signatures
from figureground.similarity.duplicates import compute_jpeg_signature
from figureground.storage.store import Store
from figureground.types import Release
from tasks.datasets.forget import forget
from tasks.datasets.release import rebuild, release
from tasks.datasets.verify import verify

Make = Callable[..., Catalog]
TWO = {"park": ["keep", "keep", "keep", "blurred"], "walk": ["keep", "keep"]}
SPLITS = {"park": "train", "walk": "val"}


def cut(catalog: Catalog, note: str = "demo", date: str = "20261130") -> Release:
    sources = [catalog.source(source_id) for source_id in catalog.sources]
    made: Release = release.fn(sources, catalog, note, date)
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in [folder, *folder.rglob("*")]}


def test_two_sources_go_into_train_and_val(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    made = cut(catalog)
    folder = tmp_path / "data/releases/CustomSeg_Person_20261130_demo"
    assert (made.name, Path(made.folder), made.counts) == (folder.name, folder, {"train": 3, "val": 2})
    assert sorted(tree(folder)) == [
        "README.md",
        *(f"ann_dir/train/park-{at:06d}-00.png" for at in (0, 15, 30)),
        *(f"ann_dir/val/walk-{at:06d}-00.png" for at in (0, 15)),
        "card/examples.jpg",
        "card/funnel.svg",
        "card/pictures.svg",
        "certificate.json",
        "certificate/train-val.jpg",
        *(f"img_dir/train/park-{at:06d}-00.jpg" for at in (0, 15, 30)),
        *(f"img_dir/val/walk-{at:06d}-00.jpg" for at in (0, 15)),
        "manifest.json",
        "mmseg_config.py",
        "split_dir/outdoor.txt",
        "split_dir/park.txt",
        "split_dir/walk.txt",
    ]
    assert (folder / "split_dir/walk.txt").read_bytes() == b"walk-000000-00\nwalk-000015-00\n"
    assert len((folder / "split_dir/outdoor.txt").read_text().splitlines()) == 5
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    assert verify(folder) == made


def test_picture_is_the_crop_and_mask_is_the_label_cut_at_one_half(labelled: Make, tmp_path: Path) -> None:
    folder = Path(cut(labelled(tmp_path, TWO, SPLITS)).folder)
    stem = "park-000015-00"
    assert (folder / f"img_dir/train/{stem}.jpg").read_bytes() == (tmp_path / f"data/crops/park/{stem}.jpg").read_bytes()
    mask = cv2.imread(str(folder / f"ann_dir/train/{stem}.png"), cv2.IMREAD_UNCHANGED)
    stored = cv2.imread(str(tmp_path / f"data/labels/park/{stem}.png"), cv2.IMREAD_UNCHANGED)
    assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 1}
    assert len(np.unique(stored)) > 2
    np.testing.assert_array_equal(mask, stored >= 128)


def test_the_manifest_records_the_origin_of_a_sample(labelled: Make, tmp_path: Path) -> None:
    folder = Path(cut(labelled(tmp_path, TWO, SPLITS)).folder)
    held = json.loads((folder / "manifest.json").read_bytes())
    sample = held["samples"]["walk-000015-00"]
    named = {key: value for key, value in sample.items() if "sha256" not in key and key not in ("matte", "annotation")}
    assert named == {
        "split": "val",
        "scenes": ["outdoor", "walk"],
        "source": "walk",
        "license": "CC0-1.0",
        "frame": "walk-000015",
        "index": 15,
        "seconds": 0.5,
        "box": [0, 0, 24, 32],
        "person": [0, 0, 24, 32],
    }
    assert sample["matte"]["remover"] == "rembg"
    assert {key: sample["annotation"][key] for key in ("id", "annotator", "origin")} == {
        "id": 2001,
        "annotator": "anna",
        "origin": "prediction-changed",
    }
    assert held["sources"]["walk"]["path"] == "clips/walk.mp4"
    assert set(held["files"]) == set(tree(folder)) - {"manifest.json"}


@pytest.mark.slow
def test_all_layouts_lie_in_one_release(labelled: Make, tmp_path: Path) -> None:
    names = ["mmseg_custom", *(name for name in plugins.names("layouts") if name != "mmseg_custom")]
    made = cut(labelled(tmp_path, TWO, SPLITS, layouts=names))
    folder = Path(made.folder)
    assert verify(folder) == made
    held = json.loads((folder / "manifest.json").read_bytes())
    assert held["layouts"] == {"mmseg_custom": ".", **{name: name for name in names[1:]}}
    for name, place in held["layouts"].items():
        found = [(item.sample_id, item.split, item.scenes) for item in plugins.build("layouts", name, {}).read(folder / place)]
        assert sorted(found) == [(stem, one["split"], tuple(one["scenes"])) for stem, one in sorted(held["samples"].items())]
    (folder / "coco/images/val/walk-000000-00.jpg").unlink()
    with pytest.raises(ReleaseError, match=r"coco: sample walk-000000-00: no file holds its image"):
        verify(folder)


def test_annotators_scenes_stand_before_the_sources(labelled: Make, tmp_path: Path) -> None:
    folder = Path(cut(labelled(tmp_path, TWO, SPLITS, scenes=["indoor", "室内"])).folder)
    assert sorted(path.name for path in (folder / "split_dir").iterdir()) == ["indoor.txt", "室内.txt"]


def test_second_run_writes_nothing(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    first = cut(catalog)
    before = times(tmp_path)
    assert cut(catalog) == first
    assert times(tmp_path) == before


@pytest.mark.slow
def test_another_folder_order_and_day_give_the_same_digest(labelled: Make, tmp_path: Path) -> None:
    one = cut(labelled(tmp_path / "one", TWO, SPLITS))
    catalog = labelled(tmp_path / "two" / "deep", TWO, SPLITS, reverse=True)
    sources = [catalog.source(source_id) for source_id in reversed(list(catalog.sources))]
    two = release.fn(sources, catalog, "other", "20270101")
    assert one.digest == two.digest
    assert tree(Path(one.folder)) == tree(Path(two.folder))


@pytest.mark.slow
def test_a_release_is_cut_again_from_its_manifest_after_all_was_labelled_anew(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS, layouts=["mmseg_custom", "coco"])
    first = cut(catalog)
    for folder in ("crops", "labels"):  # the stages rename new files into place, the fixture would write into the old ones
        shutil.rmtree(tmp_path / "data" / folder)
    catalog = labelled(tmp_path, {"park": ["keep"], "walk": ["keep"]}, SPLITS, seeds={"park": 50, "walk": 60})
    assert cut(catalog, note="later").digest != first.digest
    again = rebuild.fn(Path(first.folder) / "manifest.json", catalog, "again", "20270101")
    assert (again.digest, again.counts) == (first.digest, first.counts)
    assert tree(Path(again.folder)) == tree(Path(first.folder))
    assert verify(Path(again.folder)) == again
    before = times(tmp_path / "data")
    assert rebuild.fn(Path(first.folder) / "manifest.json", catalog, "again", "20270101") == again
    assert times(tmp_path / "data") == before


def test_a_manifest_that_was_altered_or_whose_pictures_are_gone_is_not_rebuilt(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    file = Path(cut(catalog).folder) / "manifest.json"
    copy = tmp_path / "manifest.json"
    copy.write_bytes(file.read_bytes().replace(b'"val"', b'"test"', 1))
    with pytest.raises(ReleaseError, match=r"manifest\.json: altered"):
        rebuild.fn(copy, catalog, "again", "20270101")
    forget("walk", catalog)
    with pytest.raises(StoreError, match=r"crops/walk/walk-000000-00\.jpg is missing"):
        rebuild.fn(file, catalog, "again", "20270101")
    assert [path.name for path in (tmp_path / "data/releases").iterdir()] == ["CustomSeg_Person_20261130_demo"]


@pytest.mark.slow
def test_the_second_release_tells_what_changed_since_the_first(labelled: Make, tmp_path: Path) -> None:
    first = cut(labelled(tmp_path, TWO, SPLITS))
    second = cut(labelled(tmp_path, {"park": ["keep"] * 4, "walk": ["keep"] * 2}, SPLITS), note="v2")
    held = json.loads((Path(second.folder) / "manifest.json").read_bytes())
    assert held["previous"] == {"name": first.name, "digest": first.digest, "changes": {"added": 1}}
    assert f"Since {first.name}" in (Path(second.folder) / "README.md").read_text()


@pytest.mark.slow
def test_another_content_under_the_same_name_is_refused_and_nothing_changes(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    folder = Path(cut(catalog).folder)
    before = tree(folder)
    more = labelled(tmp_path, {"park": ["keep"] * 4, "walk": ["keep", "keep"]}, SPLITS)
    with pytest.raises(ReleaseError, match=r"added: 1 \(park-000045-00\).*--note"):
        cut(more)
    assert tree(folder) == before
    assert cut(more, note="v2").counts == {"train": 4, "val": 2}


def test_a_damaged_release_is_not_taken_for_the_same(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    list_file = Path(cut(catalog).folder) / "split_dir/walk.txt"
    list_file.write_bytes(b"")
    with pytest.raises(ReleaseError, match=r"damaged: split_dir/walk\.txt: altered"):
        cut(catalog)


def test_a_folder_that_is_no_release_is_left_alone(labelled: Make, tmp_path: Path) -> None:
    own = tmp_path / "data/releases/CustomSeg_Person_20261130_demo/precious.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(ReleaseError, match="no release"):
        cut(labelled(tmp_path, TWO, SPLITS))
    assert own.read_text() == "mine"


@pytest.mark.parametrize("note", ["../evil", "a b", "", "ä", "x/y", "-v", "a" * 65, "note\n"])
def test_a_note_that_is_no_folder_name_is_refused(labelled: Make, tmp_path: Path, note: str) -> None:
    with pytest.raises(ReleaseError, match=r"the note .* Try --note [A-Za-z0-9]"):
        cut(labelled(tmp_path, TWO, SPLITS), note=note)
    assert not (tmp_path / "data/releases").exists()


@pytest.mark.parametrize("date", ["2026-11-30", "20261131", "261130", "", "２０２６１１３０"])
def test_a_date_that_is_none_is_refused(labelled: Make, tmp_path: Path, date: str) -> None:
    with pytest.raises(ReleaseError, match="is no yyyymmdd"):
        cut(labelled(tmp_path, TWO, SPLITS), date=date)


def test_with_nothing_to_release_the_message_lists_the_sources(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"park": ["blurred", "blurred", "occluded"], "walk": []})
    (tmp_path / "data/tables/labels/walk.parquet").unlink()
    with pytest.raises(ReleaseError) as caught:
        cut(catalog)
    message = str(caught.value)
    assert "source park has 3 labels (2 blurred, 1 occluded)" in message
    assert "source walk has not been pulled" in message
    assert "figureground pull" in message


def test_without_a_val_picture_it_says_which_source_to_move(labelled: Make, tmp_path: Path) -> None:
    splits = dict.fromkeys(TWO, "train")
    with pytest.raises(ReleaseError, match=r"no val image.*Set `split: val` on the source walk"):
        cut(labelled(tmp_path, TWO, splits))
    assert cut(labelled(tmp_path, TWO, splits, val=0.0)).counts == {"train": 5}


def test_one_source_can_only_be_released_without_val(labelled: Make, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="Label another source, or set `val: 0`"):
        cut(labelled(tmp_path, {"park": ["keep", "keep"]}, {"park": "train"}))


def test_the_same_video_in_train_and_val_is_refused(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS, seeds={"park": 7, "walk": 7})
    with pytest.raises(ReleaseError, match=r"park is set to train but holds .* same as walk in val.*`split: val` on park"):
        cut(catalog)
    assert not (tmp_path / "data/releases").exists()


def alike(labelled: Make, folder: Path, splits: dict[str, str]) -> Catalog:
    """Three sources; one picture of the second is one of the first, half the size and recompressed."""
    catalog = labelled(folder, {"park": ["keep"] * 3, "again": ["keep"] * 2, "walk": ["keep"] * 2}, splits)
    store = Store(catalog.storage_root)
    ref = tables.find(store, "crops", "again")
    assert ref is not None
    rows = tables.read(store, ref).rows
    picture = cv2.imread(str(folder / "data/crops/park/park-000015-00.jpg"))
    smooth = cv2.GaussianBlur(picture, (0, 0), 1)
    content = bytes(cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 60])[1])
    rows.loc[1, "sha256"] = store.write(rows.loc[1, "file"], content)
    tables.write(store, "crops", "again", rows, fingerprint="")
    return catalog


def test_sources_with_pictures_alike_go_into_the_most_held_out_of_their_splits(labelled: Make, tmp_path: Path) -> None:
    made = cut(alike(labelled, tmp_path / "alike", {"walk": "train", "again": "val"}), note="x")
    held = json.loads((Path(made.folder) / "manifest.json").read_bytes())
    assert {name: sample["split"] for name, sample in held["samples"].items()} == {
        **{f"park-{at:06d}-00": "val" for at in (0, 15, 30)},
        **{f"again-{at:06d}-00": "val" for at in (0, 15)},
        **{f"walk-{at:06d}-00": "train" for at in (0, 15)},
    }
    proof = json.loads((Path(made.folder) / "certificate.json").read_bytes())
    assert proof["sources_kept_together"] == [["again", "park"]]
    assert proof["pairs"][0]["shared_sources"] == [] and 0.4 < proof["pairs"][0]["similarity"] < 0.7
    assert verify(Path(made.folder)) == made


@pytest.mark.slow
def test_a_held_out_source_stays_held_out_when_the_similar_source_is_gone(labelled: Make, tmp_path: Path, caplog) -> None:
    catalog = alike(labelled, tmp_path, {"walk": "train", "again": "val"})
    cut(catalog, note="x")
    forget("again", catalog)
    left = {name: source for name, source in catalog.sources.items() if name != "again"}
    made = cut(catalog.model_copy(update={"sources": left}), note="y")
    held = json.loads((Path(made.folder) / "manifest.json").read_bytes())
    assert {sample["source"]: sample["split"] for sample in held["samples"].values()} == {"park": "val", "walk": "train"}
    moved = {name: left[name].model_copy(update={"split": split}) for name, split in (("park", "train"), ("walk", "val"))}
    cut(catalog.model_copy(update={"sources": moved}), note="z")
    assert "park was in val in an earlier release and is now in train, as the catalog says" in caplog.text


def test_sources_alike_that_the_catalog_fixes_apart_are_refused(labelled: Make, tmp_path: Path) -> None:
    splits = {"park": "train", "again": "test", "walk": "val"}
    with pytest.raises(ReleaseError, match=r"source park is set to train .* again in test\. Set `split: test` on park"):
        cut(alike(labelled, tmp_path, splits))


@pytest.mark.parametrize("file", ["crops/park/park-000015-00.jpg", "labels/park/park-000015-00.png"])
def test_a_damaged_file_of_the_storage_is_named_and_nothing_is_left(labelled: Make, tmp_path: Path, file: str) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    (tmp_path / "data" / file).write_bytes(b"rot")
    with pytest.raises(StoreError, match=f"{file}.*damaged"):
        cut(catalog)
    assert list((tmp_path / "data").glob("releases/*")) == []


def test_a_label_of_another_size_is_named(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    store = Store(catalog.storage_root)
    ref = tables.find(store, "labels", "park")
    assert ref is not None
    rows = tables.read(store, ref).rows
    wrong = bytes(cv2.imencode(".png", np.zeros((5, 6), np.uint8))[1])
    rows.loc[0, "sha256"] = store.write(rows.loc[0, "file"], wrong)
    tables.write(store, "labels", "park", rows, fingerprint="")
    with pytest.raises(ReleaseError, match=r"park-000000-00: the label has the shape \(5, 6\), its image \(32, 24\)"):
        cut(catalog)
    assert list((tmp_path / "data/releases").iterdir()) == []


def test_two_labels_of_one_crop_are_refused(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    store = Store(catalog.storage_root)
    ref = tables.find(store, "labels", "park")
    assert ref is not None
    rows = tables.read(store, ref).rows
    tables.write(store, "labels", "park", pd.concat([rows, rows.iloc[:1]]), fingerprint="")
    with pytest.raises(ReleaseError, match="keeps two labels of park-000000-00"):
        cut(catalog)


def test_a_label_whose_crop_is_gone_is_refused(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    store = Store(catalog.storage_root)
    ref = tables.find(store, "crops", "walk")
    assert ref is not None
    tables.write(store, "crops", "walk", tables.read(store, ref).rows.iloc[1:], fingerprint="")
    with pytest.raises(ReleaseError, match=r"source walk: .*walk-000000-00.*not in the crops table.*ingest walk"):
        cut(catalog)


def test_labels_without_frames_say_what_to_run(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    (tmp_path / "data/tables/frames/walk.parquet").unlink()
    with pytest.raises(ReleaseError, match=r"source walk has labels but no readable table frames.*ingest walk"):
        cut(catalog)


def test_a_scene_that_is_no_file_name_is_refused(labelled: Make, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"the scene '\.\./up' cannot be a file's name"):
        cut(labelled(tmp_path, TWO, SPLITS, scenes=["../up"]))
    assert not (tmp_path / "data/releases/up.txt").exists()


def test_expanded_sources_are_sources_of_their_own(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"clips-a": ["keep"], "clips-b": ["keep", "keep"]})
    entry = catalog.source("clips-a")
    sources = [
        dataclasses.replace(entry, source_id="clips-a", split="val"),
        dataclasses.replace(entry, source_id="clips-b", split="train"),
    ]
    assert release.fn(sources, catalog, "demo", "20261130").counts == {"train": 2, "val": 1}


CUT = """
import os, sys
from figureground.catalog import Catalog
from tasks.datasets.release import release
catalog = Catalog.model_validate_json(sys.stdin.readline())
while sys.stdin.readline():  # importing takes seconds, so it is done once and each line is answered by a fork
    pid = os.fork()
    if pid == 0:
        release.fn([catalog.source(name) for name in catalog.sources], catalog, "demo", "20261130")
        os._exit(0)
    print(pid, flush=True)
    sys.stdin.readline()  # until then its number is not given to anybody else
    os.waitpid(pid, 0)
    print("ended", flush=True)
"""


@pytest.mark.faults
def test_killing_leaves_nothing_half_built_and_the_next_run_gives_the_same(labelled: Make, tmp_path: Path) -> None:
    many = {"park": ["keep"] * 160, "walk": ["keep"] * 40}
    truthful, catalog = (labelled(tmp_path / folder, many, SPLITS) for folder in ("truth", "killed"))
    started = time.monotonic()
    truth = cut(truthful)
    took = time.monotonic() - started
    releases = tmp_path / "killed/data/releases"
    chance, half_built = random.Random(11), 0
    command = [sys.executable, "-c", CUT]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True, cwd=Path(__file__).parents[3]) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(catalog.model_dump_json(exclude_defaults=True) + "\n")
        for _ in range(12):
            shutil.rmtree(releases / truth.name, ignore_errors=True)
            process.stdin.write("again\n")
            process.stdin.flush()
            worker = int(process.stdout.readline())
            time.sleep(chance.uniform(0.0, 1.2 * took))
            os.kill(worker, signal.SIGKILL)
            process.stdin.write("killed\n")
            process.stdin.flush()
            assert process.stdout.readline() == "ended\n"
            half_built += any(releases.glob(".tmp-*"))
            if (releases / truth.name).exists():
                assert verify(releases / truth.name).digest == truth.digest
        process.stdin.close()
    assert half_built, "no kill hit the building: widen the window"
    assert cut(catalog).digest == truth.digest
    assert [path.name for path in releases.iterdir()] == [truth.name]
    assert tree(releases / truth.name) == tree(Path(truth.folder))


def test_a_folder_another_process_builds_in_is_left_alone(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    alive, dead = (tmp_path / "data/releases" / f".tmp-{state}" for state in ("alive", "dead"))
    alive.mkdir(parents=True)
    dead.mkdir()
    handle = os.open(alive, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        cut(catalog)
        assert (alive.exists(), dead.exists()) == (True, False)
    finally:
        os.close(handle)
    assert cut(catalog, note="again").counts == {"train": 3, "val": 2}
    assert not alive.exists()


@pytest.mark.slow
def test_a_picture_is_looked_at_once_and_again_when_it_is_another(
    labelled: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = []
    monkeypatch.setattr(
        duplicates, "compute_jpeg_signature", lambda content: looked.append(content) or compute_jpeg_signature(content)
    )
    catalog = labelled(tmp_path, TWO, SPLITS)
    first = cut(catalog)
    assert len(looked) == 5
    assert cut(catalog, note="again").digest == first.digest and len(looked) == 5
    kept, store = signatures.read(Store(catalog.storage_root), "park"), Store(catalog.storage_root)
    assert len(kept) == 3
    signatures.write(store, "park", dict(list(kept.items())[1:]))
    assert cut(catalog, note="once-more").digest == first.digest and len(looked) == 6
    rebuild.fn(Path(first.folder) / "manifest.json", catalog, "rebuilt", "20270101")
    assert len(looked) == 11  # from the pictures themselves
    verify(Path(first.folder), catalog)
    assert len(looked) == 13  # the certificate's and the card's own
    verify(Path(first.folder))
    assert len(looked) == 20


def test_the_mask_that_a_label_carries_is_the_one_that_is_cut_from_its_alpha(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, TWO, SPLITS)
    store, plain = Store(catalog.storage_root), cut(catalog)
    for source_id in TWO:
        rows = tables.latest(store, "labels", source_id).rows
        for index, row in rows[rows["file"] != ""].iterrows():
            carrying = masks.to_label(masks.from_png(store.read(row["file"])))
            assert carrying != store.read(row["file"])
            rows.loc[index, "sha256"] = store.write(row["file"], carrying)
        tables.write(store, "labels", source_id, rows, fingerprint="carrying")
    carried = cut(catalog, note="carried")
    assert _masks(carried) == _masks(plain)


def _masks(made: Release) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path(made.folder, "ann_dir").rglob("*.png")}
