"""Configures Prefect: an embedded, quiet server, with its home beside the catalog.

The settings are made before Prefect is imported, and settings in the user's environment take precedence. While
`figureground schedule` runs, all commands of that folder use its server: they start some seconds sooner, and Prefect's pages
show all runs in one place.
"""

import http.client
import json
import os
import signal
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from figureground.errors import StoreError
from figureground.storage import database_template
from figureground.storage.atomic import write_file
from figureground.storage.processes import Process
from flows.scheduling import prefect_cleanup

CLIENT_AUTH, SERVER_AUTH = "PREFECT_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"

_DATABASES = ("PREFECT_API_DATABASE", "PREFECT_SERVER_DATABASE", "PREFECT_PROFILE")  # a profile may name one, too


def configure_prefect(folder: Path, *, verbose: bool = False, shared: bool = True, runs: bool = True) -> None:
    """Configure Prefect for a catalog's folder.

    Parameters
    ----------
    folder
        The catalog's folder; Prefect's home is ``<folder>/.prefect``.
    verbose
        Show Prefect's own log.
    shared
        Use the server of `figureground schedule` when one runs for this folder.
    runs
        The command runs flows: create Prefect's tables in a new home.

    Raises
    ------
    StoreError
        When the home cannot be made, or the cache of its tables cannot be written.
    FiguregroundError
        When Prefect cannot create its tables.
    """
    defaults = {
        "PREFECT_HOME": str(folder / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A cold start on two busy cores took 80 s.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        # An error is printed once, as our own message; --verbose shows the traceback.
        "PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING" if verbose else "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    prefect_cleanup.mark_environment(folder)
    prefect_cleanup.end_stale_processes(folder)
    if shared and "PREFECT_API_URL" not in os.environ and (address := find_server(folder)):
        os.environ["PREFECT_API_URL"] = address
        if auth_file(folder).is_file():
            os.environ.setdefault(CLIENT_AUTH, auth_file(folder).read_text(encoding="utf-8").strip())
    try:
        # Prefect starts servers in a loop for minutes when its home is missing.
        home = Path(os.environ["PREFECT_HOME"])
        home.mkdir(parents=True, exist_ok=True)
        if home == folder / ".prefect":
            home.chmod(0o700)  # its database holds secrets of blocks, and parameters of runs
    except OSError as error:
        raise StoreError(
            f"cannot make Prefect's home {os.environ['PREFECT_HOME']}: {error.strerror}. "
            "Expected a folder this user may write to; set PREFECT_HOME to another"
        ) from error
    if runs and "PREFECT_API_URL" not in os.environ:
        create_tables(Path(os.environ["PREFECT_HOME"]))


def create_tables(home: Path) -> None:
    """Create Prefect's empty tables in a new home from a template; Prefect itself needs 12 s of a core for that.

    Parameters
    ----------
    home
        Prefect's home, an existing folder. Nothing is done when the environment names another database.

    Raises
    ------
    StoreError, FiguregroundError
        As `figureground.storage.database_template.create_database`.
    """
    if any(name.startswith(_DATABASES) for name in os.environ):
        return
    command = [sys.executable, "-m", "prefect", "server", "database", "upgrade", "--yes"]
    database_template.create_database(
        home / "prefect.db", "Prefect", f"prefect-{version('prefect')}", command, os.environ, "PREFECT_HOME"
    )


def start_server() -> None:
    """Start Prefect's embedded server where the terminal's signals do not reach it; nothing when another one is configured.

    Ctrl-C goes to every process of the terminal. A server that ends first makes the command repeat its last messages to it for
    minutes. A child inherits the blocked signals of the thread that starts it, so a thread of its own starts the server; the
    main thread waits, and can be interrupted.

    Raises
    ------
    StoreError
        When the server does not start.
    """
    import httpx
    from prefect.client.orchestration import get_client

    failures: list[Exception] = []

    def start() -> None:
        if hasattr(signal, "pthread_sigmask"):
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGHUP})
        try:
            with get_client(sync_client=True):
                pass
        except (OSError, RuntimeError, httpx.HTTPError) as error:
            failures.append(error)

    thread = threading.Thread(target=start, name="start of Prefect's server", daemon=True)
    thread.start()
    thread.join()
    if failures:
        home = os.environ.get("PREFECT_HOME", "")
        raise StoreError(f"Prefect's server does not start ({failures[0]}); run again, or remove {home}") from failures[0]


def find_server(folder: Path) -> str:
    """Give the address of the Prefect server that `figureground schedule` runs for a folder; "" when there is none."""
    try:
        content = json.loads(_server_file(folder).read_text(encoding="utf-8"))
        process, address = Process.parse(content["process"]), str(content["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return address if process is not None and process.alive and is_healthy(address) else ""


def is_healthy(address: str) -> bool:
    """Check whether a Prefect server answers. It prints its banner before it listens, so only a request shows it."""
    if urlsplit(address).scheme not in ("http", "https"):
        return False
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as response:  # nosec B310
            return bool(response.status == 200)
    except (OSError, http.client.HTTPException, ValueError):
        return False


@contextmanager
def announce_server(folder: Path, address: str) -> Iterator[None]:
    """Write the address of a server for other commands of the folder, and remove it after the block."""
    file = _server_file(folder)
    write_file(file, json.dumps({"address": address, "process": str(Process.own())}).encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def auth_file(folder: Path) -> Path:
    """Give the file with the password of the server that `figureground schedule` runs: ``name:password``."""
    return Path(os.environ.get("PREFECT_HOME", folder / ".prefect")) / "figureground-auth"


def _server_file(folder: Path) -> Path:
    return Path(os.environ.get("PREFECT_HOME", folder / ".prefect")) / "figureground-server.json"
