"""The same work on many things, in threads: results in order, and no more things in memory than threads can use."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def ordered(
    work: Callable[[_T], _R], things: Iterable[_T], threads: int | None = None, together: int | None = None
) -> "Line[_R]":
    """Do the work on each thing and give the results in the things' order.

    Worth it for work that leaves Python's lock: reading, writing, hashing, OpenCV. Things that are themselves ordered work
    which nobody has begun are made by the same thread that works on them: one handing over instead of two.

    Parameters
    ----------
    work
        Called in a thread. What it raises is raised here, at the turn of its thing and those taken together with it.
    things
        Taken one by one, only a few ahead of the results.
    threads
        None means one more than there are processors, at most 8.
    together
        How many things a thread takes at a time. None means 1: more when one takes less than a millisecond, for what is
        handed between threads costs a tenth of one.

    Examples
    --------
    >>> list(ordered(str.upper, "abc"))
    ['A', 'B', 'C']
    >>> list(ordered(len, ordered(str.split, ["a b", "c"])))
    [2, 1]
    """
    return Line(work, things, threads, together)


class Line(Iterator[_R]):
    """Ordered work, begun when its first result is asked for."""

    def __init__(self, work: Callable[[Any], _R], things: Iterable[Any], threads: int | None, together: int | None) -> None:
        self.begun = False
        self.work: Callable[[Any], Any] = work
        self.things: Iterable[Any] = things
        self.threads, self.together = threads, together
        if isinstance(things, Line) and not things.begun:
            self.work, self.things = _after(things.work, work), things.things
            self.threads, self.together = threads or things.threads, together or things.together
        self._results = self._done()

    def __next__(self) -> _R:
        self.begun = True
        return next(self._results)

    def close(self) -> None:
        """Leave what nobody has begun undone."""
        self._results.close()

    def _done(self) -> Generator[_R, None, None]:
        threads = self.threads or min(8, 1 + (os.cpu_count() or 1))
        pending: deque[Future[list[_R]]] = deque()
        with ThreadPoolExecutor(threads, thread_name_prefix="ordered") as pool:
            try:
                for some in _batches(self.things, self.together or 1):
                    pending.append(pool.submit(_each, self.work, some))
                    if len(pending) >= 2 * threads:
                        yield from pending.popleft().result()
                while pending:
                    yield from pending.popleft().result()
            finally:
                for future in pending:
                    future.cancel()


def _after(first: Callable[[Any], Any], then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda thing: then(first(thing))


def _batches(things: Iterable[_T], together: int) -> Iterator[list[_T]]:
    left = iter(things)
    while some := list(islice(left, together)):
        yield some


def _each(work: Callable[[_T], _R], things: list[_T]) -> list[_R]:
    return [work(thing) for thing in things]
