"""Crops hold the frame's own pixels, and their rows hold everything else."""

import io

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground import tables
from figureground.errors import ArrayError
from figureground.imaging import crops, geometry
from figureground.storage.store import Store
from figureground.tables import CropRow, crop_rows
from figureground.types import Box, Frame, Person

NOBODY = np.zeros((0, 3), np.float32)


def frame(width=64, height=48):
    ys, xs = np.mgrid[:height, :width]
    return Frame("park-000007", "park", 7, 0.25, np.dstack([xs, ys, xs + ys]).astype(np.uint8))


def person(x0, y0, x1, y1, keypoints=NOBODY, score=0.9):
    return Person(Box(x0, y0, x1, y1), score, keypoints)


def test_a_crop_is_the_box_with_its_margin_cut_out_of_the_frame():
    [crop] = crops.cut(frame(), [person(10.5, 10.0, 30.5, 20.0)], margin=0.1)
    assert crop.box == Box(8, 9, 33, 21)
    assert crop.image.shape == (12, 25, 3)
    assert tuple(crop.image[0, 0]) == (8, 9, 17)
    assert (crop.crop_id, crop.frame_id, crop.source_id) == ("park-000007-00", "park-000007", "park")
    assert (crop.frame_width, crop.frame_height) == (64, 48)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 44), st.integers(2, 64), st.integers(2, 48), st.floats(0, 1))
def test_a_crop_stays_inside_the_frame_and_holds_the_person(x0, y0, width, height, margin):
    box = Box(x0, y0, min(64, x0 + width), min(48, y0 + height))
    [crop] = crops.cut(frame(), [Person(box, 0.5, NOBODY)], margin)
    assert 0 <= crop.box.x0 <= box.x0 and box.x1 <= crop.box.x1 <= 64
    assert 0 <= crop.box.y0 <= box.y0 and box.y1 <= crop.box.y1 <= 48
    assert crop.image.shape[:2] == (crop.box.height, crop.box.width)
    assert tuple(crop.image[-1, -1, :2]) == (crop.box.x1 - 1, crop.box.y1 - 1)


def test_keypoints_and_others_move_into_the_crop():
    joints = np.tile(np.array([20, 16, 0.8], np.float32), (17, 1))
    people = [person(10, 10, 30, 30, joints), person(25, 0, 64, 20), person(50, 40, 60, 48)]
    first = crops.cut(frame(), people, margin=0.1)[0]
    assert first.box == Box(8, 8, 32, 32)
    assert np.allclose(first.keypoints, [12, 8, 0.8])
    assert first.others == (Box(17, 0, 24, 12),), "clipped to the crop; the third person is not in it"
    assert np.allclose(joints[0], [20, 16, 0.8]), "the argument is left alone"


def test_changing_a_crop_leaves_the_frame_alone():
    whole = frame()
    [crop] = crops.cut(whole, [person(0, 0, 64, 48)], margin=0.0)
    crop.image[:] = 255
    assert whole.image[0, 0, 0] == 0


def test_a_person_outside_the_frame_is_refused():
    with pytest.raises(ArrayError, match="park-000007: expected a person's box inside the frame of 64x48"):
        crops.cut(frame(), [person(70, 0, 90, 10)], margin=0.5)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)])
def test_a_picture_of_another_kind_is_refused(image):
    with pytest.raises(ArrayError, match=r"expected an array \(h, w, 3\) of uint8"):
        crops.cut(Frame("a", "b", 0, 0.0, image), [], margin=0.1)
    with pytest.raises(ArrayError, match=r"expected an array \(h, w, 3\) of uint8"):
        crops.encode(image)


def test_a_row_through_the_table_is_the_crop_again(tmp_path):
    joints = np.random.default_rng(0).uniform(0, 40, (17, 3)).astype(np.float32)
    cut = crops.cut(frame(), [person(10.25, 10.5, 30.125, 30, joints), person(20, 10, 40, 40)], margin=0.1)
    store = Store(str(tmp_path))
    ref = tables.write_rows(store, "crops", "park", [crop_rows.from_crop(c, "f", "0") for c in cut], fingerprint="x")
    for before, row in zip(cut, tables.read_rows(store, ref, CropRow), strict=True):
        after = crop_rows.to_crop(row, before.image)
        assert np.array_equal(after.keypoints, before.keypoints) and after.keypoints.dtype == np.float32
        assert (after.box, after.person, after.others) == (before.box, before.person, before.others)
        assert after.image is before.image
        fields = ("crop_id", "frame_id", "source_id", "score", "frame_width", "frame_height")
        assert [getattr(after, field) for field in fields] == [getattr(before, field) for field in fields]
    assert len(cut[1].keypoints) == 0


def test_a_row_with_another_picture_is_refused():
    [crop] = crops.cut(frame(), [person(10, 10, 30, 30)], margin=0.0)
    with pytest.raises(ArrayError, match="park-000007-00: expected an image of 20x20 pixels as its table says; found 20x19"):
        crop_rows.to_crop(crop_rows.from_crop(crop, "f", "0"), crop.image[:19])


def test_jpeg_keeps_colour_at_full_resolution():
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2] = (200, 30, 30)
    image[:, 1::2] = (30, 30, 200)
    content = crops.encode(image)
    with PIL.Image.open(io.BytesIO(content)) as opened:
        assert [component[1:3] for component in opened.layer] == [(1, 1)] * 3
        assert np.abs(np.asarray(opened, np.int16) - image).mean() < 4, "RGB went in, RGB came out"
    assert np.abs(crops.decode(content, "x").astype(np.int16) - image).mean() < 4
    assert crops.encode(image) == content


@pytest.mark.parametrize("content", [b"", b"no picture at all"])
def test_bytes_that_are_no_picture_are_named(content):
    with pytest.raises(ArrayError, match=r"frames/park/a\.jpg: expected a JPEG or PNG picture"):
        crops.decode(content, "frames/park/a.jpg")


@settings(deadline=None)
@given(
    st.floats(100, 300), st.floats(100, 300), st.floats(30, 120), st.floats(60, 240),
    st.floats(-250, 250), st.floats(-350, 350), st.floats(1, 800), st.floats(1, 800),
)  # fmt: skip
def test_who_takes_up_as_much_of_a_crop_as_its_main_person_makes_occlusion_refuse_it(x, y, width, height, dx, dy, wide, high):
    """Else nobody could tell whom the crop is of."""
    from figureground.checks.occlusion import Occlusion

    whole = Frame("park-000007", "park", 7, 0.25, np.zeros((700, 700, 3), np.uint8))
    own, other = person(x, y, x + width, y + height), person(x + dx, y + dy, x + dx + wide, y + dy + high)
    crop = crops.cut(whole, [own, other], margin=0.1)[0] if geometry.clip(other.box, Box(0, 0, 700, 700)) else None
    if crop and any(one.area >= own.box.area for one in crop.others):
        assert not Occlusion().accepts(Occlusion().measure(crop))
