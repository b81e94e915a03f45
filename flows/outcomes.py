"""How a source ended in a flow. Whatever goes wrong with one source is its outcome, and the other sources go on."""

import logging
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prefect.futures import PrefectFuture

from figureground.errors import FiguregroundError
from figureground.escaping import escape_undecoded
from figureground.shortage import describe_shortage, find_shortage

_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one source ended; ``error`` is "" when every stage is done, ``left`` says why it was left alone."""

    source_id: str
    error: str
    left: str = ""

    def __post_init__(self) -> None:
        for name in ("error", "left"):  # names of files are in them, and they go into JSON and to terminals
            object.__setattr__(self, name, escape_undecoded(getattr(self, name)))


def describe_error(error: Exception) -> str:
    """Give the message of an error that ended one source. The traceback of a foreign error is logged for ``--verbose``.

    Parameters
    ----------
    error
        A `FiguregroundError` has its own message. A lack of memory and the like is called so. Every other error is a defect of
        figureground or of a plug-in: the message says where it was raised and how to report it.
    """
    if isinstance(error, FiguregroundError):
        return str(error)
    _log.info("the traceback of %s", type(error).__name__, exc_info=error)
    if lacking := find_shortage(error):
        return describe_shortage(lacking, error)
    reason = " ".join(str(error).split())
    return (
        f"defect: {type(error).__name__}{f': {reason}' if reason else ''}{_locate(error)}. It is no fault of yours, and the "
        "other sources were processed. Please report it at the project's issues, with the traceback that `--verbose` "
        "shows, and with the input if you may share it"
    )


def _locate(error: Exception) -> str:
    """Name the last line of this project that an error passed."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT) and ".venv" not in frame.filename]
    return f" in {Path(own[-1].filename).relative_to(_ROOT)}, line {own[-1].lineno}" if own else ""


def try_source(source_id: str, action: Callable[[], _T]) -> tuple[_T | None, list[Outcome]]:
    """Do something for one source; whatever error it raises becomes the source's outcome.

    Parameters
    ----------
    source_id
        The source.
    action
        What is done.

    Returns
    -------
    tuple
        The action's result and no outcome; or None and one outcome.
    """
    try:
        return action(), []
    except Exception as error:  # noqa: BLE001 the last net: no source ends the others, whatever it raises
        return None, [Outcome(source_id, describe_error(error))]


def find_first_failure(futures: Iterable[PrefectFuture[Any]]) -> str:
    """Wait for a source's tasks, and give the message of the first that failed, or "".

    Raises
    ------
    BaseException
        When a task was stopped by the user or the system.
    """
    for future in futures:
        future.wait()
        if future.state.is_failed() or future.state.is_crashed():
            error = future.state.result(raise_on_failure=False)
            if isinstance(error, Exception):
                return describe_error(error)
            raise error
    return ""
