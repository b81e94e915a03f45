"""How Prefect runs here: embedded, quiet, its home beside the catalog.

Set before Prefect is imported; what the user's environment already says wins. While `figureground schedule` runs, its server is
used by all commands of that folder: they start some seconds sooner, and everything is seen in one place.
"""

import http.client
import json
import os
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from figureground.errors import StoreError
from figureground.storage import database_template
from figureground.storage.atomic import write_file
from figureground.storage.processes import Process
from flows.scheduling import prefect_cleanup

_DATABASES = ("PREFECT_API_DATABASE", "PREFECT_SERVER_DATABASE", "PREFECT_PROFILE")  # a profile may name one, too


def embed(folder: Path, *, verbose: bool = False, shared: bool = True, runs: bool = True) -> None:
    """Point Prefect at its embedded server, with its home in `folder`.

    Parameters
    ----------
    folder
        The catalog's folder; Prefect's home is ``<folder>/.prefect``.
    verbose
        Show Prefect's own log.
    shared
        Use the server of `figureground schedule` when one runs for this folder.
    runs
        Flows are to be run: a new home gets Prefect's tables.

    Raises
    ------
    StoreError
        When that home cannot be made, or the cache of its tables not be written.
    FiguregroundError
        When Prefect cannot make its tables.
    """
    defaults = {
        "PREFECT_HOME": str(folder / ".prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A cold start on two busy cores was seen to take 80 s.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
        # Errors come out once, as our own one message; the traceback is for --verbose.
        "PREFECT_LOGGING_LEVEL": "INFO" if verbose else "CRITICAL",
        "PREFECT_LOGGING_SERVER_LEVEL": "WARNING" if verbose else "CRITICAL",
        "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)
    prefect_cleanup.mark(folder)
    prefect_cleanup.end_servers(folder)
    if shared and "PREFECT_API_URL" not in os.environ and (address := serving(folder)):
        os.environ["PREFECT_API_URL"] = address
    try:
        # Prefect starts servers in a loop for minutes when its home is missing.
        Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make Prefect's home {os.environ['PREFECT_HOME']}: {error.strerror}. "
            "Expected a folder this user may write to; set PREFECT_HOME to another"
        ) from error
    if runs and "PREFECT_API_URL" not in os.environ:
        lay_tables(Path(os.environ["PREFECT_HOME"]))


def lay_tables(home: Path) -> None:
    """Give a new home Prefect's empty tables, which it would make itself in 12 s of a processor.

    Parameters
    ----------
    home
        Prefect's home, a folder that is there. Where the environment names another database, it is left as it is.

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


def serving(folder: Path) -> str:
    """Give the address of the Prefect server that `figureground schedule` runs for this folder; "" when none answers."""
    try:
        told = json.loads(_server_file(folder).read_text(encoding="utf-8"))
        process, address = Process.parse(told["process"]), str(told["address"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return address if process is not None and process.alive and healthy(address) else ""


def healthy(address: str) -> bool:
    """Tell whether a Prefect server answers; it prints its banner before it listens, so it has to be asked."""
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, http.client.HTTPException, ValueError):
        return False


@contextmanager
def announced(folder: Path, address: str) -> Iterator[None]:
    """Let other commands of this folder use a server while the block lasts."""
    file = _server_file(folder)
    write_file(file, json.dumps({"address": address, "process": str(Process.own())}).encode())
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _server_file(folder: Path) -> Path:
    return Path(os.environ.get("PREFECT_HOME", folder / ".prefect")) / "figureground-server.json"
