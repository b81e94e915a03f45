"""Training, scoring and contests on drawn releases, and what is refused."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from figureground import catalog, layouts
from figureground.datasets import samples
from figureground.errors import ArrayError, AssetError, LabelError, PluginError
from figureground.evaluation.predictors import Checkpoint, decide_classes
from figureground.training import checkpoints
from figureground.training.checkpoints import Card, TrainedOn
from figureground.training.sample_cache import TrainingSample
from figureground.training.settings import TrainingSettings
from figureground.types import Sample
from tasks.models.evaluate import build_remover, evaluate
from tasks.models.model_comparison import compare_models
from tasks.models.train import train

torch.set_num_threads(1)  # two threads that wait for each other in a busy machine take ten times as long


def drawn(count=16):
    for at in range(count):
        random = np.random.default_rng(at)
        height, width = (int(side) for side in random.integers(50, 90, 2))
        ids = np.zeros((height, width), np.uint8)
        cv2.ellipse(ids, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 1, -1)
        image = np.where(ids[:, :, None] > 0, 210, 40).astype(np.uint8) + random.integers(0, 30, (height, width, 3), np.uint8)
        split, scene = ("train", "train", "val", "test")[at % 4], ("park", "street")[at // 4 % 2]
        yield Sample(f"s{at}-000000-00", split, (scene,), bytes(cv2.imencode(".jpg", image)[1]), ids.astype(np.float32))


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    folder = tmp_path_factory.mktemp("releases") / "drawn"
    layouts.build("mmseg_custom", {}).write(drawn(), folder)
    return folder


HOW = TrainingSettings("segnet", {"width": 4}, side=32, pictures=96, batch=8, learning_rate=3e-3, validations=2)


@pytest.fixture(scope="module")
def trained(release):
    folder = release.parent / "model"
    return folder, train.fn(release, HOW, folder, "cpu")


@pytest.fixture(scope="module")
def settings():
    from pathlib import Path

    return catalog.load(Path(__file__).parents[3] / "data_catalog.yaml")


def test_a_checkpoint_records_what_it_was_trained_on(release, trained):
    folder, card = trained
    assert card == checkpoints.read(folder)
    assert (card.trained_on.release, card.trained_on.layout) == ("drawn", "mmseg_custom")
    assert card.trained_on.pictures == {"train": 8, "val": 4, "test": 4}
    assert (card.network, card.classes, card.names, card.side) == ("segnet", 2, ("background", "person"), 32)
    assert [point.step for point in card.curve] == [6, 12] and card.training["seed"] == 1
    assert (folder / "curve.svg").read_text().startswith("<svg")
    assert [file.name for file in release.parent.iterdir() if file.name.startswith(".tmp")] == []


def test_training_again_changes_nothing_and_other_settings_are_refused(release, trained):
    folder, card = trained
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    assert train.fn(release, HOW, folder, "cpu") == card
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    with pytest.raises(AssetError, match="with other settings or versions, and is never changed"):
        train.fn(release, TrainingSettings("segnet", {"width": 2}, side=32), folder, "cpu")


def test_a_checkpoint_is_scored_by_split_and_scene(release, trained, settings, tmp_path):
    found = evaluate.fn(str(trained[0]), release, settings, tmp_path / "e", device="cpu")
    names = ["all", "split train", "split val", "split test", "scene park", "scene street"]
    assert [group.name for group in found.groups] == names and found.groups[0].pictures == 16
    lines = list(csv.DictReader((tmp_path / "e/scores.csv").read_text().splitlines()))
    assert [line["stem"] for line in lines] == [row.stem for row in found.rows]
    told = json.loads((tmp_path / "e/summary.json").read_text())
    assert told["groups"]["all"]["figures"]["iou_per_image"][0] == found.groups[0].figures["iou_per_image"].value
    page = found.page.read_text()
    assert page.count("<figure>") == 16 and "mIoU, mean over pictures" in page
    stems = [row.stem for row in sorted(found.rows, key=lambda row: (row.iou, row.stem))]
    assert sorted(stems, key=page.index) == stems


def test_a_releases_own_masks_are_perfect_predictions(release, settings, tmp_path):
    found = evaluate.fn(str(release / "ann_dir"), release, settings, tmp_path, ("test",), 2)
    assert {row.iou for row in found.rows} == {1.0} and len(found.rows) == 4
    figures = found.groups[0].figures
    assert figures["iou_of_dataset"].value == figures["boundary_iou_per_image"].value == 1.0


def test_predictions_that_lack_or_do_not_fit_are_named(release, settings, tmp_path):
    with pytest.raises(LabelError, match="holds no PNG"):
        evaluate.fn(str(tmp_path), release, settings, tmp_path / "e", ("test",))
    cv2.imwrite(str(tmp_path / "s11-000000-00.png"), np.zeros((5, 5), np.uint8))
    with pytest.raises(LabelError, match="expected 8 bits, one channel and the shape"):
        evaluate.fn(str(tmp_path), release, settings, tmp_path / "e", ("test",))
    (tmp_path / "s11-000000-00.png").rename(tmp_path / "other.png")
    with pytest.raises(LabelError, match=r"expected one prediction s11-000000-00\.png, found none"):
        evaluate.fn(str(tmp_path), release, settings, tmp_path / "e", ("test",))
    assert not (tmp_path / "e").exists()


def test_an_unknown_model_lists_the_known_ones(settings):
    with pytest.raises(PluginError, match="neither a checkpoint nor a folder of predictions nor a remover; removers are: "):
        build_remover("nobody", settings)
    assert type(build_remover("person", settings)).__name__ == "OnePerson"
    assert build_remover("{rembg: {model: u2netp}}", settings).model.name.startswith("u2netp")


def test_sources_that_are_left_out_are_not_scored(release, settings, tmp_path):
    found = evaluate.fn(str(release / "ann_dir"), release, settings, tmp_path, ("test",), 2, "cpu", frozenset({"s3"}))
    assert [row.source for row in found.rows] == ["s11", "s15", "s7"]


def test_a_comparison_says_which_model_is_better(release, settings, tmp_path):
    worse = tmp_path / "worse"
    for file in (release / "ann_dir/test").glob("*.png"):
        mask = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        samples.write(worse / file.name, cv2.imencode(".png", cv2.erode(mask, np.ones((5, 5), np.uint8)))[1].tobytes())
    both = (worse, release / "ann_dir")
    rows = [evaluate.fn(str(folder), release, settings, tmp_path / "e", ("test",), 2).rows for folder in both]
    better = compare_models.fn(("worse", "truth"), "test", rows[:1], rows[1:], ("background", "person"), tmp_path / "c")
    assert better.gained.low > 0 and better.verdict.startswith("truth is better than worse: ")
    assert compare_models.fn(("a", "b"), "test", rows[1:], rows[:1], ("background", "person"), tmp_path / "d").gained.high < 0
    same = compare_models.fn(("a", "b"), "test", rows[:1] * 2, rows[:1] * 2, ("background", "person"), tmp_path / "f")
    assert same.gained.value == 0 and same.verdict.startswith("nothing shows that b and a differ")
    assert [one.name for one in better.differences] == ["all", "scene park", "scene street"]
    told = json.loads((tmp_path / "c/summary.json").read_text())
    assert told["verdict"] == better.verdict and "truth" in better.page.read_text()


def test_several_classes_become_one_but_never_the_other_way():
    trained_on = TrainedOn(release="r", digest="", layout="human_parsing", pictures={})
    card = Card(network="unet", classes=5, names=("background", "a", "b", "c", "d"), side=32, trained_on=trained_on)
    probabilities = np.random.default_rng(1).dirichlet(np.ones(5), (6, 4)).astype(np.float32)
    assert np.array_equal(decide_classes(probabilities, card, 5), probabilities.argmax(2))
    assert np.allclose(decide_classes(probabilities, card, 1), 1 - probabilities[:, :, 0])
    assert np.array_equal(decide_classes(probabilities, card, 2), decide_classes(probabilities, card, 1) >= 0.5)
    with pytest.raises(ArrayError, match="of 1 classes cannot be asked for 5"):
        decide_classes(probabilities[:, :, :1], card.model_copy(update={"classes": 1}), 5)


def test_a_checkpoint_answers_in_the_pictures_own_size(trained):
    image = np.full((70, 45, 3), 40, np.uint8)
    example = TrainingSample("a", "test", (), "a", image, np.zeros((70, 45), np.uint8))
    alpha, mask = (Checkpoint(trained[0], "cpu").predict([example], classes)[0] for classes in (1, 2))
    assert alpha.shape == mask.shape == (70, 45) and (alpha.dtype, mask.dtype) == (np.float32, np.uint8)
