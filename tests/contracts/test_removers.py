"""What every remover promises. A new file in figureground/removers is tested here with no other edit."""

import dataclasses
import itertools
from pathlib import Path
from typing import get_type_hints

import cv2
import numpy as np
import pytest

from figureground import catalog, plugins
from figureground.errors import ArrayError, PluginError
from figureground.imaging import masks
from figureground.inference import backends
from figureground.removers import ScoringRemover
from figureground.storage import assets
from figureground.storage.hashing import sha256_file
from figureground.training import checkpoints, exported_model
from figureground.types import Box, PersonCrop, Weights
from tests.contracts.goldens import thumbnail

ROOT = Path(__file__).parents[2]


def needs_weights(name):
    return Weights in get_type_hints(plugins.find("removers", name)).values()


REMOVERS = [pytest.param(name, marks=pytest.mark.weights if needs_weights(name) else ()) for name in plugins.names("removers")]
REFINED = "person-refined"
REMOVERS.append(pytest.param(REFINED, marks=pytest.mark.weights))


@pytest.fixture(scope="module", params=REMOVERS)
def remover(request, tmp_path_factory):
    """Give the plug-in as the project's catalog would build it, with the first assets it takes."""
    from figureground.clients.sources.fetching import fetch_asset

    if request.param == "trained":  # whose weights no index carries: everybody's own release makes them
        yield from _taught(tmp_path_factory.mktemp("taught"))
        return
    whole = catalog.load(ROOT / "data_catalog.yaml")
    known = {name: whole.asset(name).weights for name in whole.assets}
    plugin = _refined(known) if request.param == REFINED else _built(request.param, known)
    for weights in plugins.weights(plugin):
        fetch_asset(whole.asset(weights.name))
    yield plugin  # noqa: PT022 (the other yields from a generator)


def _taught(folder):
    """Teach a small network the astronaut below by a rough outline of her, and export it."""
    import skimage.data

    from figureground.training.export import Answering, write_onnx
    from tests import trained_network

    image, mask = skimage.data.astronaut(), np.zeros((512, 512), np.uint8)
    cv2.fillPoly(mask, [np.array([[150, 512], [90, 300], [170, 40], [290, 40], [300, 200], [440, 330], [460, 512]])], 255)
    shown = trained_network.written(folder / "release", 1, [(image, mask)] * 8)
    card = trained_network.checkpoint(folder / "checkpoint", shown, 64, 40, "segnet", {"width": 8})
    network, _ = checkpoints.load(folder / "checkpoint")
    about = exported_model.About.of(card)
    write_onnx(Answering(network, 1), about, folder / "model.onnx")
    weights = Weights("taught.onnx", sha256_file(folder / "model.onnx"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FIGUREGROUND_CACHE", str(folder / "cache"))
        assets.path_in_cache(weights).parent.mkdir(parents=True)
        (folder / "model.onnx").rename(assets.path_in_cache(weights))
        yield plugins.build("removers", "trained", {"weights": "taught"}, {weights.name: weights})


def _refined(assets):
    networks = {"encoder": "sam2_hiera_tiny_encoder.ort", "decoder": "sam2_hiera_tiny_decoder.onnx", "below": 1}
    settings = {"matting": "rvm_mobilenetv3_fp32.onnx", "instances": "yolo26n-seg.pt", "refine": networks}
    return plugins.build("removers", "person", settings, assets)


def _built(name, assets):
    keys = [key for key, hint in get_type_hints(plugins.find("removers", name)).items() if hint is Weights]
    for chosen in itertools.product(assets, repeat=len(keys)):
        try:
            return plugins.build("removers", name, dict(zip(keys, chosen, strict=True)), assets)
        except PluginError:
            continue
    return pytest.fail(f"no assets in data_catalog.yaml are taken by removers.{name}: {', '.join(keys)}")


def made(height, width, seed=0):
    """A light figure on a dark, noisy ground."""
    image = np.random.default_rng(seed).integers(20, 70, (height, width, 3), np.uint8)
    middle = (width // 2, height // 2)
    cv2.ellipse(image, middle, (max(1, width // 5), max(1, height // 3)), 0, 0, 360, (230, 190, 160), -1)
    image.flags.writeable = False
    return pictured(image, f"made{seed}")


def pictured(image, source="made"):
    height, width = image.shape[:2]
    box, joints, name = Box(0, 0, width, height), np.zeros((0, 3), np.float32), f"{source}-000000"
    return PersonCrop(f"{name}-00", name, source, box, box, 0.9, joints, (), width, height, image)


SIZES = [(160, 90), (90, 160), (97, 33), (321, 319), (32, 32)]


@pytest.fixture(scope="module")
def answers(remover):
    crops = [made(*size, seed) for seed, size in enumerate(SIZES)]
    return crops, remover.estimate_alphas(crops)


def test_one_alpha_a_crop_of_the_crops_own_size(answers):
    crops, alphas = answers
    assert [alpha.shape for alpha in alphas] == [crop.image.shape[:2] for crop in crops]
    for crop, alpha in zip(crops, alphas, strict=True):
        masks.check_alpha(alpha, crop.crop_id)


def run_exactly(function):
    """Give a function of backends that ignores the precision it is asked for."""

    def run(*arguments, precision="exact", **options):
        return function(*arguments, precision="exact", **options)

    return run


def test_its_output_is_that_of_its_version(request, remover, answers, golden, monkeypatch):
    """All networks run in 32 bits here, on every processor; then only the order of sums differs: alphas within 0.05."""

    for function in (backends.run, backends.run_named):
        monkeypatch.setattr(backends, function.__name__, run_exactly(function))
    name = plugins.identity(remover)["plugin"]
    if name == "removers.trained":  # its network was taught a moment ago: one that is drawn from a seed is the same everywhere
        remover = request.getfixturevalue("untaught")
    crops = answers[0]
    if request.node.callspec.id == REFINED:  # which refines where there is a person
        import skimage.data

        name, crops = f"{name}.refined", [pictured(skimage.data.astronaut())]
    alphas = remover.estimate_alphas(crops)
    golden(name, type(remover).VERSION, [thumbnail(alpha) for alpha in alphas], tolerance=0.05)


@pytest.fixture
def untaught(tmp_path, monkeypatch):
    """The plug-in trained with random weights of one seed."""
    import torch

    from figureground.training.export import Answering, write_onnx

    torch.manual_seed(3)
    network = plugins.build("networks", "segnet", {"width": 8}).build(1)
    nothing = dict.fromkeys(("digest", "checkpoint"), "0" * 64)
    about = {"network": "segnet", "side": 64, "names": ("person",), "release": "none", **nothing}
    write_onnx(Answering(network, 1).eval(), exported_model.About(**about), tmp_path / "model.onnx")
    weights = Weights("untaught.onnx", sha256_file(tmp_path / "model.onnx"))
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    assets.path_in_cache(weights).parent.mkdir(parents=True)
    (tmp_path / "model.onnx").rename(assets.path_in_cache(weights))
    return plugins.build("removers", "trained", {"weights": "untaught"}, {weights.name: weights})


def test_the_same_crops_give_the_same_alphas(remover, answers):
    crops, alphas = answers
    for again, alpha in zip(remover.estimate_alphas(crops), alphas, strict=True):
        assert np.array_equal(again, alpha)


def test_crops_of_other_sources_change_nothing(remover, answers):
    crops, alphas = answers
    alone = remover.estimate_alphas([crops[1]])[0]
    assert np.array_equal(alone, alphas[1])


def test_a_person_is_told_from_what_stands_behind(remover):
    """An astronaut before a flag and a model of a shuttle: her chest is person, the picture's right upper corner is not."""
    import skimage.data

    image = skimage.data.astronaut()
    (alpha,) = remover.estimate_alphas([pictured(image)])
    assert alpha[380:480, 180:280].mean() > 0.9
    assert alpha[:100, 440:].mean() < 0.2


def test_the_score_is_a_share_and_comes_with_the_same_alpha(remover, answers):
    if not isinstance(remover, ScoringRemover):
        pytest.skip("this remover does not say how sure it is")
    crops, alphas = answers
    for (again, score), alpha in zip(remover.estimate_with_confidence(crops), alphas, strict=True):
        assert 0 <= score <= 1
        assert np.array_equal(again, alpha)


def test_no_crops_give_no_alphas(remover):
    assert remover.estimate_alphas([]) == []


def test_what_is_no_picture_is_refused(remover):
    crop = made(64, 64)
    gray = dataclasses.replace(crop, image=crop.image[:, :, 0])
    with pytest.raises(ArrayError, match="made0-000000-00"):
        remover.estimate_alphas([gray])


def test_it_is_frozen_and_can_be_described(remover):
    assert plugins.describe(remover)["name"] in plugins.names("removers")
    assert hash(remover) == hash(remover)
