"""Other people's readers load what the layouts write."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from figureground import plugins
from figureground.datasets.splits import SPLITS
from figureground.imaging import class_maps
from figureground.inference.ultralytics_model import import_quietly
from figureground.storage.hashing import sha256
from figureground.types import Sample

pytestmark = pytest.mark.slow  # big packages

Y, X = np.mgrid[:90, :60]


@pytest.fixture(scope="module")
def items() -> list[Sample]:
    """Six pictures with soft discs, in three splits."""
    made = []
    for number in range(6):
        pixels = np.random.default_rng(number).integers(0, 256, (90, 60, 3), dtype=np.uint8)
        alpha = np.clip(20 + number - np.hypot(X - 28, Y - 40), 0, 1).astype(np.float32)
        picture = bytes(cv2.imencode(".jpg", pixels)[1])
        made.append(Sample(f"park-{number}", SPLITS[number % 3], ("park",) * (number % 2), picture, alpha))
    return made


@pytest.fixture(scope="module")
def parts(items: list[Sample]) -> list[Sample]:
    """The same with 18 classes in stripes."""
    stripes = (np.arange(90)[:, None] // 5 % 18 * np.ones((1, 60))).astype(np.uint8)
    return [replace(item, parts=stripes) for item in items]


def write(name: str, items: list[Sample], into: Path) -> Path:
    plugins.build("layouts", name, {}).write(items, into)
    return into


def own(items: list[Sample], split: str) -> list[Sample]:
    return [item for item in items if item.split == split]


@pytest.mark.parametrize("split", SPLITS)
def test_pycocotools(items: list[Sample], tmp_path: Path, split: str) -> None:
    from pycocotools.coco import COCO

    found = COCO(str(write("coco", items, tmp_path) / f"annotations/{split}.json"))
    pictures = found.loadImgs(found.getImgIds())
    assert [picture["file_name"] for picture in pictures] == [f"{item.sample_id}.jpg" for item in own(items, split)]
    for picture, item in zip(pictures, own(items, split), strict=True):
        (annotation,) = found.loadAnns(found.getAnnIds(picture["id"]))
        np.testing.assert_array_equal(found.annToMask(annotation), item.alpha >= 0.5)
        assert annotation["area"] == (item.alpha >= 0.5).sum()


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("split", SPLITS)
def test_huggingface_datasets(items: list[Sample], tmp_path: Path, split: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    folder = write("huggingface", items, tmp_path / "release")
    found = datasets.load_dataset(str(folder), split=split, cache_dir=str(tmp_path / "cache"))
    assert found["stem"][:] == [item.sample_id for item in own(items, split)]
    for row, item in zip(found, own(items, split), strict=True):
        np.testing.assert_array_equal(np.asarray(row["mask"]), item.alpha >= 0.5)
        assert row["image"].size == (60, 90) and tuple(row["scenes"]) == item.scenes


@pytest.mark.filterwarnings("default")
def test_mmengine_reads_the_config(items: list[Sample], tmp_path: Path) -> None:
    config = pytest.importorskip("mmengine.config").Config
    found = config.fromfile(str(write("mmseg_custom", items, tmp_path) / "mmseg_config.py"))
    for split in SPLITS:
        dataset = found[f"{split}_dataloader"].dataset
        pictures, labels = (Path(dataset.data_root) / dataset.data_prefix[kind] for kind in ("img_path", "seg_map_path"))
        assert sorted(file.stem for file in pictures.iterdir()) == [item.sample_id for item in own(items, split)]
        assert sorted(file.stem for file in labels.iterdir()) == [item.sample_id for item in own(items, split)]
        assert list(dataset.metainfo.classes) == ["background", "person"]


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("classes", [5, 18])
def test_mmengine_reads_the_config_of_parts(parts: list[Sample], tmp_path: Path, classes: int) -> None:
    config = pytest.importorskip("mmengine.config").Config
    layout = plugins.build("layouts", "human_parsing", {"classes": classes})
    layout.write(parts, tmp_path)
    found = config.fromfile(str(tmp_path / "mmseg_config.py"))
    assert list(found.metainfo.classes) == list(class_maps.NAMES[classes])
    assert len({tuple(colour) for colour in found.metainfo.palette}) == classes
    flip = next(step for step in found.train_pipeline if step.type == "RandomFlip")
    swapped = [[found.metainfo.classes[side] for side in pair] for pair in flip.get("swap_seg_labels", [])]
    sides = [[f"left-{part}", f"right-{part}"] for part in ("shoe", "leg", "arm")]
    assert swapped == (sides if classes == 18 else [])
    for split in SPLITS:
        dataset = found[f"{split}_dataloader"].dataset
        listed = (Path(dataset.data_root) / dataset.ann_file).read_text().split()
        assert listed == [item.sample_id for item in own(parts, split)]
        for kind, ending in (("img_path", dataset.img_suffix), ("seg_map_path", dataset.seg_map_suffix)):
            assert all((Path(dataset.data_root) / dataset.data_prefix[kind] / f"{stem}{ending}").is_file() for stem in listed)


ROOT = Path(__file__).parents[2]
MMSEG = Path(os.environ.get("FIGUREGROUND_MMSEG", ROOT / ".mmseg"))
READ_WITH_MMSEG = """
import hashlib, json, sys, types

class Compiled(types.ModuleType):  # the operators of mmcv are not in mmcv-lite, and no dataset uses one
    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)

sys.modules["mmcv._ext"] = Compiled("mmcv._ext")
from mmengine.config import Config
from mmseg.registry import DATASETS
from mmseg.utils import register_all_modules

register_all_modules()
config, told = Config.fromfile(sys.argv[1]), {}
for split in ("train", "val", "test"):
    dataset = DATASETS.build(config[f"{split}_dataloader"].dataset)
    plain = dict(config[f"{split}_dataloader"].dataset, pipeline=[dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")])
    rows = []
    for row, packed in zip(DATASETS.build(plain), dataset, strict=True):
        mask = row["gt_seg_map"]
        rows.append({
            "picture": row["img_path"].rsplit("/", 1)[1], "image": row["img"].shape, "shape": mask.shape,
            "mask": hashlib.sha256(mask.astype("uint8").tobytes()).hexdigest(),
            "packed": [list(packed["inputs"].shape[-2:]), list(packed["data_samples"].gt_sem_seg.data.shape[-2:])],
        })
    told[split] = {"type": type(dataset).__module__, "classes": dataset.metainfo["classes"], "rows": rows}
print(json.dumps(told))
"""


def read_with_mmseg(config: Path) -> dict[str, Any]:
    if not (MMSEG / "mmseg").is_dir():
        pytest.fail(f"no mmsegmentation in {MMSEG}: run `make mmseg`, or set FIGUREGROUND_MMSEG to where it is")
    own_packages = {**os.environ, "PYTHONPATH": str(MMSEG)}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", READ_WITH_MMSEG, config], env=own_packages, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_mmsegmentation_loads_it_with_its_own_dataset_class(items: list[Sample], tmp_path: Path) -> None:
    told = read_with_mmseg(write("mmseg_custom", items, tmp_path) / "mmseg_config.py")
    for split in SPLITS:
        assert told[split]["type"].startswith("mmseg.") and told[split]["classes"] == ["background", "person"]
        for row, item in zip(told[split]["rows"], own(items, split), strict=True):
            mask = (item.alpha >= 0.5).astype(np.uint8)
            assert row["picture"] == f"{item.sample_id}.jpg"
            image, label = row["packed"]  # mmsegmentation compares what it found at the label's own size
            assert label == (image if split == "train" else [90, 60])
            assert (row["image"], row["shape"]) == ([90, 60, 3], [90, 60])
            assert row["mask"] == sha256(mask.tobytes())


def test_mmsegmentation_loads_parts_with_all_their_classes(parts: list[Sample], tmp_path: Path) -> None:
    plugins.build("layouts", "human_parsing", {"classes": 18}).write(parts, tmp_path)
    told = read_with_mmseg(tmp_path / "mmseg_config.py")
    for split in SPLITS:
        assert told[split]["type"].startswith("mmseg.") and told[split]["classes"] == list(class_maps.ATR)
        for row, item in zip(told[split]["rows"], own(parts, split), strict=True):
            assert row["picture"] == f"{item.sample_id}.jpg"
            assert row["mask"] == sha256(item.parts.tobytes())


@pytest.mark.filterwarnings("default")
def test_ultralytics_finds_every_picture_and_polygon(items: list[Sample], tmp_path: Path) -> None:
    import_quietly()
    from ultralytics import data
    from ultralytics.data.utils import check_det_dataset

    folder = write("yolo_seg", items, tmp_path)
    told = check_det_dataset(str(folder / "data.yaml"), autodownload=False)
    assert told["names"] == {0: "person"}
    for split in SPLITS:
        loaded = data.YOLODataset(told[split], data=told, task="segment", augment=False)
        assert [Path(label["im_file"]).stem for label in loaded.labels] == [item.sample_id for item in own(items, split)]
        assert [len(label["segments"]) for label in loaded.labels] == [1, 1]
