import base64

import cv2
import numpy as np
import pytest

from figureground.errors import ArrayError
from figureground.imaging import drawing
from figureground.types import Box

GRAY = np.full((60, 40, 3), 128, np.uint8)
LEFT = np.zeros((60, 40), np.float32)
LEFT[:, :20] = 1


def test_fit_shrinks_and_never_enlarges():
    assert drawing.fit(GRAY, 400, 30).shape == (30, 20, 3)
    assert drawing.fit(GRAY, 400, 400).shape == (60, 40, 3)
    assert drawing.fit(np.zeros((3, 4000, 3), np.uint8), 100, 100).shape == (1, 100, 3)


def test_what_the_matte_leaves_out_is_checkerboard():
    shown = drawing.on_checkerboard(GRAY, LEFT, cell=4)
    assert (shown[:, :20] == 128).all()
    assert set(np.unique(shown[:, 20:])) == {214, 255}


def test_the_outline_runs_where_alpha_is_one_half():
    drawn = drawing.outlined(GRAY, LEFT, (255, 0, 0), 1)
    touched = np.unique(np.argwhere((drawn != GRAY).any(axis=2))[:, 1])
    assert set(touched) & {18, 19, 20}
    assert not set(touched) & set(range(23, 40))


def test_what_was_added_is_blue_and_what_was_taken_away_orange():
    after = np.zeros((60, 40), np.float32)
    after[:, 10:30] = 1
    red, _, blue = (drawing.changed(GRAY, LEFT, after)[0, :, channel].astype(int) for channel in range(3))
    assert (red[:10] > blue[:10] + 50).all()
    assert (red[10:20] == 128).all()
    assert (blue[20:30] > red[20:30] + 50).all()
    assert (red[30:] == blue[30:]).all()
    assert (red[30:] > 128).all()


def test_a_change_of_a_few_pixels_is_seen_in_a_thumbnail():
    before = np.zeros((600, 400), np.float32)
    after = before.copy()
    after[300:304, 200:204] = 1
    shown = drawing.changed(GRAY, before, after).astype(int)
    assert (shown[:, :, 2] - shown[:, :, 0]).max() > 40


def test_boxes_get_their_colour_and_a_tag_that_stays_inside():
    image = np.zeros((100, 200, 3), np.uint8)
    drawn = drawing.boxed(image, [(Box(150, 2, 199, 90), (0, 200, 0), "a long tag: size")])
    assert tuple(drawn[88, 150]) == (0, 200, 0)
    assert (drawn[4:20, 60:140].reshape(-1, 3).max(axis=0) > 200).all()  # white letters left of the box: the tag moved in
    assert not image.any()


def test_letters_are_drawn_and_measured():
    paper = np.full((40, 200, 3), 255, np.uint8)
    drawn = drawing.written(paper, "kept", 10, 5, 20)
    dark = np.argwhere(drawn.min(axis=2) < 128)
    assert 9 <= dark[:, 1].min() <= 13
    assert dark[:, 1].max() <= 10 + drawing.text_width("kept", 20)
    assert dark[:, 0].min() >= 5
    assert (paper == 255).all()


def test_a_row_is_as_wide_as_its_pictures_and_gaps():
    row = drawing.beside([GRAY, GRAY[:20]], gap=6)
    assert row.shape == (60, 86, 3)
    assert (row[:, 40:46] == 255).all()
    assert (row[20:40, 46:] == 128).all()
    with pytest.raises(ArrayError, match="at least one picture"):
        drawing.beside([])


def test_a_data_address_holds_the_picture():
    kind, content = drawing.data_uri(GRAY).split(",")
    assert kind == "data:image/jpeg;base64"
    back = cv2.imdecode(np.frombuffer(base64.b64decode(content), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back.astype(int) - 128).max() <= 2


def test_png_is_rgb():
    red = np.zeros((2, 3, 3), np.uint8)
    red[:, :, 0] = 255
    assert cv2.imdecode(np.frombuffer(drawing.png(red), np.uint8), cv2.IMREAD_COLOR)[0, 0].tolist() == [0, 0, 255]


def test_what_is_no_picture_is_refused():
    with pytest.raises(ArrayError, match="RGB; found shape"):
        drawing.fit(GRAY[:, :, 0], 10, 10)
    with pytest.raises(ArrayError, match="same height and width"):
        drawing.changed(GRAY, LEFT, LEFT[:30])
