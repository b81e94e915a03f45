"""Whose face is it; and that YuNet finds the faces of real people."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import catalog
from figureground.clients.sources.fetching import fetch_asset
from figureground.errors import AssetError
from figureground.media.decoding import VideoReader
from figureground.people import faces
from figureground.people.faces import Face
from figureground.types import Box, Image, Keypoints, Person, Weights

ROOT = Path(__file__).parents[3]
SHARED = ROOT / "../shared/data"
YUNET = Weights("face_detection_yunet_2023mar.onnx", "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4")
BLACK = np.zeros((400, 600, 3), np.uint8)
NOWHERE = np.zeros((0, 3), np.float32)


def head(x: float, y: float, confidence: float = 0.9) -> Keypoints:
    joints = np.zeros((17, 3), np.float32)
    joints[:5] = x, y, confidence
    return joints


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Face]:
    """What the network finds, in the picture's pixels, wherever it looks."""
    found: list[Face] = []
    monkeypatch.setattr(faces, "_find_in_box", lambda image, box, weights: list(found))
    return found


FIRST, SECOND = Face(Box(100, 50, 140, 100), 0.8), Face(Box(200, 50, 240, 100), 0.9)


def test_a_face_goes_to_the_head_it_lies_on(seen: list[Face]) -> None:
    seen += [SECOND, FIRST]
    people = [Person(Box(80, 40, 260, 390), 0.9, head(121, 80)), Person(Box(90, 40, 260, 390), 0.8, head(221, 80))]
    assert faces.find_face_of_each(BLACK, people, YUNET) == [FIRST, SECOND]


def test_a_person_seen_from_behind_gets_no_face(seen: list[Face]) -> None:
    seen += [FIRST]
    assert faces.find_face_of_each(BLACK, [Person(Box(80, 40, 260, 390), 0.9, head(121, 80, 0.1))], YUNET) == [None]


def test_without_joints_a_face_belongs_to_one_box(seen: list[Face]) -> None:
    seen += [FIRST]
    people = [Person(Box(80, 40, 180, 390), 0.9, NOWHERE), Person(Box(90, 40, 260, 390), 0.8, NOWHERE)]
    assert faces.find_face_of_each(BLACK, [*people, Person(Box(300, 40, 400, 390), 0.7, NOWHERE)], YUNET) == [FIRST, None, None]


def test_weights_are_verified_before_they_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    other = Weights(YUNET.name, "1" * 64)
    with pytest.raises(AssetError, match=r"face_detection_yunet_2023mar\.onnx is not in the cache"):
        faces.find(BLACK, other)
    (tmp_path / "assets" / other.sha256).mkdir(parents=True)
    (tmp_path / "assets" / other.sha256 / other.name).write_bytes(b"something else")
    with pytest.raises(AssetError, match="is damaged: expected sha256"):
        faces.find(BLACK, other)


@pytest.fixture
def yunet() -> Weights:
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data")
    fetch_asset(catalog.load(ROOT / "data_catalog.yaml").asset(YUNET.name))
    return YUNET


def first_frame(name: str) -> Image:
    with VideoReader(SHARED / "videos" / name) as footage:
        return next(footage.frames()).image()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "face"),
    [
        ("ballet_single.mp4", Box(642, 164, 683, 217)),
        ("walk_away_indoor.webm", Box(497, 188, 548, 252)),
        ("phone_portrait_header_lies.mov", Box(161, 117, 188, 152)),
    ],
)
def test_yunet_finds_the_one_face(yunet: Weights, name: str, face: Box) -> None:
    from figureground.imaging import geometry

    found = [one for one in faces.find(first_frame(name), yunet) if one.score > 0.7]
    assert len(found) == 1
    assert geometry.iou(found[0].box, face) > 0.5, found


@pytest.mark.weights
def test_yunet_finds_a_face_that_fills_the_picture(yunet: Weights) -> None:
    with VideoReader(SHARED / "videos/selfie_motion_blur.mp4") as footage:
        image = next(picture for picture in footage.frames() if picture.index == 15).image()
    [face] = faces.find(image, yunet)
    assert face.score > 0.9 and face.box.height > 600


@pytest.mark.weights
def test_yunet_finds_no_face_in_leaves_and_the_same_at_any_size(yunet: Weights) -> None:
    image = first_frame("ballet_single.mp4")
    assert faces.find(np.zeros((50, 30, 3), np.uint8), yunet) == []
    [small], [large] = (
        [one for one in faces.find(cv2.resize(image, None, fx=scale, fy=scale), yunet) if one.score > 0.65] for scale in (1, 2)
    )
    assert large.box.x0 / 2 == pytest.approx(small.box.x0, abs=4)
    assert large.box.height / 2 == pytest.approx(small.box.height, abs=6)
