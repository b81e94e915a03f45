"""Exactly once: against a server in memory that misbehaves as told, and against the real one."""

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import numpy as np
import pytest
from filelock import FileLock

from figureground import tables
from figureground.annotation import annotations, label_interface, predictions
from figureground.annotation.label_interface import load_interface
from figureground.clients.annotation_server import connect, find_token, read_secret
from figureground.clients.label_studio import LabelStudioClient, Project, ServerTask
from figureground.errors import CatalogError, LabelError, StoreError, TransientError
from figureground.imaging import masks
from figureground.storage.store import Store
from tasks.annotation.push import PushSettings, push

HERE = Path(__file__).parents[1]
ELSEWHERE = "ffffffffffffffffffffffffffffffffffffffff"


class Memory:
    """An `AnnotationServer` in memory, as far as pushing needs one. ``broken`` says what goes wrong, call by call."""

    url = "http://memory"
    request_seconds = 90.0

    def __init__(self):
        self.tasks: dict[int, dict] = {}
        self.calls: list[str] = []
        self.broken: list[str] = []
        self.project = Project(1, "http://memory/projects/1")
        self.settings = PushSettings(sleep=self.sleep, pauses_seconds=(0.0, 0.0, 0.0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.append("close")

    def sleep(self, seconds):
        self.calls.append("sleep")

    def hurt(self, name):
        self.calls.append(name)
        return self.broken.pop(0) if self.broken else ""

    def add(self, content, predictions, annotations=0):
        self.tasks[len(self.tasks) + 1] = {"data": content, "predictions": predictions, "annotations": annotations}

    def remote(self, number):
        task = self.tasks[number]
        counts = task.get("told", len(task["predictions"])), task["annotations"]
        return ServerTask(number, task["data"]["key"], *counts, "", {"data": task["data"]}, task.get("people", 1))

    def make_project(self, catalog):
        return Project(1, "http://memory/projects/1")

    def find_project(self, catalog):
        return self.project

    def find_tasks(self, project, keys):
        if self.hurt("find_tasks") == "away":
            raise TransientError("lost the server while looking up")
        found = {}
        for number, task in self.tasks.items():
            if task["data"]["key"] in keys:
                found.setdefault(task["data"]["key"], []).append(self.remote(number))
        return found

    def create_tasks(self, project, tasks):
        how = self.hurt("create_tasks")
        if how == "away":
            raise TransientError("lost the server while creating")
        for task in tasks[: len(tasks) // 2] if how == "half" else tasks:
            self.add(task["data"], [] if how == "blind" else list(task["predictions"]))
        if how in ("dropped", "half"):
            raise TransientError("lost the server while creating")

    def replace_prediction(self, task, predictions, data):
        twice = self.hurt("replace_prediction") == "twice"  # somebody else did so at the same moment, and the count is one
        made = list(predictions) * (1 + twice)
        self.tasks[task.task_id] |= {"predictions": made, "data": data, "told": len(predictions)}

    def count_predictions(self, task):
        return len(self.tasks[task.task_id]["predictions"])

    def make_view(self, project):
        """A tab is nothing that can go wrong here."""

    def set_overlap(self, task, annotators):
        self.hurt("set_overlap")
        self.tasks[task.task_id]["people"] = annotators

    def is_annotated(self, task):
        return task.annotations > 0 or self.tasks[task.task_id].get("uncounted", False)

    def delete_task(self, task):
        self.hurt("delete_task")
        del self.tasks[task.task_id]

    def exactly_once(self, count):
        keys = [task["data"]["key"] for task in self.tasks.values()]
        assert len(keys) == len(set(keys)) == count
        assert all(len(task["predictions"]) == 1 for task in self.tasks.values())


class Forgetful(Memory):
    """Takes a prediction and does not keep it."""

    def replace_prediction(self, task, predictions, data):
        pass


class Late(Memory):
    """Does what timed out, or what a killed process sent, when the others have long been read back."""

    def __init__(self, killed):
        super().__init__()
        self.killed, self.slept, self.late = killed, [], []

    def create_tasks(self, project, tasks):
        if not self.late:
            self.late.extend(tasks)
            raise KeyboardInterrupt if self.killed else TransientError("lost the server while creating (timed out)")
        super().create_tasks(project, tasks)

    def sleep(self, seconds):
        self.slept.append(seconds)
        if seconds > 30:  # that is the wait for what is late
            for task in self.late:
                self.add(task["data"], list(task["predictions"]))


@pytest.fixture
def memory():
    return Memory()


@pytest.fixture
def material(catalog, make_material):
    return make_material(catalog, "park", 30)


def run(material, server=None, **how):
    """Push to a server in memory, or to the catalog's."""
    if server is not None:
        how = {"connect": lambda catalog: server, "settings": server.settings} | how
    return push.fn(material.crops, material.mattes, material.source, material.catalog, **how)


def rows(material, ref):
    return tables.read(Store(material.catalog.storage_root), ref).rows


def forget(material):
    """Lose the local table, as a fresh checkout would."""
    Path(material.catalog.storage_root.url, tables.name("tasks", material.source.source_id)).unlink()


def test_a_task_holds_all_metadata_of_its_crop(memory, material, alpha_of):
    table = rows(material, run(material, memory))
    assert list(table["crop_id"]) == [f"park-{number:06d}-00" for number in range(30)]
    sent = memory.tasks[int(table["task_id"][3])]
    mask = predictions.binarize(alpha_of(3, 60, 80))
    crop = tables.read(Store(material.catalog.storage_root), material.crops).rows.iloc[3]
    assert sent["data"] == {
        "image": "/data/local-files/?d=crops/park/park-000003-00.jpg",
        "key": predictions.task_key("park-000003-00", crop["sha256"]),
        "crop_id": "park-000003-00",
        "source": "park",
        "seconds": 0.3,
        "scenes": ["park", "jumping"],
        "license": "BSD-3-Clause",
        "score": 0.5,
        "remover": "rembg-u2netp.onnx-33333333",
        "blank": "",
        "prediction_sha256": table["prediction_sha256"][3],
    }
    (prediction,) = sent["predictions"]
    assert prediction["model_version"] == "figureground"
    assert prediction["score"] == 0.5
    interface, _ = load_interface(material.catalog.label_config_file, material.catalog.label_studio.mask)
    accepted = {"id": 1, "result": [item | {"origin": "prediction"} for item in prediction["result"]]}
    answer = annotations.read_annotation(accepted, interface, 60, 80, "park-000003-00")
    assert np.array_equal(answer.mask, mask)
    assert answer.scenes == ("park", "jumping")


def test_a_second_push_calls_no_server_and_writes_nothing(memory, material):
    first = run(material, memory)
    memory.calls.clear()
    before = {path: path.stat().st_mtime_ns for path in Path(material.catalog.storage_root.url).rglob("*.parquet")}
    assert run(material, memory) == first
    assert memory.calls == []
    assert before == {path: path.stat().st_mtime_ns for path in Path(material.catalog.storage_root.url).rglob("*.parquet")}


def test_a_lost_table_is_found_again_by_key(memory, material):
    first = run(material, memory)
    forget(material)
    memory.calls.clear()
    assert run(material, memory) == first
    assert memory.calls == ["find_tasks", "find_tasks", "close"]


def test_nothing_to_push_calls_no_server(memory, catalog, make_material):
    empty = make_material(catalog, "park", 0)
    assert run(empty, memory).rows == 0
    assert memory.calls == []


@pytest.mark.faults
@pytest.mark.parametrize(
    "broken",
    [
        ["", "dropped"],
        ["", "half"],
        ["", "away"],
        ["", "blind"],
        ["", "", "away"],
        ["", "half", "away"],
        ["", "dropped", "", "dropped"],
        ["", "blind", "", "half"],
    ],
    ids=lambda broken: "-".join(how or "well" for how in broken),
)
def test_after_any_interrupted_call_each_key_exists_once(memory, material, broken):
    memory.broken = list(broken)
    assert run(material, memory).rows == 30
    memory.exactly_once(30)


@pytest.mark.faults
def test_an_unreachable_server_is_reported_with_what_is_saved_and_the_next_run_completes(memory, material):
    memory.broken = ["", "", "", "dropped", "away", "away", "away"]
    with pytest.raises(
        TransientError,
        match=r"after 25 of 30 tasks.* is safe.*To carry on, see to the server, then run `figureground push park`",
    ):
        run(material, memory)
    assert not Path(material.catalog.storage_root.url, "tables/tasks/park.parquet").exists()
    assert run(material, memory).rows == 30
    memory.exactly_once(30)


@pytest.mark.faults
def test_a_server_that_stores_no_predictions_is_reported(material):
    memory = Forgetful()
    memory.broken = ["", "blind"]
    with pytest.raises(TransientError, match=r"does not hold what it took: 25 of 25 tasks, first that of park-000000-00"):
        run(material, memory)


@pytest.mark.faults
@pytest.mark.parametrize("killed", [False, True])
def test_tasks_that_arrive_after_the_lookup_are_found(material, killed):
    """The server does what timed out, or what a killed process sent, when the others have long been read back."""
    server = Late(killed)
    sent = Path(material.catalog.storage_root.url, ".locks/park.sent")
    if killed:
        with pytest.raises(KeyboardInterrupt):
            run(material, server)
        assert sent.exists()
    assert run(material, server).rows == 30
    server.exactly_once(30)
    assert any(80 < seconds <= 90 for seconds in server.slept)
    assert not sent.exists()
    forget(material)
    server.slept.clear()
    run(material, server)
    assert server.slept == []


@pytest.mark.faults
def test_duplicate_tasks_are_removed_but_not_the_annotated_one(memory, material):
    run(material, memory)
    twin = memory.tasks[1]
    memory.add(twin["data"], twin["predictions"], annotations=1)
    forget(material)
    table = rows(material, run(material, memory))
    memory.exactly_once(30)
    assert table["task_id"][0] == 31


@pytest.mark.faults
def test_a_duplicate_with_an_annotation_that_the_server_does_not_count_stays(memory, material):
    run(material, memory)
    twin = memory.tasks[1]
    memory.add(twin["data"], twin["predictions"])
    memory.tasks[31]["uncounted"] = True
    forget(material)
    table = rows(material, run(material, memory))
    memory.exactly_once(30)
    assert table["task_id"][0] == 31


@pytest.mark.faults
def test_two_predictions_that_the_server_counts_as_one_are_made_one(memory, material):
    run(material, memory)
    memory.tasks[3]["predictions"], memory.tasks[3]["told"] = [], 0
    forget(material)
    memory.broken = ["", "twice"]
    run(material, memory)
    memory.exactly_once(30)
    assert memory.calls.count("replace_prediction") == 2


@pytest.mark.faults
@pytest.mark.parametrize(("now", "said"), [(Project(2, "http://memory/projects/2"), "http://.*/2"), (None, "none")])
def test_a_project_that_is_another_in_the_end_leaves_no_table(memory, material, now, said):
    memory.project = now
    with pytest.raises(TransientError, match=rf"projects/1 was the project .* and is no more: that is {said} now"):
        run(material, memory)
    assert tables.find(Store(material.catalog.storage_root), "tasks", "park") is None
    memory.project = Project(1, "http://memory/projects/1")
    run(material, memory)
    memory.exactly_once(30)


def test_two_annotated_duplicates_are_left_to_a_person(memory, material):
    run(material, memory)
    memory.tasks[1]["annotations"] = 1
    memory.add(memory.tasks[1]["data"], [], annotations=1)
    forget(material)
    with pytest.raises(LabelError, match=r"park-000000-00 has 2 annotated tasks .*1, 31.*delete all but the one"):
        run(material, memory)


def test_a_new_matte_replaces_the_prediction_unless_somebody_has_worked_on_it(memory, catalog, make_material, alpha_of):
    old = make_material(catalog, "park", 3)
    before = rows(old, run(old, memory))
    memory.tasks[1]["annotations"] = 1
    new = make_material(catalog, "park", 3, empty=0)
    store = Store(catalog.storage_root)
    mattes = tables.read(store, new.mattes).rows
    mattes.loc[1, "sha256"] = store.write(mattes["file"][1], masks.to_png(alpha_of(7, 61, 80)))
    new = new._replace(mattes=tables.write(store, "mattes", "park", mattes, fingerprint="new"))
    after = rows(new, run(new, memory))
    assert list(before["prediction_sha256"] == after["prediction_sha256"]) == [True, False, True]
    assert memory.tasks[2]["data"]["prediction_sha256"] == after["prediction_sha256"][1]
    memory.exactly_once(3)


def test_a_matte_of_another_size_is_never_sent(memory, material, alpha_of):
    store = Store(material.catalog.storage_root)
    mattes = tables.read(store, material.mattes).rows
    mattes.loc[1, "sha256"] = store.write(mattes["file"][1], masks.to_png(alpha_of(1, 10, 10)))
    broken = material._replace(mattes=tables.write(store, "mattes", "park", mattes, fingerprint="broken"))
    with pytest.raises(LabelError, match="matte of park-000001-00 is 10x10, its crop 61x80"):
        run(broken, memory)
    assert memory.tasks == {}


def test_a_damaged_matte_is_named(memory, material):
    Path(material.catalog.storage_root.url, "mattes/park/park-000002-00.png").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"mattes/park/park-000002-00\.png"):
        run(material, memory)


def test_without_frames_the_message_says_what_to_run(memory, material):
    Path(material.catalog.storage_root.url, "tables/frames/park.parquet").unlink()
    with pytest.raises(StoreError, match="no table frames; run `figureground ingest park`"):
        run(material, memory)


def test_scenes_that_the_interface_lacks_are_reported(memory, material, caplog):
    odd = material._replace(source=material.source.__class__("park", "video", "p", "", "MIT", ("park", "moon"), "auto"))
    ref = run(odd, memory)
    assert "does not offer the scenes ['moon']" in caplog.text
    assert tables.read(Store(odd.catalog.storage_root), ref).facts == {
        "scenes": ["park", "moon"],
        "scenes_not_offered": ["moon"],
    }


def test_a_label_config_that_is_not_there_is_named(material):
    gone = material.catalog.label_studio.model_copy(update={"label_config": "gone.xml"})
    with pytest.raises(CatalogError, match=r"label_studio.label_config: cannot read .*gone\.xml"):
        run(material._replace(catalog=material.catalog.model_copy(update={"label_studio": gone})))


@pytest.mark.faults
def test_one_push_at_a_time(memory, material):
    settings = PushSettings(lock_seconds=0.2)
    lock = Path(material.catalog.storage_root.url, ".locks/push.lock")
    with FileLock(lock), pytest.raises(TransientError, match=r"another push has held .*push\.lock"):
        run(material, memory, settings=settings)
    assert run(material, memory).rows == 30


# ---- the connection


def test_without_a_token_the_variable_is_named(catalog, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    with pytest.raises(LabelError, match=r"no token for .*set the environment variable LABEL_STUDIO_API_KEY.*studio up"):
        connect(catalog)


def test_where_no_server_runs_the_message_says_what_to_do(catalog, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    with pytest.raises(LabelError, match=r"no Label Studio answers at http://127.0.0.1:9 .*studio up.*label_studio.url"):
        connect(catalog)


def test_a_server_that_is_no_label_studio_is_reported(tmp_path, monkeypatch, make_catalog, httpserver_in_a_thread):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    with pytest.raises(LabelError, match=r"is not a Label Studio \(its /api/version says 200\)"):
        connect(make_catalog(tmp_path, httpserver_in_a_thread))


@pytest.fixture
def httpserver_in_a_thread():
    """Some other web server."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>")

        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


# ---- the real one


def on_server(material):
    """Count what the real server has: keys and predictions of every task of the project."""
    with connect(material.catalog) as server:
        project = server.find_project(material.catalog)
        return [(task.key, len(task.content["predictions"])) for task in server.list_tasks(project)]


@pytest.mark.studio
def test_pushing_twice_to_the_real_one_creates_each_task_once(real):
    material = real(30, empty=4)
    first = run(material)
    there = on_server(material)
    assert len({key for key, _ in there}) == len(there) == 30
    assert {predictions for _, predictions in there} == {1}
    assert run(material) == first
    forget(material)
    assert run(material) == first
    assert on_server(material) == there


@pytest.mark.studio
@pytest.mark.faults
def test_two_pushes_that_create_the_project_at_once_use_the_same_one(real):
    """The slower one's project is not to be seen yet when the faster one looks whether it is alone, a second later."""
    catalog = real(0).catalog

    def make(seconds):
        with connect(catalog) as server:
            create = server.sdk.projects.create
            server.sdk.projects.create = lambda **content: time.sleep(seconds) or create(**content)
            return server.make_project(catalog).project_id

    with ThreadPoolExecutor() as pool:
        made = list(pool.map(make, [1.5, 4.0]))
    with connect(catalog) as server:
        assert made == [server.find_project(catalog).project_id] * 2


@pytest.mark.studio
@pytest.mark.faults
def test_of_two_filled_projects_all_take_the_first_until_somebody_answers(real):
    """A slow server may show the first one's project only when the second one's is filled."""
    material = real(2)
    catalog = material.catalog
    with connect(catalog) as server:
        xml = load_interface(catalog.label_config_file, catalog.label_studio.mask)[1]
        title = catalog.label_studio.project
        first, second = (server.sdk.projects.create(title=title, label_config=xml).id for _ in range(2))
        for number in (first, second):
            server.sdk.projects.import_tasks(number, request=[{"data": {"image": "nowhere"}}])
        assert server.find_project(catalog).project_id == first
        (task,) = server.sdk.tasks.list(project=second).items
        server.sdk.annotations.create(task.id, result=[])
        assert server.find_project(catalog).project_id == second
        assert run(material).rows == 2
        assert server.find_project(catalog).project_id == second
        assert server.sdk.projects.get(first).title == f"unused twin of {title}"
        server.sdk.projects.update(first, title=title)
        (task,) = server.sdk.tasks.list(project=first).items
        server.sdk.annotations.create(task.id, result=[])
        with pytest.raises(LabelError, match=rf"2 projects called .* with answers in them \(numbers {first}, {second}\)"):
            server.make_project(catalog)


@pytest.mark.studio
def test_a_proxy_of_the_environment_is_not_used_for_the_local_server(real, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert run(real(1)).rows == 1


@pytest.mark.studio
def test_the_real_one_serves_the_pictures(real, real_studio):
    material = real(1)
    run(material)
    header = {"Authorization": f"Token {real_studio.token}"}
    with connect(material.catalog) as server:
        (task,) = server.list_tasks(server.find_project(material.catalog))
    reply = httpx.get(real_studio.url + task.content["data"]["image"], headers=header)
    stored = tables.read(Store(material.catalog.storage_root), material.crops).rows.iloc[0]
    file = Path(material.catalog.storage_root.url, stored["file"])
    assert (reply.status_code, reply.content) == (200, file.read_bytes())
    with connect(material.catalog) as server:
        address, content = server.fetch_task_image(task.task_id)
        assert (address.startswith("/data/local-files/?d="), content) == (True, file.read_bytes())
        file.unlink()
        with pytest.raises(LabelError, match=r"does not serve /data/local-files.*answer 404.*LOCAL_FILES_DOCUMENT_ROOT"):
            server.fetch_task_image(task.task_id)
        with pytest.raises(LabelError, match="refused fetching the picture of task 999999: 404") as caught:
            server.fetch_task_image(999999)
        assert "sessionid" not in "".join(traceback.format_exception(caught.value)), "a session opens the same doors"


@pytest.mark.studio
def test_a_prediction_the_real_one_lost_is_repaired(real):
    material = real(3)
    first = run(material)
    with connect(material.catalog) as server:
        task = server.list_tasks(server.find_project(material.catalog))[1]
        server.sdk.predictions.delete(task.content["predictions"][0]["id"])
    forget(material)
    assert run(material) == first
    assert [predictions for _, predictions in on_server(material)] == [1, 1, 1]


@pytest.mark.studio
@pytest.mark.faults
def test_a_number_that_is_another_tasks_by_now_is_left_alone(real):
    """A server on SQLite gives the next task the number of the last one when that is deleted."""
    material = real(1)
    run(material)
    with connect(material.catalog) as server:
        project = server.find_project(material.catalog)
        (old,) = server.list_tasks(project)
        server.delete_task(old)
        server.create_tasks(project, [{"data": {**old.content["data"], "key": "another"}, "predictions": []}])
        (new,) = server.list_tasks(project)
        assert new.task_id == old.task_id
        for repair in (server.delete_task, lambda task: server.replace_prediction(task, [], {})):
            with pytest.raises(TransientError, match=f"task {old.task_id} at .* is another one now"):
                repair(old)
        assert server.list_tasks(project) == [new]


@pytest.mark.studio
def test_another_interface_is_not_written_to(real, tmp_path):
    material = real(1)
    run(material)
    other = tmp_path / "other.xml"
    other.write_text(material.catalog.label_config_file.read_text(encoding="utf-8").replace("ghosted", "doubled"))
    entry = material.catalog.label_studio.model_copy(update={"label_config": str(other)})
    changed = material._replace(catalog=material.catalog.model_copy(update={"label_studio": entry}))
    with pytest.raises(LabelError, match=r"has another labelling interface than .*other\.xml: paste that file into http"):
        run(changed)


@pytest.mark.studio
def test_a_wrong_token_is_refused_and_printed_nowhere(real, real_studio, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    monkeypatch.setattr("figureground.clients.local_label_studio.find_token", lambda *_: None)
    with pytest.raises(LabelError, match=r"refuses the token \(the one in LABEL_STUDIO_API_KEY\)") as caught:
        run(real(1))
    told = caplog.text
    error = caught.value
    while error is not None:
        told += f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    assert ELSEWHERE not in told


@pytest.mark.studio
def test_a_valid_token_is_printed_nowhere(real, real_studio, caplog):
    caplog.set_level(logging.DEBUG)
    material = real(2)
    run(material)
    with connect(material.catalog) as server:
        assert real_studio.token not in caplog.text + repr(server)
    for path in Path(material.catalog.storage_root.url, "tables").rglob("*.parquet"):
        assert real_studio.token.encode() not in path.read_bytes()


@pytest.mark.studio
@pytest.mark.parametrize("file", sorted((HERE.parents[1] / "label_config").glob("*.xml")), ids=lambda file: file.stem)
def test_the_real_one_takes_every_label_config(real, file):
    xml = file.read_text(encoding="utf-8")
    with connect(real(0).catalog) as server:
        made = server.sdk.projects.create(title=f"config {file.stem}", label_config=xml)
        assert label_interface.same_interface(server.sdk.projects.get(made.id).label_config, xml)
        server.sdk.projects.delete(made.id)


def test_the_token_may_be_a_prefect_secret(catalog, monkeypatch):
    asked = []

    class Secret:
        @staticmethod
        def load(name):
            asked.append(name)
            if name == "gone":
                raise ValueError("Unable to find block document named gone for block type secret")
            return type("Block", (), {"get": lambda self: ELSEWHERE})()

    monkeypatch.setattr("prefect.blocks.system.Secret", Secret)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "prefect:studio")
    assert read_secret("LABEL_STUDIO_API_KEY") == ELSEWHERE
    assert asked == ["studio"]
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    assert read_secret("LABEL_STUDIO_API_KEY") == ELSEWHERE
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "prefect:gone")
    with pytest.raises(LabelError, match="LABEL_STUDIO_API_KEY names the Prefect Secret 'gone', which cannot be read"):
        connect(catalog)


def connect_hastily(catalog):
    """Connect to a server of which a request without a reply is given up after seconds."""
    return LabelStudioClient(*find_token(catalog), request_seconds=3)


class Wire:
    """A wire to the real server that can be cut: a TCP forwarder which loses replies when told to."""

    def __init__(self, url):
        self.target = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.cut_at_reply_to = b""
        self.down = False
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with suppress(OSError):
            while True:
                here, _ = self.listener.accept()
                threading.Thread(target=self.forward, args=(here,), daemon=True).start()

    def forward(self, here):
        with here, socket.create_connection(self.target) as there, suppress(OSError):
            swallow = threading.Event()
            back = threading.Thread(target=self.pump, args=(there, here, swallow), daemon=True)
            back.start()
            while not self.down and (content := here.recv(65536)):
                if self.cut_at_reply_to and self.cut_at_reply_to in content:
                    swallow.set()
                there.sendall(content)
            with suppress(OSError):
                there.shutdown(socket.SHUT_WR)
            back.join()

    def pump(self, there, here, swallow):
        with suppress(OSError):
            while not self.down and (content := there.recv(65536)):
                if swallow.is_set():  # the server has done it and says so: nobody hears
                    self.stop()
                    break
                here.sendall(content)
            here.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self.down = True
        self.listener.close()


@pytest.mark.studio
@pytest.mark.faults
def test_a_server_that_stops_during_a_push_leaves_no_duplicates(real, real_studio, monkeypatch):
    """The connection breaks after the server has created the first tasks and before it can say so, and stays broken."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", real_studio.token)
    hasty = {"connect": connect_hastily, "settings": PushSettings(pauses_seconds=(0.1,))}
    wire = Wire(real_studio.url)
    material = real(30, url=wire.url)
    wire.cut_at_reply_to = b"/import"
    with pytest.raises(TransientError, match=r"lost the Label Studio at .*after 0 of 30 tasks.*run `figureground push park-"):
        run(material, **hasty)
    back = real(30)
    assert len(on_server(back)) == 25
    assert run(back, **hasty).rows == 30
    there = on_server(back)
    assert len({key for key, _ in there}) == len(there) == 30
    assert {predictions for _, predictions in there} == {1}


@pytest.mark.studio
@pytest.mark.faults
def test_killed_in_the_middle_the_next_push_completes(real):
    material = real(80)
    code = (
        f"import sys, pathlib; sys.path[:0] = [{str(HERE)!r}, {str(HERE.parents[1])!r}]\n"
        "from tests.material import catalog_in, material_in\n"
        "from tasks.annotation.push import push\n"
        f"m = material_in(catalog_in(pathlib.Path({str(material.catalog.folder)!r}), {material.catalog.label_studio.url!r}, "
        f"{material.catalog.label_studio.project!r}), {material.source.source_id!r}, 80)\n"
        "push.fn(m.crops, m.mattes, m.source, m.catalog)\n"
    )
    pusher = subprocess.Popen([sys.executable, "-c", code])
    try:
        end = time.monotonic() + 60
        while not 0 < counted(material) < 80 and time.monotonic() < end:
            time.sleep(0.02)
    finally:
        os.kill(pusher.pid, signal.SIGKILL)
        pusher.wait()
    time.sleep(1)  # the server may still be writing what it was sent
    assert 0 < counted(material) < 80, "the kill came too late to test anything"
    assert run(material, connect=connect_hastily).rows == 80
    there = on_server(material)
    assert len({key for key, _ in there}) == len(there) == 80
    assert {predictions for _, predictions in there} == {1}


def counted(material):
    with connect(material.catalog) as server:
        project = server.find_project(material.catalog)
        return 0 if project is None else len(server.list_tasks(project))
