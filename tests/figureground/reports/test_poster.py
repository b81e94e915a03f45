import numpy as np

from figureground.imaging.drawing import DROPPED, HUMAN, KEPT
from figureground.reports import poster
from figureground.types import Box


def panels(**changes):
    rng = np.random.default_rng(1)
    crop = rng.integers(90, 140, (120, 50, 3), np.uint8)
    alpha = np.zeros((120, 50), np.float32)
    alpha[20:100, 10:40] = 1
    whole = {
        "frame": rng.integers(90, 140, (180, 320, 3), np.uint8),
        "boxes": ((Box(100, 50, 140, 150), ""), (Box(200, 60, 220, 90), "size")),
        "crops": ((crop, ""), (crop, "size 61.8, at least 96"), (crop, "")),
        "mattes": ((crop, alpha),) * 9,
        "label": (crop, alpha, np.roll(alpha, 8, axis=1)),
        "pairs": ((crop, (alpha > 0).astype(np.uint8)),),
        "release": ("CustomSeg_Person_20261121_demo/", "img_dir/   train 24"),
    }
    return poster.Panels(**{**whole, **changes})


def near(image, colour):
    return (np.abs(image.astype(int) - colour).max(axis=2) < 12).sum()


def test_the_sheet_has_its_size_and_every_panels_colours():
    drawn = poster.drawn(panels())
    assert (drawn.shape, drawn.dtype) == ((900, 1600, 3), np.uint8)
    assert near(drawn[104:494, 40:680], KEPT) > 300
    assert near(drawn[104:494, 40:680], DROPPED) > 100
    assert near(drawn[104:494, 700:1560], DROPPED) > 500
    assert near(drawn[514:864, 600:1040], HUMAN) > 500
    assert near(drawn[514:864, 1060:1560], (0, 0, 0)) > 500


def test_it_is_the_same_twice():
    assert np.array_equal(poster.drawn(panels()), poster.drawn(panels()))


def test_a_small_change_in_a_wide_crop_is_shown_three_times_and_large():
    wide, before = np.full((300, 900, 3), 120, np.uint8), np.zeros((300, 900), np.float32)
    before[100:200, 100:800] = 1
    after = before.copy()
    after[60:100, 700:780] = 1
    card = poster.drawn(panels(label=(wide, before, after)))[514:864, 600:1040]
    assert near(card[:290], HUMAN) > 100  # the outline of the label
    blue = (card[:, :, 2].astype(int) - card[:, :, 0] > 80)[60:290]
    assert blue[:, 140:300].sum() > 150  # what was added, in the middle picture


def test_without_a_changed_label_it_says_so():
    without = poster.drawn(panels(label=None))
    assert near(without[514:864, 600:1040], HUMAN) == 0
    assert (without[600:800, 620:1020].min(axis=2) < 160).any()


def test_empty_lists_leave_their_cards_empty():
    drawn = poster.drawn(panels(crops=(), mattes=(), pairs=(), boxes=()))
    assert near(drawn[180:480, 720:1540], (255, 255, 255)) == 300 * 820


def test_tags_of_narrow_crops_do_not_cover_each_other():
    crop = np.full((300, 30, 3), 120, np.uint8)
    drawn = poster.drawn(panels(crops=((crop, "truncation 0.61, at most 0.3"),) * 3))
    line = drawn[452, 700:1560]
    orange = np.abs(line.astype(int) - DROPPED).max(axis=1) < 12
    starts = np.flatnonzero(np.diff(orange.astype(int)) == 1)
    assert len(starts) >= 3
