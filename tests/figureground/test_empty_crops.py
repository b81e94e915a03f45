"""Empty in, empty out: a crop without a person gives no matte, with the real weights and without a stretch."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import catalog, plugins
from figureground.types import Box, PersonCrop

ROOT = Path(__file__).parents[2]
VIDEOS = ROOT / "../shared/data/videos"
SCENERY = {"park_two_people.mp4": [(0, 0), (1468, 0), (0, 694)], "walk_away_indoor.webm": [(0, 0), (980, 0), (980, 420)]}

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module", params=["person", "rvm"])
def remover(request):
    from figureground.clients.sources.fetching import fetch_asset

    whole = catalog.load(ROOT / "data_catalog.yaml")
    given = {"weights": "rvm_mobilenetv3_fp32"} if request.param == "rvm" else {"matting": "rvm_mobilenetv3_fp32"}
    given |= {} if request.param == "rvm" else {"instances": "yolo26n-seg"}
    plugin = plugins.build("removers", request.param, given, {name: whole.asset(name).weights for name in whole.assets})
    for weights in plugins.weights(plugin):
        fetch_asset(whole.asset(weights.name))
    return plugin


def crop(image, name):
    height, width = image.shape[:2]
    box, joints = Box(0, 0, width, height), np.zeros((0, 3), np.float32)
    return PersonCrop(f"{name}-0-00", f"{name}-0", name, box, box, 0.9, joints, (), width, height, np.ascontiguousarray(image))


def made():
    noise = np.random.default_rng(0).integers(0, 256, (240, 120, 3), dtype=np.uint8)
    slope = np.linspace(0, 255, 240).astype(np.uint8)[:, None, None] * np.ones((1, 120, 3), np.uint8)
    levels = {f"flat{level}": np.full((240, 120, 3), level, np.uint8) for level in (0, 128, 255)}
    return {**levels, "noise": noise, "slope": slope}


def things():
    import skimage.data

    return {name: getattr(skimage.data, name)() for name in ("coffee", "chelsea", "rocket", "hubble_deep_field")}


def scenery():
    for name, corners in SCENERY.items():
        read, frame = cv2.VideoCapture(str(VIDEOS / name)).read()
        assert read, name
        for x, y in corners:
            yield f"{name}{x}-{y}", cv2.cvtColor(frame[y : y + 300, x : x + 300], cv2.COLOR_BGR2RGB)


def check_empty(remover, pictures):
    crops = [crop(image, name) for name, image in pictures.items()]
    for one, alpha in zip(crops, remover.estimate_alphas(crops), strict=True):
        assert alpha.mean() <= 0.004, f"{one.source_id}: a mean of {alpha.mean():.4f}"
        assert (alpha >= 0.5).mean() <= 0.001, f"{one.source_id}: {(alpha >= 0.5).mean():.2%} is taken for person"


def test_flat_and_noisy_pictures(remover):
    check_empty(remover, made())


def test_a_cup_a_cat_a_rocket_and_the_sky(remover):
    check_empty(remover, things())


@pytest.mark.skipif(not VIDEOS.exists(), reason="no ../shared/data")
def test_what_stands_behind_people_in_clips(remover):
    check_empty(remover, dict(scenery()))
