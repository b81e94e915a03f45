"""Task JSON out, annotation JSON in: literals only, no server."""

import contextlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.annotation import annotations, brush_rle, label_interface, predictions
from figureground.errors import CatalogError, LabelError

CONFIG = Path(__file__).parents[3] / "label_config/person.xml"
INTERFACE = label_interface.parse_person_interface(CONFIG.read_text(encoding="utf-8"), "person.xml")
SMALL = """<View><Image name="image" value="$image"/>
<BrushLabels name="brush" toName="image"><Label value="person"/><Label value="bag"/></BrushLabels>
<Choices name="verdict" toName="image"><Choice value="keep"/><Choice value="blurred"/></Choices></View>"""


def disc(height=40, width=30, radius=10):
    y, x = np.mgrid[:height, :width]
    return ((np.hypot(x - width / 2, y - height / 2) < radius) * 255).astype(np.uint8)


def region(mask, **changes):
    """A region as the browser sends it."""
    found = {
        "id": "r1",
        "type": "brushlabels",
        "from_name": "person",
        "to_name": "image",
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "image_rotation": 0,
        "origin": "manual",
        "value": {"format": "rle", "rle": brush_rle.encode(mask), "brushlabels": ["person"]},
    }
    return found | changes


def choice(name, *answers):
    return {"id": "c", "type": "choices", "from_name": name, "to_name": "image", "value": {"choices": list(answers)}}


def annotation(*result, **more):
    return {"id": 7, "result": list(result), "lead_time": 12.5, "parent_prediction": None} | more


def read(found):
    return annotations.read_annotation(found, INTERFACE, 30, 40, "park-000120-02")


def test_the_label_config_asks_for_the_person_the_verdict_and_the_scenes():
    assert (INTERFACE.image, INTERFACE.value, INTERFACE.brush, INTERFACE.labels) == ("image", "image", "person", ("person",))
    reasons = ("occluded", "truncated", "blurred", "ghosted", "several people", "not a person", "other")
    assert INTERFACE.choices["verdict"] == ("keep", *reasons)
    assert INTERFACE.several == {"scenes"}
    assert {"park", "jumping", "indoor", "walking"} <= set(INTERFACE.choices["scenes"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("</View>", ""), "not XML"),
        (('<Label value="person"/>', ""), "needs the label 'person'; it has: bag"),
        (('<Choice value="keep"/>', ""), "the choice 'keep'"),
        (('name="verdict" toName="image"', 'name="verdict" toName="picture"'), "'verdict' needs a name, and toName='image'"),
        (("<View>", '<View><Image name="two" value="$two"/>'), "exactly one <Image>; found 2"),
    ],
)
def test_a_label_config_that_asks_for_something_else_is_refused(change, says):
    with pytest.raises(CatalogError, match=f"small.xml: .*{says}"):
        label_interface.parse_person_interface(SMALL.replace(*change), "small.xml")


def test_comments_and_white_space_do_not_make_another_interface():
    assert label_interface.same_interface(SMALL, SMALL.replace("\n", "\n\n <!-- new -->"))
    assert not label_interface.same_interface(SMALL, SMALL.replace("bag", "hat"))


def test_a_key_changes_with_the_crop_and_with_its_bytes():
    keys = {predictions.task_key("a", "1"), predictions.task_key("b", "1"), predictions.task_key("a", "2")}
    assert len(keys) == 3
    assert predictions.task_key("a", "1") in keys


def test_a_prediction_says_what_it_is_and_comes_back_as_it_was():
    mask = predictions.binarize((disc() / 255).astype(np.float32))
    made = predictions.make_prediction(mask, INTERFACE, score=0.9, model_version="rembg-1234", scenes=["park", "moon"])
    predictions.check_prediction(made, INTERFACE, 30, 40, "c")
    painted, chosen = made["result"]
    assert (painted["original_width"], painted["original_height"], painted["from_name"]) == (30, 40, "person")
    assert chosen["value"] == {"choices": ["park"]}
    accepted = annotation(*[item | {"origin": "prediction"} for item in made["result"]], parent_prediction=3)
    answer = read(accepted)
    assert (answer.origin, answer.parent_prediction, answer.verdict, answer.scenes) == ("prediction", 3, "keep", ("park",))
    assert np.array_equal(answer.mask, mask)
    assert answer.seconds_spent == 12.5


def test_an_empty_mask_is_pushed_without_a_region():
    made = predictions.make_prediction(np.zeros((4, 4), np.uint8), INTERFACE, score=0, model_version="m")
    assert made["result"] == []


def wrong(**changes):
    made = predictions.make_prediction(disc(), INTERFACE, score=0.9, model_version="m", scenes=["park"])
    return made | {"result": [made["result"][0] | changes, made["result"][1]]}


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (wrong(from_name="brush"), "goes from 'brush' to 'image'; the label config has person to image"),
        (wrong(to_name="picture"), "to 'picture'"),
        (wrong(original_width=31), "31x40 rotated by 0; the crop has 30x40"),
        (wrong(original_width=None), "Nonex40"),
        (wrong(image_rotation=90), "rotated by 90"),
        (wrong(type="polygonlabels"), "is 'polygonlabels'|goes from"),
        (wrong(value={"rle": [1, 2], "brushlabels": ["person"]}), "within its header"),
        (wrong(value={"rle": brush_rle.encode(disc()), "brushlabels": ["dog"]}), "labelled dog; expected"),
        (wrong(value=None), "not a list of regions"),
        (wrong() | {"score": 3}, "score of 0..1; found 3"),
        (wrong() | {"model_version": ""}, "needs a model_version"),
        (wrong() | {"result": [choice("scenes", "moon")]}, "scenes says 'moon'; expected any of indoor"),
        (wrong() | {"result": [choice("verdict", "keep", "blurred")]}, "expected one of keep"),
        (wrong() | {"result": [choice("weather", "rain")]}, "goes from 'weather'"),
    ],
)
def test_a_prediction_nobody_would_see_is_not_sent(made, says):
    with pytest.raises(LabelError, match=f"park-1.*({says})"):
        predictions.check_prediction(made, INTERFACE, 30, 40, "park-1")


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
