"""The receiver without a server behind it: who may ring, and what many rings make."""

import secrets
import socket
import threading
import time
from concurrent.futures import Future

import httpx
import pytest

from figureground.clients import webhook as hook
from figureground.clients.annotation_server import read_secret
from figureground.errors import CatalogError, StoreError
from flows.scheduling.webhook import Debouncer, _pull_until, make_receiver, serving
from tests.ports import free_port

WORD = "a word that nobody guesses"
CREATED = {"action": "ANNOTATION_CREATED"}


class Rings:
    def __init__(self):
        self.count, self.proof = 0, threading.Event()

    def ring(self):
        self.count += 1


@pytest.fixture
def rings():
    return Rings()


@pytest.fixture
def url(rings):
    port = free_port()
    with serving(make_receiver(WORD, rings.ring, rings.proof), "127.0.0.1", port):
        yield f"http://127.0.0.1:{port}"


def post(url, word=WORD, **how):
    headers = {} if word is None else {hook.HEADER: word}
    return httpx.post(url, headers=headers, trust_env=False, **(how or {"json": CREATED})).status_code


@pytest.mark.parametrize("action", sorted(hook.ANNOTATION_EVENTS))
def test_a_request_with_the_secret_starts_a_pull(url, rings, action):
    assert post(url, json={"action": action, "more": 1}) == 204
    assert rings.count == 1


@pytest.mark.parametrize("word", [None, "", "wrong", WORD[:-1], WORD + "x", WORD.upper(), "w\xf6rd".encode("latin-1")])
def test_a_wrong_secret_is_answered_401_and_starts_no_pull(url, rings, word):
    assert post(url, word) == 401
    assert post(url, word, content=b"{") == 401
    assert rings.count == 0 and not rings.proof.is_set()


def test_secrets_are_compared_in_constant_time(monkeypatch):
    asked, real = [], secrets.compare_digest
    monkeypatch.setattr(secrets, "compare_digest", lambda one, other: asked.append((one, other)) or real(one, other))
    assert hook.is_right_secret(WORD, WORD)
    assert not hook.is_right_secret("wrong", WORD)
    assert asked == [(WORD.encode(), WORD.encode()), (b"wrong", WORD.encode())]


def test_another_event_is_answered_and_starts_no_pull(url, rings):
    assert post(url, json={"action": "PROJECT_UPDATED"}) == 204
    assert rings.proof.is_set() and rings.count == 0


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ({"content": b"{"}, 400),
        ({"json": []}, 400),
        ({"json": {}}, 400),
        ({"json": {"action": ["ANNOTATION_CREATED"]}}, 204),
        ({"content": b"x" * 70_000}, 413),
    ],
)
def test_an_invalid_event_starts_no_pull(url, rings, how, status):
    assert post(url, **how) == status
    assert rings.count == 0


def test_other_paths_and_methods_are_refused(url):
    for path in ("/docs", "/openapi.json", "/redoc", "/x"):
        assert httpx.get(url + path, trust_env=False).status_code == 404
    assert httpx.get(url + "/", trust_env=False).status_code == 405


def test_a_port_in_use_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(StoreError, match=rf"cannot listen on 127\.0\.0\.1, port {port}: .*choose another --port"),
            serving(make_receiver(WORD, print, threading.Event()), "127.0.0.1", port),
        ):
            pytest.fail("it listens where somebody else does")


# ---- how often is pulled


class Pulls:
    """A pull that takes a while, and says how many ran at once."""

    def __init__(self, seconds=0.05):
        self.seconds, self.count, self.running, self.most = seconds, 0, 0, 0
        self.begun = threading.Event()

    def __call__(self):
        self.running += 1
        self.most = max(self.most, self.running)
        self.count += 1
        self.begun.set()
        time.sleep(self.seconds)
        self.running -= 1


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.005)


@pytest.fixture
def pulling():
    """A loop that pulls in a thread: give its bell and its pulls."""
    ended = []

    def begin(pulls, bell, seconds=60.0):
        stopped = Future()
        thread = threading.Thread(target=_pull_until, args=(stopped, bell, pulls, seconds))
        thread.start()
        ended.append((stopped, thread))
        return pulls, bell

    yield begin
    for stopped, thread in ended:
        stopped.set_result(None)
        thread.join(5)
        assert not thread.is_alive(), "it ends when the server has ended"


def test_many_requests_at_once_are_one_pull(pulling):
    pulls, bell = pulling(Pulls(), Debouncer(quiet=0.2, at_most=5))
    until(lambda: pulls.count == 1)
    time.sleep(0.1)
    for _ in range(300):
        bell.hint()
    until(lambda: pulls.count == 2)
    time.sleep(0.5)
    assert (pulls.count, pulls.most) == (2, 1), "one at the start, one for all of them"


def test_a_request_during_a_pull_starts_one_more_and_never_two_at_once(pulling):
    pulls, bell = pulling(Pulls(0.3), Debouncer(quiet=0.01, at_most=1))
    until(pulls.begun.is_set)
    for _ in range(20):
        bell.hint()
    until(lambda: pulls.count == 2)
    time.sleep(0.5)
    assert (pulls.count, pulls.most) == (2, 1)


@pytest.mark.slow
def test_endless_requests_do_not_stop_the_pulls(pulling):
    pulls, bell = pulling(Pulls(0.0), Debouncer(quiet=0.2, at_most=0.3))
    end = time.monotonic() + 1.2
    while time.monotonic() < end:
        bell.hint()
        time.sleep(0.02)
    assert 3 <= pulls.count <= 6


def test_without_a_request_it_still_pulls_regularly(pulling):
    pulls, _ = pulling(Pulls(0.0), Debouncer(), seconds=0.05)
    until(lambda: pulls.count >= 3)


# ---- the word


def secret(host):
    return hook.choose_secret(host, read_secret(hook.SECRET_VARIABLE))


def test_a_public_address_needs_a_secret(monkeypatch):
    monkeypatch.delenv(hook.SECRET_VARIABLE, raising=False)
    for host in ("0.0.0.0", "::", "192.168.1.7", "labels.example.org"):
        with pytest.raises(
            CatalogError, match=rf"other machines can reach {host}.*set the environment variable {hook.SECRET_VARIABLE}"
        ):
            secret(host)
    assert len(secret("127.0.0.1")) == 40
    assert secret("::1") != secret("::1")


@pytest.mark.parametrize("word", ["short", "fifteen letters", "sechzehn Zeichen ä lang", "with a\ttab in the middle"])
def test_an_invalid_secret_is_refused_and_not_printed(monkeypatch, word):
    monkeypatch.setenv(hook.SECRET_VARIABLE, word)
    with pytest.raises(CatalogError, match=f"{hook.SECRET_VARIABLE} cannot be used as a secret") as caught:
        secret("0.0.0.0")
    assert word not in str(caught.value)


def test_the_secret_of_the_environment_is_used_everywhere(monkeypatch):
    monkeypatch.setenv(hook.SECRET_VARIABLE, f" {WORD} ")
    assert secret("0.0.0.0") == secret("127.0.0.1") == WORD


def test_the_secret_may_be_a_prefect_secret(monkeypatch):
    block = type("Block", (), {"get": lambda self: WORD})()
    monkeypatch.setattr("prefect.blocks.system.Secret", type("Secret", (), {"load": staticmethod(lambda name: block)}))
    monkeypatch.setenv(hook.SECRET_VARIABLE, "prefect:hook")
    assert secret("0.0.0.0") == WORD
