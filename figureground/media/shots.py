"""Cuts a video into shots while it is decoded, and takes a few frames of each.

The cuts are found by PySceneDetect's detectors (https://www.scenedetect.com), which are fed shrunk frames of our one
decoder: nothing is decoded twice, and no more than a few frames are in memory however long a shot is.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, TypeVar

import cv2

from figureground.media.decoding import Stamped
from figureground.types import Image

LONG_SIDE = 256
"""Pixels at which cuts are looked for, as PySceneDetect's own automatic downscaling does."""

DETECTORS = {
    "adaptive": ("AdaptiveDetector", "adaptive_threshold"),
    "content": ("ContentDetector", "threshold"),
    "hash": ("HashDetector", "threshold"),
    "histogram": ("HistogramDetector", "threshold"),
}
"""Our name → PySceneDetect's class and its threshold. Its fade detector decides too late to be asked while decoding."""

_SLOTS = 4  # candidates kept for each frame to take: at most so many decoded frames are in memory
_USUAL_FPS = 25.0


class Shrinkable(Stamped, Protocol):
    """A picture that can be had small: what cuts are looked for in."""

    def shrunk(self, long_side: int) -> Image:
        """Give it as RGB, shrunk to at most `long_side` pixels; not turned upright."""


_P = TypeVar("_P", bound=Shrinkable)
_S = TypeVar("_S", bound=Stamped)


class Shots:
    """Tells where shots begin.

    Parameters
    ----------
    fps
        Average frames per second; 0 when unknown.
    detector
        A name of `DETECTORS`.
    threshold
        The detector's own; None is PySceneDetect's default.
    seconds_at_least
        A cut sooner after the one before is none (a flash, a blink of the encoder).

    Attributes
    ----------
    count : int
        Shots begun so far.
    """

    def __init__(
        self, fps: float, detector: str = "adaptive", threshold: float | None = None, seconds_at_least: float = 0.5
    ) -> None:
        self.count = 0
        self._fps = float(fps or _USUAL_FPS)
        self._detector = _built(detector, threshold)
        self._seconds_at_least = seconds_at_least

    def begun(self, pictures: Iterable[_P]) -> Iterator[tuple[bool, _P]]:
        """Give each picture with whether a shot begins with it, a few pictures behind the decoder.

        Parameters
        ----------
        pictures
            In order. The detector says of each only after the next few whether it was a cut, so these are held.
        """
        waiting: deque[_P] = deque()
        cuts: set[int] = set()
        began: float | None = None
        for picture in pictures:
            cuts |= self._cuts(picture)
            waiting.append(picture)
            while len(waiting) > self._detector.event_buffer_length:
                began, starts = self._start(waiting[0], cuts, began)
                yield starts, waiting.popleft()
        while waiting:
            began, starts = self._start(waiting[0], cuts, began)
            yield starts, waiting.popleft()

    def _start(self, picture: _P, cuts: set[int], began: float | None) -> tuple[float, bool]:
        if began is None or (picture.index in cuts and picture.seconds - began >= self._seconds_at_least):
            self.count += 1
            return picture.seconds, True
        return began, False

    def _cuts(self, picture: _P) -> set[int]:
        from scenedetect import FrameTimecode

        small = cv2.cvtColor(picture.shrunk(LONG_SIDE), cv2.COLOR_RGB2BGR)
        return {int(cut.frame_num) for cut in self._detector.process_frame(FrameTimecode(picture.index, self._fps), small)}


def _built(name: str, threshold: float | None) -> Any:
    import scenedetect

    kind, setting = DETECTORS[name]
    settings: dict[str, Any] = {} if threshold is None else {setting: threshold}
    return getattr(scenedetect, kind)(min_scene_len=0, **settings)  # the shortest shot is our rule: in seconds, not frames


def choose(begun: Iterable[tuple[bool, _S]], frames: int = 1, sharpest_within: float = 0.0) -> Iterator[_S]:
    """Take some frames of each shot, spread evenly and away from its ends.

    Of a shot of length L the frames nearest to L/2n, 3L/2n, … are taken (n of them, fewer when it has fewer). How long
    a shot will be nobody knows while it runs, so candidates stand on a grid that doubles its step as the shot grows:
    a frame taken is at most about L/4n from its ideal moment.

    Parameters
    ----------
    begun
        Pictures in order, each with whether a shot begins with it.
    frames
        How many of each shot.
    sharpest_within
        How many seconds after its moment a frame may lie; the sharpest of these is taken. 0 takes the first.

    Yields
    ------
    Stamped
        In order, none twice.
    """
    shot = _Candidates(frames, sharpest_within)
    for starts, picture in begun:
        if starts:
            yield from shot.chosen()
            shot = _Candidates(frames, sharpest_within)
        shot.add(picture)
    yield from shot.chosen()


class _Candidates:
    """The candidates of one shot: on every `_step`-th frame one slot of its moment and the best picture since."""

    def __init__(self, frames: int, sharpest_within: float) -> None:
        self._frames, self._within = frames, sharpest_within
        self._slots: list[tuple[float, Any]] = []
        self._step, self._seen, self._last = 1, 0, 0.0

    def add(self, picture: Any) -> None:
        self._slots = [(moment, self._better(moment, best, picture)) for moment, best in self._slots]
        if self._seen % self._step == 0:
            self._slots.append((picture.seconds, picture))
        if len(self._slots) > max(8, _SLOTS * self._frames):
            self._slots, self._step = self._slots[::2], self._step * 2
        self._seen, self._last = self._seen + 1, picture.seconds

    def _better(self, moment: float, best: Any, picture: Any) -> Any:
        in_reach = picture.seconds < moment + self._within
        return picture if in_reach and picture.sharpness > best.sharpness else best

    def chosen(self) -> list[Any]:
        left = list(self._slots)
        taken: dict[int, Any] = {}
        for number in range(min(self._frames, len(left))):
            first = self._slots[0][0]
            ideal = first + (number + 0.5) / self._frames * (self._last - first)
            nearest = min(left, key=lambda slot, ideal=ideal: abs(slot[0] - ideal))  # type: ignore[misc]
            left.remove(nearest)
            taken[nearest[1].index] = nearest[1]
        return [taken[index] for index in sorted(taken)]
