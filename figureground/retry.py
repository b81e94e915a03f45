"""Calls that may succeed in a while are repeated: the one retry loop of the library. Why it is ours: decision 0006."""

import random
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

_T = TypeVar("_T")


def retry(
    call: Callable[[], _T],
    pauses_seconds: Sequence[float],
    *,
    should_retry: Callable[[Exception], bool],
    log: Callable[..., None],
    jitter: float = 0.0,
) -> _T:
    """Call until it succeeds, fails for good, or all pauses are used up; then what it raised last is raised.

    Parameters
    ----------
    call
        Must be safe to repeat.
    pauses_seconds
        The pause after each failed call. There is one call more than pauses.
    should_retry
        Whether an error may be gone at the next call; any other is raised at once.
    log
        A method of a logger, such as ``_log.info``: gets a line before each pause.
    jitter
        Each pause is lengthened by a random share of it, at most this, so that many workers do not come back together.

    Examples
    --------
    >>> import logging
    >>> answers = iter(["", "yes"])
    >>> retry(lambda: next(answers)[0], [0.0], should_retry=lambda error: isinstance(error, IndexError), log=logging.debug)
    'y'
    """
    for pause in pauses_seconds:
        try:
            return call()
        except Exception as error:
            if not should_retry(error):
                raise
            log("%s; trying again in %g s", error, pause)
            time.sleep(pause * random.uniform(1.0, 1.0 + jitter))
    return call()
