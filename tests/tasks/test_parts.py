"""Parts of a person, drawn by hand: through pull's table into a release, and cut again from its manifest."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import tables
from figureground.annotation import class_resolution
from figureground.annotation.class_resolution import ResolvedClasses
from figureground.imaging import class_maps
from figureground.storage.store import Store
from tasks.datasets.forget import forget
from tasks.datasets.release import rebuild, release
from tasks.datasets.verify import verify

WIDTH, HEIGHT = 24, 32


def drawn(number, names):
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    ids[4:10, 8:16], ids[10 : 20 + number, 6:18] = 1, len(names) - 1
    return ResolvedClasses(ids, names, {})


def with_parts(catalog, source_id, names, skip=()):
    """Give every kept label of a source its parts, as pull writes them."""
    store = Store(catalog.storage_root)
    rows = tables.read(store, tables.find(store, "labels", source_id)).rows
    for number, (index, row) in enumerate(rows.iterrows()):
        if row["file"] and number not in skip:
            file = f"labels/{source_id}/{row['crop_id']}.parts.png"
            rows.at[index, "parts_sha256"] = store.write(file, class_resolution.encode_png(drawn(number, names)))
            rows.at[index, "parts"], rows.at[index, "classes"] = file, len(names)
    tables.write(store, "labels", source_id, rows, fingerprint="parts")


@pytest.fixture(params=[class_maps.FIVE, class_maps.ATR], ids=["5", "18"])
def parsed(request, labelled, tmp_path):
    made = labelled(
        tmp_path, {"park": ["keep", "keep", "blurred"], "walk": ["keep"]}, {"park": "train", "walk": "val"},
        layouts=["human_parsing", "mmseg_custom"],
    )  # fmt: skip
    for source_id in ("park", "walk"):
        with_parts(made, source_id, request.param)
    return made, request.param


def cut(catalog, note="parts"):
    return release.fn([catalog.source(name) for name in catalog.sources], catalog, note, "20261130")


def test_parts_reach_the_human_parsing_layout_as_they_were_drawn(parsed):
    catalog, names = parsed
    folder = Path(cut(catalog).folder)
    assert verify(folder).counts == {"train": 2, "val": 1}
    assert (folder / "classes.txt").read_text().split() == list(names)
    for number, stem in enumerate(("park-000000-00", "park-000015-00")):
        found = cv2.imread(str(folder / f"labels/{stem}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(found, drawn(number, names).ids)
    whole = cv2.imread(str(folder / "mmseg_custom/ann_dir/train/park-000000-00.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(whole)) == {0, 1}


def test_the_manifest_names_the_parts_and_the_release_is_cut_again_from_it(parsed):
    catalog, names = parsed
    folder = Path(cut(catalog).folder)
    told = json.loads((folder / "manifest.json").read_text())["samples"]["walk-000000-00"]["annotation"]["parts"]
    assert told["classes"] == len(names)
    with_parts(catalog, "walk", names[::-1] if len(names) == 18 else class_maps.FIVE)
    again = rebuild.fn(folder / "manifest.json", catalog, "again", "20261201")
    assert again.digest == json.loads((folder / "manifest.json").read_text())["digest"]


def test_a_mixture_of_label_configs_has_the_classes_that_all_have(parsed):
    catalog, _ = parsed
    store = Store(catalog.storage_root)
    rows = tables.read(store, tables.find(store, "labels", "walk")).rows
    rows["parts"], rows["parts_sha256"], rows["classes"] = "", "", 0
    tables.write(store, "labels", "walk", rows, fingerprint="none")
    folder = Path(cut(catalog).folder)
    assert (folder / "classes.txt").read_text().split() == ["background", "person"]
    assert verify(folder).counts == {"train": 2, "val": 1}


def test_forget_takes_the_parts_out_of_the_archive_too(parsed):
    catalog, _ = parsed
    cut(catalog)
    store = Store(catalog.storage_root)
    digest = tables.read(store, tables.find(store, "labels", "walk")).rows["parts_sha256"][0]
    kept = store.path(f"archive/{digest[:2]}/{digest}")
    assert kept.exists()
    forget("walk", catalog)
    assert not kept.exists()
