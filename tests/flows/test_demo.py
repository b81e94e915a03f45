"""The whole way on the two sample clips with a real Label Studio, as ``make demo`` goes it."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults
from figureground.catalog import load
from figureground.clients import local_label_studio
from figureground.clients.annotation_server import connect

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.studio, pytest.mark.weights, pytest.mark.slow]


@pytest.fixture(scope="module")
def demo(tmp_path_factory, run, studio_executable) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("demo")
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    found = run("demo", "--keep", cwd=folder, alone=True, FIGUREGROUND_STUDIO=studio_executable)
    assert "Label Studio runs at http://127.0.0.1:" in found.stdout
    yield folder / "demo"
    run("studio", "down", "--catalog", "catalog.yaml", cwd=folder / "demo")
    assert local_label_studio.find_running(load(folder / "demo/catalog.yaml")) is None


@pytest.fixture(scope="module")
def release(demo: Path) -> Path:
    (found,) = (demo / "data/releases").iterdir()
    return found


def test_the_release_has_ten_pairs_to_train_and_one_to_validate_from_different_sources(release: Path) -> None:
    samples = json.loads((release / "manifest.json").read_text())["samples"]
    splits = {
        split: {name: sample for name, sample in samples.items() if sample["split"] == split} for split in ("train", "val")
    }
    assert len(splits["train"]) >= 10
    assert len(splits["val"]) >= 1
    sources = [{sample["source"] for sample in splits[split].values()} for split in ("train", "val")]
    assert sources[0].isdisjoint(sources[1])
    for split, found in splits.items():
        assert {path.stem for path in (release / "img_dir" / split).iterdir()} == set(found)
        for path in (release / "ann_dir" / split).iterdir():
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert mask.dtype == "uint8"
            assert mask.ndim == 2
            assert set(mask.ravel().tolist()) == {0, 1}
            assert mask.shape == cv2.imread(str(release / "img_dir" / split / f"{path.stem}.jpg")).shape[:2]


def test_the_simulated_annotator_accepted_most_corrected_one_and_rejected_one(demo: Path) -> None:
    import pandas as pd

    labels = pd.concat([pd.read_parquet(path) for path in (demo / "data/tables/labels").iterdir()])
    kept = labels[labels["verdict"] == "keep"]
    assert (kept["origin"] == "prediction").mean() > 0.5
    changed = kept[kept["origin"] == "prediction-changed"]
    assert len(changed) >= 1
    assert (changed["iou_with_matte"] < 1).all()
    assert (labels["verdict"] != "keep").sum() == 1
    assert labels["annotator"].str.contains("stand-in").all()


def test_verify_passes_and_one_flipped_byte_is_named(demo: Path, release: Path, run, tmp_path) -> None:
    assert "is whole" in run("verify", str(release), cwd=demo).stdout
    copy = tmp_path / release.name
    shutil.copytree(release, copy)
    mask = next((copy / "ann_dir/train").iterdir())
    content = bytearray(mask.read_bytes())
    content[len(content) // 2] ^= 1
    mask.write_bytes(content)
    found = run("verify", str(copy), cwd=demo, expect=1)
    assert f"ann_dir/train/{mask.name}" in found.stderr
    assert "Traceback" not in found.stderr


def test_the_page_has_pictures_of_every_step(demo: Path) -> None:
    page = (demo / "data/reports/pipeline.html").read_text()
    assert page.count("data:image/") > 20
    assert "http" not in page.replace("http://www.w3.org", "")


def test_ingest_and_push_again_write_no_file_and_make_no_task(demo: Path, run, folder_snapshot) -> None:
    catalog = load(demo / "catalog.yaml")

    def tasks() -> list[tuple[int, str, int]]:
        with connect(catalog) as server:
            project = server.find_project(catalog)
            assert project
            found = server.list_tasks(project)
        return [(task.task_id, task.key, len(task.content["predictions"])) for task in found]

    before = tasks()
    files = folder_snapshot(demo / "data")
    run("ingest", "--catalog", "catalog.yaml", cwd=demo)
    run("push", "--catalog", "catalog.yaml", cwd=demo)
    assert folder_snapshot(demo / "data") == files
    assert tasks() == before
    for table in (demo / "data/tables/tasks").iterdir():
        table.unlink()
    run("push", "--catalog", "catalog.yaml", cwd=demo)
    assert tasks() == before, "a push that lost its table made tasks again"
    assert all(predictions == 1 for _, _, predictions in before)
    assert len({key for _, key, _ in before}) == len(before)


def test_doctor_finds_everything_in_order(demo: Path, run) -> None:
    found = run("doctor", "--catalog", "catalog.yaml", cwd=demo)
    assert "fail" not in found.stdout
    weights = ("yolo11n-pose.pt", "yolo26n-seg.pt", "rvm_mobilenetv3_fp32.onnx")
    for what in (*(f"weights {name}" for name in weights), "storage", "Label Studio", "project", "images"):
        assert f"ok   {what}: " in found.stdout


def test_explain_lists_every_stage(demo: Path, release: Path, run) -> None:
    stem = next((release / "img_dir/train").iterdir()).stem
    story = run("explain", stem, "--catalog", "catalog.yaml", cwd=demo).stdout
    for step in ("video", "frame", "crop", "score", "verdict", "matte", "task", "label", "release"):
        assert step in story
    assert release.name in story


def test_a_wrong_token_is_one_message_without_the_token(demo: Path, run, tmp_path) -> None:
    content = yaml.safe_load((demo / "catalog.yaml").read_text())
    content["storage"] = str(tmp_path / "elsewhere")
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    shutil.copytree(demo / "data", tmp_path / "elsewhere", ignore=shutil.ignore_patterns(".studio", "tasks"))
    secret = "0123456789abcdef0123456789abcdef01234567"
    found = run("push", "--catalog", "catalog.yaml", cwd=tmp_path, expect=1, LABEL_STUDIO_API_KEY=secret)
    assert "refuses the token" in found.stderr
    assert secret not in found.stderr + found.stdout
    assert "Traceback" not in found.stderr
