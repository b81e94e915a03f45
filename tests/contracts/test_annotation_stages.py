"""What push sends to an annotation server and what pull makes of its annotations: golden outputs of both stages."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import pytest

from figureground import tables
from figureground.annotation import brush_rle, predictions
from figureground.annotation.label_interface import load_interface
from figureground.catalog import Catalog
from figureground.clients.label_studio import AnnotationServer, Project, ServerTask
from figureground.imaging import masks
from figureground.storage.store import Store
from figureground.tables.rows import ROW_CLASSES, to_json
from figureground.types import Mask, TableRef
from tasks.annotation import pull, push
from tests.contracts.goldens import GoldenCheck, thumbnail
from tests.material import Material

EDITED, REJECTED, UNUSABLE, SECOND = 1, 2, 3, 4
"""Numbers of the crops that are not just accepted: SECOND has two annotators."""
TIME = "2026-11-30T12:00:0{}.000000Z"


class MemoryServer:
    """An annotation server in memory, as far as pushing and pulling use one; it keeps what it is sent."""

    url = "http://memory"
    request_seconds = 90.0

    def __init__(self) -> None:
        self.created: list[dict[str, Any]] = []
        self.annotations: dict[int, list[dict[str, Any]]] = {}
        self.returned: list[tuple[int, list[int], dict[str, Any]]] = []
        self.overlaps: dict[int, int] = {}

    def __enter__(self) -> "MemoryServer":
        return self

    def __exit__(self, *_: object) -> None:
        """Close nothing."""

    def project(self, catalog: Catalog) -> Project:
        return Project(1, "http://memory/projects/1", sum(map(bool, self.annotations.values())))

    find_project = make_project = project

    def make_view(self, project: Project) -> None:
        """Make nothing: a view is not part of what a push sends."""

    def read_clock(self) -> str:
        return TIME.format(9)

    def create_tasks(self, project: Project, tasks: Sequence[Mapping[str, Any]]) -> None:
        self.created += [dict(task) for task in tasks]

    def set_overlap(self, task: ServerTask, annotators: int) -> None:
        self.overlaps[task.task_id] = annotators

    def _tasks(self, keys: Sequence[str] | None = None) -> Iterator[ServerTask]:
        for number, task in enumerate(self.created, 1):
            key, annotations = task["data"]["key"], self.annotations.get(number, [])
            if keys is None or key in keys:
                counts = len(task["predictions"]), len(annotations)
                content = {**task, "annotations": annotations}
                yield ServerTask(number, key, *counts, TIME.format(5), content, self.overlaps.get(number, 1))

    def find_tasks(self, project: Project, keys: Sequence[str]) -> dict[str, list[ServerTask]]:
        return {task.key: [task] for task in self._tasks(keys)}

    def list_changed_tasks(self, project: Project, source_id: str, since: str) -> list[ServerTask]:
        return list(self._tasks())

    def list_annotated_tasks(self, project: Project, keys: Sequence[str]) -> Iterator[ServerTask]:
        return (task for task in self._tasks(keys) if task.annotations)

    def count_annotated_tasks(self, project: Project, source_id: str = "") -> int:
        return sum(map(bool, self.annotations.values()))

    def list_annotators(self) -> dict[int, str]:
        return {1: "anna", 2: "ben"}

    def return_to_queue(self, task: ServerTask, annotation_ids: Sequence[int], note: Mapping[str, Any]) -> None:
        self.returned.append((task.task_id, list(annotation_ids), dict(note)))


def connected(server: MemoryServer) -> Callable[[Catalog], AnnotationServer]:
    return lambda catalog: server  # type: ignore[return-value]


def shown(task: Mapping[str, Any]) -> dict[str, Any]:
    """Show a task that was sent; what follows from an image's bytes is checked and named, a mask is shown small."""
    data, sent = dict(task["data"]), [dict(prediction) for prediction in task["predictions"]]
    for prediction in sent:
        prediction["result"] = [dict(item) for item in prediction["result"]]
        for item in prediction["result"]:
            assert item.pop("id")
            if "rle" in item["value"]:
                mask = brush_rle.decode(item["value"]["rle"], item["original_width"], item["original_height"])
                assert data["prediction_sha256"] == hashlib.sha256(mask.tobytes()).hexdigest()
                item["value"] = {**item["value"], "rle": thumbnail(mask, 4)}
                data["prediction_sha256"] = "of the mask"
    return {"data": data, "predictions": sent}


def rows_of(catalog: Catalog, ref: TableRef) -> list[dict[str, Any]]:
    store = Store(catalog.storage_root)
    return [to_json(row) for row in tables.read_rows(store, ref, ROW_CLASSES[ref.stage])]


@pytest.fixture
def material(make_material: Callable[..., Material], catalog: Catalog) -> Material:
    return make_material(catalog, "park", 6)


@pytest.fixture
def pushed(material: Material) -> tuple[MemoryServer, TableRef]:
    server = MemoryServer()
    tasks = push.push.fn(material.crops, material.mattes, material.source, material.catalog, connected(server))
    return server, tasks


def test_a_push_sends_the_tasks_of_its_version(
    material: Material, pushed: tuple[MemoryServer, TableRef], golden: GoldenCheck
) -> None:
    server, tasks = pushed
    crops = {row["crop_id"]: row["sha256"] for row in rows_of(material.catalog, material.crops)}
    sent, rows = [shown(task) for task in server.created], rows_of(material.catalog, tasks)
    for row in [*(task["data"] for task in sent), *rows]:
        assert row["key"] == predictions.task_key(row["crop_id"], crops[row["crop_id"]])
        row["key"] = "of the crop"  # it follows from the bytes of a JPEG, which are another encoder's on another machine
    for row in rows:
        row["prediction_sha256"] = bool(row["prediction_sha256"])
    facts = tables.read_facts(Store(material.catalog.storage_root), tasks)
    made = {"key": predictions.task_key("park-000000-00", "0" * 64), "sent": sent, "rows": rows, "facts": facts}
    golden("stages.tasks.annotation.push", push.VERSION, made, tolerance=0.02)


def edited(alpha: np.ndarray[Any, Any]) -> Mask:
    """Give a mask without its upper third and with a corner that was not predicted."""
    mask = predictions.binarize(alpha).copy()
    mask[: len(mask) // 2 - 5] = 0
    mask[-8:, :12] = 255
    return mask


def annotate(server: MemoryServer, material: Material, alpha_of: Callable[..., Any]) -> None:
    """Add the annotations of all six tasks: accepted, edited, rejected, unusable, and one by two annotators."""
    interface, _ = load_interface(material.catalog.label_config_file, material.catalog.label_studio.mask)
    for task_id, task in enumerate(server.created, 1):
        number = int(task["data"]["crop_id"].split("-")[1])
        alpha = alpha_of(number, 60 + number % 3, 80)
        result = [item | {"origin": "prediction"} for item in task["predictions"][0]["result"]]
        if number == EDITED:
            result = predictions.make_result(interface, mask=edited(alpha), origin="prediction-changed", scenes=["night"])
        elif number == REJECTED:
            result = predictions.make_result(interface, mask=None, origin="manual", verdict="blurred")
        elif number == UNUSABLE:
            result = []
        own = {"lead_time": 2.0 + number, "parent_prediction": 40 + number, "was_cancelled": False}
        own |= {"id": 10 * number + 10, "completed_by": 1, "updated_at": TIME.format(3), "result": result}
        server.annotations[task_id] = [own]
        if number == SECOND:
            drawn = predictions.make_result(interface, mask=edited(alpha), origin="manual")
            later = {"id": 99, "completed_by": 2, "updated_at": TIME.format(4), "result": drawn, "parent_prediction": None}
            server.annotations[task_id].append(own | later)


def test_a_pull_makes_the_labels_of_its_version(
    material: Material, pushed: tuple[MemoryServer, TableRef], alpha_of: Callable[..., Any], golden: GoldenCheck
) -> None:
    """The guided filter's floats differ from processor to processor: numbers within a fiftieth."""
    server, tasks = pushed
    annotate(server, material, alpha_of)
    labels = pull.pull.fn(material.crops, material.mattes, tasks, material.catalog, connected(server))
    store, rows = Store(material.catalog.storage_root), rows_of(material.catalog, labels)
    for row in rows:
        if row["file"]:
            content = np.frombuffer(store.read(row["file"], row["sha256"]), np.uint8)
            row["sha256"] = thumbnail(masks.to_levels(cv2.imdecode(content, cv2.IMREAD_UNCHANGED) / np.float32(255)), 4)
    facts = tables.read_facts(store, labels)
    assert facts.pop("pulled_from")
    for note in [*facts["unusable"], *(note for *_, note in server.returned)]:
        note["reason"] = bool(note["reason"])  # its words are asserted elsewhere, and may change
    made = {"rows": rows, "facts": facts, "returned": server.returned}
    golden("stages.tasks.annotation.pull", pull.VERSION, made, tolerance=0.02)
