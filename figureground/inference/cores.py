"""How many processor cores a process may use, and how many calls of networks it should make at the same time.

A processor's cores work on different images rather than on one image together: several calls at once take a tenth less time
than one after the other, and the work on an image before and after the network keeps no core waiting.
"""

import os

CORES_VARIABLE = "FIGUREGROUND_CORES"
"""The environment variable that limits the cores of a process that shares its machine with others."""

_CALLS_AT_MOST = 8


def usable_cores() -> int:
    """Count the cores that the system lets this process use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def process_cores() -> int:
    """Count the cores that this process should use: all usable ones, or ``$FIGUREGROUND_CORES`` when that is fewer.

    More threads than that in one process would slow down the processes beside it.
    """
    limit = os.environ.get(CORES_VARIABLE, "")
    return min(usable_cores(), int(limit)) if limit.isdigit() and int(limit) else usable_cores()


def parallel_calls() -> int:
    """Count the calls of networks that should run at the same time: one for each core of the process, at most 8.

    Callers with many images call from so many threads.
    """
    return min(_CALLS_AT_MOST, process_cores())
