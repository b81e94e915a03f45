"""Starting and stopping: against a program that only looks like Label Studio, and once against the real one."""

import http.server
import os
import socket
import stat
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import httpx
import pytest

from figureground.clients import local_label_studio
from figureground.errors import FiguregroundError
from figureground.storage.processes import start_time

FAKE = """\
#!{python}
import http.server, os, subprocess, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
{before}
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers.get("Authorization") == "Token " + os.environ["LABEL_STUDIO_USER_TOKEN"]
        self.send_response(200 if self.path == "/health" or known else 401)
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """Install a program that answers like Label Studio; give a way to change what it does first."""
    program = tmp_path / "label-studio"

    def install(before=""):
        program.write_text(FAKE.format(python=sys.executable, before=before))
        program.chmod(0o755)

    monkeypatch.setenv("FIGUREGROUND_STUDIO", str(program))
    install()
    return install


@pytest.fixture
def other_server():
    """Give the port of a Label Studio that is not ours: healthy, and it does not know our token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/health" else 401)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture
def tidy(catalog):
    """Leave nothing running."""
    yield catalog
    local_label_studio.stop(catalog)


def test_starting_twice_gives_one_server_and_stopping_ends_it(fake, tidy):
    first = local_label_studio.start(tidy)
    assert local_label_studio.start(tidy) == first == local_label_studio.find_running(tidy)
    assert httpx.get(f"{first.url}/health").status_code == 200
    assert local_label_studio.stop(tidy)
    assert local_label_studio.find_running(tidy) is None
    assert not local_label_studio.stop(tidy)


def test_token_and_password_are_kept_and_for_the_owner_only(fake, tidy):
    first = local_label_studio.start(tidy)
    local_label_studio.stop(tidy)
    second = local_label_studio.start(tidy)
    assert (first.token, first.password) == (second.token, second.password)
    assert len(first.token) == 40
    for name in ("token", "password"):
        file = Path(tidy.storage_root.url, ".studio", name)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_no_secret_is_printed_or_on_a_command_line(fake, tidy):
    found = local_label_studio.start(tidy)
    line = Path(f"/proc/{found.pid}/cmdline").read_text()
    log = Path(tidy.storage_root.url, ".studio/studio.log").read_text()
    for secret in (found.token, found.password):
        assert secret not in repr(found) + str(found) + line + log


def test_the_token_is_given_for_its_own_address_only(fake, tidy):
    found = local_label_studio.start(tidy)
    assert local_label_studio.find_token(tidy, found.url + "/") == found.token
    assert local_label_studio.find_token(tidy, found.url.replace("127.0.0.1", "localhost")) == found.token
    assert local_label_studio.find_token(tidy, "http://127.0.0.1:1") is None
    assert local_label_studio.find_token(tidy, "https://labels.example.org") is None


@pytest.mark.slow
def test_it_outlives_the_command_that_started_it(fake, tidy, tmp_path):
    code = """
        import pathlib, sys
        sys.path[:0] = [{root!r}]
        from tests.material import catalog_in
        from figureground.clients import local_label_studio as studio
        print(studio.start(catalog_in(pathlib.Path({folder!r}))).pid)
    """
    code = textwrap.dedent(code).format(root=str(Path(__file__).parents[3]), folder=str(tmp_path))
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert local_label_studio.find_running(tidy).pid == int(told.stdout)
    assert local_label_studio.stop(tidy)


def test_stopping_ends_all_child_processes_even_those_that_ignore_signals(fake, tidy, monkeypatch):
    monkeypatch.setattr(local_label_studio, "_STOP_SECONDS", 1)
    fake(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen(['sleep', '600']); open('child', 'w').write(str(child.pid))"
    )
    local_label_studio.start(tidy)
    child = int(Path(tidy.storage_root.url, ".studio/child").read_text())
    assert start_time(child)
    local_label_studio.stop(tidy)
    assert not start_time(child)


def test_a_process_with_our_number_that_is_another_is_left_alone(fake, tidy):
    found = local_label_studio.start(tidy)
    file = Path(tidy.storage_root.url, ".studio/process.json")
    kept = file.read_text()
    file.write_text(kept.replace('"started": "', '"started": "9'))
    assert local_label_studio.find_running(tidy) is None
    assert not local_label_studio.stop(tidy)
    assert start_time(found.pid)
    file.write_text(kept)


def test_a_port_in_use_is_refused_by_name(fake, tidy):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(FiguregroundError, match=f"port {port} is in use by another program; .*--port"):
            local_label_studio.start(tidy, port)
    assert not Path(tidy.storage_root.url, ".studio/process.json").exists()


def test_the_usual_port_in_use_means_any_free_one(fake, tidy, monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        monkeypatch.setattr(local_label_studio, "USUAL_PORT", other.getsockname()[1])
        found = local_label_studio.start(tidy)
        assert found.url != f"http://127.0.0.1:{local_label_studio.USUAL_PORT}"


def test_a_port_that_another_takes_while_it_starts_is_not_mistaken_for_it(fake, tidy, monkeypatch, other_server):
    """Label Studio needs a while until it listens, and then silently takes the next port when ours is in use."""
    monkeypatch.setattr(local_label_studio, "USUAL_PORT", other_server)
    monkeypatch.setattr(local_label_studio, "_is_taken", lambda port: False)
    fake(f"port = 0 if port == {other_server} else port")
    found = local_label_studio.start(tidy)
    assert found.url != f"http://127.0.0.1:{other_server}"
    local_label_studio.stop(tidy)
    with pytest.raises(FiguregroundError, match=f"port {other_server} is in use by another program"):
        local_label_studio.start(tidy, other_server)
    assert not Path(tidy.storage_root.url, ".studio/process.json").exists()


def test_another_port_than_the_one_it_runs_on_is_refused(fake, tidy):
    found = local_label_studio.start(tidy)
    with pytest.raises(FiguregroundError, match=f"runs at {found.url}, not on port 1; run `figureground studio down`"):
        local_label_studio.start(tidy, 1)


def test_a_crash_while_starting_shows_the_last_lines_of_the_log(fake, tidy):
    fake("sys.exit('no such table: users')")
    with pytest.raises(FiguregroundError, match=r"ended with code 1 while starting.*studio\.log[\s\S]*no such table: users"):
        local_label_studio.start(tidy)
    assert local_label_studio.find_running(tidy) is None


def test_one_that_never_answers_is_stopped(fake, tidy, monkeypatch):
    monkeypatch.setattr(local_label_studio, "_BOOT_SECONDS", 1)
    fake("open('pid', 'w').write(str(os.getpid())); import time; time.sleep(600)")
    with pytest.raises(FiguregroundError, match="did not answer on port"):
        local_label_studio.start(tidy)
    assert not start_time(int(Path(tidy.storage_root.url, ".studio/pid").read_text()))


def test_a_database_with_another_token_is_reported(fake, tidy):
    fake("os.environ['LABEL_STUDIO_USER_TOKEN'] = 'other'")
    with pytest.raises(FiguregroundError, match=r"does not know the token in .*token"):
        local_label_studio.start(tidy)
    assert local_label_studio.find_running(tidy) is None


def test_without_a_program_the_way_out_is_named(catalog, monkeypatch):
    monkeypatch.setenv("FIGUREGROUND_STUDIO", "/no/label-studio")
    with pytest.raises(FiguregroundError, match=r"no program /no/label-studio\. Run `make studio`"):
        local_label_studio.start(catalog)
    monkeypatch.delenv("FIGUREGROUND_STUDIO")
    planted = catalog.folder / ".venv-studio/bin/label-studio"  # a folder above a catalog may be anybody's
    planted.parent.mkdir(parents=True)
    planted.write_text("#!/bin/sh\ntouch /tmp/planted\n")
    planted.chmod(0o755)
    monkeypatch.setattr(sys, "prefix", str(catalog.folder / "nothing/.venv"))
    with pytest.raises(FiguregroundError, match=r"nothing/\.venv-studio/bin/label-studio. Run `make studio`"):
        local_label_studio.start(catalog)


def test_a_program_that_cannot_be_run_is_reported(catalog, monkeypatch, tmp_path):
    program = tmp_path / "label-studio"
    program.write_text("#!/no/such/python\n")
    program.chmod(0o755)
    monkeypatch.setenv("FIGUREGROUND_STUDIO", str(program))
    with pytest.raises(FiguregroundError, match=r"cannot run .*label-studio.*`make studio` again"):
        local_label_studio.start(catalog)


def test_of_a_storage_that_is_no_folder_the_copies_here_are_served(fake, tidy, tmp_path):
    fake(f"open({str(tmp_path / 'root')!r}, 'w').write(os.environ['LOCAL_FILES_DOCUMENT_ROOT'])")
    remote = tidy.model_copy(update={"storage": "memory://x"})
    found = local_label_studio.start(remote)
    root = Path((tmp_path / "root").read_text())
    assert [path.name for path in root.iterdir()] == ["crops"]
    assert (root / "crops").readlink() == Path("../../crops") and (root / "crops").resolve() == tidy.folder / "data/crops"
    assert local_label_studio.find_token(remote, found.url) == found.token


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(catalog, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(FiguregroundError, match=r"cannot keep Label Studio's files in .*\.studio"):
        local_label_studio.start(catalog)
    tmp_path.chmod(0o700)


@pytest.mark.studio
def test_the_real_one_answers_and_needs_its_token(real_studio):
    assert httpx.get(f"{real_studio.url}/api/projects").status_code == 401
    reply = httpx.get(f"{real_studio.url}/api/projects", headers={"Authorization": f"Token {real_studio.token}"})
    assert reply.status_code == 200
    version = httpx.get(f"{real_studio.url}/api/version").json()
    assert version["release"].startswith("1.")
