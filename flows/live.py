"""The live page, served to a browser on this machine until stopped."""

import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from figureground.catalog import Catalog, load
from figureground.clients.sources.fetching import fetch_asset
from figureground.errors import AssetError, FiguregroundError
from tasks.models import live as verb


def serve(
    catalog: Path,
    model: Path,
    host: str,
    port: int,
    background: Path | None,
    blur: float,
    video: Path | None,
    say: Callable[[str], None],
) -> None:
    """Serve the page of `tasks.models.live.page`, after ONNX Runtime Web has been fetched.

    Parameters
    ----------
    catalog
        Its assets name ONNX Runtime Web.
    model, background, blur, video
        See `tasks.models.live.page`.
    host, port
        Where; browsers give cameras only to pages of this machine, or of https.
    say
        Told the page's address once it is served.

    Raises
    ------
    FiguregroundError
        When the port is taken, or anything that is needed cannot be had.
    """
    app = verb.page(model, runtime(load(catalog)), background=background, blur=blur, video=video)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise FiguregroundError(f"{host}:{port} cannot be had: {error.strerror or error}; take another --port") from error
        say(f"live: http://{host}:{listening.getsockname()[1]}/ (ctrl-c ends it)")
        uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off", timeout_graceful_shutdown=2)).run([listening])


def runtime(catalog: Catalog) -> dict[str, Path]:
    """Fetch ONNX Runtime Web, as the catalog pins it.

    Raises
    ------
    AssetError
        When the catalog does not name its files, or they cannot be had.
    """
    if missing := [name for name in verb.RUNTIME if name not in catalog.assets]:
        raise AssetError(f"the catalog has no asset {missing[0]}, which the page runs; docs/live.md has the three lines to add")
    return {name: fetch_asset(catalog.asset(name)) for name in verb.RUNTIME}
