"""A real Label Studio tells the real command of answers, and they are pulled at once."""

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from figureground import tables
from figureground.clients import webhook as hook
from figureground.clients.annotation_server import connect, find_token
from figureground.errors import CatalogError, LabelError
from figureground.storage.store import Store
from tasks.annotation.push import push
from tests.ports import free_port

pytestmark = pytest.mark.studio

WORD = "not to be told to anybody"
ROOT = Path(__file__).parents[3]


class Listener:
    """``figureground webhook`` in a process of its own; what it says, line by line."""

    def __init__(self, file, port, *more):
        self.url, self.told, self.lines = f"http://127.0.0.1:{port}/", [], queue.Queue()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "webhook", "--catalog", file, "--port", str(port), *more],
            cwd=file.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200", hook.SECRET_VARIABLE: WORD},
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.told.append(line)
            self.lines.put(line)

    def until(self, words, seconds=400):
        end = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=0.2)
            except queue.Empty:
                if self.process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"it never said {words!r}, but: {''.join(self.told)}")
                continue
            if words in line:
                return line

    def pulls(self):
        return sum(" pulled " in line for line in self.told)

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(60) == 0, "".join(self.told)
        finally:
            self.process.kill()
            self.reader.join(10)
            self.process.stdout.close()


@pytest.fixture
def desk(real, write_down):
    material = real(3)
    ref = push.fn(material.crops, material.mattes, material.source, material.catalog)
    rows = tables.read(Store(material.catalog.storage_root), ref).rows
    return material, write_down(material), [int(task) for task in rows["task_id"]]


def labels(material):
    """In one look: between finding a table and reading it a pull may have written the next."""
    held = tables.latest(Store(material.catalog.storage_root), "labels", material.source.source_id)
    return [] if held is None else list(held.rows["annotation_id"])


def until(condition, seconds=120.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def hooks(server, project):
    return [one for one in server.sdk.webhooks.list(project=str(project.project_id)) if one.project == project.project_id]


@pytest.mark.slow
def test_an_answer_is_pulled_when_the_server_tells_of_it(desk):
    material, file, tasks = desk
    server = connect(material.catalog)
    project = server.find_project(material.catalog)
    accepted = {task: server.sdk.predictions.list(task=task)[0].result for task in tasks}
    listener = Listener(file, free_port(), "--every", "60")
    try:
        listener.until("of every answer to")
        listener.until("pulled 1 of 1 sources")
        assert labels(material) == []
        (registered,) = hooks(server, project)
        assert (registered.url, registered.send_payload, registered.send_for_all_actions) == (listener.url, False, False)

        made = server.sdk.annotations.create(tasks[0], result=accepted[tasks[0]], lead_time=2.0).id
        until(lambda: labels(material) == [made])
        until(lambda: listener.pulls() == 2)
        before = listener.pulls()
        wrong = httpx.post(listener.url, json={"action": "ANNOTATION_CREATED"}, headers={hook.HEADER: "wrong"}, trust_env=False)
        assert wrong.status_code == 401
        time.sleep(4)
        assert listener.pulls() == before, "a wrong word makes no pull"
        others = [server.sdk.annotations.create(task, result=accepted[task], lead_time=2.0).id for task in tasks[1:]]
        server.sdk.annotations.update(made, result=accepted[tasks[0]], lead_time=9.0)
        until(lambda: len(labels(material)) == 3)
        server.sdk.annotations.delete(others[0])
        until(lambda: len(labels(material)) == 2)
        assert listener.pulls() <= before + 4, "answers of one moment make one pull"
    finally:
        listener.end()
    assert hooks(server, project) == [], "it takes its webhook back"
    said = "".join(listener.told)
    assert WORD not in said and find_token(material.catalog)[1] not in said
    server.close()


def test_registering_again_changes_the_one_there_is(desk, real_studio):
    material, _, _ = desk
    with connect(material.catalog) as server:
        project, number = hook.register(server, material.catalog, "http://127.0.0.1:9/", "the first word of all")
        server.sdk.webhooks.create(url="http://127.0.0.1:9/", project=project.project_id)
        assert hook.register(server, material.catalog, "http://127.0.0.1:9/", WORD) == (project, number)
        (registered,) = hooks(server, project)
        assert (registered.id, registered.headers) == (number, {hook.HEADER: WORD})
        assert {"ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATIONS_DELETED"} <= set(registered.actions)
        assert not hook.try_webhook(server, project, material.catalog, lambda seconds: False)
        server.delete_webhook(number)
        server.delete_webhook(number)
        assert hooks(server, project) == []
        with pytest.raises(CatalogError, match="expected http://HOST:PORT/, found 'labels:80'"):
            hook.register(server, material.catalog, "labels:80", WORD)


def test_without_a_project_it_says_to_push_first(real):
    material = real(0)
    with connect(material.catalog) as server, pytest.raises(LabelError, match=r"has no project .*; push first"):
        hook.register(server, material.catalog, "http://127.0.0.1:9/", WORD)


def test_a_public_address_without_a_word_is_refused_on_the_command_line(run, tmp_path, write_down, make_catalog, make_material):
    file = write_down(make_material(make_catalog(tmp_path), "park", 0))
    told = run(
        "webhook", "--catalog", str(file), "--host", "0.0.0.0", cwd=tmp_path, expect=1, **{hook.SECRET_VARIABLE: ""}
    ).stderr
    assert f"set the environment variable {hook.SECRET_VARIABLE} to a word" in told
    assert "Traceback" not in told
