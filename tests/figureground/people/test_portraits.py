"""Portraits lie inside their frame, have one shape, and everything in them moves along."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.imaging import crops
from figureground.people import portraits
from figureground.people.faces import Face
from figureground.people.portraits import PortraitSize
from figureground.tables import crop_rows
from figureground.types import Box, Frame, Person

AISEGMENT = PortraitSize(600, 800, 0.25)
sides = st.integers(40, 3000)


@given(width=sides, height=sides, x=st.floats(0, 1), y=st.floats(0, 1), share=st.floats(0.01, 1))
def test_a_portrait_lies_inside_its_frame_and_has_its_shape(width: int, height: int, x: float, y: float, share: float) -> None:
    size = max(4.0, share * min(width, height))
    face = Box(x * (width - size), y * (height - size), x * (width - size) + size * 0.8, y * (height - size) + size)
    box = portraits.place_portrait(face, Box(0, 0, width, height), AISEGMENT)

    assert 0 <= box.x0 < box.x1 <= width and 0 <= box.y0 < box.y1 <= height
    assert all(isinstance(side, int) for side in (box.x0, box.y0, box.x1, box.y1))
    assert box.width == pytest.approx(box.height * 0.75, abs=0.5)
    assert box.height <= face.height / 0.25 + 1e-6


def test_with_room_the_face_is_a_quarter_of_the_height_and_centred() -> None:
    box = portraits.place_portrait(Box(960, 300, 1040, 400), Box(0, 0, 1920, 1080), AISEGMENT)
    assert box == Box(850, 238, 1150, 638)


@pytest.fixture
def frame() -> Frame:
    y, x = np.mgrid[:720, :1280]
    return Frame("park-000000", "park", 0, 0.0, np.stack([x % 256, y % 256, (x + y) % 256], axis=-1).astype(np.uint8))


JOINTS = np.tile(np.array([640, 150, 0.9], np.float32), (17, 1))
ANN = Person(Box(560, 80, 720, 700), 0.9, JOINTS)
BOB = Person(Box(700, 90, 900, 700), 0.8, np.zeros((0, 3), np.float32))
FACE = Face(Box(610, 100, 670, 180), 0.93)


def test_joints_face_and_others_move_along(frame: Frame) -> None:
    portrait, _ = portraits.cut_portraits(frame, [ANN, BOB], [FACE, None], 0.1, AISEGMENT)

    assert (portrait.image.shape, portrait.image.dtype) == ((800, 600, 3), np.uint8)
    assert portrait.box == Box(520, 50, 760, 370)
    assert portrait.scale == 2.5
    assert portrait.face == Box(225, 125, 375, 325) and portrait.face_score == 0.93
    assert portrait.keypoints[0] == pytest.approx([300, 250, 0.9])
    assert portrait.keypoints.dtype == np.float32
    assert portrait.others == (Box(450, 100, 600, 800),)
    assert portrait.person == ANN.box and portrait.person_inside == Box(100, 75, 500, 1625)
    # the frame's red channel is x: what lies in the middle of the portrait is the frame's own middle of the box
    assert int(portrait.image[400, 300, 1]) == pytest.approx((50 + 160) % 256, abs=2)


def test_a_large_source_is_shrunk(frame: Frame) -> None:
    [portrait] = portraits.cut_portraits(frame, [ANN], [Face(Box(500, 100, 800, 450), 0.9)], 0.1, PortraitSize(60, 80, 0.25))
    assert portrait.box.height == 720 and portrait.scale == pytest.approx(80 / 720)


def test_a_person_without_a_face_is_cut_whole_with_a_score_of_0(frame: Frame) -> None:
    _, whole = portraits.cut_portraits(frame, [ANN, BOB], [FACE, None], 0.1, AISEGMENT)
    [plain] = crops.cut(frame, [BOB], 0.1)
    assert whole.box == plain.box and np.array_equal(whole.image, plain.image)
    assert (whole.face, whole.face_score, whole.scale) == (None, 0.0, 1.0)


def test_a_portrait_survives_its_row(frame: Frame) -> None:
    for portrait in portraits.cut_portraits(frame, [ANN, BOB], [FACE, None], 0.1, AISEGMENT):
        again = crop_rows.to_crop(crop_rows.from_crop(portrait, "a.jpg", "0"), portrait.image)
        assert (again.face, again.face_score, again.box, again.scale) == (
            portrait.face, portrait.face_score, portrait.box, portrait.scale,
        )  # fmt: skip
