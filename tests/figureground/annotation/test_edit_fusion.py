"""What people touched is theirs, what they left alone stays the matte's, bit by bit."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.annotation import predictions
from figureground.annotation.edit_fusion import REACH, fuse, guided_filter
from figureground.errors import ArrayError
from figureground.imaging import masks

SIZE = (60, 50)


def soft(seed):
    """A matte of many greys, with and without holes."""
    noise = np.random.default_rng(seed).random((8, 7)).astype(np.float32)
    return np.clip(cv2.resize(noise, SIZE[::-1], interpolation=cv2.INTER_CUBIC) * 2 - 0.5, 0, 1).astype(np.float32)


def picture(seed):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)


@st.composite
def strokes(draw):
    """Strokes as a browser paints them: anti-aliased, painting or erasing."""
    place = st.tuples(st.integers(0, SIZE[1] - 1), st.integers(0, SIZE[0] - 1))
    return draw(st.lists(st.tuples(place, place, st.integers(1, 9), st.sampled_from([0, 255])), min_size=1, max_size=4))


def paint(mask, some):
    after = mask.copy()
    for start, end, width, value in some:
        after = cv2.line(after, start, end, value, width, cv2.LINE_AA)
    return after


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_an_untouched_submit_gives_the_identical_alpha(seed):
    alpha = soft(seed)
    pushed = predictions.binarize(alpha)
    fused = fuse(alpha, pushed, pushed.copy(), picture(seed))
    assert fused.tobytes() == alpha.tobytes()
    assert fused is not alpha


@pytest.mark.slow
@given(st.integers(0, 10_000), strokes(), st.integers(1, 8))
@settings(max_examples=150, deadline=None)
def test_a_stroke_changes_only_pixels_near_it_and_is_obeyed(seed, some, reach):
    alpha = soft(seed)
    pushed = predictions.binarize(alpha)
    painted = paint(pushed, some)
    before = alpha.copy()
    fused = fuse(alpha, pushed, painted, picture(seed), reach)
    masks.check_alpha(fused)
    assert np.array_equal(alpha, before)
    near = cv2.dilate((painted != pushed).astype(np.uint8), np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)) > 0
    assert np.array_equal(fused[~near], alpha[~near])
    assert np.array_equal(masks.to_mask(fused), (painted >= 128).astype(np.uint8))
    assert np.array_equal(masks.to_levels(fused) >= 128, painted >= 128)


def test_a_part_taken_away_is_gone_but_for_its_rim():
    alpha = np.ones(SIZE, np.float32)
    pushed = predictions.binarize(alpha)
    painted = pushed.copy()
    painted[:, :20] = 0
    fused = fuse(alpha, pushed, painted, picture(1))
    assert not fused[:, : 20 - REACH - 1].any()
    assert (fused[:, 20 + REACH + 1 :] == 1).all()
    assert ((fused[:, 18:22] > 0) & (fused[:, 18:22] < 1)).any()


def test_a_seam_inside_the_person_is_closed():
    """The matte's soft border runs where somebody now painted on: it must not stay as a grey line within the person."""
    x = np.arange(SIZE[1])
    alpha = np.broadcast_to(np.clip((25 - x) / 6 + 0.5, 0, 1), SIZE).astype(np.float32)
    pushed = predictions.binarize(alpha)
    painted = pushed.copy()
    painted[:, :45] = 255
    fused = fuse(alpha, pushed, painted, np.full((*SIZE, 3), 90, np.uint8))
    assert (fused[:, : 45 - REACH - 1] > 0.95).all()
    assert (fused[:, 24 : 45 - REACH - 1] == 1).all()
    assert (fused[:, 45:] < 0.5).all()


def test_a_small_stroke_in_a_soft_region_leaves_no_spot():
    """One pixel was switched on where the matte is unsure: its neighbours but one stay as they are."""
    alpha = np.full(SIZE, 0.45, np.float32)
    pushed = predictions.binarize(alpha)
    painted = pushed.copy()
    painted[30, 25] = 255
    changed = np.argwhere(fuse(alpha, pushed, painted, picture(3)) != alpha)
    assert (changed.min(axis=0) >= (29, 24)).all()
    assert (changed.max(axis=0) <= (31, 26)).all()


def test_the_rim_follows_the_picture():
    """The hand is two pixels off the picture's edge; the softened rim leans towards the edge."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:, 25:] = 220
    alpha = np.zeros(SIZE, np.float32)
    painted = np.zeros(SIZE, np.uint8)
    painted[:, 27:] = 255
    fused = fuse(alpha, np.zeros_like(painted), painted, image)
    flat = fuse(alpha, np.zeros_like(painted), painted, np.full_like(image, 220))
    assert (fused[:, 24] < flat[:, 24]).all()
    assert (fused[:, 26] >= flat[:, 26]).all()
    assert fused[30, 26] > fused[30, 24] + 0.1


def test_the_guided_filter_matches_the_paper():
    """Against the paper's formulas written out window by window."""
    rng = np.random.default_rng(5)
    guide, values, radius = rng.random((9, 8)), rng.random((9, 8)), 2
    padded = [np.pad(one, radius, mode="edge") for one in (guide, values)]
    slope, offset = np.zeros_like(guide), np.zeros_like(guide)
    for y, x in np.ndindex(guide.shape):
        ours, theirs = (one[y : y + 2 * radius + 1, x : x + 2 * radius + 1] for one in padded)
        slope[y, x] = ((ours * theirs).mean() - ours.mean() * theirs.mean()) / (ours.var() + 1e-4)
        offset[y, x] = theirs.mean() - slope[y, x] * ours.mean()
    slope, offset = (np.pad(one, radius, mode="edge") for one in (slope, offset))
    expected = np.zeros_like(guide)
    for y, x in np.ndindex(guide.shape):
        window = np.s_[y : y + 2 * radius + 1, x : x + 2 * radius + 1]
        expected[y, x] = slope[window].mean() * guide[y, x] + offset[window].mean()
    assert np.allclose(guided_filter(guide, values, radius), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"alpha": np.zeros(SIZE)}, "alpha: expected"),
        ({"pushed": np.zeros((3, 3), np.uint8)}, "alpha and pushed mask: expected the same height and width"),
        ({"painted": np.zeros(SIZE, bool)}, "painted mask: expected"),
        ({"image": np.zeros((3, 3, 3), np.uint8)}, "alpha and image: expected the same"),
        ({"reach": 0}, "reach of an edit: expected at least 1 pixel, found 0"),
    ],
)
def test_bad_input_is_named(change, says):
    mask = np.zeros(SIZE, np.uint8)
    good = {"alpha": np.zeros(SIZE, np.float32), "pushed": mask, "painted": mask, "image": picture(0), "reach": 2}
    with pytest.raises(ArrayError, match=says):
        fuse(**(good | change))
