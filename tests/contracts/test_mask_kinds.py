"""One suite for both ways Label Studio stores a mask: what is pushed is shown, and what comes back is what was painted."""

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from figureground.annotation import annotations, edit_fusion, label_interface, predictions
from figureground.annotation.label_interface import BITMASK, BRUSH
from figureground.errors import LabelError

CONFIGS = Path(__file__).parents[2] / "label_config"
XML = (CONFIGS / "person.xml").read_text(encoding="utf-8")
WIDTH, HEIGHT = 30, 40
BROKEN = {BRUSH: ({"rle": [1, 2]}, "within its header"), BITMASK: ({"imageDataURL": "data:x"}, "is no PNG in a data URL")}
NOTHING = {BRUSH: "not a list of bytes", BITMASK: "is no PNG in a data URL"}


@pytest.fixture(params=[BRUSH, BITMASK])
def interface(request):
    return label_interface.parse_person_interface(label_interface.set_mask_kind(XML, request.param), "person.xml")


def soft(radius=10.0):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.clip((radius - np.hypot(x - WIDTH / 2, y - HEIGHT / 2)) / 4 + 0.5, 0, 1).astype(np.float32)


def levels(alpha):
    return np.rint(alpha * 255).astype(np.uint8)


def region(interface, mask, origin="manual"):
    return predictions.make_result(interface, mask=mask, origin=origin)[0]


def read(interface, *regions):
    return annotations.read_annotation({"id": 7, "result": list(regions)}, interface, WIDTH, HEIGHT, "park-1")


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.xml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("kind", [BRUSH, BITMASK])
def test_every_label_config_is_had_in_both_kinds(file, kind):
    xml = file.read_text(encoding="utf-8")
    found = label_interface.parse_interface(label_interface.set_mask_kind(xml, kind), file.name)
    plain = label_interface.parse_interface(xml, file.name)
    assert (found.kind, found.labels, found.brush, found.choices) == (kind, plain.labels, plain.brush, plain.choices)
    assert label_interface.set_mask_kind(label_interface.set_mask_kind(xml, kind), BRUSH) == xml


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.xml")), ids=lambda file: file.stem)
@pytest.mark.parametrize("kind", [BRUSH, BITMASK])
def test_every_label_config_puts_the_image_where_strokes_reach_it(file, kind):
    xml = label_interface.set_mask_kind(file.read_text(encoding="utf-8"), kind)
    assert [image.get("horizontalAlignment") for image in ElementTree.fromstring(xml).iter("Image")] == ["left"]


def test_what_is_pushed_is_shown_and_an_untouched_answer_is_the_same_mask(interface):
    mask = predictions.binarize(soft())
    made = predictions.make_prediction(mask, interface, score=0.5, model_version="m", scenes=["park"])
    predictions.check_prediction(made, interface, WIDTH, HEIGHT, "park-1")
    assert made["result"][0]["type"] == interface.kind
    answer = read(interface, *[item | {"origin": "prediction"} for item in made["result"]])
    assert (answer.origin, answer.scenes) == ("prediction", ("park",))
    assert np.array_equal(answer.mask, mask)


def test_an_untouched_submit_gives_the_identical_alpha_back_and_a_stroke_acts_near_itself(interface):
    alpha, image = soft(), np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pushed = predictions.binarize(alpha)
    assert np.array_equal(edit_fusion.fuse(alpha, pushed, read(interface, region(interface, pushed)).mask, image), alpha)
    stroke = pushed.copy()
    stroke[2:6, 2:6], stroke[1, 2:6] = 255, 90
    fused = edit_fusion.fuse(alpha, pushed, read(interface, region(interface, stroke)).mask, image)
    assert np.array_equal(fused >= 0.5, stroke >= 128)
    assert np.array_equal(fused[6 + edit_fusion.REACH + 1 :], alpha[6 + edit_fusion.REACH + 1 :])


def test_strokes_are_merged_soft_rims_and_all(interface):
    one, other = levels(soft()), np.zeros((HEIGHT, WIDTH), np.uint8)
    other[:5, :5] = 77
    assert np.array_equal(read(interface, region(interface, one), region(interface, other)).mask, np.maximum(one, other))
    found = {"id": 7, "result": [region(interface, one), region(interface, other)]}
    painted = annotations.read_regions(found, interface, WIDTH, HEIGHT, "park-1")
    assert [label for label, _ in painted] == ["person", "person"]
    assert np.array_equal(painted[1][1], other)


def test_what_is_of_the_other_kind_is_refused(interface):
    other = BITMASK if interface.kind == BRUSH else BRUSH
    foreign = label_interface.parse_person_interface(label_interface.set_mask_kind(XML, other), "person.xml")
    with pytest.raises(LabelError, match=f"is '{other}' labelled nothing; expected '{interface.kind}' labelled person"):
        read(interface, region(foreign, predictions.binarize(soft())))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"original_width": 31}, "31x40 rotated by 0; the crop has 30x40"),
        ({"image_rotation": 90}, "rotated by 90"),
        ({"from_name": "brush"}, "goes from 'brush' to 'image'"),
    ],
)
def test_what_is_of_another_picture_or_tag_is_refused(interface, change, says):
    with pytest.raises(LabelError, match=says):
        read(interface, region(interface, predictions.binarize(soft())) | change)


def test_what_cannot_be_read_is_refused(interface):
    content, says = BROKEN[interface.kind]
    found = region(interface, predictions.binarize(soft()))
    with pytest.raises(LabelError, match=f"annotation 7 of park-1: region .*{says}"):
        read(interface, found | {"value": content | {interface.kind: ["person"]}})
    with pytest.raises(LabelError, match=NOTHING[interface.kind]):
        read(interface, found | {"value": {interface.kind: ["person"]}})
    with pytest.raises(LabelError, match="labelled alien; expected"):
        read(interface, found | {"value": found["value"] | {interface.kind: ["alien"]}})
    with pytest.raises(LabelError, match="nothing is painted"):
        read(interface, region(interface, np.zeros((HEIGHT, WIDTH), np.uint8)))
