"""Pulling as soon as somebody has answered: a receiver for Label Studio's webhook.

What it is told is a hint and nothing more. It pulls at its start, after a hint, and every so many minutes whatever it hears:
a webhook that got lost delays a label, and never loses one.
"""

import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response

from figureground.catalog import Catalog, load
from figureground.clients import label_studio
from figureground.clients import webhook as hook
from figureground.errors import FiguregroundError, StoreError

QUIET_SECONDS = 2.0
PATIENCE_SECONDS = 15.0
_BODY_AT_MOST = 65536
_ENDS = {"timeout_graceful_shutdown": 2, "lifespan": "off"}

_log = logging.getLogger(__name__)


class Bell:
    """Many hints, one pull: it waits until it has been quiet for a moment, but not for ever."""

    def __init__(self, quiet: float = QUIET_SECONDS, patience: float = PATIENCE_SECONDS) -> None:
        self._quiet, self._patience = quiet, patience
        self._rung, self._closed, self._last = threading.Event(), threading.Event(), 0.0

    def ring(self) -> None:
        """Take a hint."""
        self._last = time.monotonic()
        self._rung.set()

    def close(self) -> None:
        """End all waiting."""
        self._closed.set()
        self._rung.set()

    def wait(self, seconds: float) -> bool:
        """Wait for hints to have come and gone, or so many seconds; tell whether to go on."""
        if self._rung.wait(seconds):
            until = time.monotonic() + self._patience
            while not self._closed.is_set() and (left := min(self._last + self._quiet, until) - time.monotonic()) > 0:
                self._closed.wait(left)
        # what is told from here on may be missed by the pull that begins now, so it rings again
        self._rung.clear()
        return not self._closed.is_set()


def receiver(word: str, ring: Callable[[], None], proof: threading.Event) -> FastAPI:
    """Make the web server: it knows one address, takes requests with the right word, and answers before anything is done.

    Parameters
    ----------
    word
        What the header `figureground.clients.webhook.HEADER` must say.
    ring
        Called for each event that changes an answer.
    proof
        Set by the first request that knew the word.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/")
    async def told(request: Request) -> Response:
        if not hook.known(request.headers.get(hook.HEADER), word):
            return Response(status_code=401)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _BODY_AT_MOST:
                return Response(status_code=413)
        try:
            action = json.loads(body)["action"]
        except (ValueError, TypeError, KeyError):
            return Response("expected a JSON object with the key action", status_code=400)
        proof.set()
        if isinstance(action, str) and action in hook.ANSWERED:
            ring()
        return Response(status_code=204)

    return app


def listen(
    catalog_file: Path, *, host: str, port: int, address: str, every_minutes: float, say: Callable[[str], None] = _log.info
) -> None:
    """Pull whenever Label Studio tells of an answer, and every so many minutes, until stopped.

    Parameters
    ----------
    catalog_file
        The catalog.
    host, port
        Where to listen.
    address
        How the server reaches that; "" is ``http://HOST:PORT/``.
    every_minutes
        How long to wait for a hint before looking anyway.
    say
        Is told what a person may want to know.

    Raises
    ------
    CatalogError
        When others can reach `host` and there is no secret, or `host` is no address a server can call.
    StoreError
        When the port cannot be had.
    LabelError
        When the server cannot be used, or the project is not there yet.
    """
    catalog = load(catalog_file)
    word = hook.secret(host)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the webhook is taken back
    address = address or f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    bell, proof = Bell(), threading.Event()
    with (
        serving(receiver(word, bell.ring, proof), host, port) as stopped,
        _registered(catalog, address, word) as (server, project),
    ):
        if hook.reached(server, project, catalog, proof.wait):
            say(f"{server.url} tells {address} of every answer to {project.url}")
        else:
            say(
                f"{server.url} does not reach {address}: give it with --address as that machine reaches it, or start the "
                "server with SSRF_PROTECTION_ENABLED=false when it is private. Until then answers are pulled every "
                f"{every_minutes:g} minutes"
            )
        _pull_until(stopped, bell, lambda: _pulled(catalog_file, say), every_minutes * 60)


@contextmanager
def serving(app: FastAPI, host: str, port: int) -> Iterator["Future[Any]"]:
    """Run a web server in a thread while the block lasts; what it gives is done when the server was stopped.

    Raises
    ------
    StoreError
        When the port cannot be had.
    """
    web = uvicorn.Server(
        uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False, server_header=False, **_ENDS)
    )
    with ThreadPoolExecutor(1, "listen") as pool:
        stopped = pool.submit(web.run)
        try:
            while not web.started:
                if stopped.done():
                    raise StoreError(
                        f"cannot listen on {host}, port {port}: it is in use or not this machine's; choose another --port"
                    )
                time.sleep(0.05)
            yield stopped
        finally:
            web.should_exit = True


@contextmanager
def _registered(catalog: Catalog, address: str, word: str) -> Iterator[tuple[label_studio.Server, label_studio.Project]]:
    with label_studio.connect(catalog) as server:
        project, number = hook.register(server, catalog, address, word)
        try:
            yield server, project
        finally:
            hook.unregister(server, number)


def _pull_until(stopped: "Future[Any]", bell: Bell, pull: Callable[[], None], seconds: float) -> None:
    """Pull one time after the other; what comes in during a pull makes one more."""
    stopped.add_done_callback(lambda _: bell.close())
    try:
        pull()
        while bell.wait(seconds):
            pull()
    finally:
        bell.close()


def _pulled(catalog_file: Path, say: Callable[[str], None]) -> None:
    """Pull all sources; what fails is said, and tried again the next time."""
    from flows.annotate import pull_all

    try:
        outcomes = pull_all(str(catalog_file))
    except FiguregroundError as error:
        say(f"could not pull: {error}")
        return
    for outcome in outcomes:
        if outcome.error:
            say(f"could not pull {outcome.source_id}: {outcome.error}")
    say(f"{time.strftime('%H:%M:%S')} pulled {sum(not outcome.error for outcome in outcomes)} of {len(outcomes)} sources")
