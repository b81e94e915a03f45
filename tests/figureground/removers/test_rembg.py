"""figureground.removers.rembg: the arithmetic around the network, and rembg itself beside it."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import catalog, plugins
from figureground.errors import ArrayError, PluginError
from figureground.imaging import masks
from figureground.inference import backends
from figureground.removers.rembg import Rembg
from figureground.storage import assets
from figureground.types import Box, PersonCrop, Weights

ROOT = Path(__file__).parents[3]
SHARED = ROOT / "../shared/data"
U2NETP = Weights("u2netp.onnx", "3" * 64)


def crop_of(image):
    height, width = image.shape[:2]
    box = Box(0, 0, width, height)
    return PersonCrop("a-000000-00", "a-000000", "a", box, box, 0.9, np.zeros((0, 3), np.float32), (), width, height, image)


@pytest.fixture
def network(monkeypatch):
    """Stand in for the network: answer as told, keep what came in."""
    asked = []

    def answer_with(answer):
        monkeypatch.setattr(backends, "run", lambda weights, batch, **_: asked.append((weights, batch)) or [answer])
        return asked

    return answer_with


def test_the_answer_is_stretched_and_scaled_to_the_crop(network):
    answer = np.zeros((1, 1, 320, 320), np.float32)
    answer[:, :, :, 160:] = 0.01
    network(answer)
    (alpha,) = Rembg(U2NETP).estimate_alphas([crop_of(np.zeros((100, 40, 3), np.uint8))])
    assert alpha.shape == (100, 40)
    assert (alpha[:, :16] == 0).all()
    assert (alpha[:, 24:] == 1).all()


def test_a_flat_answer_is_an_empty_matte(network):
    network(np.full((1, 1, 320, 320), 0.7, np.float32))
    (alpha,) = Rembg(U2NETP).estimate_alphas([crop_of(np.zeros((10, 20, 3), np.uint8))])
    assert alpha.shape == (10, 20)
    assert not alpha.any()


def test_the_network_gets_red_first_divided_by_the_brightest_and_normalised(network):
    asked = network(np.zeros((1, 1, 320, 320), np.float32))
    image = np.zeros((320, 320, 3), np.uint8)
    image[:, :, 0], image[:, :, 2] = 100, 50
    Rembg(U2NETP).estimate_alphas([crop_of(image)])
    weights, batch = asked[0]
    assert weights == U2NETP
    assert (batch.shape, batch.dtype) == ((1, 3, 320, 320), np.float32)
    expected = [(1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.5 - 0.406) / 0.225]
    assert np.allclose(batch[0].reshape(3, -1), np.array(expected)[:, None], rtol=1e-6)


def test_a_black_crop_is_no_division_by_zero(network):
    asked = network(np.zeros((1, 1, 320, 320), np.float32))
    Rembg(U2NETP).estimate_alphas([crop_of(np.zeros((8, 8, 3), np.uint8))])
    assert np.isfinite(asked[0][1]).all()


def test_a_gray_picture_is_refused_by_name():
    with pytest.raises(ArrayError, match=r"image of a-000000-00: expected \(h, w, 3\) uint8, RGB; found shape \(8, 8\)"):
        Rembg(U2NETP).estimate_alphas([crop_of(np.zeros((8, 8), np.uint8))])


@pytest.mark.parametrize("name", ["u2net_cloth_seg.onnx", "yolo11n-pose.pt", "u2netp.pt"])
def test_a_model_it_does_not_know_is_refused_before_anything_runs(name):
    known = {name: Weights(name, "0" * 64)}
    with pytest.raises(PluginError, match=rf"no model '{name}'; it has: birefnet-cod, .*, u2net, u2net_human_seg, u2netp"):
        plugins.build("removers", "rembg", {"model": name}, known)


def test_a_model_the_catalog_does_not_have_is_refused_with_what_it_has():
    with pytest.raises(PluginError, match=r"no asset 'u2net'; the catalog's assets are: u2netp\.onnx"):
        plugins.build("removers", "rembg", {"model": "u2net"}, {"u2netp.onnx": U2NETP})


@pytest.fixture(scope="module")
def fetched():
    from figureground.clients.sources.fetching import fetch_asset

    whole = catalog.load(ROOT / "data_catalog.yaml")
    fetch_asset(whole.asset("u2netp.onnx"))
    return whole.asset("u2netp.onnx").weights


def pictures():
    """Give photos of people where they are to be had, and always drawn ones."""
    rng = np.random.default_rng(5)
    for height, width in ((240, 120), (97, 211), (40, 33)):
        image = rng.integers(0, 120, (height, width, 3), np.uint8)
        cv2.circle(image, (width // 2, height // 2), min(height, width) // 3, (200, 160, 140), -1)
        yield image
    files = [*sorted((SHARED / "pennfudan/PNGImages").glob("*.png"))[:4], *sorted((SHARED / "ccp/photos").glob("*.jpg"))[:2]]
    for file in files:
        yield cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)


@pytest.mark.weights
@pytest.mark.filterwarnings("ignore")  # rembg's and numba's own
def test_parity_with_rembg_itself(fetched, monkeypatch):
    monkeypatch.setenv("U2NET_HOME", str(assets.locate(fetched).parent))  # rembg finds the verified file and fetches nothing
    import rembg

    session = rembg.new_session("u2netp")
    remover = Rembg(fetched)
    for image in pictures():
        theirs = np.asarray(rembg.remove(image, session=session, only_mask=True))
        ours = masks.to_levels(remover.estimate_alphas([crop_of(image)])[0])
        apart = np.abs(ours.astype(int) - theirs)
        assert apart.mean() <= 0.05 and apart.max() <= 3, f"{image.shape}: differs by {apart.mean():.4f}, at most {apart.max()}"
    assert sorted(path.name for path in Path(os.environ["U2NET_HOME"]).iterdir()) == ["u2netp.onnx"]


@pytest.mark.parametrize("model", ["u2net", "silueta", "isnet-general-use", "isnet-anime", "birefnet-portrait", "bria-rmbg"])
@pytest.mark.weights
@pytest.mark.filterwarnings("ignore")  # rembg's and numba's own
def test_every_kind_of_model_is_fed_and_read_as_rembg_does(model, cached, negating, tmp_path, monkeypatch):
    """The network here only negates, in rembg's own session of that name and in ours: all else is arithmetic around it."""
    weights = cached(negating(["n", 3, "h", "w"]), f"{model}.onnx")
    monkeypatch.setenv("U2NET_HOME", str(assets.locate(weights).parent))
    monkeypatch.setenv("MODEL_CHECKSUM_DISABLED", "1")
    import rembg

    session, remover = rembg.new_session(model), Rembg(weights)
    for image in list(pictures())[:2]:
        theirs = np.asarray(rembg.remove(image, session=session, only_mask=True))
        apart = np.abs(masks.to_levels(remover.estimate_alphas([crop_of(image)])[0]).astype(int) - theirs)
        assert apart.mean() <= 0.05 and apart.max() <= 3, f"{image.shape}: differs by {apart.mean():.4f}, at most {apart.max()}"
