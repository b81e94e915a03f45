"""The Prefect server that `figureground schedule` runs: on this machine only, with a password, for its own pages only."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figureground.errors import StoreError
from flows.scheduling.engine import CLIENT_AUTH, SERVER_AUTH, announce_server, auth_file, configure_prefect, is_healthy


@contextmanager
def run_server(folder: Path, *, seconds: float = 180.0) -> Iterator[str]:
    """Run a Prefect server while the block lasts, on Prefect's usual port or a free one; Prefect's clients here use it.

    Prefect's ephemeral server has no scheduler, so schedules need a real server. It answers only to who has the password in
    ``.prefect/figureground-auth``; scheduled runs and other commands of the folder read it there.

    Parameters
    ----------
    folder
        The catalog's folder, see `flows.scheduling.engine.configure_prefect`.
    seconds
        How long the server may take to start.

    Yields
    ------
    str
        The address of its API.

    Raises
    ------
    StoreError
        When the server ends, or does not answer in time.
    """
    configure_prefect(folder, shared=False)
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    port, auth = _free_port(), _read_or_make_auth(folder)
    log, address = folder / ".prefect" / "server.log", f"http://127.0.0.1:{port}/api"
    process = _start(port, auth, log)
    try:
        deadline = time.monotonic() + seconds
        while not is_healthy(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise StoreError(f"Prefect's server on port {port} did not come up within {seconds:.0f} s; its log is {log}")
            time.sleep(0.5)
        clients = {PREFECT_API_URL: address, PREFECT_API_AUTH_STRING: auth}
        with announce_server(folder, address), _environment(**{CLIENT_AUTH: auth}), temporary_settings(clients):
            yield address
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _start(port: int, auth: str, log: Path) -> "subprocess.Popen[bytes]":
    settings = {
        "PREFECT_SERVER_UI_API_URL": "/api",  # else its pages ask port 4200, where another server may listen
        SERVER_AUTH: auth,
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port}",
    }
    with log.open("ab") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=sink,
            stderr=sink,
            env=os.environ | settings,
            umask=0o077,  # its database holds secrets of blocks
            start_new_session=True,  # Ctrl-C must end the runs first, and the server last
        )


def _read_or_make_auth(folder: Path) -> str:
    """Give the server's password: the user's own, or a random one that is kept for the owner only."""
    if own := os.environ.get(SERVER_AUTH):
        return own
    file = auth_file(folder)
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        if text := file.read_text(encoding="utf-8").strip():
            return text
        file.unlink()
        return _read_or_make_auth(folder)
    with os.fdopen(descriptor, "w", encoding="utf-8") as content:
        auth = f"figureground:{secrets.token_urlsafe(24)}"
        content.write(auth)
    return auth


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set variables for the processes that are started while the block lasts."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _free_port() -> int:
    for port in (4200, 0):
        with socket.socket() as candidate:
            # a port is free again at once after its server has ended
            candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(candidate.getsockname()[1])
    raise StoreError("no port of 127.0.0.1 is free for Prefect's server")
