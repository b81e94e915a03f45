"""Prefect tasks: each works on one source, chooses its files and servers, calls the library and leaves one table.

They lie in folders by the part of the pipeline: `ingest`, `annotation`, `datasets`, `models`, `operation`.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from figureground import progress
from figureground.errors import TransientError
from figureground.shortage import refuse_short_memory, translate_shortage

if TYPE_CHECKING:
    from prefect import Task

_P = ParamSpec("_P")
_R = TypeVar("_R")

_STAGE_BYTES = 256 << 20
"""A stage is not begun with less memory: threads of native libraries end the whole process when they get none."""


def retried_task(function: Callable[_P, _R]) -> "Task[_P, _R]":
    """Make a Prefect task that is retried after a `TransientError` that is not final, such as a lack of memory.

    Prefect stores no result of it: the tables in the storage say what is done. Its duration is reported to
    `progress.subscribe_durations`.

    Parameters
    ----------
    function
        The body of the task. The function itself is ``task.fn``.
    """
    from prefect import task  # takes seconds to import, and `figureground status` needs no task
    from prefect.cache_policies import NO_CACHE

    @functools.wraps(function)
    def timed(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        action = f"the stage {function.__name__}"
        refuse_short_memory(action, _STAGE_BYTES)
        with progress.measure_duration(function.__name__), translate_shortage(action):
            return function(*args, **kwargs)

    as_task = task(
        retries=2,
        retry_delay_seconds=[2, 10],
        retry_condition_fn=_is_retryable,
        persist_result=False,
        cache_policy=NO_CACHE,
        log_prints=False,
    )
    return as_task(timed)


def _is_retryable(_task: Any, _run: Any, state: Any) -> bool:
    error = state.result(raise_on_failure=False)
    return isinstance(error, TransientError) and not error.final
