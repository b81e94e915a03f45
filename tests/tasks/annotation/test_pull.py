"""What people answered, as the real server gives it back: bit by bit, and never mixed up."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from figureground import tables
from figureground.annotation import edit_fusion, predictions
from figureground.annotation.label_interface import load_interface
from figureground.clients.annotation_server import connect, find_token
from figureground.clients.label_studio import LabelStudioClient
from figureground.errors import LabelError, TransientError
from figureground.imaging import masks
from figureground.storage.store import Store
from tasks.annotation.pull import PullSettings, pull
from tasks.annotation.push import push
from tasks.annotation.simulated_annotator import simulate_annotator

pytestmark = pytest.mark.studio


class Desk:
    """Material that was pushed, and a way to answer and pull it."""

    def __init__(self, material):
        self.material = material
        self.tasks = push.fn(material.crops, material.mattes, material.source, material.catalog)
        self.store = Store(material.catalog.storage_root)
        self.interface, _ = load_interface(material.catalog.label_config_file, material.catalog.label_studio.mask)
        self.rows = tables.read(self.store, self.tasks).rows

    def pull(self, **how):
        return pull.fn(self.material.crops, self.material.mattes, self.tasks, self.material.catalog, **how)

    def table(self, **how):
        return tables.read(self.store, self.pull(**how))

    def labels(self, **how):
        return {row["crop_id"]: row for row in self.table(**how).rows.to_dict("records")}

    def crop(self, number):
        return str(self.rows["crop_id"][number])

    def server(self):
        return connect(self.material.catalog)

    def remote(self, server, number):
        project = server.find_project(self.material.catalog)
        every = server.list_tasks(project)
        return next(task for task in every if task.key == self.rows["key"][number])

    def accept(self, number, seconds=2.0, **change):
        """Submit the prediction as it is, as the browser does; `change` alters its brush region."""
        with self.server() as server:
            task = self.remote(server, number)
            prediction = task.content["predictions"][0]
            result = [item | {"origin": "prediction"} for item in prediction["result"]]
            result[0] |= change
            server.add_annotation(task, result, annotator_id=1, seconds=seconds, prediction_id=prediction["id"])

    def answer(self, number, result, **more):
        with self.server() as server:
            task = self.remote(server, number)
            return server.sdk.annotations.create(task.task_id, result=result, **more).id

    @property
    def project(self):
        return int(self.rows["project_id"][0])

    def delete(self, number):
        with self.server() as server:
            for one in self.remote(server, number).content["annotations"]:
                server.sdk.annotations.delete(one["id"])

    def forget(self):
        """Lose the local table, as a fresh checkout would."""
        self.store.remove(tables.name("labels", self.material.source.source_id))

    def file(self, row):
        content = self.store.read(row["file"], row["sha256"])
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def desk(real):
    return Desk(real(4))


def test_an_unchanged_prediction_is_pulled_as_the_identical_soft_alpha(desk, alpha_of):
    desk.accept(1, seconds=7.25)
    (row,) = desk.labels().values()
    assert np.array_equal(desk.file(row), masks.to_levels(alpha_of(1, 61, 80)))
    matte = desk.store.read(tables.read(desk.store, desk.material.mattes).rows["file"][1])
    assert desk.store.read(row["file"], row["sha256"]) == masks.to_label(masks.from_png(matte))
    assert (row["crop_id"], row["origin"], row["verdict"], row["iou_with_matte"]) == (desk.crop(1), "prediction", "keep", 1.0)
    assert (row["annotator"], row["seconds_spent"], row["scenes"]) == ("admin@figureground.local", 7.25, ["park", "jumping"])
    assert row["file"] == f"labels/{desk.material.source.source_id}/{desk.crop(1)}.png"
    with desk.server() as server:
        assert row["parent_prediction"] == desk.remote(server, 1).content["predictions"][0]["id"]


def test_a_stroke_is_obeyed_and_changes_nothing_far_from_it(desk, alpha_of):
    """A stroke with a soft rim, as the browser paints it, into the predicted region."""
    alpha = alpha_of(0, 60, 80)
    mask = predictions.binarize(alpha).copy()
    mask[2:9, 3:20], mask[9, 3:20], mask[1, 3:20] = 255, 100, 150
    stroke = predictions.make_result(desk.interface, mask=mask, origin="prediction-changed")[0]
    desk.accept(0, origin="prediction-changed", value=stroke["value"])
    (row,) = desk.labels().values()
    found = desk.file(row)
    assert np.array_equal(found >= 128, mask >= 128)
    reach = edit_fusion.REACH
    near = np.zeros(mask.shape, bool)
    near[: 10 + reach, : 20 + reach] = True
    assert np.array_equal(found[~near], masks.to_levels(alpha)[~near])
    assert (found[:, 0:3] > 0).any(), "the rim is soft"
    assert row["origin"] == "prediction-changed"
    assert 0.8 < row["iou_with_matte"] < 1


def test_a_changed_mask_that_is_marked_as_unchanged_is_detected(desk, alpha_of):
    other = predictions.binarize(alpha_of(9, 60, 80))
    desk.accept(0, value=predictions.make_result(desk.interface, mask=other, origin="prediction")[0]["value"])
    assert desk.labels()[desk.crop(0)]["origin"] == "prediction-changed"


def test_tasks_drawn_by_hand_rejected_or_open_are_read(desk, alpha_of):
    by_hand = predictions.binarize(alpha_of(5, 60, 80))
    desk.answer(0, predictions.make_result(desk.interface, mask=by_hand, origin="manual", scenes=["night"]), lead_time=30)
    desk.answer(2, predictions.make_result(desk.interface, mask=None, origin="manual", verdict="blurred"))
    labels = desk.labels()
    assert list(labels) == [desk.crop(0), desk.crop(2)]
    assert np.array_equal(desk.file(labels[desk.crop(0)]) >= 128, by_hand >= 128)
    assert (labels[desk.crop(0)]["origin"], labels[desk.crop(0)]["scenes"]) == ("manual", ["night"])
    rejected = labels[desk.crop(2)]
    assert (rejected["verdict"], rejected["file"], rejected["sha256"]) == ("blurred", "", "")
    assert np.isnan(rejected["iou_with_matte"])


def test_the_latest_annotation_counts_and_skipped_ones_never_do(desk, alpha_of):
    first = predictions.make_result(desk.interface, mask=predictions.binarize(alpha_of(5, 60, 80)), origin="manual")
    second = predictions.make_result(desk.interface, mask=None, origin="manual", verdict="ghosted")
    older = desk.answer(0, first)
    desk.answer(0, second)
    desk.answer(0, [], was_cancelled=True)
    desk.answer(1, [], was_cancelled=True)
    labels = desk.labels()
    assert list(labels) == [desk.crop(0)]
    assert labels[desk.crop(0)]["verdict"] == "ghosted"
    with desk.server() as server:
        server.sdk.annotations.update(older, result=first, lead_time=99)
    assert desk.labels()[desk.crop(0)]["annotation_id"] == older


def test_an_unusable_annotation_is_named_and_goes_back_and_the_others_go_on(desk, caplog):
    desk.accept(0)
    desk.accept(1, original_width=30)
    empty = desk.answer(2, [])
    table = desk.table()
    assert list(table.rows["crop_id"]) == [desk.crop(0)]
    wrong, nothing = table.facts["unusable"]
    assert (wrong["crop_id"], nothing["crop_id"], nothing["annotation_id"]) == (desk.crop(1), desk.crop(2), empty)
    assert "30x80 rotated by 0; the crop has 61x80" in wrong["reason"]
    assert "nothing is painted" in nothing["reason"]
    with desk.server() as server:
        assert [desk.remote(server, number).annotations for number in range(4)] == [1, 0, 0, 0]
        (kept,) = desk.remote(server, 2).content["annotations"]
        assert (kept["id"], kept["was_cancelled"]) == (empty, True)
        labelled = [task.is_labeled for task in server.sdk.tasks.list(project=desk.project, fields="all")]
        assert sorted(labelled) == [False, False, False, True], "three stand in the annotators' queue"
    assert desk.table().facts == table.facts
    desk.accept(2)
    table = desk.table()
    assert list(table.rows["crop_id"]) == [desk.crop(0), desk.crop(2)]
    assert [one["crop_id"] for one in table.facts["unusable"]] == [desk.crop(1)]
    desk.forget()
    assert desk.table().facts["unusable"] == table.facts["unusable"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"value": {"format": "rle", "rle": [1, 2, 3], "brushlabels": ["person"]}}, "ends within its header"),
        ({"value": {"format": "rle", "rle": [0] * 40, "brushlabels": ["person"]}}, "holds 0 values, the picture has"),
        ({"value": {"format": "rle", "rle": [], "brushlabels": ["alien"]}}, "labelled alien; expected"),
        ({"type": "polygonlabels"}, "is 'polygonlabels' labelled"),
        ({"image_rotation": 90}, "rotated by 90"),
    ],
)
def test_a_suspicious_annotation_becomes_no_label(desk, change, says):
    desk.accept(0, **change)
    table = desk.table()
    assert table.rows.empty
    assert says in table.facts["unusable"][0]["reason"]


def test_a_mask_that_shrank_to_little_is_fetched_once_more_and_then_accepted(desk, alpha_of):
    little = predictions.binarize(alpha_of(0, 60, 80)).copy()
    little[:, 30:] = 0
    little[:55] = 0
    assert 0 < (little > 0).sum() < 0.1 * (alpha_of(0, 60, 80) >= 0.5).sum()
    value = predictions.make_result(desk.interface, mask=little, origin="prediction")[0]["value"]
    desk.accept(0, value=value, origin="prediction-changed")
    table = desk.table()
    assert table.rows.empty
    assert "pixels are left of" in table.facts["unusable"][0]["reason"]
    desk.accept(0, value=value, origin="prediction-changed")
    (row,) = desk.labels().values()
    assert np.array_equal(desk.file(row) >= 128, little >= 128)
    assert "unusable" not in desk.table().facts


class Recorder:
    """Connects to the real server, and records which tasks' annotations are fetched; breaks off after some keys."""

    def __init__(self):
        self.keys, self.keys_at_most = [], 1000

    def __call__(self, catalog):
        server = connect(catalog)
        fetch = server.list_annotated_tasks

        def list_annotated_tasks(project, keys):
            if len(self.keys) >= self.keys_at_most:
                raise TransientError("lost the Label Studio")
            self.keys.extend(keys)
            return fetch(project, keys)

        server.list_annotated_tasks = list_annotated_tasks
        return server


def test_only_changed_tasks_are_fetched(desk, alpha_of):
    for number in range(3):
        desk.accept(number)
    first = desk.labels()
    recorder = Recorder()
    keys = recorder.keys
    assert repr(desk.labels(connect=recorder)) == repr(first)  # a NaN is not equal to itself
    assert keys == []
    desk.accept(3)
    assert list(desk.labels(connect=recorder)) == [desk.crop(number) for number in range(4)]
    assert keys == [desk.rows["key"][3]]
    with desk.server() as server:
        (old,) = desk.remote(server, 1).content["annotations"]
        other = predictions.make_result(
            desk.interface, mask=predictions.binarize(alpha_of(8, 61, 80)), origin="prediction-changed"
        )
        server.sdk.annotations.update(old["id"], result=other)
    keys.clear()
    assert desk.labels(connect=recorder)[desk.crop(1)]["origin"] == "prediction-changed"
    assert keys == [desk.rows["key"][1]]


def test_what_was_deleted_or_skipped_since_is_no_label(desk):
    for number in range(4):
        desk.accept(number)
    assert len(desk.labels()) == 4
    with desk.server() as server:
        annotations = [desk.remote(server, number).content["annotations"][0]["id"] for number in range(4)]
        server.sdk.annotations.delete(annotations[0])
        server.sdk.annotations.update(annotations[1], was_cancelled=True)
    assert list(desk.labels()) == [desk.crop(2), desk.crop(3)]
    with desk.server() as server:
        server.sdk.tasks.delete(str(desk.rows["task_id"][3]))
    recorder = Recorder()
    assert list(desk.labels(connect=recorder)) == [desk.crop(2)]
    assert recorder.keys == []
    desk.forget()
    assert list(desk.labels()) == [desk.crop(2)]


def test_edits_while_paging_lose_nothing(real):
    """Somebody works on while the list is read: a page holds one task, and at each page another one changes state."""
    desk = Desk(real(6))
    for number in (0, 1, 2, 3):
        desk.accept(number)
    deeds = [lambda: desk.delete(0), lambda: desk.accept(0), lambda: desk.accept(4), lambda: desk.delete(2)]
    pages = []

    def connect_page_by_page(catalog):
        server = LabelStudioClient(*find_token(catalog), tasks_per_page=1)
        real_list = server.sdk.tasks.list

        def list_tasks(**asked):
            if asked["include"] == "id,data,total_annotations,updated_at" and len(pages) < 4:
                pages.append(asked)
                deeds[len(pages) - 1]()
            return real_list(**asked)

        server.sdk.tasks.list = list_tasks
        return server

    desk.pull(connect=connect_page_by_page)
    assert len(pages) == 4
    assert list(desk.labels(connect=connect_page_by_page)) == [desk.crop(number) for number in (0, 1, 3, 4)]
    before = desk.table().rows
    desk.forget()
    pd.testing.assert_frame_equal(desk.table().rows, before)


@pytest.mark.faults
def test_an_interrupted_pull_continues(real):
    desk = Desk(real(6))
    for number in range(6):
        desk.accept(number)
    whole = desk.labels()
    desk.forget()
    recorder, settings = Recorder(), PullSettings(portion=2, portions_per_table=1)
    recorder.keys_at_most = 4
    with pytest.raises(TransientError, match="nothing is lost and the labels before it stand"):
        desk.pull(connect=recorder, settings=settings)
    kept = tables.find(desk.store, "labels", desk.material.source.source_id)
    assert kept is not None and kept.rows == 4
    recorder = Recorder()
    assert desk.labels(connect=recorder, settings=settings).keys() == whole.keys()
    assert len(recorder.keys) == 2


def test_pulling_twice_writes_nothing_the_second_time(desk):
    desk.accept(0)
    first = desk.pull()
    root = Path(desk.material.catalog.storage_root.url)
    before = {path: path.stat().st_mtime_ns for folder in ("tables", "labels") for path in (root / folder).rglob("*.*")}
    assert desk.pull() == first
    assert before == {path: path.stat().st_mtime_ns for folder in ("tables", "labels") for path in (root / folder).rglob("*.*")}
    (root / f"labels/{desk.material.source.source_id}/{desk.crop(0)}.png").unlink()
    assert desk.pull() == first
    assert (root / f"labels/{desk.material.source.source_id}/{desk.crop(0)}.png").exists()


def test_a_deleted_project_is_reported(desk):
    with desk.server() as server:
        project = server.find_project(desk.material.catalog)
        server.sdk.projects.delete(project.project_id)
    with pytest.raises(LabelError, match=r"has no project 'project \w+' any more; run `figureground push park-"):
        desk.pull()


@pytest.mark.faults
def test_a_lost_connection_says_what_to_run_next(desk):
    desk.accept(0)
    recorder = Recorder()
    recorder.keys_at_most = 0
    with pytest.raises(TransientError, match=r"nothing is lost .*run `figureground pull park-"):
        desk.pull(connect=recorder)
    assert len(desk.labels()) == 1


def test_the_simulated_annotator_accepts_most_corrects_one_and_rejects_one(real, alpha_of):
    desk = Desk(real(8, empty=3))
    desk.accept(6)
    counts = simulate_annotator(desk.material.catalog)
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
    assert simulate_annotator(desk.material.catalog) == {"accepted": 0, "corrected": 0, "rejected": 0, "left": 8}
    assert desk.pull() == before
