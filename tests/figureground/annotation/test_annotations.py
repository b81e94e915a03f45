"""Annotation JSON in: literals only, no server."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.annotation import brush_rle
from figureground.errors import LabelError
from tests.figureground.annotation.regions import annotation, choice, disc, read, region


def test_several_strokes_are_merged_and_the_softest_edge_stays():
    left, right = disc(), np.zeros((40, 30), np.uint8)
    right[:5, :5], right[20, 15] = 77, 10
    answer = read(annotation(region(left, origin="prediction"), region(right), choice("scenes", "park", "walking")))
    assert np.array_equal(answer.mask, np.maximum(left, right))
    assert answer.origin == "prediction-changed"
    assert answer.scenes == ("park", "walking")


@pytest.mark.parametrize(
    ("origins", "expected"),
    [(["manual"], "manual"), (["prediction"], "prediction"), (["prediction-changed"], "prediction-changed")],
)
def test_origin_is_what_the_regions_say(origins, expected):
    assert read(annotation(*[region(disc(), origin=origin) for origin in origins])).origin == expected


def test_a_rejected_crop_needs_no_mask():
    answer = read(annotation(choice("verdict", "blurred")))
    assert (answer.verdict, answer.mask) == ("blurred", None)
    assert read(annotation(region(disc(8, 8)), choice("verdict", "other"))).mask is None


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (annotation(), "kept, but nothing is painted"),
        (annotation(choice("verdict", "keep")), "kept, but nothing is painted"),
        (annotation(region(np.zeros((40, 30), np.uint8))), "nothing is painted"),
        (annotation(region(disc(30, 40))), "40x30 rotated by 0; the crop has 30x40"),
        (annotation(region(disc(), value={"rle": brush_rle.encode(disc())})), "labelled nothing"),
        (annotation(region(disc(), type="brush")), "is 'brush'"),
        (annotation(region(disc(), value={"brushlabels": ["person"]})), "not a list of bytes"),
        (annotation(choice("verdict", "great")), "verdict says 'great'"),
        (annotation("keep"), "not a list of regions"),
        (annotation(result={"a": 1}), "not a list of regions"),
    ],
)
def test_an_unusable_annotation_is_named_with_its_crop(found, says):
    with pytest.raises(LabelError, match=f"annotation 7 of park-000120-02.*{says}"):
        read(found)


anything = st.none() | st.integers(-3, 300) | st.text(max_size=3) | st.lists(st.integers(-1, 300), max_size=3) | st.just({})


@pytest.mark.slow
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_no_annotation_breaks_the_reader(data):
    items = [region(disc()), choice("scenes", "park"), choice("verdict", "keep")]
    broken = data.draw(st.sampled_from(items))
    inside = broken["value"] if data.draw(st.booleans()) else broken
    inside[data.draw(st.sampled_from(sorted(inside)))] = data.draw(anything)
    with contextlib.suppress(LabelError):
        answer = read(annotation(*items))
        assert answer.mask is None or answer.mask.shape == (40, 30)
