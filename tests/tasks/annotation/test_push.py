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
from figureground.annotation import labelling
from figureground.clients import label_studio
from figureground.clients.label_studio import Project, Remote
from figureground.errors import CatalogError, LabelError, StoreError, TransientError
from figureground.imaging import masks
from figureground.storage.store import Store
from tasks.annotation.push import push

HERE = Path(__file__).parent
ELSEWHERE = "ffffffffffffffffffffffffffffffffffffffff"


class Memory:
    """A server in memory, in place of `figureground.clients.label_studio`'s functions. ``broken`` says what goes wrong, call
    by call."""

    url = "http://memory"

    def __init__(self, monkeypatch):
        self.tasks: dict[int, dict] = {}
        self.calls: list[str] = []
        self.broken: list[str] = []
        monkeypatch.setattr(label_studio, "connect", lambda catalog: self)
        self.project = Project(1, "http://memory/projects/1")
        monkeypatch.setattr(label_studio, "make_project", lambda server, catalog: Project(1, "http://memory/projects/1"))
        monkeypatch.setattr(label_studio, "find_project", lambda server, catalog: self.project)
        calls = "look_up create_tasks replace_prediction count_predictions delete_task make_view ask_people is_answered"
        for name in calls.split():
            monkeypatch.setattr(label_studio, name, getattr(self, name))
        monkeypatch.setattr("tasks.annotation.push.time.sleep", lambda seconds: self.calls.append("sleep"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.calls.append("close")

    def hurt(self, name):
        self.calls.append(name)
        return self.broken.pop(0) if self.broken else ""

    def add(self, content, predictions, annotations=0):
        self.tasks[len(self.tasks) + 1] = {"data": content, "predictions": predictions, "annotations": annotations}

    def remote(self, number):
        task = self.tasks[number]
        counts = task.get("told", len(task["predictions"])), task["annotations"]
        return Remote(number, task["data"]["key"], *counts, "", {"data": task["data"]}, task.get("people", 1))

    def look_up(self, server, project, keys):
        if self.hurt("look_up") == "away":
            raise TransientError("lost the server while looking up")
        found = {}
        for number, task in self.tasks.items():
            if task["data"]["key"] in keys:
                found.setdefault(task["data"]["key"], []).append(self.remote(number))
        return found

    def create_tasks(self, server, project, tasks):
        how = self.hurt("create_tasks")
        if how == "away":
            raise TransientError("lost the server while creating")
        for task in tasks[: len(tasks) // 2] if how == "half" else tasks:
            self.add(task["data"], [] if how == "blind" else list(task["predictions"]))
        if how in ("dropped", "half"):
            raise TransientError("lost the server while creating")

    def replace_prediction(self, server, task, predictions, content):
        twice = self.hurt("replace_prediction") == "twice"  # somebody else did so at the same moment, and the count is one
        made = list(predictions) * (1 + twice)
        self.tasks[task.task_id] |= {"predictions": made, "data": content, "told": len(predictions)}

    def count_predictions(self, server, task):
        return len(self.tasks[task.task_id]["predictions"])

    def make_view(self, server, project):
        """A tab is nothing that can go wrong here."""

    def ask_people(self, server, task, people):
        self.hurt("ask_people")
        self.tasks[task.task_id]["people"] = people

    def is_answered(self, server, task):
        return task.annotations > 0 or self.tasks[task.task_id].get("uncounted", False)

    def delete_task(self, server, task):
        self.hurt("delete_task")
        del self.tasks[task.task_id]

    def exactly_once(self, count):
        keys = [task["data"]["key"] for task in self.tasks.values()]
        assert len(keys) == len(set(keys)) == count
        assert all(len(task["predictions"]) == 1 for task in self.tasks.values())


@pytest.fixture
def memory(monkeypatch):
    return Memory(monkeypatch)


@pytest.fixture
def material(catalog, make_material):
    return make_material(catalog, "park", 30)


def run(material):
    return push.fn(material.crops, material.mattes, material.source, material.catalog)


def rows(material, ref):
    return tables.read(Store(material.catalog.storage_root), ref).rows


def forget(material):
    """Lose the local table, as a fresh checkout would."""
    Path(material.catalog.storage_root.url, tables.name("tasks", material.source.source_id)).unlink()


def test_a_task_tells_all_that_is_known_of_its_crop(memory, material, alpha_of):
    table = rows(material, run(material))
    assert list(table["crop_id"]) == [f"park-{number:06d}-00" for number in range(30)]
    sent = memory.tasks[int(table["task_id"][3])]
    mask = labelling.hard(alpha_of(3, 60, 80))
    crop = tables.read(Store(material.catalog.storage_root), material.crops).rows.iloc[3]
    assert sent["data"] == {
        "image": "/data/local-files/?d=crops/park/park-000003-00.jpg",
        "key": labelling.key("park-000003-00", crop["sha256"]),
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
    interface, _ = label_studio.interface(material.catalog)
    accepted = {"id": 1, "result": [item | {"origin": "prediction"} for item in prediction["result"]]}
    answer = labelling.answer(accepted, interface, 60, 80, "park-000003-00")
    assert np.array_equal(answer.mask, mask)
    assert answer.scenes == ("park", "jumping")


def test_a_second_push_calls_no_server_and_writes_nothing(memory, material):
    first = run(material)
    memory.calls.clear()
    before = {path: path.stat().st_mtime_ns for path in Path(material.catalog.storage_root.url).rglob("*.parquet")}
    assert run(material) == first
    assert memory.calls == []
    assert before == {path: path.stat().st_mtime_ns for path in Path(material.catalog.storage_root.url).rglob("*.parquet")}


def test_a_lost_table_is_found_again_by_key(memory, material):
    first = run(material)
    forget(material)
    memory.calls.clear()
    assert run(material) == first
    assert memory.calls == ["look_up", "look_up", "close"]


def test_nothing_to_push_calls_no_server(memory, catalog, make_material):
    empty = make_material(catalog, "park", 0)
    assert run(empty).rows == 0
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
def test_whatever_a_call_left_behind_each_key_ends_up_once(memory, material, broken):
    memory.broken = list(broken)
    assert run(material).rows == 30
    memory.exactly_once(30)


@pytest.mark.faults
def test_a_server_that_stays_away_is_told_with_what_is_safe_and_the_next_run_completes(memory, material):
    memory.broken = ["", "", "", "dropped", "away", "away", "away"]
    with pytest.raises(
        TransientError,
        match=r"after 25 of 30 tasks.* is safe.*To carry on, see to the server, then run `figureground push park`",
    ):
        run(material)
    assert not Path(material.catalog.storage_root.url, "tables/tasks/park.parquet").exists()
    assert run(material).rows == 30
    memory.exactly_once(30)


@pytest.mark.faults
def test_a_server_that_keeps_no_predictions_is_told(memory, material, monkeypatch):
    monkeypatch.setattr(label_studio, "replace_prediction", lambda *_: None)
    memory.broken = ["", "blind"]
    with pytest.raises(TransientError, match=r"does not hold what it took: 25 of 25 tasks, first that of park-000000-00"):
        run(material)


@pytest.mark.faults
@pytest.mark.parametrize("killed", [False, True])
def test_what_arrives_after_everybody_has_looked_is_found_all_the_same(memory, material, monkeypatch, killed):
    """The server does what timed out, or what a killed process sent, when the others have long been read back."""
    slept, late = [], []
    real_create = memory.create_tasks

    def create(server, project, tasks):
        if not late:
            late.extend(tasks)
            raise KeyboardInterrupt if killed else TransientError("lost the server while creating (timed out)")
        real_create(server, project, tasks)

    def sleep(seconds):
        slept.append(seconds)
        if seconds > 30:  # that is the wait for what is late
            for task in late:
                memory.add(task["data"], list(task["predictions"]))

    monkeypatch.setattr(label_studio, "create_tasks", create)
    monkeypatch.setattr("tasks.annotation.push.time.sleep", sleep)
    sent = Path(material.catalog.storage_root.url, ".locks/park.sent")
    if killed:
        with pytest.raises(KeyboardInterrupt):
            run(material)
        assert sent.exists()
    assert run(material).rows == 30
    memory.exactly_once(30)
    assert any(80 < seconds <= 90 for seconds in slept)
    assert not sent.exists()
    forget(material)
    slept.clear()
    run(material)
    assert slept == []


@pytest.mark.faults
def test_twins_are_removed_but_not_the_one_somebody_worked_on(memory, material):
    run(material)
    twin = memory.tasks[1]
    memory.add(twin["data"], twin["predictions"], annotations=1)
    forget(material)
    table = rows(material, run(material))
    memory.exactly_once(30)
    assert table["task_id"][0] == 31


@pytest.mark.faults
def test_a_twin_with_an_answer_that_the_server_does_not_count_stays_too(memory, material):
    run(material)
    twin = memory.tasks[1]
    memory.add(twin["data"], twin["predictions"])
    memory.tasks[31]["uncounted"] = True
    forget(material)
    table = rows(material, run(material))
    memory.exactly_once(30)
    assert table["task_id"][0] == 31


@pytest.mark.faults
def test_two_predictions_that_the_server_counts_as_one_are_made_one(memory, material):
    run(material)
    memory.tasks[3]["predictions"], memory.tasks[3]["told"] = [], 0
    forget(material)
    memory.broken = ["", "twice"]
    run(material)
    memory.exactly_once(30)
    assert memory.calls.count("replace_prediction") == 2


@pytest.mark.faults
@pytest.mark.parametrize(("now", "said"), [(Project(2, "http://memory/projects/2"), "http://.*/2"), (None, "none")])
def test_a_project_that_is_another_in_the_end_leaves_no_table(memory, material, now, said):
    memory.project = now
    with pytest.raises(TransientError, match=rf"projects/1 was the project .* and is no more: that is {said} now"):
        run(material)
    assert tables.find(Store(material.catalog.storage_root), "tasks", "park") is None
    memory.project = Project(1, "http://memory/projects/1")
    run(material)
    memory.exactly_once(30)


def test_two_annotated_twins_are_for_a_person_to_decide(memory, material):
    run(material)
    memory.tasks[1]["annotations"] = 1
    memory.add(memory.tasks[1]["data"], [], annotations=1)
    forget(material)
    with pytest.raises(LabelError, match=r"park-000000-00 has 2 annotated tasks .*1, 31.*delete all but the one"):
        run(material)


def test_a_new_matte_replaces_the_prediction_unless_somebody_has_worked_on_it(memory, catalog, make_material, alpha_of):
    old = make_material(catalog, "park", 3)
    before = rows(old, run(old))
    memory.tasks[1]["annotations"] = 1
    new = make_material(catalog, "park", 3, empty=0)
    store = Store(catalog.storage_root)
    mattes = tables.read(store, new.mattes).rows
    mattes.loc[1, "sha256"] = store.write(mattes["file"][1], masks.to_png(alpha_of(7, 61, 80)))
    new = new._replace(mattes=tables.write(store, "mattes", "park", mattes, fingerprint="new"))
    after = rows(new, run(new))
    assert list(before["prediction_sha256"] == after["prediction_sha256"]) == [True, False, True]
    assert memory.tasks[2]["data"]["prediction_sha256"] == after["prediction_sha256"][1]
    memory.exactly_once(3)


def test_a_matte_of_another_size_is_never_sent(memory, material, alpha_of):
    store = Store(material.catalog.storage_root)
    mattes = tables.read(store, material.mattes).rows
    mattes.loc[1, "sha256"] = store.write(mattes["file"][1], masks.to_png(alpha_of(1, 10, 10)))
    broken = material._replace(mattes=tables.write(store, "mattes", "park", mattes, fingerprint="broken"))
    with pytest.raises(LabelError, match="matte of park-000001-00 is 10x10, its crop 61x80"):
        run(broken)
    assert memory.tasks == {}


def test_a_damaged_matte_is_named(memory, material):
    Path(material.catalog.storage_root.url, "mattes/park/park-000002-00.png").write_bytes(b"x")
    with pytest.raises(StoreError, match=r"mattes/park/park-000002-00\.png"):
        run(material)


def test_without_frames_the_way_out_is_named(memory, material):
    Path(material.catalog.storage_root.url, "tables/frames/park.parquet").unlink()
    with pytest.raises(StoreError, match="no table frames; run `figureground ingest park`"):
        run(material)


def test_scenes_the_interface_does_not_offer_are_told(memory, material, caplog):
    odd = material._replace(source=material.source.__class__("park", "video", "p", "", "MIT", ("park", "moon"), "auto"))
    ref = run(odd)
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
def test_one_push_at_a_time(memory, material, monkeypatch):
    monkeypatch.setattr("tasks.annotation.push._LOCK_SECONDS", 0.2)
    lock = Path(material.catalog.storage_root.url, ".locks/push.lock")
    with FileLock(lock), pytest.raises(TransientError, match=r"another push has held .*push\.lock"):
        run(material)
    assert run(material).rows == 30


# ---- the connection


def test_without_a_token_the_variable_is_named(catalog, monkeypatch):
    monkeypatch.delenv("LABEL_STUDIO_API_KEY", raising=False)
    with pytest.raises(LabelError, match=r"no token for .*set the environment variable LABEL_STUDIO_API_KEY.*studio up"):
        label_studio.connect(catalog)


def test_where_nothing_listens_the_way_out_is_named(catalog, monkeypatch):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    with pytest.raises(LabelError, match=r"no Label Studio answers at http://127.0.0.1:9 .*studio up.*label_studio.url"):
        label_studio.connect(catalog)


def test_what_is_no_label_studio_is_said(tmp_path, monkeypatch, make_catalog, httpserver_in_a_thread):
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    with pytest.raises(LabelError, match=r"is not a Label Studio \(its /api/version says 200\)"):
        label_studio.connect(make_catalog(tmp_path, httpserver_in_a_thread))


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
    with label_studio.connect(material.catalog) as server:
        project = label_studio.find_project(server, material.catalog)
        return [(task.key, len(task.content["predictions"])) for task in label_studio.everything(server, project)]


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
def test_two_who_make_the_project_at_once_on_a_slow_server_take_the_same_one(real):
    """The slower one's project is not to be seen yet when the faster one looks whether it is alone, a second later."""
    catalog = real(0).catalog

    def make(seconds):
        with label_studio.connect(catalog) as server:
            create = server.client.projects.create
            server.client.projects.create = lambda **content: time.sleep(seconds) or create(**content)
            return label_studio.make_project(server, catalog).project_id

    with ThreadPoolExecutor() as pool:
        made = list(pool.map(make, [1.5, 4.0]))
    with label_studio.connect(catalog) as server:
        assert made == [label_studio.find_project(server, catalog).project_id] * 2


@pytest.mark.studio
@pytest.mark.faults
def test_of_two_filled_projects_all_take_the_first_until_somebody_answers(real):
    """A slow server may show the first one's project only when the second one's is filled."""
    material = real(2)
    catalog = material.catalog
    with label_studio.connect(catalog) as server:
        xml = label_studio.interface(catalog)[1]
        title = catalog.label_studio.project
        first, second = (server.client.projects.create(title=title, label_config=xml).id for _ in range(2))
        for number in (first, second):
            server.client.projects.import_tasks(number, request=[{"data": {"image": "nowhere"}}])
        assert label_studio.find_project(server, catalog).project_id == first
        (task,) = server.client.tasks.list(project=second).items
        server.client.annotations.create(task.id, result=[])
        assert label_studio.find_project(server, catalog).project_id == second
        assert run(material).rows == 2
        assert label_studio.find_project(server, catalog).project_id == second
        assert server.client.projects.get(first).title == f"unused twin of {title}"
        server.client.projects.update(first, title=title)
        (task,) = server.client.tasks.list(project=first).items
        server.client.annotations.create(task.id, result=[])
        with pytest.raises(LabelError, match=rf"2 projects called .* with answers in them \(numbers {first}, {second}\)"):
            label_studio.make_project(server, catalog)


@pytest.mark.studio
def test_a_proxy_of_the_environment_does_not_stand_before_the_local_one(real, monkeypatch):
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
    with label_studio.connect(material.catalog) as server:
        (task,) = label_studio.everything(server, label_studio.find_project(server, material.catalog))
    reply = httpx.get(real_studio.url + task.content["data"]["image"], headers=header)
    stored = tables.read(Store(material.catalog.storage_root), material.crops).rows.iloc[0]
    file = Path(material.catalog.storage_root.url, stored["file"])
    assert (reply.status_code, reply.content) == (200, file.read_bytes())
    with label_studio.connect(material.catalog) as server:
        assert label_studio.fetch_picture(server, task.task_id).startswith(f"{real_studio.url} serves /data/local-files/?d=")
        file.unlink()
        with pytest.raises(LabelError, match=r"does not serve /data/local-files.*answer 404.*LOCAL_FILES_DOCUMENT_ROOT"):
            label_studio.fetch_picture(server, task.task_id)
        with pytest.raises(LabelError, match="refused fetching the picture of task 999999: 404") as caught:
            label_studio.fetch_picture(server, 999999)
        assert "sessionid" not in "".join(traceback.format_exception(caught.value)), "a session opens the same doors"


@pytest.mark.studio
def test_a_prediction_the_real_one_lost_is_repaired(real):
    material = real(3)
    first = run(material)
    with label_studio.connect(material.catalog) as server:
        task = label_studio.everything(server, label_studio.find_project(server, material.catalog))[1]
        server.client.predictions.delete(task.content["predictions"][0]["id"])
    forget(material)
    assert run(material) == first
    assert [predictions for _, predictions in on_server(material)] == [1, 1, 1]


@pytest.mark.studio
@pytest.mark.faults
def test_a_number_that_is_another_tasks_by_now_is_left_alone(real):
    """A server on SQLite gives the next task the number of the last one when that is deleted."""
    material = real(1)
    run(material)
    with label_studio.connect(material.catalog) as server:
        project = label_studio.find_project(server, material.catalog)
        (old,) = label_studio.everything(server, project)
        label_studio.delete_task(server, old)
        label_studio.create_tasks(server, project, [{"data": {**old.content["data"], "key": "another"}, "predictions": []}])
        (new,) = label_studio.everything(server, project)
        assert new.task_id == old.task_id
        for deed in (label_studio.delete_task, lambda *who: label_studio.replace_prediction(*who, [], {})):
            with pytest.raises(TransientError, match=f"task {old.task_id} at .* is another one now"):
                deed(server, old)
        assert label_studio.everything(server, project) == [new]


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
def test_a_wrong_token_is_refused_and_told_nowhere(real, real_studio, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", ELSEWHERE)
    monkeypatch.setattr("figureground.clients.local_label_studio.token", lambda *_: None)
    with pytest.raises(LabelError, match=r"refuses the token \(the one in LABEL_STUDIO_API_KEY\)") as caught:
        run(real(1))
    told = caplog.text
    error = caught.value
    while error is not None:
        told += f"{error!r} {error}"
        error = error.__cause__ or error.__context__
    assert ELSEWHERE not in told


@pytest.mark.studio
def test_a_good_token_is_told_nowhere_either(real, real_studio, caplog):
    caplog.set_level(logging.DEBUG)
    material = real(2)
    run(material)
    with label_studio.connect(material.catalog) as server:
        assert real_studio.token not in caplog.text + repr(server)
    for path in Path(material.catalog.storage_root.url, "tables").rglob("*.parquet"):
        assert real_studio.token.encode() not in path.read_bytes()


@pytest.mark.studio
@pytest.mark.parametrize("file", sorted((HERE.parents[1] / "label_config").glob("*.xml")), ids=lambda file: file.stem)
def test_the_real_one_takes_every_label_config(real, file):
    xml = file.read_text(encoding="utf-8")
    with label_studio.connect(real(0).catalog) as server:
        made = server.client.projects.create(title=f"config {file.stem}", label_config=xml)
        assert labelling.same_interface(server.client.projects.get(made.id).label_config, xml)
        server.client.projects.delete(made.id)


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
    assert label_studio.told("prefect:studio") == ELSEWHERE
    assert asked == ["studio"]
    assert label_studio.told(ELSEWHERE) == ELSEWHERE
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "prefect:gone")
    with pytest.raises(LabelError, match="LABEL_STUDIO_API_KEY names the Prefect Secret 'gone', which cannot be read"):
        label_studio.connect(catalog)


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
def test_a_server_that_stops_in_the_middle_leaves_nothing_double(real, real_studio, monkeypatch):
    """The connection breaks after the server has created the first tasks and before it can say so, and stays broken."""
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", real_studio.token)
    monkeypatch.setattr("tasks.annotation.push._PAUSES", (0.1,))
    monkeypatch.setattr(label_studio, "REQUEST_SECONDS", 3)
    wire = Wire(real_studio.url)
    material = real(30, url=wire.url)
    wire.cut_at_reply_to = b"/import"
    with pytest.raises(TransientError, match=r"lost the Label Studio at .*after 0 of 30 tasks.*run `figureground push park-"):
        run(material)
    back = real(30)
    assert len(on_server(back)) == 25
    assert run(back).rows == 30
    there = on_server(back)
    assert len({key for key, _ in there}) == len(there) == 30
    assert {predictions for _, predictions in there} == {1}


@pytest.mark.studio
@pytest.mark.faults
def test_killed_in_the_middle_the_next_push_completes(real, monkeypatch):
    monkeypatch.setattr(label_studio, "REQUEST_SECONDS", 3)
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
    assert run(material).rows == 80
    there = on_server(material)
    assert len({key for key, _ in there}) == len(there) == 80
    assert {predictions for _, predictions in there} == {1}


def counted(material):
    with label_studio.connect(material.catalog) as server:
        project = label_studio.find_project(server, material.catalog)
        return 0 if project is None else len(label_studio.everything(server, project))
