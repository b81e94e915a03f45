"""Training, scoring and comparing as a user runs them."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import layouts
from figureground.errors import PluginError
from figureground.types import Sample
from flows.training import compare_models

ROOT = Path(__file__).parents[2]
SMALL = ["--network", "segnet", "--set", "width=4", "--image-size", "32", "--batch-size", "8", "--device", "cpu"]


def drawn(count, teaching="train"):
    for at in range(count):
        random = np.random.default_rng(at)
        ids = np.zeros((60, 50), np.uint8)
        cv2.ellipse(ids, (25, 30), (random.integers(9, 15), 22), 0, 0, 360, 1, -1)
        image = np.where(ids[:, :, None] > 0, 210, 40).astype(np.uint8) + random.integers(0, 30, (60, 50, 3), np.uint8)
        split = (teaching, "train", "val", "test")[at % 4]
        yield Sample(f"s{at}-000000-00", split, ("park",), bytes(cv2.imencode(".jpg", image)[1]), ids.astype(np.float32))


def run(folder, *words):
    command = [sys.executable, "-m", "flows.cli", *map(str, words), "--catalog", str(folder / "data_catalog.yaml")]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    shutil.copy(ROOT / "data_catalog.yaml", tmp_path)
    shutil.copytree(ROOT / "label_config", tmp_path / "label_config")
    for name, count in (("old", 12), ("new", 16)):
        layouts.build("mmseg_custom", {}).write(drawn(count), tmp_path / name)
    return tmp_path


@pytest.mark.slow
def test_two_releases_are_compared_by_training_on_both(folder):
    done = run(folder, "compare", folder / "old", folder / "new", *SMALL, "--steps", 8, "--into", folder / "c")
    assert done.returncode == 0, done.stderr
    models = sorted(file.name for file in (folder / "data/models").iterdir())
    assert models == ["segnet-2-1-new", "segnet-2-1-old"]
    told = [json.loads((folder / f"c/on-{name}/summary.json").read_text()) for name in ("old", "new")]
    assert [one["groups"]["all"]["pictures"] for one in told] == [3, 4]
    assert "page: " in done.stdout and told[0]["verdict"].split(":")[0] in " ".join(done.stdout.split())
    checkpoint = folder / "data/models/segnet-2-1-new"
    scored = run(folder, "evaluate", checkpoint, folder / "new", "--split", "test", "--into", folder / "e")
    assert scored.returncode == 0 and (folder / "e/index.html").is_file(), scored.stderr


@pytest.mark.slow
def test_invalid_arguments_are_refused_before_anything_is_read(folder):
    for words, said in (
        (["--network", "unet2"], "has no 'unet2'; it has: deeplabv3, segnet, segresnet, unet"),
        (["--image-size", "100"], "--image-size: "),
        (["--set", "breadth=3"], "has no setting 'breadth'"),
    ):
        done = run(folder, "train", folder / "nothing", *words)
        assert done.returncode == 1 and said in done.stderr.replace("\n", " "), done.stderr


def test_an_unknown_second_model_is_refused_before_the_first_is_evaluated(folder):
    with pytest.raises(PluginError, match=r"no asset 'mine\.onnx'"):
        compare_models.fn(str(folder), "{trained: {weights: mine.onnx}}", folder, str(folder / "data_catalog.yaml"))
