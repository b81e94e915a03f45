"""Which frames of a sequence to take: the first or the sharpest of each interval."""

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

_TOLERANCE = 1e-6  # seconds; 0.3 / 0.1 is 2.9999999999999996


class TimedFrame(Protocol):
    """Anything in a sequence that has a time and a sharpness: what `choose` works on."""

    @property
    def index(self) -> int:
        """How many frames were decoded before it."""

    @property
    def seconds(self) -> float:
        """When it is shown, 0 for the first frame."""

    @property
    def sharpness(self) -> float:
        """Higher is sharper; only compared among neighbours."""


_F = TypeVar("_F", bound=TimedFrame)


def choose(
    frames: Iterable[_F],
    *,
    every_seconds: float | None = None,
    every_frames: int | None = None,
    sharpest_within: float = 0.0,
) -> Iterator[_F]:
    """Take one frame of each interval: the first, or the sharpest near the interval's start.

    Time is cut into intervals of `every_seconds` (or the sequence into `every_frames`), starting at 0. An interval
    without frames gives nothing. Of equally sharp frames the earlier is taken.

    Parameters
    ----------
    frames
        In order of time. Consumed lazily; sharpness is computed only when there is a choice.
    every_seconds, every_frames
        Length of an interval in seconds or in frames; exactly one of them.
    sharpest_within
        How many seconds after the interval's start a frame may lie to be considered. 0 takes the first.

    Yields
    ------
    TimedFrame
        One of `frames`, unchanged.

    Raises
    ------
    ValueError
        When not exactly one of the lengths is given, or it is not above 0.
    """
    interval_of = _interval_function(every_seconds, every_frames)
    best: _F | None = None
    current, until = -1, 0.0
    for frame in frames:
        interval = interval_of(frame)
        if best is None or interval != current:
            if best is not None:
                yield best
            start = interval * every_seconds if every_seconds else frame.seconds
            best, current, until = frame, interval, start + sharpest_within
        elif frame.seconds < until - _TOLERANCE and frame.sharpness > best.sharpness:
            best = frame
    if best is not None:
        yield best


def _interval_function(every_seconds: float | None, every_frames: int | None) -> Callable[[TimedFrame], int]:
    if every_seconds is not None and every_frames is None and every_seconds > 0:
        return lambda frame: int(frame.seconds / every_seconds + _TOLERANCE)
    if every_frames is not None and every_seconds is None and every_frames > 0:
        return lambda frame: frame.index // every_frames
    raise ValueError(f"give one of every_seconds, every_frames, above 0; found {every_seconds} and {every_frames}")
