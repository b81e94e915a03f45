"""When the flows run by themselves."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from figureground.catalog import load
from figureground.errors import StoreError
from flows.engine import embed


@contextmanager
def server(folder: Path, *, seconds: float = 180.0) -> Iterator[str]:
    """Run a Prefect server of our own on a free port while the block lasts.

    Prefect's ephemeral server starts no scheduler, so a schedule needs a real one.

    Parameters
    ----------
    folder
        The catalog's folder, see `flows.engine.embed`.
    seconds
        How long the server may take to answer.

    Yields
    ------
    str
        The address of its API.

    Raises
    ------
    StoreError
        When it ends or stays silent.
    """
    import httpx

    embed(folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / ".prefect" / "server.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            stdout=sink,
            stderr=sink,
        )
    try:
        until = time.monotonic() + seconds
        while not _answers(httpx, port):
            if process.poll() is not None or time.monotonic() > until:
                raise StoreError(f"Prefect's server on port {port} did not come up within {seconds:.0f} s; its log is {log}")
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(httpx: object, port: int) -> bool:
    try:
        return bool(httpx.get(f"http://127.0.0.1:{port}/api/health", timeout=2).status_code == 200)  # type: ignore[attr-defined]
    except httpx.HTTPError:  # type: ignore[attr-defined]
        return False


def deployments(catalog_file: Path) -> list[object]:
    """Give the scheduled flows of a catalog as Prefect deployments; a flow never overlaps itself."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy

    from flows.annotate import pull_all
    from flows.ingest import ingest
    from flows.release import cut

    schedules = load(catalog_file).schedules
    alone = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    pairs = ((ingest, schedules.ingest), (pull_all, schedules.pull), (cut, schedules.release))
    return [
        flow.to_deployment(
            f"{flow.name}-scheduled", cron=cron, parameters={"catalog": str(catalog_file)}, concurrency_limit=alone
        )
        for flow, cron in pairs
    ]


def schedule(catalog_file: Path) -> None:
    """Serve the scheduled flows until stopped."""
    import prefect
    from prefect.settings import PREFECT_API_URL, temporary_settings

    with server(catalog_file.parent) as api, temporary_settings({PREFECT_API_URL: api}):
        prefect.serve(*deployments(catalog_file), print_starting_message=True)  # type: ignore[arg-type]
