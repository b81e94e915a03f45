"""Regions, choices and annotations as the browser sends them."""

from pathlib import Path

import numpy as np

from figureground.annotation import annotations, brush_rle, label_interface

CONFIG = Path(__file__).parents[3] / "label_config/person.xml"
INTERFACE = label_interface.parse_person_interface(CONFIG.read_text(encoding="utf-8"), "person.xml")


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
