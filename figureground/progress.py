"""How far long work has come, told to whoever listens.

The one who works calls `track`; the one who shows it (the command line) subscribes. On a worker without a listener it
costs nothing.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Listener = Callable[[str, str, int, int], None]
"""Called with stage, source, done and total (0 when unknown)."""

Stopwatch = Callable[[str, float], None]
"""Called with a stage and the seconds that one source took, whether it had anything to do or not."""

_listeners: list[Listener] = []
_stopwatches: list[Stopwatch] = []
_T = TypeVar("_T")


def subscribe(listener: Listener) -> Callable[[], None]:
    """Hear of progress until the returned function is called."""
    _listeners.append(listener)
    return lambda: _listeners.remove(listener)


def tell(stage: str, source_id: str, done: int, total: int) -> None:
    """Say how far a stage is with a source; `total` is 0 when nobody knows."""
    for listener in tuple(_listeners):
        listener(stage, source_id, done, total)


def clock(stopwatch: Stopwatch) -> Callable[[], None]:
    """Hear how long stages took until the returned function is called."""
    _stopwatches.append(stopwatch)
    return lambda: _stopwatches.remove(stopwatch)


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Tell how long the block took, also when it raises."""
    begun = time.monotonic()
    try:
        yield
    finally:
        for stopwatch in tuple(_stopwatches):
            stopwatch(stage, time.monotonic() - begun)


def track(items: Iterable[_T], stage: str, source_id: str, total: int) -> Iterator[_T]:
    """Give the items on and tell how many are done.

    >>> list(track("ab", "crop", "park", 2))
    ['a', 'b']
    """
    done = 0
    for done, item in enumerate(items, start=1):
        tell(stage, source_id, done - 1, total)
        yield item
    tell(stage, source_id, done, max(done, total))
