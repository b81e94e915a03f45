"""The doctor against a real Label Studio: every image as it is served, and whether the queue shows what was pushed."""

from pathlib import Path

import numpy as np
import pytest

from figureground import tables
from figureground.clients.annotation_server import connect
from figureground.errors import LabelError
from figureground.storage.store import Store
from tasks.annotation.push import push
from tasks.operation import doctor

pytestmark = pytest.mark.studio


def pushed(material):
    ref = push.fn(material.crops, material.mattes, material.source, material.catalog)
    return tables.read(Store(material.catalog.storage_root), ref).rows


def next_task(server, project):
    """What an annotator gets who clicks on 'Label all tasks'."""
    reply = server.get(f"/api/projects/{project}/next")
    assert reply.status_code == 200
    return reply.json()


@pytest.fixture
def material(real, monkeypatch):
    """Pushed material; the storage has other tests' sources, too, which are none of ours."""
    found = real(3)
    monkeypatch.setattr(tables, "sources", lambda store, stage: [found.source.source_id])
    return found


def test_every_picture_is_fetched_through_the_server_and_is_the_stored_one(material):
    assert doctor._check_images(material.catalog) == "nothing is pushed yet"
    pushed(material)
    assert "serves all 3 images of http" in doctor._check_images(material.catalog)
    crops = tables.read(Store(material.catalog.storage_root), material.crops).rows
    last = Path(material.catalog.storage_root.url, crops["file"][2])
    content = last.read_bytes()
    last.write_bytes(Path(material.catalog.storage_root.url, crops["file"][1]).read_bytes())
    with pytest.raises(
        LabelError, match=r"1 of 3 images cannot be seen: task \d+: /data/local-files/\S+ is another image there"
    ):
        doctor._check_images(material.catalog)
    last.unlink()
    with pytest.raises(LabelError, match=r"1 of 3 images cannot be seen: task \d+: .* does not serve .*answer 404"):
        doctor._check_images(material.catalog)
    last.write_bytes(content)
    with connect(material.catalog) as server:
        project = server.find_project(material.catalog)
        task = server.list_tasks(project)[0]
        server.sdk.tasks.update(str(task.task_id), data={**task.content["data"], "image": ""})
        with pytest.raises(LabelError, match=r"1 of 3 images cannot be seen: task \d+ names no image"):
            doctor._check_images(material.catalog)
        server.sdk.tasks.delete(str(task.task_id))
    assert "serves all 2 images" in doctor._check_images(material.catalog)
    assert "1 pushed images have no task there any more" in doctor._check_images(material.catalog)


def test_a_hidden_prediction_is_reported(material):
    rows = pushed(material)
    assert "fits task" in doctor._check_predictions(material.catalog)
    with connect(material.catalog) as server:
        task = server.find_tasks(server.find_project(material.catalog), [rows["key"][0]])[
            rows["key"][0]
        ][0]
        (old,) = server.sdk.predictions.list(task=task.task_id)
        result = [item | {"original_width": 7} if item["type"] == "brushlabels" else item for item in old.dict()["result"]]
        server.sdk.predictions.delete(old.id)
        wrong = server.sdk.predictions.create(task=task.task_id, result=result, score=0.5, model_version="figureground")
        with pytest.raises(LabelError, match=r"is for an image of 7x80 .*the crop has 60x80"):
            doctor._check_predictions(material.catalog)
        server.sdk.predictions.delete(wrong.id)
        with pytest.raises(LabelError, match="has 0 predictions, expected one; push its source again"):
            doctor._check_predictions(material.catalog)


def test_a_project_that_shows_no_predictions_is_reported(material):
    rows = pushed(material)
    project = int(rows["project_id"][0])
    with connect(material.catalog) as server:
        server.sdk.projects.update(project, show_collab_predictions=False)
        with pytest.raises(LabelError, match="shows no predictions: switch on"):
            doctor._check_predictions(material.catalog)
        for task in rows["task_id"]:
            server.sdk.predictions.create(task=int(task), result=[], score=0.5, model_version="another")
        server.sdk.projects.update(project, show_collab_predictions=True, model_version="another")
        shown = {one["model_version"] for one in next_task(server, project)["predictions"]}
        assert shown == {"another"}, "what the doctor warns of is so"
        with pytest.raises(
            LabelError, match="shows predictions of the model version 'another' only, ours are called 'figureground'"
        ):
            doctor._check_predictions(material.catalog)


def test_the_queue_shows_the_predictions_of_another_remover_too(real, make_material):
    """The first import sets the project's model version, and the queue shows no other."""
    first = real(1)
    pushed(first)
    entry = first.catalog.recipe.model_copy(update={"remover": {"rembg": {"model": "u2net"}}})
    weights = first.catalog.assets["u2netp.onnx"].model_copy(update={"sha256": "4" * 64})
    assets = first.catalog.assets | {"u2net.onnx": weights}
    other = first.catalog.model_copy(update={"recipe": entry, "assets": assets})
    second = make_material(other, f"{first.source.source_id}-second", 1)
    rows = pushed(second)
    with connect(other) as server:
        project = int(rows["project_id"][0])
        tasks = server.list_tasks(server.find_project(other))
        removers = {task.content["data"]["remover"] for task in tasks}
        assert len(tasks) == len(removers) == 2, "two removers"
        for _ in tasks:
            shown = next_task(server, project)
            assert len(shown["predictions"]) == 1, shown["data"]["remover"]
            server.sdk.annotations.create(shown["id"], result=shown["predictions"][0]["result"], lead_time=1.0)
    assert np.array_equal(
        rows["remover"], [task.content["data"]["remover"] for task in tasks if "second" in task.content["data"]["crop_id"]]
    )
