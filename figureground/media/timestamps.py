"""When a frame is shown: the container's own timestamps as seconds that always rise, and what the header promised.

Every timestamp of a video is read here.
"""

import re

import av
from av.container import InputContainer
from av.video.stream import VideoStream

_FRAMES_MISSING_AT_MOST = 1  # dancer_bluescreen.avi, healthy: 1572 promised, 1571 read; AVI counts an empty packet
_SECONDS_BACK_AT_MOST = 1.0  # frames out of order or with one time are closer together than recordings that were joined
_STILL_FRAMES_BELOW = 1.5
_DURATION_TAG = re.compile(r"([0-9]{1,4}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,12})?)")
_SMALLEST_STEP = 1e-6  # seconds
_COVERED_AT_LEAST = 0.9  # of the promised time
_PADDED_BELOW = 0.5  # of the promised frames
_SECONDS_MISSING_AT_MOST = 0.5  # sound is up to 0.07 s longer than the video in healthy clips


class FrameClock:
    """Turns a container's timestamps into seconds since the first frame that always rise.

    A frame without a timestamp, or with one that jumps back by a second or more (joined recordings start again at 0), comes one
    average frame after the previous frame. The frames after it are counted on from there. A frame with the time of the previous
    one, or with a slightly earlier one, comes a microsecond after it: the frames after it keep the container's times.

    Parameters
    ----------
    fps
        The average frame rate; 0 when unknown, then 25.
    """

    def __init__(self, fps: float) -> None:
        self.frame_seconds = 1 / fps if fps else 1 / 25
        self._zero: float | None = None
        self._now = -self.frame_seconds

    def seconds_of_next(self, timestamp: float | None) -> float:
        """Give the next frame's seconds since the first frame.

        Parameters
        ----------
        timestamp
            The container's own time in seconds; None when the frame has none.
        """
        if timestamp is None:
            self._now += self.frame_seconds
        elif self._zero is None or timestamp - self._zero <= self._now - _SECONDS_BACK_AT_MOST:
            self._now += self.frame_seconds
            self._zero = timestamp - self._now
        else:
            self._now = max(timestamp - self._zero, self._now + _SMALLEST_STEP)
        return self._now


def frame_timestamp(raw: av.VideoFrame, stream: VideoStream) -> float | None:
    """Give a frame's own timestamp in seconds; None when the container has none for it."""
    return None if raw.pts is None else float(raw.pts * stream.time_base)


def promised_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Give the length in seconds that the header promises: the video stream's, or the whole file's when only that is known."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if (tagged := _parse_duration_tag(_duration_tag(stream))) is not None:
        return tagged
    return float(container.duration / av.time_base) if container.duration else None


def is_still(stream: VideoStream) -> bool:
    """Tell whether a video stream says that it is a single image: a cover that is not marked as one, or a photo."""
    if stream.duration and stream.time_base:
        seconds: float | None = float(stream.duration * stream.time_base)
    else:
        seconds = _parse_duration_tag(_duration_tag(stream))
    return bool(stream.frames == 1 or (seconds and stream.average_rate and seconds * stream.average_rate < _STILL_FRAMES_BELOW))


def _duration_tag(stream: VideoStream) -> str:
    return str(stream.metadata.get("DURATION", ""))


def _parse_duration_tag(tag: str) -> float | None:
    """Read the seconds of Matroska's and WebM's tag, ``00:00:12.732000000``; None when it is absent or damaged.

    >>> _parse_duration_tag("00:01:02.500000000"), _parse_duration_tag("00:00:21o100000000")
    (62.5, None)
    """
    match = _DURATION_TAG.fullmatch(tag)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None


def is_truncated(decoded: int, seconds: float, promised_frames: int | None, promised_seconds: float | None) -> bool:
    """Say whether a video ends early.

    A header that counts frames is believed to one frame, unless far fewer fill the whole time: AVI counts every tick at which a
    frame could have come. A header that only gives a duration is compared in seconds: frames cannot be computed from it when
    the rate varies, and the sound may be a little longer than the video.

    Parameters
    ----------
    decoded, seconds
        How many frames were decoded, with those that an edit list hides; and where the last one ends.
    promised_frames, promised_seconds
        What the header promised; None when it says nothing.

    >>> is_truncated(28, 0.93, 41, None), is_truncated(1571, 62.88, 1572, None), is_truncated(382, 12.73, None, 12.80)
    (True, False, False)
    >>> is_truncated(30, 2.8, 1800, 3.0), is_truncated(15, 1.5, 1800, 3.0)
    (False, True)
    """
    if promised_frames is not None:
        covered = promised_seconds is not None and seconds >= promised_seconds * _COVERED_AT_LEAST
        padded = covered and decoded < promised_frames * _PADDED_BELOW
        return decoded < promised_frames - _FRAMES_MISSING_AT_MOST and not padded
    return promised_seconds is not None and seconds < promised_seconds - _SECONDS_MISSING_AT_MOST
