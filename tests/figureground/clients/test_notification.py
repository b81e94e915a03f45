"""Who hears of a failure: a real web server, a real command, and no secret in either."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from figureground.catalog import NotifyEntry
from figureground.clients import notification as module
from figureground.clients.notification import notify


@pytest.fixture
def listening() -> Iterator[Callable[..., tuple[str, list[dict[str, Any]]]]]:
    servers = []

    def listen(*answers: int) -> tuple[str, list[dict[str, Any]]]:
        heard: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(answers[min(len(heard), len(answers)) - 1])
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/services/T000/very-secret-path", heard

    yield listen
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSES_SECONDS", (0.01, 0.01))


def test_one_post_with_what_failed(listening, monkeypatch) -> None:
    address, heard = listening(204)
    monkeypatch.setenv("HOOK", address)
    assert notify(NotifyEntry(webhook="env:HOOK"), "night failed", "park: no video", {"flow": "nightly-ingest"}) == []
    assert heard == [{"text": "night failed\npark: no video", "subject": "night failed", "flow": "nightly-ingest"}]


def test_a_temporary_server_error_is_retried_and_a_refusal_is_not(listening) -> None:
    address, heard = listening(503, 429, 200)
    assert notify(NotifyEntry(webhook=address), "s", "t", {}) == []
    assert len(heard) == 3
    address, heard = listening(404)
    [problem] = notify(NotifyEntry(webhook=address), "s", "t", {})
    assert len(heard) == 1
    assert "answered 404" in problem and "very-secret" not in problem


def test_an_unreachable_server_is_reported_without_its_address(caplog) -> None:
    [problem] = notify(NotifyEntry(webhook="http://127.0.0.1:9/very-secret-path"), "s", "t", {})
    assert "cannot be reached" in problem
    assert "very-secret" not in problem + caplog.text


def test_no_secret_goes_out(listening, monkeypatch, tmp_path: Path) -> None:
    address, heard = listening(200)
    monkeypatch.setenv("HOOK", address)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", 'tok"en-1234567')
    letter = tmp_path / "letter"
    write = f"import os, sys; open({str(letter)!r}, 'w').write(sys.stdin.read() + os.environ['FIGUREGROUND_RUN'])"
    text = f'https://me:pass@example.org/x?sig=abc of tok"en-1234567 at {address}; did you mean park?'
    entry = NotifyEntry(webhook="env:HOOK", command=(sys.executable, "-c", write))
    assert notify(entry, "failed", text, {"sources": [{"source": "park", "error": text}]}) == []
    for told in (json.dumps(heard), letter.read_text()):
        assert "park" in told and "did you mean park?" in told
        for secret in ("pass", "sig=abc", "en-1234567", "very-secret"):
            assert secret not in told


def test_an_unset_variable_and_a_failing_command_are_reported(monkeypatch) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    entry = NotifyEntry(webhook="env:HOOK", command=(sys.executable, "-c", "raise SystemExit(3)"))
    first, second = notify(entry, "s", "t", {})
    assert "variable HOOK holds no address" in first
    assert "ended with 3" in second
    [gone] = notify(NotifyEntry(command=("/no/such/program",)), "s", "t", {})
    assert "cannot be run (FileNotFoundError)" in gone


def test_without_a_setting_no_notification_is_sent() -> None:
    assert notify(None, "s", "t", {}) == []
