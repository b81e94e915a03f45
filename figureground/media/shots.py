"""Cuts a video into shots while it is decoded, and takes a few frames of each.

The cuts are found by PySceneDetect's detectors (https://www.scenedetect.com), which get small frames from our one
decoder: nothing is decoded twice, and only a few frames are in memory, however long a shot is.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

import cv2

from figureground.media.sampling import TimedFrame
from figureground.types import Image

LONG_SIDE = 256
"""Pixels of the long side at which cuts are detected, as in PySceneDetect's own automatic downscaling."""

DETECTORS = {
    "adaptive": ("AdaptiveDetector", "adaptive_threshold"),
    "content": ("ContentDetector", "threshold"),
    "hash": ("HashDetector", "threshold"),
    "histogram": ("HistogramDetector", "threshold"),
}
"""Our name → PySceneDetect's class and its threshold. Its fade detector decides too late for use while decoding."""

_SLOTS = 4  # candidates kept for each frame to take; it bounds the decoded frames in memory
_DEFAULT_FPS = 25.0


class ScalableFrame(TimedFrame, Protocol):
    """A frame that can be had at a small size: cuts are detected at that size."""

    def scaled_to(self, long_side: int) -> Image:
        """Give it as RGB with at most `long_side` pixels on the long side; not turned upright."""


_P = TypeVar("_P", bound=ScalableFrame)
_F = TypeVar("_F", bound=TimedFrame)


class ShotDetector:
    """Detects where shots begin.

    Parameters
    ----------
    fps
        Average frames per second; 0 when unknown.
    detector
        A name of `DETECTORS`.
    threshold
        The detector's own; None is PySceneDetect's default.
    seconds_at_least
        A cut that comes sooner after the previous one is ignored (a flash, an encoder's glitch).

    Attributes
    ----------
    count : int
        How many shots began so far.
    """

    def __init__(
        self, fps: float, detector: str = "adaptive", threshold: float | None = None, seconds_at_least: float = 0.5
    ) -> None:
        self.count = 0
        self._fps = float(fps or _DEFAULT_FPS)
        self._detector = _build_detector(detector, threshold)
        self._seconds_at_least = seconds_at_least

    def mark_starts(self, frames: Iterable[_P]) -> Iterator[tuple[bool, _P]]:
        """Give each frame with whether a shot begins with it, a few frames behind the decoder.

        Parameters
        ----------
        frames
            In order. The detector decides about a frame only after the next few frames, so these are held in memory.
        """
        waiting: deque[_P] = deque()
        cuts: set[int] = set()
        start: float | None = None
        for frame in frames:
            cuts |= self._cuts(frame)
            waiting.append(frame)
            while len(waiting) > self._detector.event_buffer_length:
                start, starts = self._start_of(waiting[0], cuts, start)
                yield starts, waiting.popleft()
        while waiting:
            start, starts = self._start_of(waiting[0], cuts, start)
            yield starts, waiting.popleft()

    def _start_of(self, frame: _P, cuts: set[int], start: float | None) -> tuple[float, bool]:
        if start is None or (frame.index in cuts and frame.seconds - start >= self._seconds_at_least):
            self.count += 1
            return frame.seconds, True
        return start, False

    def _cuts(self, frame: _P) -> set[int]:
        from scenedetect import FrameTimecode

        small = cv2.cvtColor(frame.scaled_to(LONG_SIDE), cv2.COLOR_RGB2BGR)
        return {int(cut.frame_num) for cut in self._detector.process_frame(FrameTimecode(frame.index, self._fps), small)}


def _build_detector(name: str, threshold: float | None) -> Any:
    import scenedetect

    kind, setting = DETECTORS[name]
    settings: dict[str, Any] = {} if threshold is None else {setting: threshold}
    return getattr(scenedetect, kind)(min_scene_len=0, **settings)  # the shortest shot is our rule: in seconds, not frames


def choose(marked: Iterable[tuple[bool, _F]], frames: int = 1, sharpest_within: float = 0.0) -> Iterator[_F]:
    """Take some frames of each shot, spread evenly and away from its ends.

    Of a shot of length L the frames nearest to L/2n, 3L/2n, … are taken (n of them, fewer when it has fewer). A
    shot's length is unknown while it is decoded, so candidates lie on a grid whose step doubles as the shot grows: a chosen
    frame is at most about L/4n from its ideal moment.

    Parameters
    ----------
    marked
        Frames in order, each with whether a shot begins with it.
    frames
        How many of each shot.
    sharpest_within
        How many seconds after its moment a frame may lie; the sharpest of these is taken. 0 takes the first.

    Yields
    ------
    TimedFrame
        In order, each at most once.
    """
    shot = _Candidates[_F](frames, sharpest_within)
    for starts, frame in marked:
        if starts:
            yield from shot.chosen()
            shot = _Candidates(frames, sharpest_within)
        shot.add(frame)
    yield from shot.chosen()


class _Candidates(Generic[_F]):
    """The candidates of one shot: for every `_step`-th frame a slot with its time and the sharpest frame since."""

    def __init__(self, frames: int, sharpest_within: float) -> None:
        self._frames, self._within = frames, sharpest_within
        self._slots: list[tuple[float, _F]] = []
        self._step, self._count, self._last = 1, 0, 0.0

    def add(self, frame: _F) -> None:
        self._slots = [(moment, self._better(moment, best, frame)) for moment, best in self._slots]
        if self._count % self._step == 0:
            self._slots.append((frame.seconds, frame))
        if len(self._slots) > max(8, _SLOTS * self._frames):
            self._slots, self._step = self._slots[::2], self._step * 2
        self._count, self._last = self._count + 1, frame.seconds

    def _better(self, moment: float, best: _F, frame: _F) -> _F:
        within = frame.seconds < moment + self._within
        return frame if within and frame.sharpness > best.sharpness else best

    def chosen(self) -> list[_F]:
        left = list(self._slots)
        taken: dict[int, _F] = {}
        for number in range(min(self._frames, len(left))):
            first = self._slots[0][0]
            ideal = first + (number + 0.5) / self._frames * (self._last - first)
            nearest = min(left, key=lambda slot, ideal=ideal: abs(slot[0] - ideal))  # type: ignore[misc]
            left.remove(nearest)
            taken[nearest[1].index] = nearest[1]
        return [taken[index] for index in sorted(taken)]
