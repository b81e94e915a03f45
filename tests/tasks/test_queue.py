"""What annotators are served, by a real Label Studio: the least sure first, a share blank, a share to two people."""

import dataclasses
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import tables
from figureground.annotation import preannotation_gate, predictions
from figureground.annotation.label_interface import load_interface
from figureground.catalog import LabelStudioEntry
from figureground.clients.annotation_server import connect
from figureground.imaging import class_maps
from figureground.storage.store import Store
from tasks.annotation.annotation_stats import report_annotation_statistics
from tasks.annotation.pull import pull
from tasks.annotation.push import push
from tasks.datasets.explain import explain
from tasks.operation import doctor

pytestmark = pytest.mark.studio


class Queue:
    """Material with scores that go up and down, pushed with some settings, and a way to be served and to answer."""

    def __init__(self, material, **settings):
        entry = {**material.catalog.label_studio.model_dump(), **settings}
        self.catalog = material.catalog.model_copy(update={"label_studio": LabelStudioEntry.model_validate(entry)})
        self.material, self.store = material, Store(material.catalog.storage_root)
        self.scene = f"scene of {material.source.source_id}"  # the storage is shared with other tests, and so is its gate
        self.source = dataclasses.replace(material.source, scenes=(self.scene,))
        rows = tables.read(self.store, material.mattes).rows
        rows["score"] = [(7 * number % len(rows)) / len(rows) for number in range(len(rows))]
        self.mattes = tables.write(self.store, "mattes", material.source.source_id, rows, fingerprint="scored")
        self.interface, _ = load_interface(self.catalog.label_config_file, self.catalog.label_studio.mask)

    def push(self):
        self.tasks = push.fn(self.material.crops, self.mattes, self.source, self.catalog)
        return tables.read(self.store, self.tasks).rows

    def labels(self):
        ref = pull.fn(self.material.crops, self.mattes, self.tasks, self.catalog)
        return {row["crop_id"]: row for row in tables.read(self.store, ref).rows.to_dict("records")}

    def remotes(self, server):
        project = server.find_project(self.catalog)
        return {task.task_id: task for task in server.list_tasks(project)}

    def served(self, server):
        """Give the number and score of the task that we are served next, as the labelling page asks for it."""
        project = server.find_project(self.catalog)
        reply = server.get(f"/api/projects/{project.project_id}/next")
        return (reply.json()["id"], reply.json()["data"]["score"]) if reply.status_code == 200 else None

    def draw(self, server, task, box, by=1, seconds=9.0, **more):
        """Answer with a rectangle drawn from nothing: top, bottom, left, right."""
        row = self.crop(task.content["data"]["crop_id"])
        mask = np.zeros((row["height"], row["width"]), np.uint8)
        mask[box[0] : box[1], box[2] : box[3]] = 255
        result = predictions.make_result(self.interface, mask=mask, origin="manual", **more)
        server.add_annotation(task, result, annotator_id=by, seconds=seconds, prediction_id=None)
        return mask

    def crop(self, crop_id):
        rows = tables.read(self.store, self.material.crops).rows
        return rows[rows["crop_id"] == crop_id].iloc[0]

    def file(self, row, name="file"):
        return cv2.imdecode(np.frombuffer(self.store.read(row[name]), np.uint8), cv2.IMREAD_UNCHANGED)


def test_the_next_task_is_the_least_sure_one(real):
    queue = Queue(real(9))
    rows = queue.push()
    with connect(queue.catalog) as server:
        scores = []
        while found := queue.served(server):
            scores.append(found[1])
            queue.draw(server, queue.remotes(server)[found[0]], (20, 60, 20, 40))
        assert scores == sorted(scores)
        assert len(scores) == 9
        project = server.find_project(queue.catalog)
        (view,) = server.sdk.views.list(project=project.project_id)
        shown = server.get("/api/tasks", params={"view": view.id}).json()["tasks"]
        assert [task["data"]["score"] for task in shown] == scores
    assert list(rows["crop_id"]) == sorted(rows["crop_id"])
    assert list(rows["task_id"]) != sorted(rows["task_id"])


def test_a_blank_share_has_no_prediction_and_pushing_again_changes_nothing(real):
    queue = Queue(real(16), preannotation_gate={"left_blank": 0.4})
    rows = queue.push()
    blank = rows["key"].map(lambda key: preannotation_gate.explain_blank(key, 0.4, stopped=False))
    assert list(rows["blank"]) == list(blank)
    assert 0 < (rows["blank"] == "measure").sum() < 16
    assert ((rows["prediction_sha256"] == "") == (rows["blank"] != "")).all()
    with connect(queue.catalog) as server:
        before = queue.remotes(server)
        assert {task.key: len(task.content["predictions"]) for task in before.values()} == {
            row["key"]: int(row["blank"] == "") for row in rows.to_dict("records")
        }
    queue.store.remove(tables.name("tasks", queue.material.source.source_id))
    all_shown = Queue(
        queue.material._replace(mattes=queue.mattes), preannotation_gate=None
    )  # another setting: what is there stays what it is
    assert all_shown.push().to_dict("list") == rows.to_dict("list")
    with connect(queue.catalog) as server:
        after = queue.remotes(server)
    assert {number: task.updated_at for number, task in before.items()} == {n: task.updated_at for n, task in after.items()}
    crop_id = rows.loc[rows["blank"] != "", "crop_id"].iloc[0]
    told = [line.text for line in explain(crop_id, queue.catalog) if line.subject == "task"]
    assert "blank: measure" in told[0]
    assert re.search(r"\d+ measure.* \(of \d+\)", doctor._count_blank_tasks(queue.catalog))
    assert "checked" in doctor._check_predictions(queue.catalog)  # it checks tasks that have one


def test_a_drawing_from_blank_is_a_label_of_its_own(real):
    queue = Queue(real(6), preannotation_gate={"left_blank": 0.5})
    rows = queue.push()
    crop_id = rows.loc[rows["blank"] != "", "crop_id"].iloc[0]
    with connect(queue.catalog) as server:
        task = next(task for task in queue.remotes(server).values() if task.content["data"]["crop_id"] == crop_id)
        mask = queue.draw(server, task, (20, 60, 10, 40), seconds=33.0)
    row = queue.labels()[crop_id]
    assert (row["origin"], row["parent_prediction"], row["verdict"], row["seconds_spent"]) == ("manual", 0, "keep", 33.0)
    alpha = queue.file(row)
    assert np.array_equal(alpha >= 128, mask >= 128)
    assert ((alpha > 0) & (alpha < 255)).any()
    assert 0 < row["iou_with_matte"] < 1
    assert 0 < row["changed"] < 1
    assert 0 <= row["boundary_iou_with_matte"] < 1
    assert alpha[mask == 0].max() < 128
    assert alpha[:14].max() == alpha[68:].max() == 0  # nothing of the matte, whom nobody saw


def test_a_scene_where_preannotation_takes_longer_gets_no_predictions(real):
    queue = Queue(real(30), preannotation_gate={"left_blank": 0.5, "labels_at_least": 5})
    rows = queue.push()
    with connect(queue.catalog) as server:
        for number, task in enumerate(queue.remotes(server).values()):
            seconds = 5.0 + number % 3 if task.content["data"]["blank"] else 90.0 + number % 3
            queue.draw(server, task, (20, 60, 10, 40), seconds=seconds)
    queue.labels()
    page, found = report_annotation_statistics(queue.catalog)
    (mine,) = (row for row in found.scenes if row.name == queue.scene)
    assert Path(page).exists()
    assert mine.gate.stopped
    later = Queue(real(50), preannotation_gate={"left_blank": 0.1, "labels_at_least": 5})
    again = later.push()
    known = dict(zip(rows["key"], rows["blank"], strict=True))
    expected = [known.get(key, preannotation_gate.explain_blank(key, 0.1, stopped=True)) for key in again["key"]]
    assert list(again["blank"]) == expected
    assert expected.count("does not pay") > 10
    assert tables.read(later.store, later.tasks).facts["stopped"] == [queue.scene]
    assert queue.scene in doctor._count_blank_tasks(later.catalog)


def test_a_share_is_asked_of_two_people_and_their_agreement_is_kept(real):
    queue = Queue(real(12), second_opinions=0.5)
    rows = queue.push()
    assert list(rows["people"]) == [2 if preannotation_gate.needs_two_annotators(key, 0.5) else 1 for key in rows["key"]]
    assert {1, 2} == set(rows["people"])
    two = set(rows.loc[rows["people"] == 2, "task_id"])
    with connect(queue.catalog) as server:
        bo = server.make_annotator("bo", "bo@figureground.local")
        for number, task in queue.remotes(server).items():
            queue.draw(server, task, (20, 60, 10, 40), by=bo)
            assert number in queue.remotes(server)
        for number in sorted(two):  # we are served what bo has done, and nothing else
            found = queue.served(server)
            assert found is not None
            assert found[0] in two
            task = queue.remotes(server)[found[0]]
            more = {"verdict": "blurred"} if number == max(two) else {}
            queue.draw(server, task, (20, 60, 10, 30), seconds=7.0, **more)
        assert queue.served(server) is None
    labels = queue.labels()
    seen = {row["crop_id"]: labels[row["crop_id"]] for row in rows.to_dict("records") if row["people"] == 2}
    assert {row["second_annotator"] for row in seen.values()} == {"bo"}
    agreed = [row["agreement"] for row in seen.values() if row["verdict"] == "keep"]
    assert agreed == pytest.approx([2 / 3] * (len(two) - 1))
    assert {row["second_annotator"] for crop_id, row in labels.items() if crop_id not in seen} == {""}


def test_parts_drawn_by_hand_come_back_as_one_class_a_pixel(real):
    material = real(2)
    queue = Queue(material, label_config=str(material.catalog.label_config_file.with_name("human_parsing_5.xml")))
    rows = queue.push()
    assert list(rows["blank"]) == ["no parts", "no parts"]
    size = queue.crop(rows["crop_id"][0])
    regions = []
    for number, (label, box) in enumerate({"head": (5, 20), "upper-clothes": (18, 50), "arms": (30, 40)}.items()):
        mask = np.zeros((size["height"], size["width"]), np.uint8)
        mask[box[0] : box[1], 20:40] = 255
        (region, *_) = predictions.make_result(queue.interface, mask=mask, origin="manual")
        regions.append(region | {"id": f"r{number}", "value": region["value"] | {queue.interface.kind: [label]}})
    with connect(queue.catalog) as server:
        task = next(t for t in queue.remotes(server).values() if t.content["data"]["crop_id"] == size["crop_id"])
        server.add_annotation(task, regions, annotator_id=1, seconds=50, prediction_id=None)
    row = queue.labels()[size["crop_id"]]
    ids = queue.file(row, "parts")
    names = class_maps.FIVE
    assert [names[ids[y, 30]] for y in (2, 6, 19, 25, 35, 45, 60)] == [
        "background", "head", "head", "upper-clothes", "arms", "upper-clothes", "background",
    ]  # fmt: skip
    assert row["classes"] == 5
    assert row["overlaps"] == ["arms over upper-clothes: 200 px", "head over upper-clothes: 40 px"]
    assert np.array_equal(queue.file(row) >= 128, ids > 0)
