"""Progress of long computations, for whatever shows it.

The function that computes calls `track`; the command line and the run monitor subscribe. Without a subscriber it costs
nothing. As with `logging`, the subscribers belong to the process: a task that Prefect retries or that runs in another process
cannot be given one as an argument.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Listener = Callable[[str, str, int, int], None]
"""Called with stage, source id, done and total (0 when unknown)."""

DurationListener = Callable[[str, float], None]
"""Called with a stage and the seconds that one source took, whether it had anything to compute or not."""

_listeners: list[Listener] = []
_duration_listeners: list[DurationListener] = []
_T = TypeVar("_T")


def subscribe(listener: Listener) -> Callable[[], None]:
    """Have a function called with all progress until the returned function is called."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def report(stage: str, source_id: str, done: int, total: int) -> None:
    """Report how far a stage is with a source; `total` is 0 when it is unknown."""
    for listener in tuple(_listeners):
        listener(stage, source_id, done, total)


def subscribe_durations(listener: DurationListener) -> Callable[[], None]:
    """Have a function called with the duration of each stage until the returned function is called."""
    _duration_listeners.append(listener)
    return lambda: _duration_listeners.remove(listener)


@contextmanager
def measure_duration(stage: str) -> Iterator[None]:
    """Report how long the block took, also when it raises."""
    started = time.monotonic()
    try:
        yield
    finally:
        for listener in tuple(_duration_listeners):
            listener(stage, time.monotonic() - started)


def track(items: Iterable[_T], stage: str, source_id: str, total: int) -> Iterator[_T]:
    """Yield the items and report how many are done.

    >>> list(track("ab", "crop", "park", 2))
    ['a', 'b']
    """
    done = 0
    for done, item in enumerate(items, start=1):
        report(stage, source_id, done - 1, total)
        yield item
    report(stage, source_id, done, max(done, total))
