"""One class a pixel, whatever was painted over what, and the configs that ask for it."""

from dataclasses import replace
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from figureground.annotation import brush_rle, class_resolution, label_interface
from figureground.errors import ArrayError, CatalogError, LabelError
from figureground.imaging import class_maps

CONFIGS = Path(__file__).parents[3] / "label_config"


def config(name):
    return label_interface.parse_interface((CONFIGS / f"{name}.xml").read_text(encoding="utf-8"), name)


NAMES = ("background", "bag", "arm", "coat")


def row(*values):
    return np.array([values], np.uint8)


def test_the_order_of_painting_does_not_matter():
    regions = [("arm", row(255, 255, 255, 0)), ("coat", row(0, 255, 255, 0)), ("bag", row(0, 0, 200, 127))]
    for some in permutations(regions):
        found, overlaps = class_resolution.resolve(some, ["arm", "coat", "bag"], NAMES)
        assert found.tolist() == [[2, 3, 1, 0]]
        assert overlaps == {("arm", "coat"): 2, ("arm", "bag"): 1, ("coat", "bag"): 1}


def test_several_regions_of_one_class_are_no_overlap():
    found, overlaps = class_resolution.resolve(
        [("hand", row(255, 255, 0)), ("hand", row(0, 255, 255))], ["hand"], ["background", "hand"]
    )
    assert (found.tolist(), overlaps) == ([[1, 1, 1]], {})


@pytest.mark.parametrize(
    ("regions", "says"),
    [
        ([], "expected at least one"),
        ([("tail", row(255))], "region 'tail': expected one of arm"),
        ([("arm", row(255)), ("arm", row(255, 255))], "expected the shape"),
        ([("arm", row(255).astype(float))], "region 'arm': expected"),
    ],
)
def test_bad_regions_are_named(regions, says):
    with pytest.raises(ArrayError, match=says):
        class_resolution.resolve(regions, ["arm"], ["background", "arm"])


@pytest.mark.parametrize(("name", "classes"), [("human_parsing_5", 5), ("human_parsing_18", 18)])
def test_each_config_has_its_classes_and_an_annotation_of_it_is_read(name, classes):
    interface = config(name)
    assert len(interface.labels) + 1 == classes == len({*interface.labels, "background"})
    below, above = interface.labels[0], interface.labels[-1]
    items = [region(interface, above, row(0, 255, 0)), region(interface, below, row(255, 255, 0))]
    found, _, overlaps = class_resolution.read_classes({"id": 3, "result": items}, interface, 3, 1, "park-000000-00")
    names = class_maps.NAMES[classes]
    assert names == class_resolution.find_class_names(interface)
    assert found.tolist() == [[names.index(below), names.index(above), 0]]
    assert overlaps == {(below, above): 1}
    nothing, *_ = class_resolution.read_classes({"id": 3, "result": []}, interface, 3, 1, "park-000000-00")
    assert not nothing.any()
    with pytest.raises(LabelError, match=r"annotation 3 of park-000000-00: region .* labelled tail"):
        class_resolution.read_classes(
            {"id": 3, "result": [region(interface, "tail", row(255, 0, 0))]}, interface, 3, 1, "park-000000-00"
        )


def region(interface, label, mask):
    return {
        "id": label,
        "type": "brushlabels",
        "from_name": interface.brush,
        "to_name": interface.image,
        "original_width": mask.shape[1],
        "original_height": mask.shape[0],
        "value": {"format": "rle", "rle": brush_rle.encode(mask), "brushlabels": [label]},
    }


def test_a_portrait_asks_for_a_person_and_parts_do_not():
    portrait = label_interface.parse_person_interface((CONFIGS / "portrait.xml").read_text(encoding="utf-8"), "portrait.xml")
    assert portrait.labels == ("person",)
    assert "turned away" in portrait.choices["verdict"]
    with pytest.raises(CatalogError, match="BrushLabels needs the label 'person'; it has: lower-body, upper-clothes"):
        label_interface.parse_person_interface(
            (CONFIGS / "human_parsing_5.xml").read_text(encoding="utf-8"), "human_parsing_5.xml"
        )


def test_labels_that_are_no_set_of_classes_are_refused():
    assert class_resolution.find_class_names(config("person")) == ("background", "person")
    with pytest.raises(CatalogError, match="the brush labels head, tail are none of the sets of classes"):
        class_resolution.find_class_names(replace(config("person"), labels=("head", "tail")))


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.xml")), ids=lambda file: file.stem)
def test_no_key_means_two_things(file):
    import xml.etree.ElementTree as ElementTree

    keys = [tag.get("hotkey") for tag in ElementTree.parse(file).iter() if tag.get("hotkey")]
    assert len(keys) == len(set(keys))
