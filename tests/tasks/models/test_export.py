"""One small network, taught in the test, in all formats: each keeps to torch on crops, and says what it learnt from."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground.datasets import samples
from figureground.errors import AssetError, ReleaseError
from figureground.inference import backends
from figureground.storage.hashing import sha256_file
from figureground.training import checkpoints, exported_model
from figureground.training import export as exporting
from tasks.models import export as verb
from tasks.models.export import Export, export
from tests import trained_network

pytestmark = pytest.mark.slow  # networks are taught and exported
OURS = ("onnx", "openvino", "openvino-int8")


@pytest.fixture(scope="module")
def made(learnt: Path) -> Export:
    return export(learnt / "checkpoint", learnt / "release", formats=OURS)


def test_every_export_agrees_with_torch(made: Export) -> None:
    assert set(made.checks) == {"torch", *OURS}
    for name in OURS:
        assert made.checks[name]["iou"] >= exporting.IOU_AT_LEAST
        assert made.checks[name]["pictures"] == 4
        assert made.checks[name]["milliseconds"] > 0
    assert made.checks["onnx"]["difference"] < 1e-4
    assert made.checks["openvino-int8"]["difference"] > made.checks["openvino"]["difference"]  # 8 bits are fewer


def test_the_trained_network_and_its_export_segment_the_figure(made: Export) -> None:
    image, mask = trained_network.drawn(150, 110, seed=999)
    about = exported_model.read(made.folder / "model.onnx")
    assert about.stretch == trained_network.STRETCH > 1
    answer = backends.open_file(made.folder / "model.onnx")(
        exported_model.make_batch([exported_model.letterbox(image, about)])
    )[0]
    found, true = exported_model.undo_letterbox(answer[0, 0], image, about) >= 0.5, mask > 0
    assert (found & true).sum() / (found | true).sum() > 0.8


def test_the_onnx_file_is_whole_by_itself_and_takes_several_pictures(made: Export, tmp_path: Path) -> None:
    import onnxruntime

    file = tmp_path / "alone.onnx"
    file.write_bytes((made.folder / "model.onnx").read_bytes())
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_inputs()] == ["image"]
    assert [one.name for one in session.get_outputs()] == ["alpha"]
    assert session.run(None, {"image": np.zeros((3, 3, 64, 64), np.float32)})[0].shape == (3, 1, 64, 64)
    assert b"/site-packages/" not in file.read_bytes()


def test_the_card_records_what_the_model_was_trained_on(learnt: Path, made: Export) -> None:
    card, told = checkpoints.read(learnt / "checkpoint"), json.loads((made.folder / "export.json").read_text())
    page = (made.folder / "README.md").read_text()
    for word in (card.trained_on.digest, "12 in train, 4 in val", "CC0-1.0", sha256_file(made.folder / "model.onnx")):
        assert word in page
    assert f"| {made.checks['openvino-int8']['iou']:.4f} |" in page
    about = exported_model.read(made.folder / "model.onnx")
    assert (about.digest, about.checkpoint, about.side) == (card.trained_on.digest, card.digest, 64)
    assert told["files"]["openvino-int8/model.bin"]["bytes"] < told["files"]["openvino/model.bin"]["bytes"] / 2


OTHERS = {"segnet": ({"width": 4}, 2), "segresnet": ({"width": 8}, 1), "deeplabv3": ({}, 5)}


@pytest.mark.parametrize("network", list(OTHERS))
def test_the_other_networks_agree_with_torch(network: str, tmp_path: Path) -> None:
    settings, classes = OTHERS[network]
    release = trained_network.release(tmp_path / "release", classes)
    trained_network.checkpoint(tmp_path / "checkpoint", release, network_name=network, settings=settings)
    made = export(tmp_path / "checkpoint", tmp_path / "release", tmp_path / "out", side=96)
    wanted = exporting.FORMATS if exporting.litert_folder() else OURS
    assert set(made.checks) == {"torch", *wanted}
    assert all(made.checks[name]["iou"] >= exporting.IOU_AT_LEAST for name in wanted)
    files = {exporting.FILES[name].split("/")[0] for name in wanted}
    assert {path.name for path in made.folder.iterdir()} == {*files, "export.json", "README.md"}
    alpha, *more = backends.open_file(made.folder / "model.onnx", "onnxruntime")(np.full((2, 3, 96, 96), 0.4, np.float32))
    assert alpha.shape == (2, 1, 96, 96)
    assert len(more) == (classes > 1), "a network of classes gives their probabilities, too"
    for probabilities in more:
        assert probabilities.shape == (2, classes, 96, 96)
        assert np.allclose(alpha[:, 0], 1 - probabilities[:, 0], atol=1e-6)
        assert np.allclose(probabilities.sum(1), 1, atol=1e-5)


@pytest.mark.skipif(exporting.litert_folder() is None, reason="no TFLite converter; `make litert` installs it")
def test_tflite_agrees_with_torch(learnt: Path, tmp_path: Path) -> None:
    made = export(learnt / "checkpoint", learnt / "release", tmp_path / "out", ["tflite"])
    assert made.checks["tflite"]["iou"] >= exporting.IOU_AT_LEAST
    assert {path.name for path in made.folder.iterdir()} == {"model.tflite", "export.json", "README.md"}


def test_invalid_arguments_are_refused_and_leave_no_files(
    learnt: Path, made: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, release = learnt / "checkpoint", learnt / "release"
    with pytest.raises(AssetError, match="exists and is never changed"):
        export(checkpoint, release)
    with pytest.raises(AssetError, match="no format 'coreml'; there are: onnx, openvino, openvino-int8, tflite"):
        export(checkpoint, release, tmp_path / "out", ["coreml"])
    with pytest.raises(AssetError, match="multiple of 32, found 100"):
        export(checkpoint, release, tmp_path / "out", ["onnx"], side=100)
    other = trained_network.release(tmp_path / "other", 1, 5)
    with pytest.raises(ReleaseError, match=f"not what this network learnt from: its digest is {other.digest}"):
        export(checkpoint, other.folder, tmp_path / "out", ["onnx"])
    monkeypatch.setenv(exporting.LITERT, str(tmp_path))
    with pytest.raises(AssetError, match="`make litert` installs one"):
        export(checkpoint, release, tmp_path / "out", ["tflite"])
    assert not (tmp_path / "out").exists()


def test_an_export_that_differs_from_torch_is_refused(
    learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = verb.backends.open_file

    def moved(file: Path, engine: backends.Engine) -> backends.RunNetwork:
        ask = asked(file, engine)
        return lambda pixels: [np.roll(one, 3, 3) for one in ask(pixels)]

    monkeypatch.setattr(verb.backends, "open_file", moved)
    with pytest.raises(AssetError, match=r"the export onnx does not keep to torch: IoU 0\.\d+ on 4 pictures"):
        export(learnt / "checkpoint", learnt / "release", tmp_path / "out", ["onnx"])
    assert not (tmp_path / "out").exists()


def test_a_network_that_predicts_only_background_is_refused(learnt: Path, tmp_path: Path) -> None:
    network, card = checkpoints.load(learnt / "checkpoint")
    blind = dict(network.state_dict())
    blind["network.segmentation_head.0.bias"] = blind["network.segmentation_head.0.bias"] - 50
    checkpoints.write(tmp_path / "blind", card.model_copy(update={"weights": "", "digest": ""}), blind)
    with pytest.raises(AssetError, match="finds nobody on any of 4 pictures"):
        export(tmp_path / "blind", learnt / "release", tmp_path / "out", ["onnx"])
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_export_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"\xff no network")
    with pytest.raises(AssetError, match="is no ONNX file"):
        exported_model.read(tmp_path / "a.onnx")


@pytest.mark.parametrize("stretch", [1.0, 4 / 3])
@pytest.mark.parametrize(("height", "width"), [(40, 90), (90, 40), (200, 200), (33, 500)])
def test_a_prediction_is_mapped_back_to_the_image(height: int, width: int, stretch: float) -> None:
    about = exported_model.About(
        network="n", side=128, stretch=stretch, names=("person",), release="r", digest="d", checkpoint="c"
    )
    mask = np.zeros((height, width, 3), np.uint8)
    cv2.ellipse(mask, (width // 3, height // 2), (width // 5, height // 4), 0, 0, 360, (255, 255, 255), -1)
    there = samples.letterbox(mask, 128, 0, label=False, stretch=stretch)[:, :, 0] / np.float32(255)
    back = exported_model.undo_letterbox(there, mask, about) >= 0.5
    assert ((back != (mask[:, :, 0] > 0)).mean()) < 0.03
