"""The same work on many things, in threads: results in order, and no more things in memory than threads can use."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def ordered(work: Callable[[_T], _R], things: Iterable[_T], threads: int | None = None) -> Iterator[_R]:
    """Do the work on each thing and give the results in the things' order.

    Worth it for work that leaves Python's lock: reading, writing, hashing, OpenCV.

    Parameters
    ----------
    work
        Called in a thread. What it raises is raised here, at its thing's turn.
    things
        Taken one by one, only a few ahead of the results.
    threads
        None means one more than there are processors, at most 8.

    Examples
    --------
    >>> list(ordered(str.upper, "abc"))
    ['A', 'B', 'C']
    """
    threads = threads or min(8, 1 + (os.cpu_count() or 1))
    pending: deque[Future[_R]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ordered") as pool:
        try:
            for thing in things:
                pending.append(pool.submit(work, thing))
                if len(pending) >= 2 * threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
