"""Reading ahead: the next pictures are read and decoded while the current ones are worked on, and never more than a few."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def ahead(function: Callable[[_T], _R], items: Iterable[_T], depth: int = 4, threads: int = 1) -> Iterator[_R]:
    """Map a function over items in order, on threads, at most `depth` results ahead of the reader.

    Parameters
    ----------
    function
        Called once an item; what it raises is raised where its result is due.
    items
        Taken only as far as needed.
    depth
        Results held at a time, so memory stays flat however long `items` is; at least 1.
    threads
        How many calls run at a time.

    Examples
    --------
    >>> list(ahead(str.upper, "abc", depth=2))
    ['A', 'B', 'C']
    """
    waiting: deque[Future[_R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="readahead")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
