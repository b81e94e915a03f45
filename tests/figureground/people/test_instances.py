"""figureground.people.instances: what a segmentation network saw in a crop is kept small and read back as it was."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground.inference import backends, letterbox, yolo
from figureground.people import instances
from figureground.tables import crop_rows
from figureground.types import Box, PersonCrop, Weights

WEIGHTS = Weights("yolo26n-seg.pt", "5" * 64)
CLASSES = ("person", "chair")
SIZE = (260, 130)


def crop(content=b"", size=SIZE):
    high, wide = size
    box, image = Box(0, 0, wide, high), np.zeros((high, wide, 3), np.uint8)
    return PersonCrop("c", "f", "s", box, box, 0.9, np.zeros((0, 3), np.float32), (), wide, high, image, instances=content)


class Network:
    """Answers with soft discs: (class, score, middle x, middle y, radius) each, in the input's pixels."""

    def __init__(self, *discs):
        self.discs, self.asked = discs, 0

    def run(self, weights, batch, outputs, precision):
        self.asked += 1
        high, wide = (side // 4 for side in batch.shape[2:])
        y, x = np.mgrid[:high, :wide] * 4.0 + 2
        rows, planes = [], []
        for n, (number, score, at_x, at_y, radius) in enumerate(self.discs):
            sure = [score if number == one else 0.0 for one in range(len(CLASSES))]
            rows.append([at_x, at_y, 2 * radius, 2 * radius, *sure, *(float(n == one) for one in range(len(self.discs)))])
            planes.append((radius - np.hypot(x - at_x, y - at_y)) / 6)
        return [np.array(rows, np.float32).T[None], np.array(planes, np.float32)[None]]


@pytest.fixture
def network(monkeypatch):
    def answer(*discs):
        network = Network(*discs)
        monkeypatch.setattr(backends, "run", network.run)
        monkeypatch.setattr(backends, "read_class_names", lambda weights, precision: CLASSES)
        return network

    return answer


def test_what_was_kept_beside_the_crop_is_what_looking_gives_and_is_not_looked_for_again(network):
    asked = network((0, 0.9, 100, 150, 60), (1, 0.4, 100, 300, 40))
    kept = crop(instances.segment(crop().image, WEIGHTS))
    assert asked.asked == 1
    read = instances.read_or_segment(kept, WEIGHTS)
    assert asked.asked == 1
    looked = instances.read_or_segment(crop(), WEIGHTS)
    assert asked.asked == 2
    for one, other in zip(read.image_masks(), looked.image_masks(), strict=True):
        assert (one.class_name, one.score, one.box) == (other.class_name, other.score, other.box)
        assert np.array_equal(one.alpha, other.alpha)
    assert [one.class_name for one in read.image_masks()] == ["person", "chair"]
    assert [one.class_name for one in read.image_masks(0.5)] == ["person"]
    assert [one.class_name for one in read.image_masks(classes={"chair"})] == ["chair"]


def test_what_another_network_saw_is_not_taken(network):
    network((0, 0.9, 100, 150, 60))
    kept = crop(instances.segment(crop().image, dataclasses.replace(WEIGHTS, sha256="6" * 64)))
    asked = network((1, 0.8, 100, 150, 60))
    assert [one.class_name for one in instances.read_or_segment(kept, WEIGHTS).image_masks()] == ["chair"] and asked.asked == 1


def test_where_nothing_is_there_nothing_is_kept_and_nobody_looks_again(network):
    asked = network((0, 0.01, 100, 150, 60))
    kept = crop(instances.segment(crop().image, WEIGHTS))
    assert instances.read_or_segment(kept, WEIGHTS).image_masks() == [] and asked.asked == 1 and len(kept.instances) < 200


def test_the_crops_table_keeps_it(network):
    network((0, 0.9, 100, 150, 60))
    kept = crop(instances.segment(crop().image, WEIGHTS))
    row = crop_rows.from_crop(kept, "crops/s/c.jpg", "0" * 64)
    assert crop_rows.to_crop(row, kept.image).instances == kept.instances


@settings(deadline=None, max_examples=40)
@given(
    st.tuples(st.integers(30, 600), st.integers(30, 600)),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(4, 200),
)
def test_a_mask_read_back_is_within_a_step_of_the_network_s_own(size, across, down, radius):
    with pytest.MonkeyPatch.context() as patch:
        place = letterbox.fit_letterbox(size[1], size[0], instances.IMAGE_SIZE, instances._PADDED_SIDES)
        middle = (place.left + across * place.width, place.top + down * place.height)
        network = Network((0, 0.9, *middle, radius))
        patch.setattr(backends, "run", network.run)
        patch.setattr(backends, "read_class_names", lambda weights, precision: CLASSES)
        found = instances.read_or_segment(crop(size=size), WEIGHTS).image_masks()
        batch, _ = letterbox.letterbox_image(crop(size=size).image, instances.IMAGE_SIZE, instances._PADDED_SIDES)
    answer, prototypes = network.run(WEIGHTS, batch, 2, "fast")
    [(_, _, box, logits)] = yolo.decode_instances(answer[0], prototypes[0], place, len(CLASSES), 0.05)
    whole = yolo.mask_from_log_odds(place.plane_to_image(logits, 4), box)
    assert np.abs(found[0].alpha - whole).max() < 0.02  # half a sixteenth of a raw value is .008 at a half
