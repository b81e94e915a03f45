"""What people answered, as the real server gives it back: bit by bit, and never mixed up."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import labelling, tables
from figureground.errors import LabelError, TransientError
from figureground.store import Store
from tasks import label_studio
from tasks.annotate import stand_in
from tasks.pull import pull
from tasks.push import push

pytestmark = pytest.mark.studio


class Desk:
    """Material that was pushed, and a way to answer and pull it."""

    def __init__(self, material):
        self.material = material
        self.tasks = push.fn(material.crops, material.mattes, material.source, material.catalog)
        self.store = Store(material.catalog.storage_root)
        self.interface, _ = label_studio.interface(material.catalog)
        self.rows = tables.read(self.store, self.tasks).rows

    def pull(self):
        return pull.fn(self.material.crops, self.material.mattes, self.tasks, self.material.catalog)

    def table(self):
        return tables.read(self.store, self.pull())

    def labels(self):
        return {row["crop_id"]: row for row in self.table().rows.to_dict("records")}

    def crop(self, number):
        return str(self.rows["crop_id"][number])

    def server(self):
        return label_studio.connect(self.material.catalog)

    def remote(self, server, number):
        project = label_studio.find_project(server, self.material.catalog)
        every = label_studio.everything(server, project)
        return next(task for task in every if task.key == self.rows["key"][number])

    def accept(self, number, seconds=2.0, **change):
        """Submit the prediction as it is, as the browser does; `change` alters its brush region."""
        with self.server() as server:
            task = self.remote(server, number)
            prediction = task.content["predictions"][0]
            result = [item | {"origin": "prediction"} for item in prediction["result"]]
            result[0] |= change
            label_studio.annotate(server, task, result, by=1, seconds=seconds, prediction=prediction["id"])

    def answer(self, number, result, **more):
        with self.server() as server:
            task = self.remote(server, number)
            return server.client.annotations.create(task.task_id, result=result, **more).id

    def file(self, row):
        content = self.store.read(row["file"], row["sha256"])
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def desk(real):
    return Desk(real(4))


def test_an_untouched_prediction_comes_back_as_the_identical_mask(desk, alpha_of):
    desk.accept(1, seconds=7.25)
    (row,) = desk.labels().values()
    mask = desk.file(row)
    assert np.array_equal(mask, labelling.hard(alpha_of(1, 61, 80)))
    assert hashlib.sha256(mask.tobytes()).hexdigest() == desk.rows["prediction_sha256"][1]
    assert (row["crop_id"], row["origin"], row["verdict"], row["iou_with_matte"]) == (desk.crop(1), "prediction", "keep", 1.0)
    assert (row["annotator"], row["seconds_spent"], row["scenes"]) == ("admin@figureground.local", 7.25, ["park", "jumping"])
    assert row["file"] == f"labels/{desk.material.source.source_id}/{desk.crop(1)}.png"


def test_a_stroke_is_decoded_exactly(desk, alpha_of):
    """A stroke with a soft rim, as the browser paints it, into the predicted region."""
    mask = labelling.hard(alpha_of(0, 60, 80)).copy()
    mask[2:9, 3:20], mask[9, 3:20], mask[1, 3:20] = 255, 100, 150
    stroke = labelling.answered(desk.interface, mask=mask, origin="prediction-changed")[0]
    desk.accept(0, origin="prediction-changed", value=stroke["value"])
    (row,) = desk.labels().values()
    assert np.array_equal(desk.file(row), np.where(mask >= 128, 255, 0))
    assert row["origin"] == "prediction-changed"
    assert 0.8 < row["iou_with_matte"] < 1


def test_a_changed_mask_that_says_it_is_none_is_found_out(desk, alpha_of):
    other = labelling.hard(alpha_of(9, 60, 80))
    desk.accept(0, value=labelling.answered(desk.interface, mask=other, origin="prediction")[0]["value"])
    assert desk.labels()[desk.crop(0)]["origin"] == "prediction-changed"


def test_drawn_by_hand_rejected_and_open_tasks(desk, alpha_of):
    by_hand = labelling.hard(alpha_of(5, 60, 80))
    desk.answer(0, labelling.answered(desk.interface, mask=by_hand, origin="manual", scenes=["night"]), lead_time=30)
    desk.answer(2, labelling.answered(desk.interface, mask=None, origin="manual", verdict="blurred"))
    labels = desk.labels()
    assert list(labels) == [desk.crop(0), desk.crop(2)]
    assert np.array_equal(desk.file(labels[desk.crop(0)]), by_hand)
    assert (labels[desk.crop(0)]["origin"], labels[desk.crop(0)]["scenes"]) == ("manual", ["night"])
    rejected = labels[desk.crop(2)]
    assert (rejected["verdict"], rejected["file"], rejected["sha256"]) == ("blurred", "", "")
    assert np.isnan(rejected["iou_with_matte"])


def test_the_latest_annotation_counts_and_skipped_ones_never_do(desk, alpha_of):
    first = labelling.answered(desk.interface, mask=labelling.hard(alpha_of(5, 60, 80)), origin="manual")
    second = labelling.answered(desk.interface, mask=None, origin="manual", verdict="ghosted")
    older = desk.answer(0, first)
    desk.answer(0, second)
    desk.answer(0, [], was_cancelled=True)
    desk.answer(1, [], was_cancelled=True)
    labels = desk.labels()
    assert list(labels) == [desk.crop(0)]
    assert labels[desk.crop(0)]["verdict"] == "ghosted"
    with desk.server() as server:
        server.client.annotations.update(older, result=first, lead_time=99)
    assert desk.labels()[desk.crop(0)]["annotation_id"] == older


def test_an_unusable_annotation_is_named_and_the_others_go_on(desk):
    desk.accept(0)
    desk.accept(1, original_width=30)
    empty = desk.answer(2, [])
    table = desk.table()
    assert list(table.rows["crop_id"]) == [desk.crop(0)]
    wrong, nothing = table.facts["unusable"]
    assert (wrong["crop_id"], nothing["crop_id"], nothing["annotation_id"]) == (desk.crop(1), desk.crop(2), empty)
    assert "30x80 rotated by 0; the crop has 61x80" in wrong["reason"]
    assert "nothing is painted" in nothing["reason"]


def test_pulling_twice_writes_nothing_the_second_time(desk):
    desk.accept(0)
    first = desk.pull()
    root = Path(desk.material.catalog.storage_root)
    before = {path: path.stat().st_mtime_ns for folder in ("tables", "labels") for path in (root / folder).rglob("*.*")}
    assert desk.pull() == first
    assert before == {path: path.stat().st_mtime_ns for folder in ("tables", "labels") for path in (root / folder).rglob("*.*")}
    (root / f"labels/{desk.material.source.source_id}/{desk.crop(0)}.png").unlink()
    assert desk.pull() == first
    assert (root / f"labels/{desk.material.source.source_id}/{desk.crop(0)}.png").exists()


def test_a_project_that_is_gone_is_said(desk):
    with desk.server() as server:
        project = label_studio.find_project(server, desk.material.catalog)
        server.client.projects.delete(project.project_id)
    with pytest.raises(LabelError, match=r"has no project 'project \w+' any more; run `figureground push park-"):
        desk.pull()


@pytest.mark.faults
def test_a_lost_connection_says_what_to_run_next(desk, monkeypatch):
    desk.accept(0)

    def lost(*_):
        raise TransientError("lost the Label Studio")

    monkeypatch.setattr(label_studio, "details", lost)
    with pytest.raises(TransientError, match=r"nothing is lost .*run `figureground pull park-"):
        desk.pull()
    monkeypatch.undo()
    assert len(desk.labels()) == 1


def test_the_stand_in_accepts_most_corrects_one_and_rejects_one(real, alpha_of):
    desk = Desk(real(8, empty=3))
    desk.accept(6)
    counts = stand_in(desk.material.catalog)
    assert counts == {"accepted": 4, "corrected": 1, "rejected": 2, "left": 1}
    labels = desk.labels()
    ours = {crop: row for crop, row in labels.items() if row["annotator"] == "stand-in"}
    assert len(labels) == 8
    assert set(labels) - set(ours) == {desk.crop(6)}
    origins = [row["origin"] for row in ours.values() if row["verdict"] == "keep"]
    assert sorted(origins) == ["prediction"] * 4 + ["prediction-changed"]
    (corrected,) = (row for row in ours.values() if row["origin"] == "prediction-changed")
    assert 0.5 < corrected["iou_with_matte"] < 1
    assert sorted(row["verdict"] for row in ours.values() if row["verdict"] != "keep") == ["not a person", "other"]
    assert ours[desk.crop(3)]["verdict"] == "not a person"
    assert all(row["scenes"] == ["park", "jumping"] for row in ours.values())
    before = desk.pull()
    assert stand_in(desk.material.catalog) == {"accepted": 0, "corrected": 0, "rejected": 0, "left": 8}
    assert desk.pull() == before
