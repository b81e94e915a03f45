"""How Prefect runs here: embedded, quiet, its home beside the catalog.

Set before Prefect is imported; what the user's environment already says wins.
"""

import os
from pathlib import Path

from figureground.errors import StoreError


def embed(folder: Path, *, verbose: bool = False) -> None:
    """Point Prefect at its embedded server, with its home in `folder`.

    Parameters
    ----------
    folder
        The catalog's folder; Prefect's home is ``<folder>/.prefect``.
    verbose
        Show Prefect's own log.

    Raises
    ------
    StoreError
        When that home cannot be made.
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
    try:
        # Prefect starts servers in a loop for minutes when its home is missing.
        Path(os.environ["PREFECT_HOME"]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot make Prefect's home {os.environ['PREFECT_HOME']}: {error.strerror}. "
            "Expected a folder this user may write to; set PREFECT_HOME to another"
        ) from error
