"""Small people in a large frame are found when the network sees more of its pixels."""

from pathlib import Path

import pytest

from figureground import catalog, plugins
from figureground.media.decoding import VideoReader

ROOT = Path(__file__).parents[3]
CLIP = ROOT / "../shared/data/videos/street_surveillance.avi"


@pytest.fixture(scope="module")
def street():
    if not CLIP.exists():
        pytest.skip("no ../shared/data")
    with VideoReader(CLIP) as footage:
        return next(picture.image() for picture in footage.frames() if picture.index == 320)


@pytest.mark.weights
def test_a_larger_image_size_finds_the_pedestrians_of_a_square(street):
    loaded = catalog.load(ROOT / "data_catalog.yaml").asset("yolo11n-pose.pt").weights
    found = {}
    for size in (640, 1280):
        detector = plugins.build("detectors", "yolo", {"weights": "yolo11n-pose.pt", "image_size": size}, {loaded.name: loaded})
        found[size] = detector.find([street])[0]
    assert len(found[640]) == 0
    assert len(found[1280]) == 5, "six people walk there, one behind a lamp post"
    assert all(30 < person.box.height < 100 and len(person.keypoints) == 17 for person in found[1280])
