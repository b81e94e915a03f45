"""The gate: what a name resolves to decides, it is resolved once, and only the catalog lets a private host pass."""

import socket
import threading
from collections.abc import Callable

import httpx
import pytest

from figureground.clients.sources.guarded_http import Request, open_url
from figureground.clients.sources.host_allowlist import HostAllowlist, HostError, uses_proxy

Resolve = Callable[..., list[str]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Resolve:
    """A resolver that says what one tells it, one answer a time; and what it was asked."""

    def say(*answers: list[str]) -> list[str]:
        asked: list[str] = []

        def resolve(host: str, port: int, *_: object) -> list[object]:
            asked.append(host)
            numbers = answers[min(len(asked), len(answers)) - 1]
            if not numbers:
                raise socket.gaierror(-2, "Name or service not known")
            return [(socket.AF_INET6 if ":" in one else socket.AF_INET, 1, 6, "", (one, port)) for one in numbers]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        return asked

    return say


def test_a_name_that_means_this_machine_is_refused(names: Resolve) -> None:
    names(["127.0.0.1"])
    with pytest.raises(
        HostError, match=r"evil\.example \(127\.0\.0\.1\) is not a public host.*`allow_hosts: \[evil\.ex"
    ):
        HostAllowlist().resolve("evil.example", 80)


def test_one_private_ip_address_among_public_ones_is_refused(names: Resolve) -> None:
    names(["93.184.216.34", "10.0.0.1"])
    with pytest.raises(HostError, match=r"10\.0\.0\.1"):
        HostAllowlist().resolve("half.example", 443)


@pytest.mark.parametrize("number", ["2130706433", "0x7f.1", "127.1", "0", "[::1]".strip("[]"), "localhost"])
def test_ip_addresses_in_other_notations_are_refused(number: str) -> None:
    with pytest.raises(HostError):
        HostAllowlist().resolve(number, 80)


def test_the_catalog_lets_a_host_pass_by_name_and_no_other(names: Resolve) -> None:
    names(["192.168.1.7"])
    gate = HostAllowlist.of(["Media.LAN", "[::1]"])
    assert gate.resolve("media.lan", 80)
    for other in ("192.168.1.7", "xmedia.lan", "media.lan.example.org"):
        with pytest.raises(HostError):
            gate.resolve(other, 80)


def test_what_was_checked_is_what_is_connected_to(names: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(["93.184.216.34"], ["127.0.0.1"])  # a name that means another host a moment later
    reached: list[object] = []

    def connect(address: tuple[str, int], *_: object, **__: object) -> None:
        reached.append(address)
        raise OSError("nothing listens")

    monkeypatch.setattr(socket, "create_connection", connect)

    with pytest.raises(httpx.ConnectError), open_url(Request("http://rebind.example"), HostAllowlist()):
        pass
    assert (reached, asked) == ([("93.184.216.34", 80)], ["rebind.example"])
    with pytest.raises(HostError), open_url(Request("http://rebind.example"), HostAllowlist()):
        pass
    assert reached == [("93.184.216.34", 80)]


def test_the_next_ip_address_is_tried(names: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    names(["2606:2800:220:1::1", "93.184.216.34"])
    reached: list[str] = []
    listening = socket.create_server(("127.0.0.1", 0))

    def connect(address: tuple[str, int], *_: object, **__: object) -> socket.socket:
        if ":" in address[0]:
            raise OSError("no route")
        reached.append(address[0])
        connection = socket.socket()
        connection.connect(listening.getsockname())
        return connection

    def answer() -> None:
        with listening.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    monkeypatch.setattr(socket, "create_connection", connect)
    thread = threading.Thread(target=answer)
    thread.start()
    with listening, open_url(Request("http://two.example"), HostAllowlist()) as response:
        assert response.read() == b"ok"
    thread.join()
    assert reached == ["93.184.216.34"]


def test_behind_a_proxy_a_name_that_only_it_knows_is_left_to_it(names: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    names([])
    HostAllowlist().check_proxied("inside.example", 80)
    names(["169.254.169.254"])
    with pytest.raises(HostError):
        HostAllowlist().check_proxied("metadata.example", 80)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "direct.example")
    assert uses_proxy("http", "a.example") and not uses_proxy("http", "direct.example") and not uses_proxy("https", "a.example")
