"""Task JSON out: literals only, no server."""

import numpy as np
import pytest

from figureground.annotation import brush_rle, predictions
from figureground.errors import LabelError
from tests.figureground.annotation.regions import INTERFACE, annotation, choice, disc, read


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
