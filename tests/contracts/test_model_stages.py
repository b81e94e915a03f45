"""What training and export give on a small release, and what conversion makes of a small network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch

from figureground.inference import backends, conversion
from figureground.inference.ultralytics_model import import_quietly
from figureground.storage import assets
from figureground.storage.hashing import sha256_file
from figureground.training import export as exporting
from figureground.training.settings import TrainingSettings
from figureground.types import Weights
from tasks.models import export, train
from tests import trained_network
from tests.contracts.goldens import GoldenCheck, thumbnail

pytestmark = pytest.mark.slow  # networks are trained, exported and converted


@pytest.fixture
def one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_training_gives_the_losses_of_its_version(tmp_path: Path, golden: GoldenCheck) -> None:
    """Twelve steps on one thread: another processor adds in another order, so losses and scores within a twentieth."""
    trained_network.release(tmp_path / "release", 2, 8)
    how = TrainingSettings("segnet", {"width": 4}, 2, 32, 48, 4, validations=3, seed=3)
    card = train.train.fn(tmp_path / "release", how, tmp_path / "checkpoint", "cpu")
    curve = [{"step": point.step, "loss": point.loss, "score": point.score} for point in card.curve]
    made = {"curve": curve, "at_step": card.metrics["at_step"], "names": list(card.names), "pictures": card.trained_on.pictures}
    golden("stages.tasks.models.train", train.VERSION, made, tolerance=0.05)


def output(file: Path) -> Any:
    """Give what a network makes of one image, shown small."""
    pixels = np.linspace(0, 1, 3 * 64 * 64, dtype=np.float32).reshape(1, 3, 64, 64)
    return [{"shape": list(part.shape), "values": thumbnail(part[0, 0], 4)} for part in backends.open_file(file)(pixels)]


def test_an_export_gives_the_networks_of_its_version(tmp_path: Path, golden: GoldenCheck) -> None:
    """Weights drawn from one seed: another processor gives other digits, within a fiftieth."""
    release = trained_network.release(tmp_path / "release", 2, 8)
    trained_network.checkpoint(tmp_path / "checkpoint", release, steps=0)
    made = export.export(tmp_path / "checkpoint", tmp_path / "release", tmp_path / "out", ["onnx", "openvino"])
    content = json.loads((made.folder / "export.json").read_text(encoding="utf-8"))
    about = {key: value for key, value in content["about"].items() if key not in ("checkpoint", "digest")}
    checks = {name: sorted(check) for name, check in made.checks.items()}
    found = {"files": sorted(content["files"]), "about": about, "checks": checks, "keys": sorted(content)}
    found |= {name: output(made.folder / exporting.FILES[name]) for name in ("onnx", "openvino")}
    golden("stages.tasks.models.export", export.VERSION, found, tolerance=0.02)


def test_a_conversion_gives_the_network_of_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, golden: GoldenCheck
) -> None:
    """A small pose network with weights drawn from one seed: another processor gives other digits, within a fiftieth."""
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    import_quietly()
    import ultralytics

    drawn = tmp_path / "drawn.pt"
    torch.manual_seed(3)
    ultralytics.YOLO("yolo11n-pose.yaml").save(drawn)
    weights = Weights("drawn.pt", sha256_file(drawn))
    assets.path_in_cache(weights).parent.mkdir(parents=True)
    drawn.rename(assets.path_in_cache(weights))
    network = conversion.find_or_convert(weights)
    classes = conversion.read_class_names(openvino.Core().read_model(network))
    found = {"classes": classes, "output": output(network)}
    golden("stages.figureground.inference.conversion", conversion.VERSION, found, tolerance=0.02)
