"""How our own requests are signed, without a server."""

import httpx
import pytest

from figureground.clients.label_studio.connection import TokenAuth
from figureground.clients.label_studio.errors import Redactor

URL = "http://labels"
PERSONAL = "header.payload.signature"


class Server:
    """Exchanges a personal access token, and refuses access tokens that have expired."""

    def __init__(self, *valid):
        self.valid, self.issued, self.seen = set(valid), 0, []

    def __call__(self, request):
        if request.url.path == "/api/token/refresh/":
            assert "Authorization" not in request.headers
            self.issued += 1
            self.valid = {f"Bearer access-{self.issued}"}
            return httpx.Response(200, json={"access": f"access-{self.issued}"})
        self.seen.append(request.headers["Authorization"])
        return httpx.Response(200 if self.seen[-1] in self.valid else 401)


def client(server, token):
    return httpx.Client(transport=httpx.MockTransport(server), auth=TokenAuth(URL, token))


def test_a_legacy_token_signs_as_it_is():
    server = Server("Token abc")
    with client(server, "abc") as wire:
        assert wire.get(f"{URL}/api/version").status_code == 200
    assert (server.seen, server.issued) == (["Token abc"], 0)


def test_a_personal_access_token_is_exchanged_once_and_again_when_the_access_token_has_expired():
    server = Server()
    with client(server, PERSONAL) as wire:
        assert [wire.get(f"{URL}/x").status_code for _ in range(2)] == [200, 200]
        assert (server.seen, server.issued) == (["Bearer access-1"] * 2, 1)
        server.valid.clear()
        assert wire.get(f"{URL}/x").status_code == 200
    assert server.issued == 2


def test_a_refused_personal_access_token_is_401_after_one_try():
    def refuse(request):
        return httpx.Response(401)

    with client(refuse, PERSONAL) as wire:
        assert wire.get(f"{URL}/x").status_code == 401


@pytest.mark.parametrize("text", ["Token abc", "abc and abc"])
def test_no_message_repeats_a_secret(text):
    assert "abc" not in Redactor(("abc",)).redact(text)
    assert "abc" not in repr(Redactor(("abc",)))
