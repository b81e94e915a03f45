"""Datasets as users met them: what is wrong is the outcome of its picture or file, and the others are finished."""

import json
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources.identity import expand
from figureground.errors import SourceError
from figureground.storage.store import Store
from tasks.ingest.import_dataset import import_dataset
from tests.field.dataset_cases import HEIGHT, WIDTH, coco, figure, harmful_pngs, healthy, jpeg, masks, png, polygon, write

GOOD = polygon()
COUNTS = [HEIGHT * WIDTH // 2, HEIGHT * WIDTH // 4, HEIGHT * WIDTH // 4]


def import_source(folder: Path, layout: dict[str, Any], name: str = "other") -> tuple[list[str], list[str]]:
    """Import a dataset; give the files of its images that were taken, and the reasons why others were not."""
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    entry = {"kind": "layout", "license": "CC-BY-4.0", "path": name, "layout": layout}
    catalog = Catalog.model_validate({"folder": folder, "storage": "data", "sources": {name: entry}, "recipe": recipe})
    taken, reasons, store = [], [], Store(catalog.storage_root)
    for source in expand(catalog.source(name), catalog):
        try:
            import_dataset.fn(source, catalog)
        except SourceError as error:
            reasons.append(str(error))
        ref = tables.find(store, "frames", source.source_id)
        for row in tables.read_rows(store, ref, tables.FrameRow) if ref else []:
            (reasons if row.reason else taken).append(row.reason or row.original)
    return taken, reasons


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        (None, "instances_train.json: annotation 1: its segmentation is null; expected polygons or run lengths"),
        (..., "annotation 1 has no segmentation, so its person is not drawn"),
        ([["a", "b", "c", "d", "e", "f"]], "annotation 1: a polygon has the coordinate str 'a'; expected numbers"),
        ([[1e12, 0, 20, 0, 20, 20]], "a polygon has a point at x = 1e+12, y = 0, far outside its image of 160x240"),
        ([[1e300, 0, 20, 0, 20, 20]], "far outside its image"),
        ([[float("inf"), 0, 20, 0, 20, 20]], "the coordinate float inf"),
        ([[10**20, 0, 20, 0, 20, 20]], "the coordinate int 100000000000000000000"),
        ("person", "its segmentation is str 'person'"),
        (7, "its segmentation is int 7"),
        ([[0, 0, 1]], "no list of at least three points"),
        ({"size": [HEIGHT, WIDTH], "counts": [1, 2]}, "run lengths do not fill a mask of 160x240: they are of 3 pixels in all"),
        ({"size": [HEIGHT, WIDTH], "counts": [-1, HEIGHT * WIDTH + 1]}, "neither text nor whole numbers"),
        ({"size": [HEIGHT, WIDTH], "counts": [2**62, 2**62]}, "neither text nor whole numbers"),
        ({"size": [2**31, 2**31], "counts": COUNTS}, "run lengths are of [2147483648, 2147483648] pixels"),
        ({"size": [HEIGHT, WIDTH], "counts": "ooooo1"}, "run lengths do not fill"),
    ],
)
def test_an_annotation_that_cannot_be_drawn_is_the_outcome_of_its_picture(
    tmp_path: Path, segmentation: object, reason: str
) -> None:
    coco(tmp_path / "other", {"1.jpg": segmentation, "2.jpg": GOOD})
    taken, reasons = import_source(tmp_path, {"coco": {}})
    assert taken == ["images/2.jpg"]
    assert len(reasons) == 1 and reason in reasons[0]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 10**7, "height": 10**7}, "10000000x10000000 pixels; expected at most 100,000,000 in all"),
        ({"width": None}, "width None and height 240; expected whole numbers of pixels"),
        ({"width": "160"}, "width '160'"),
        ({"height": float("inf")}, "height inf"),
        ({"height": float("nan")}, "height nan"),
        ({"height": -240}, "height -240"),
        ({"width": 10**400}, "expected whole numbers of pixels"),
        ({"width": 1600}, "instances_train.json: 1600x240 pixels, its image 160x240; expected one size"),
        ({"id": None}, "the id None; expected a number"),
        ({"id": [1]}, "the id [1]"),
        ({"scenes": "park"}, "the scenes 'park'; expected a list of names"),
        ({"scenes": [1]}, "the scenes [1]"),
        ({"scenes": ["../../outside"]}, "the scene '../../outside' cannot be a file's name"),
        ({"file_name": None}, "image 1 has no name of a file"),
        ({"file_name": "/etc/passwd.jpg"}, "no name below this folder"),
        ({"file_name": "../1.jpg"}, "no name below this folder"),
        ({"file_name": "a\0b.jpg"}, "image 1 has no name of a file"),
        ({"file_name": "\ud800.jpg"}, "image 1 has no name of a file"),
        ({"file_name": "x" * 5000 + ".jpg"}, "is in none of"),
    ],
)
def test_a_record_that_no_picture_can_have_is_refused_by_name(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD, "2.jpg": GOOD})
    file = tmp_path / "other/annotations/instances_train.json"
    document = json.loads(file.read_text())
    document["images"][0] |= changes
    file.write_text(json.dumps(document))
    taken, reasons = import_source(tmp_path, {"coco": {}})
    assert taken == ["images/2.jpg"]
    assert len(reasons) == 1 and reason in reasons[0]


@pytest.mark.parametrize(
    ("place", "value"),
    [("annotations", None), ("annotations", 5), ("annotations", {"image_id": [1]}), ("annotations", {}), ("images", 5)],
)
def test_a_record_of_another_type_is_refused_and_the_others_are_read(tmp_path: Path, place: str, value: object) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD})
    file = tmp_path / "other/annotations/instances_train.json"
    document = json.loads(file.read_text())
    document[place].insert(0, value)
    file.write_text(json.dumps(document))
    taken, reasons = import_source(tmp_path, {"coco": {}})
    assert taken == ["images/1.jpg"]
    assert len(reasons) == 1 and ("names no image" in reasons[0] or "has no name of a file" in reasons[0])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xe9", "not COCO's instances"),
        (b"", "not COCO's instances"),
        (b"[1, 2]", "found no list 'images'"),
        (b'{"images": "x", "annotations": [], "categories": []}', "found no list 'images'"),
        (b'{"images": [], "annotations": {}, "categories": []}', "found no list 'annotations'"),
        (b"[" * 100_000, "nest too deep"),
        (b'{"images": ' + b"1" * 5000, "not COCO's instances"),
    ],
)
def test_a_file_of_annotations_that_cannot_be_read_leaves_the_other_files(tmp_path: Path, content: bytes, reason: str) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD}, annotations_file="instances_train.json")
    write(tmp_path / "other/annotations/instances_val.json", content)
    taken, reasons = import_source(tmp_path, {"coco": {}})
    assert taken == ["images/1.jpg"]
    assert len(reasons) == 2, "the file's reason in its row, and in the message of the split, of which nothing can be taken"
    assert all(reason in each for each in reasons)


def test_numbers_that_json_does_not_have_and_a_byte_order_mark_are_read(tmp_path: Path) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD}, note=float("nan"))
    file = tmp_path / "other/annotations/instances_train.json"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert import_source(tmp_path, {"coco": {}}) == (["images/1.jpg"], [])


def test_a_category_that_is_spelled_otherwise_is_named_with_the_setting_for_it(tmp_path: Path) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD}, category="Person")
    _, reasons = import_source(tmp_path, {"coco": {}})
    advice = "no category `person`; there is `Person`: set `layout: {coco: {category: Person}}` in the catalog"
    assert advice in reasons[0]
    assert import_source(tmp_path, {"coco": {"category": "Person"}}) == (["images/1.jpg"], [])


def test_categories_without_a_person_are_listed(tmp_path: Path) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD}, category="pedestrian")
    _, reasons = import_source(tmp_path, {"coco": {}})
    assert "no category `person`; there is `pedestrian`: set" in reasons[0]


def test_the_default_subset_of_other_tools_is_read(tmp_path: Path) -> None:
    coco(tmp_path / "other", {"1.jpg": GOOD}, annotations_file="instances_default.json", images_folder="images/default")
    assert import_source(tmp_path, {"coco": {}}) == (["images/default/1.jpg"], [])


@pytest.mark.parametrize(
    ("name", "as_image"),
    [
        ("two_headers", False),
        ("claims_two_gigabytes", False),
        ("sixty_five_thousand", False),
        ("text_bomb", False),
        ("two_headers", True),
        ("sixty_five_thousand", True),
        ("text_bomb", True),
    ],
)
def test_a_png_that_asks_for_gigabytes_is_refused(tmp_path: Path, name: str, as_image: bool) -> None:
    content = harmful_pngs()[name]
    masks(tmp_path / "other", good=png(figure(0)[1]), bad=png(figure(0)[1]))
    if as_image:
        (tmp_path / "other/img_dir/train/bad.jpg").unlink()
        write(tmp_path / "other/img_dir/train/bad.png", content)
    else:
        write(tmp_path / "other/ann_dir/train/bad.png", content)
    taken, reasons = import_source(tmp_path, {"mmseg_custom": {}})
    assert taken == ["img_dir/train/good.jpg"]
    assert len(reasons) == 1


@pytest.mark.parametrize(
    "content", [b"1\ta\ttrain\t\n", b"\xe9\n", "²-³\ta\ttrain\t\n".encode(), b"1-2-3\ta\ttrain\t\n", b"\0\n", b"x"]
)
def test_a_line_of_an_index_that_says_nothing_is_refused_by_its_number(tmp_path: Path, content: bytes) -> None:
    group = "00000000"
    image, mask = figure(20)
    write(tmp_path / f"other/clip_img/{group}/clip_{group}/{group}-{group}.jpg", jpeg(image))
    rgba = np.dstack([image, mask * 255])
    write(tmp_path / f"other/matting/{group}/matting_{group}/{group}-{group}.png", png(rgba))
    write(tmp_path / "other/index.tsv", f"{group}-{group}\tgood\ttrain\tpark\n".encode() + content)
    taken, reasons = import_source(tmp_path, {"aisegment": {}})
    assert len(taken) == 1
    assert any("index.tsv: line 2: expected <group>-<img>" in reason for reason in reasons)


def test_an_index_alone_is_the_outcome_of_its_source(tmp_path: Path) -> None:
    write(tmp_path / "other/index.tsv", "1\ta\ttrain\t\n")
    taken, reasons = import_source(tmp_path, {"aisegment": {}})
    assert taken == []
    assert "index.tsv: line 1: expected <group>-<img>, sample id, split and scenes with tabs between" in reasons[0]


def test_missing_folders_and_files_of_a_layout_do_not_end_the_import(tmp_path: Path) -> None:
    write(tmp_path / "other/clip_img/a/b/c.jpg", jpeg(figure(20)[0]))
    write(tmp_path / "other/matting/a/b/d.png", png(figure(20)[1]))
    taken, reasons = import_source(tmp_path, {"aisegment": {}})
    assert taken == [] and len(reasons) >= 2


def test_a_matlab_file_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    from scipy.io import savemat

    masks(tmp_path / "other", good=png(figure(0)[1]), bad=b"", worse=b"", fine=b"")
    for name in ("bad", "worse", "fine"):
        (tmp_path / f"other/ann_dir/train/{name}.png").unlink()
    savemat(tmp_path / "other/ann_dir/train/fine.mat", {"mask": figure(0)[1]}, do_compression=True)
    plain = (tmp_path / "other/ann_dir/train/fine.mat").read_bytes()[:128]
    inflate = zlib.compressobj(1)
    bomb = b"".join(inflate.compress(b"\0" * 1_000_000) for _ in range(30)) + inflate.flush()
    write(tmp_path / "other/ann_dir/train/bad.mat", plain + struct.pack("<II", 15, len(bomb)) + bomb)
    write(tmp_path / "other/ann_dir/train/worse.mat", plain + struct.pack("<II", 14, 2**31) + b"\0" * 64)
    taken, reasons = import_source(tmp_path, {"mmseg_custom": {}})
    assert sorted(taken) == ["img_dir/train/fine.jpg", "img_dir/train/good.jpg"]
    assert any("bad.mat" in reason and "unpacks to more than" in reason for reason in reasons)
    assert any("worse.mat" in reason for reason in reasons)


def test_a_file_name_that_is_not_utf8_is_taken(tmp_path: Path) -> None:
    healthy(tmp_path / "other")
    for folder, suffix in (("img_dir", "jpg"), ("ann_dir", "png")):
        file = tmp_path / f"other/{folder}/train/two.{suffix}"
        file.rename(os.fsdecode(os.fsencode(file.parent) + b"/b\xe9." + suffix.encode()))
    taken, reasons = import_source(tmp_path, {"mmseg_custom": {}})
    assert reasons == []
    assert sorted(taken) == ["img_dir/train/b\\xe9.jpg", "img_dir/train/one.jpg"]


CASES: dict[str, tuple[Callable[[Path], object], dict[str, Any], int]] = {
    "null-segmentation": (lambda folder: coco(folder, {"1.jpg": None}), {"coco": {}}, 0),
    "one-incomplete": (lambda folder: coco(folder, {"1.jpg": ..., "2.jpg": GOOD}), {"coco": {}}, 1),
    "capital-category": (lambda folder: coco(folder, {"1.jpg": GOOD}, category="Person"), {"coco": {}}, 0),
    "far-point": (lambda folder: coco(folder, {"1.jpg": [[1e12, 0, 20, 0, 20, 20]]}), {"coco": {}}, 0),
    "huge-size": (lambda folder: coco(folder, {"1.jpg": GOOD}, width=10**7, height=10**7), {"coco": {}}, 0),
    "text-polygon": (lambda folder: coco(folder, {"1.jpg": [list("abcdef")]}), {"coco": {}}, 0),
    "index-number": (lambda folder: write(folder / "index.tsv", "1\ta\ttrain\t\n"), {"aisegment": {}}, 0),
    "two-headers": (lambda folder: masks(folder, a=harmful_pngs()["two_headers"]), {"mmseg_custom": {}}, 0),
    "huge-mask": (lambda folder: masks(folder, a=harmful_pngs()["sixty_five_thousand"]), {"mmseg_custom": {}}, 0),
    "text-bomb": (lambda folder: masks(folder, a=harmful_pngs()["text_bomb"]), {"mmseg_custom": {}}, 0),
    "healthy": (healthy, {"mmseg_custom": {}}, 2),
}


@pytest.mark.slow
def test_ingest_takes_the_healthy_dataset_and_names_each_other(tmp_path: Path) -> None:
    sources = {}
    for name, (make, layout, _) in CASES.items():
        make(tmp_path / name)
        sources[name] = {"kind": "layout", "path": name, "license": "CC-BY-4.0", "layout": layout}
    (tmp_path / "data_catalog.yaml").write_text(json.dumps({"storage": "data", "sources": sources}))
    command = [sys.executable, "-m", "flows.cli", "ingest", "--catalog", str(tmp_path / "data_catalog.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said
    store = Store(str(tmp_path / "data"))
    for name, (_, _, expected) in CASES.items():
        parts = [source_id for source_id in tables.sources(store, "labels") if source_id.startswith(name)]
        found = [tables.find(store, "labels", source_id) for source_id in parts]
        assert sum(ref.rows for ref in found if ref) == expected, name
        if not expected:
            assert name in said
