"""Pulling as soon as a task is annotated: a receiver for Label Studio's webhook.

A call is a hint and nothing more. The receiver pulls at its start, after a hint, and every so many minutes without one: a
lost webhook delays a label, and never loses one.
"""

import logging
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request, Response

from figureground import documents
from figureground.catalog import Catalog, load
from figureground.clients import local_label_studio, webhook
from figureground.clients.annotation_server import connect, read_secret
from figureground.clients.label_studio import AnnotationServer, Project
from figureground.errors import FiguregroundError, StoreError

QUIET_SECONDS = 2.0
WAIT_SECONDS_AT_MOST = 15.0
_BODY_AT_MOST = 65536

_log = logging.getLogger(__name__)


class Debouncer:
    """Many hints, one pull: waits until no hint has come for ``quiet`` seconds, but at most ``at_most`` seconds."""

    def __init__(self, quiet: float = QUIET_SECONDS, at_most: float = WAIT_SECONDS_AT_MOST) -> None:
        self._quiet, self._at_most = quiet, at_most
        self._hinted, self._closed, self._last = threading.Event(), threading.Event(), 0.0

    def hint(self) -> None:
        """Take a hint."""
        self._last = time.monotonic()
        self._hinted.set()

    def close(self) -> None:
        """End all waiting."""
        self._closed.set()
        self._hinted.set()

    def wait(self, seconds: float) -> bool:
        """Wait until a series of hints has ended, or so many seconds without one; tell whether to continue."""
        if self._hinted.wait(seconds):
            until = time.monotonic() + self._at_most
            while not self._closed.is_set() and (left := min(self._last + self._quiet, until) - time.monotonic()) > 0:
                self._closed.wait(left)
        # the pull that begins now may miss what is hinted from here on, so that makes another pull
        self._hinted.clear()
        return not self._closed.is_set()


def make_receiver(secret: str, hint: Callable[[], None], reached: threading.Event) -> FastAPI:
    """Make the web app: it has one address, accepts requests with the right secret, and replies before anything is pulled.

    Parameters
    ----------
    secret
        What the header `figureground.clients.webhook.HEADER` must hold.
    hint
        Called for each event that changes an annotation.
    reached
        Set by the first request with the right secret.
    """
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.post("/")
    async def receive(request: Request) -> Response:
        if not webhook.is_right_secret(request.headers.get(webhook.HEADER), secret):
            return Response(status_code=401)
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _BODY_AT_MOST:
                return Response(status_code=413)
        try:
            action = documents.parse_json(bytes(body))["action"]
        except (ValueError, TypeError, KeyError):
            return Response("expected a JSON object with the key action", status_code=400)
        reached.set()
        if isinstance(action, str) and action in webhook.ANNOTATION_EVENTS:
            hint()
        return Response(status_code=204)

    return app


def receive_webhooks(
    catalog_file: Path, *, host: str, port: int, address: str, every_minutes: float, say: Callable[[str], None] = _log.info
) -> None:
    """Pull whenever Label Studio calls, and every so many minutes, until stopped.

    Parameters
    ----------
    catalog_file
        The catalog.
    host, port
        Where to listen.
    address
        How the server reaches the receiver; "" is ``http://HOST:PORT/``.
    every_minutes
        How long to wait for a hint before pulling anyway.
    say
        Called with messages for the user.

    Raises
    ------
    CatalogError
        When other machines can reach `host` and there is no secret, or `address` is no URL.
    StoreError
        When the port cannot be opened.
    LabelError
        When the server cannot be used, or the project is not there yet.
    """
    catalog = load(catalog_file)
    secret = webhook.choose_secret(host, read_secret(webhook.SECRET_VARIABLE))
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the webhook is deleted
    address = address or f"http://{f'[{host}]' if ':' in host else host}:{port}/"
    debouncer, reached = Debouncer(), threading.Event()
    with (
        serving(make_receiver(secret, debouncer.hint, reached), host, port) as stopped,
        local_label_studio.let_through(catalog, address),
        _registered(catalog, address, secret) as (server, project),
    ):
        if webhook.try_webhook(server, project, catalog, reached.wait):
            say(f"{server.url} tells {address} of every answer to {project.url}")
        else:
            say(
                f"{server.url} does not reach {address}: give it with --address as that machine reaches it, or start the "
                "server with SSRF_PROTECTION_ENABLED=false when it is private. Until then answers are pulled every "
                f"{every_minutes:g} minutes"
            )
        _pull_until(stopped, debouncer, lambda: _pull(catalog_file, say), every_minutes * 60)


@contextmanager
def serving(app: FastAPI, host: str, port: int) -> Iterator["Future[None]"]:
    """Run a web server in a thread while the block lasts; the future that is given ends when the server was stopped.

    Raises
    ------
    StoreError
        When the port cannot be opened.
    """
    web = uvicorn.Server(
        uvicorn.Config(
            app,
            host=host,
            port=port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=2,
            lifespan="off",
        )
    )
    with ThreadPoolExecutor(1, "webhook") as pool:
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
def _registered(catalog: Catalog, address: str, secret: str) -> Iterator[tuple[AnnotationServer, Project]]:
    with connect(catalog) as server:
        project, webhook_id = webhook.register(server, catalog, address, secret)
        try:
            yield server, project
        finally:
            server.delete_webhook(webhook_id)  # with it, a server waits a second for each annotation


def _pull_until(
    stopped: "Future[None]", debouncer: Debouncer, pull: Callable[[], None], seconds: float
) -> None:
    """Pull one time after the other; a hint during a pull makes one more."""
    stopped.add_done_callback(lambda _: debouncer.close())
    try:
        pull()
        while debouncer.wait(seconds):
            pull()
    finally:
        debouncer.close()


def _pull(catalog_file: Path, say: Callable[[str], None]) -> None:
    """Pull all sources; what fails is reported, and tried again the next time."""
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
