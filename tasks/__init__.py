"""The verbs: each works on one source, chooses which files and sockets are used, and leaves one table."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from figureground import progress
from figureground.errors import TransientError

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _may_be_retried(_task: Any, _run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError) and not error.final


def verb(function: Callable[_P, _R]) -> Any:
    """Make a Prefect task that is retried for a `TransientError` that is not final, and keeps no result of its own.

    How long it took is told to `progress.clock`. Tables on disk, not Prefect's records, say what is done.
    """
    from prefect import task  # takes seconds, which verbs without it (status) save

    @functools.wraps(function)
    def timed(*given: _P.args, **named: _P.kwargs) -> _R:
        with progress.timed(function.__name__):
            return function(*given, **named)

    return task(
        timed,
        retries=2,
        retry_delay_seconds=[2, 10],
        retry_condition_fn=_may_be_retried,
        persist_result=False,
        cache_policy=None,
        log_prints=False,
    )
