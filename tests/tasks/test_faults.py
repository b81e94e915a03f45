"""A lossy wire in front of a real Label Studio, and a pusher that is killed again and again: in the end each key once.

``FIGUREGROUND_ROUNDS`` above 1 takes the long way (`make soak`): at least 300 tasks and 50 kills. Every one of these tests has
the short way, too, in which the same things happen a few times.
"""

import http.client
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from figureground import tables
from figureground.annotation import brush_rle, predictions
from figureground.annotation.label_interface import load_interface
from figureground.clients import local_label_studio
from figureground.clients.annotation_server import connect
from figureground.errors import LabelError
from figureground.storage.store import Store
from tasks.annotation.pull import pull
from tasks.annotation.push import push
from tasks.ingest.report import report
from tests.ports import free_port

pytestmark = [pytest.mark.studio, pytest.mark.faults]

ROUNDS = int(os.environ.get("FIGUREGROUND_ROUNDS", "1"))
KILLS = 55 if ROUNDS > 1 else 4
SOURCES, TASKS = (8, 45) if ROUNDS > 1 else (2, 12)
STALL_SECONDS = 11
ODDS = {"pass": 86, "drop": 3, "drop after": 4, "429": 1, "500": 1, "500 after": 1, "502": 1, "502 after": 1, "twice": 3}
ODDS |= {"stall": 0.2}


class Lossy(BaseHTTPRequestHandler):
    """Hand each request on, or do something worse with it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fate = self.server.draw()
        if fate == "stall":
            time.sleep(STALL_SECONDS)
        if fate in ("drop", "429", "500", "502"):
            reply = None
        else:
            with suppress(OSError, http.client.HTTPException):
                reply = self.forward(body)
            if fate == "twice":
                reply = self.forward(body)
        if fate.startswith("drop"):
            self.close_connection = True
        elif fate[0] in "45":
            self.answer(int(fate[:3]), {"Content-Type": "text/plain"}, b"the proxy is unwell")
        else:
            self.answer(*reply)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815  the names http.server looks for

    def forward(self, body):
        wire = http.client.HTTPConnection(*self.server.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "accept-encoding")}
        wire.request(self.command, self.path, body, headers)
        reply = wire.getresponse()
        content = reply.read()
        wire.close()
        return reply.status, {name: value for name, value in reply.getheaders() if name in ("Content-Type", "Date")}, content

    def answer(self, status, headers, content):
        with suppress(OSError):
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


class Proxy(ThreadingHTTPServer):
    """Fates are drawn from a seed, so a bad run can be had again."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, url, seed, handler=Lossy):
        super().__init__(("127.0.0.1", 0), handler)
        self.target = ("127.0.0.1", int(url.rpartition(":")[2]))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.dice, self.lock, self.fates = random.Random(seed), threading.Lock(), Counter()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def draw(self):
        with self.lock:
            (fate,) = self.dice.choices(list(ODDS), list(ODDS.values()))
            self.fates[fate] += 1
            return fate

    def handle_error(self, request, client_address):
        """Killed pushers hang up in the middle of a request: that is the point."""

    def close(self):
        self.shutdown()
        self.server_close()


class Pushers:
    """Start pushes and pulls in processes of their own, and kill them."""

    def __init__(self, catalog, url, token, *how):
        entry = catalog.label_studio
        self.child = subprocess.Popen(
            [sys.executable, Path(__file__).parent / "pusher.py", catalog.folder, url, entry.project, *how],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"LABEL_STUDIO_API_KEY": token, "PYTHONWARNINGS": "ignore"},
        )
        assert self.child.stdout.readline() == "ready\n"
        self.said = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in self.child.stdout:
            word, *numbers = line.split()
            self.said.put((word, *map(int, numbers)))

    def begin(self, deed, source_id):
        self.child.stdin.write(f"{deed} {source_id}\n")
        self.child.stdin.flush()
        word, pid = self.said.get(timeout=60)
        assert word == "began"
        return pid

    def kill(self, pid, seconds):
        """Kill a process after some time unless it has ended; give its exit code."""
        try:
            word, ended, code = self.said.get(timeout=seconds)
        except queue.Empty:
            os.kill(pid, signal.SIGKILL)
            word, ended, code = self.said.get(timeout=60)
        assert (word, ended) == ("ended", pid)
        assert code in (0, 3, -signal.SIGKILL), "a failure that is none of the wire's"
        return code

    def close(self):
        self.child.stdin.close()
        self.child.wait(60)
        self.child.stdout.close()


def hammer(pushers, deed, sources, kills, dice):
    """Do it to every source, killing on the way, until each was done at least once and there were enough kills."""
    counts, todo = Counter(), list(sources)
    while todo:
        pid = pushers.begin(deed, todo[0])
        left = kills - counts["killed"]
        code = pushers.kill(pid, dice.uniform(0.1, 2.5) if left > 0 else 120)
        counts[{0: "done", 3: "broke off"}.get(code, "killed")] += 1
        if code == 0:
            todo.pop(0)
    return counts


def on_server(catalog):
    with connect(catalog) as server:
        return server.list_tasks(server.find_project(catalog))


def check(catalog, sources, alpha_of):
    """One task and one prediction a key, every mask bit by bit."""
    there = on_server(catalog)
    keys = [task.key for task in there]
    assert len(keys) == len(set(keys))
    store = Store(catalog.storage_root)
    for source_id in sources:
        rows = tables.read(store, tables.find(store, "tasks", source_id)).rows
        ours = {task.key: task for task in there if task.content["data"]["source"] == source_id}
        assert set(ours) == set(rows["key"])
        assert [ours[key].task_id for key in rows["key"]] == list(rows["task_id"])
        for number, key in enumerate(rows["key"]):
            (prediction,) = ours[key].content["predictions"]
            (region,) = (item for item in prediction["result"] if item["type"] == "brushlabels")
            width, height = region["original_width"], region["original_height"]
            mask = brush_rle.decode(region["value"]["rle"], width, height)
            assert np.array_equal(mask, predictions.binarize(alpha_of(number, width, height)))


@pytest.fixture
def lossy(real_studio):
    proxy = Proxy(real_studio.url, seed=ROUNDS)
    yield proxy
    proxy.close()


@pytest.fixture
def sources(real, make_material):
    """Several sources of one project that is not made yet."""
    catalog = real(0).catalog
    name = catalog.label_studio.project.removeprefix("project ")
    some = [f"wire-{name}-{number}" for number in range(SOURCES)]
    for source_id in some:
        make_material(catalog, source_id, TASKS)
    return catalog, some


def test_with_network_faults_and_kills_each_task_exists_once_and_each_annotation_is_pulled(
    sources, lossy, real_studio, alpha_of, make_catalog
):
    catalog, some = sources
    dice, start = random.Random(ROUNDS), time.monotonic()
    pushers = Pushers(catalog, lossy.url, real_studio.token)
    try:
        pushed = hammer(pushers, "push", some, KILLS, dice)
        # a second push finds everything there, whoever says so
        for source_id in some:
            Path(catalog.storage_root.url, tables.name("tasks", source_id)).unlink()
        pushed += hammer(pushers, "push", some, KILLS - pushed["killed"], dice)
        check(catalog, some, alpha_of)
        expected = answer(catalog, some, dice)
        pulled = hammer(pushers, "pull", some, KILLS // 2, dice)
    finally:
        pushers.close()
    assert pushed["killed"] >= KILLS
    labels = {source_id: table(catalog, source_id).rows.to_dict("records") for source_id in some}
    found = {row["crop_id"]: row["annotation_id"] for rows in labels.values() for row in rows}
    assert found == expected
    assert sum(map(len, labels.values())) == len(expected)
    clean = make_catalog(catalog.folder, real_studio.url, catalog.label_studio.project)
    for source_id in some:
        before = {row["crop_id"]: row["sha256"] for row in labels[source_id]}
        Path(catalog.storage_root.url, tables.name("labels", source_id)).unlink()
        assert {row["crop_id"]: row["sha256"] for row in pulled_plainly(clean, source_id)} == before
    note(
        {
            "tasks": SOURCES * TASKS,
            "answers": len(expected),
            **{f"pushes {how}": count for how, count in sorted(pushed.items())},
            **{f"pulls {how}": count for how, count in sorted(pulled.items())},
            **{f"requests: {fate}": count for fate, count in sorted(lossy.fates.items())},
            "seconds": round(time.monotonic() - start),
            "tasks or predictions missing or there twice, masks that differ, answers lost or doubled": 0,
        }
    )


def note(figures):
    """Hand what was counted to benchmarks/label_studio.py, which asks for it."""
    if file := os.environ.get("FIGUREGROUND_FIGURES"):
        with Path(file).open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(figures) + "\n")


def answer(catalog, sources, dice):
    """Answer most tasks, some of them twice; give the annotation that counts by crop."""
    counts = {}
    with connect(catalog) as server:
        for task in on_server(catalog):
            if task.content["data"]["source"] not in sources or dice.random() < 0.1:
                continue
            result = [item | {"origin": "prediction"} for item in task.content["predictions"][0]["result"]]
            for _ in range(1 + (dice.random() < 0.2)):
                made = server.sdk.annotations.create(task.task_id, result=result, lead_time=2.0)
                counts[task.content["data"]["crop_id"]] = made.id
            if dice.random() < 0.1:
                server.sdk.annotations.create(task.task_id, result=[], was_cancelled=True)
    return counts


def table(catalog, source_id):
    store = Store(catalog.storage_root)
    return tables.read(store, tables.find(store, "labels", source_id))


def pulled_plainly(catalog, source_id):
    store = Store(catalog.storage_root)
    refs = [tables.find(store, stage, source_id) for stage in ("crops", "mattes", "tasks")]
    pull.fn(*refs, catalog)
    return table(catalog, source_id).rows.to_dict("records")


class Deadly(Lossy):
    """Hand requests on, and kill the server in the middle of the second import."""

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.imports += self.path.split("?")[0].endswith("/import")
        if self.server.imports == 2 and self.server.victim:
            sent = threading.Thread(target=self.try_to_forward, args=(body,))
            sent.start()
            time.sleep(0.05)
            os.killpg(self.server.victim, signal.SIGKILL)
            self.server.victim = None
            sent.join()
            self.close_connection = True
            return
        reply = self.try_to_forward(body)
        self.close_connection = reply is None
        if reply:
            self.answer(*reply)

    do_POST = do_PATCH = do_DELETE = do_PUT = do_GET  # noqa: N815

    def try_to_forward(self, body):
        with suppress(OSError, http.client.HTTPException):
            return self.forward(body)
        return None


@pytest.mark.slow
def test_a_push_of_ten_to_a_server_that_is_killed_halfway_says_all_that_matters(
    tmp_path, monkeypatch, run, make_catalog, make_material, write_down, alpha_of
):
    """On the command line, as somebody sees it: what happened, what is safe, what to run next. That, run, completes it."""
    monkeypatch.setattr(local_label_studio, "_BOOT_SECONDS", 600)
    if "FIGUREGROUND_STUDIO" not in os.environ:
        monkeypatch.setenv("FIGUREGROUND_STUDIO", str(Path(__file__).parents[2] / ".venv-studio/bin/label-studio"))
    plain, port = make_catalog(tmp_path), free_port()
    server = local_label_studio.start(plain, port)
    wire = Proxy(server.url, seed=0, handler=Deadly)
    wire.imports, wire.victim = 0, server.pid
    material = make_material(make_catalog(tmp_path, wire.url, "halfway"), "park", 10)
    file = str(write_down(material))
    try:
        told = run("push", "--catalog", file, cwd=tmp_path, expect=1, alone=True, LABEL_STUDIO_API_KEY=server.token).stderr
        assert wire.victim is None, "it was killed"
        local_label_studio._started.pop(server.pid).wait(30)
        assert f"lost the Label Studio at {wire.url}" in told, "what happened"
        assert "Pushing park stopped after 5 of 10 tasks" in told
        assert "What was pushed is safe: 5 tasks were read back" in told
        assert "nothing will be there twice" in told
        assert "To carry on, start the server again with `figureground studio up`, then run `figureground push park`" in told
        assert "Traceback" not in told and server.token not in told
        again = local_label_studio.start(plain, port)
        os.utime(tmp_path / "data/.locks/park.sent", (0, 0))  # as when somebody comes back later
        words = ["push", "park", "--verbose", "--catalog", file]
        done = run(*words, cwd=tmp_path, alone=True, LABEL_STUDIO_API_KEY=again.token)
        assert "park: 10 tasks in Label Studio" in done.stdout
        assert server.token not in done.stdout + done.stderr
        report.fn("park", material.catalog)
        assert not told_anywhere(server.token, tmp_path)
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", again.token)
        check(material.catalog, ["park"], alpha_of)
        assert len(on_server(material.catalog)) == 10
    finally:
        wire.close()
        local_label_studio.stop(plain)


def told_anywhere(secret, folder):
    """Name the files that have a secret: tables, pages, Prefect's runs, parameters and log; the server's own may."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".studio" not in path.parts]
    assert any(path.name.startswith("prefect.db") for path in files), "the flow's runs are looked through, too"
    return [path for path in files if secret.encode() in path.read_bytes()]


@pytest.mark.soak
def test_eight_pushers_at_once_end_complete(real, make_material, real_studio, alpha_of):
    """Two a source, as from machines that do not share our lock, while SQLite takes one writer at a time, for minutes."""
    catalog = real(0).catalog
    name = catalog.label_studio.project.removeprefix("project ")
    some = [f"many-{name}-{number}" for number in range(4)]
    for source_id in some:
        make_material(catalog, source_id, TASKS)
    eight_at_once(catalog, some, real_studio, alpha_of)


def eight_at_once(catalog, some, server, alpha_of):
    pushers = Pushers(catalog, server.url, server.token, "unlocked")
    try:
        for _ in range(20):
            for number in range(8):
                pushers.child.stdin.write(f"push {some[number % len(some)]}\n")
            pushers.child.stdin.flush()
            said = [pushers.said.get(timeout=300) for _ in range(16)]
            codes = {code for word, _, *rest in said if word == "ended" for code in rest}
            assert codes <= {0, 3}
            if codes == {0}:
                break
        else:
            pytest.fail("eight pushers never all came through")
    finally:
        pushers.close()
    check(catalog, some, alpha_of)


@pytest.fixture
def cluster(postgres):
    """Label Studio's settings for a PostgreSQL of our own."""
    settings = {"USER": "studio", "PASSWORD": "none", "NAME": "postgres", "HOST": "127.0.0.1", "PORT": str(postgres)}
    return {"DJANGO_DB": "default", **{f"POSTGRE_{name}": value for name, value in settings.items()}}


@pytest.mark.postgres
def test_eight_pushers_at_once_end_complete_on_postgresql_too(
    cluster, tmp_path, monkeypatch, make_catalog, make_material, alpha_of
):
    plain = local_label_studio._environment
    monkeypatch.setattr(local_label_studio, "_environment", lambda *given: plain(*given) | cluster)
    if "FIGUREGROUND_STUDIO" not in os.environ:
        monkeypatch.setenv("FIGUREGROUND_STUDIO", str(Path(__file__).parents[2] / ".venv-studio/bin/label-studio"))
    server = local_label_studio.start(make_catalog(tmp_path), free_port())
    try:
        assert not list(tmp_path.rglob("*.sqlite3")), "the database is PostgreSQL's"
        catalog = make_catalog(tmp_path, server.url)
        some = [f"many-{number}" for number in range(4)]
        for source_id in some:
            make_material(catalog, source_id, TASKS)
        eight_at_once(catalog, some, server, alpha_of)
    finally:
        local_label_studio.stop(make_catalog(tmp_path))


def test_annotations_that_the_server_does_not_count_are_pulled(
    tmp_path, monkeypatch, make_catalog, make_material, alpha_of
):
    """Two projects deleted at once blind the server: what is answered from then on looks open in every list."""
    if "FIGUREGROUND_STUDIO" not in os.environ:
        monkeypatch.setenv("FIGUREGROUND_STUDIO", str(Path(__file__).parents[2] / ".venv-studio/bin/label-studio"))
    port = free_port()
    catalog = make_catalog(tmp_path, local_label_studio.start(make_catalog(tmp_path), port).url)
    try:
        made = make_material(catalog, "park", 3)
        tasks = push.fn(made.crops, made.mattes, made.source, catalog)
        with connect(catalog) as server:
            blind(server, load_interface(catalog.label_config_file, catalog.label_studio.mask)[1])
            project = server.find_project(catalog)
            first, second, _ = server.list_tasks(project)
            accept(server, first)
            assert server.count_annotated_tasks(project) == 0, "it does not count"
            assert server.is_annotated(first)
            assert not server.is_annotated(second)
        with pytest.raises(LabelError, match=r"stopped counting: 1 tasks of park have answers .*no answer is lost"):
            pull.fn(made.crops, made.mattes, tasks, catalog)
        # a new matte is not shown to who has answered already
        made = make_material(catalog, "park", 3, empty=0)
        tasks = push.fn(made.crops, made.mattes, made.source, catalog)
        assert tasks.rows == 3
        local_label_studio.stop(catalog)
        local_label_studio.start(catalog, port)
        found = tables.read(Store(catalog.storage_root), pull.fn(made.crops, made.mattes, tasks, catalog)).rows
        assert list(found["crop_id"]) == [first.content["data"]["crop_id"]]
    finally:
        local_label_studio.stop(catalog)


def blind(server, xml):
    """Delete projects at once until an answer is not counted; two deletes have to meet for that."""
    client = server.sdk
    canary = client.projects.create(title="canary", label_config=xml).id
    for _ in range(10):
        many = [client.projects.create(title=f"many {number}", label_config=xml).id for number in range(8)]
        with ThreadPoolExecutor(len(many)) as deleters:
            list(deleters.map(client.projects.delete, many))
        client.projects.import_tasks(canary, request=[{"data": {"image": "nowhere"}}])
        newest = max(task.id for task in client.tasks.list(project=canary).items)
        client.annotations.create(newest, result=[])
        if client.tasks.get(str(newest)).total_annotations == 0:
            return
    pytest.fail("the server counts after 10 times 8 deletes at once: is that mended? Then recount can go")


def accept(server, task):
    prediction = task.content["predictions"][0]
    server.add_annotation(task, prediction["result"], annotator_id=1, seconds=2.0, prediction_id=prediction["id"])
