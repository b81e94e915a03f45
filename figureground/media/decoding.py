"""Reads a video from start to end and says which frames to take.

There is one decoder, FFmpeg through PyAV: it reads every codec we meet (AV1 too) and gives each frame's own timestamp
and rotation. Frames are decoded in order and counted; nothing ever seeks, because the place a seek lands on is wrong
when the frame rate varies. What the header promises is only compared with what came.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self, TypeVar

import av
import numpy as np
from av.error import FFmpegError
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from figureground.errors import SourceError
from figureground.types import Frame, Image

SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv"}
    | {".ts", ".webm", ".wmv"}
)
"""What a video file's name may end with, in lower case; only for looking through folders, files are known by content."""

# FFmpeg also opens these, but they are text, pictures, or lists that name other files and addresses to read.
_NOT_VIDEOS = frozenset({"tty", "image2", "hls", "dash", "concat", "concatf", "sdp", "rtsp", "tedcaptions", "webvtt", "srt"})
_LONG_SIDE_OF_SHARPNESS = 480  # pixels; blur that matters shows at this size, sensor noise and block edges do not
_SLACK = 1e-6  # seconds; 0.3 / 0.1 is 2.9999999999999996
_FRAMES_AMISS = 1  # dancer_bluescreen.avi, healthy: 1572 promised, 1571 read; AVI counts an empty packet
_SECONDS_AMISS = 0.5  # sound outlasts the picture by up to 0.07 s in the healthy clips


@dataclass(frozen=True, slots=True)
class Probe:
    """What a video says about itself.

    ``width`` and ``height`` are in pixels after rotation, ``fps`` is the average, ``promised`` the number of frames by
    the header (or duration times fps), None when it says nothing. The promise may be wrong: see `Footage.truncated`.
    """

    width: int
    height: int
    fps: float
    promised: int | None
    codec: str


class Stamped(Protocol):
    """Anything in a sequence that has a time and a sharpness: what `choose` works on."""

    @property
    def index(self) -> int:
        """How many were decoded before it."""

    @property
    def seconds(self) -> float:
        """When it is shown, 0 at the first."""

    @property
    def sharpness(self) -> float:
        """More is sharper; only compared among neighbours."""


_S = TypeVar("_S", bound=Stamped)


class Picture:
    """A decoded frame that is not yet converted: most are never taken, and converting costs more than decoding."""

    def __init__(
        self, index: int, seconds: float, raw: av.VideoFrame, shrink: VideoReformatter, thumb: VideoReformatter
    ) -> None:
        self.index = index
        self.seconds = seconds
        self._raw = raw
        self._shrink = shrink
        self._thumb = thumb

    @cached_property
    def sharpness(self) -> float:
        """Gradient energy (after Tenenbaum, 1970) of the luma, shrunk to 480 pixels on the long side."""
        width, height = self._within(_LONG_SIDE_OF_SHARPNESS)
        small = self._shrink.reformat(self._raw, width=width, height=height, format="gray", interpolation="AREA")
        return gradient_energy(small.to_ndarray())

    def shrunk(self, long_side: int) -> Image:
        """Convert to RGB of at most `long_side` pixels, as it lies in the file: not turned upright."""
        width, height = self._within(long_side)
        small = self._thumb.reformat(self._raw, width=width, height=height, format="rgb24", interpolation="AREA")
        return np.asarray(small.to_ndarray(), np.uint8)

    def _within(self, long_side: int) -> tuple[int, int]:
        shrink = min(1.0, long_side / max(self._raw.width, self._raw.height))
        return max(2, round(self._raw.width * shrink)), max(2, round(self._raw.height * shrink))

    def image(self) -> Image:
        """Convert to RGB, upright."""
        return np.ascontiguousarray(upright(self._raw.to_ndarray(format="rgb24"), display_matrix(self._raw)))


class Footage:
    """A video that is read once, from start to end.

    Parameters
    ----------
    path
        A local file.

    Attributes
    ----------
    fps : float
        Average frames per second, 0 when unknown.
    promised : int or None
        Frames by the header, else duration times `fps`.
    codec : str
        The codec's name, for example ``h264``.
    decoded, corrupt, smeared : int
        Frames decoded so far; how many packets or frames were damaged; how many frames were not given because of it.
    seconds : float
        Where the last decoded frame ends.

    Raises
    ------
    SourceError
        When it is missing, empty, not a video, has no picture stream, or no decoder knows its codec.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._container = _open(path)
        try:
            self._stream = _picture_stream(path, self._container)
        except SourceError:
            self._container.close()
            raise
        self._stream.thread_type = "AUTO"
        self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
        self.codec = self._stream.codec_context.codec.canonical_name
        self._promised_seconds = _duration(self._container, self._stream)
        estimate = round(self._promised_seconds * self.fps) if self._promised_seconds and self.fps else None
        self._counted = self._stream.frames or None  # read now: a closed container's stream tells anything
        self.promised: int | None = self._counted or estimate
        self.decoded = 0
        self.corrupt = 0
        self.smeared = 0
        self._smears = False
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._container.close()

    @property
    def truncated(self) -> bool:
        """Whether fewer frames came than promised. To be asked after the last frame."""
        return ended_early(self.decoded, self.seconds, self._counted, self._promised_seconds)

    def pictures(self) -> Iterator[Picture]:
        """Decode everything, in order, holding one frame at a time.

        After a damaged packet or frame the ones up to the next key frame count as decoded but are not given: they are
        predicted from it, and nobody wants to label a smear. (Where they show is also up to the decoder's threads.)

        Raises
        ------
        SourceError
            At the end, when not a single frame could be decoded.
        """
        clock, shrink, thumb = Clock(self.fps), VideoReformatter(), VideoReformatter()  # each is quick at one size only
        for raw in self._frames():
            moment = clock.read(None if raw.pts is None else float(raw.pts * self._stream.time_base))
            index, self.decoded, self.seconds = self.decoded, self.decoded + 1, moment + clock.tick
            self.corrupt += raw.is_corrupt
            self._smears = bool(raw.is_corrupt) or (self._smears and not raw.key_frame)
            if self._smears:
                self.smeared += 1
            else:
                yield Picture(index, moment, raw, shrink, thumb)
        if not self.decoded:
            raise SourceError(
                f"{self.path}: no frame can be read: {self.codec} video, {self.promised or 'an unknown number of'} frames "
                f"promised, 0 decoded, {self.corrupt} damaged packets. The file is cut off or damaged; get it again, "
                "or take this source out of the catalog"
            )

    def _frames(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets():
            try:
                frames = self._stream.decode(packet)
            except FFmpegError:
                self.corrupt += 1
                self._smears = True
                continue
            yield from frames

    def _packets(self) -> Iterator[Any]:
        try:
            yield from (packet for packet in self._container.demux(self._stream) if packet.size)
        except FFmpegError:
            self.corrupt += 1  # the container itself breaks off here; what the decoder still holds comes below
        yield None


class Clock:
    """Turns a container's timestamps into seconds since the first frame that always rise.

    A frame without a timestamp, or one that jumps back (joined recordings start again at 0), comes one average frame
    after the one before, and the following are counted on from there.
    """

    def __init__(self, fps: float) -> None:
        self.tick = 1 / fps if fps else 1 / 25
        self._zero: float | None = None
        self._now = -self.tick

    def read(self, stamp: float | None) -> float:
        """Give the next frame's seconds; `stamp` is the container's own time, None when it has none."""
        if stamp is None:
            self._now += self.tick
        elif self._zero is None or stamp - self._zero <= self._now:
            self._now += self.tick
            self._zero = stamp - self._now
        else:
            self._now = stamp - self._zero
        return self._now


def probe(path: Path) -> Probe:
    """Read a video's header and its first frame.

    Raises
    ------
    SourceError
        When no frame can be read; the message says what was found instead.
    """
    with Footage(path) as footage:
        height, width = next(footage.pictures()).image().shape[:2]
        return Probe(width, height, footage.fps, footage.promised, footage.codec)


def sample(
    footage: Footage,
    source_id: str,
    *,
    every_seconds: float | None = None,
    every_frames: int | None = None,
    sharpest_within: float = 0.0,
) -> Iterator[Frame]:
    """Give the chosen frames one by one, holding two decoded frames at most.

    Parameters
    ----------
    footage
        An opened video; afterwards it knows how many frames were decoded, and whether it was `Footage.truncated`.
    source_id
        Goes into the frames' ids: ``<source>-<index, six digits>``.
    every_seconds, every_frames, sharpest_within
        See `choose`; exactly one of the first two.

    Yields
    ------
    Frame
        Upright RGB, with the decoded index and the container's own time.

    Raises
    ------
    SourceError
        When no frame can be read.
    """
    pictures = footage.pictures()
    for taken in choose(pictures, every_seconds=every_seconds, every_frames=every_frames, sharpest_within=sharpest_within):
        yield frame(taken, source_id)


def frame(taken: Picture, source_id: str) -> Frame:
    """Convert a picture that was taken; its id is ``<source>-<index, six digits>``."""
    return Frame(f"{source_id}-{taken.index:06d}", source_id, taken.index, taken.seconds, taken.image())


def choose(
    stamped: Iterable[_S],
    *,
    every_seconds: float | None = None,
    every_frames: int | None = None,
    sharpest_within: float = 0.0,
) -> Iterator[_S]:
    """Take one out of each stretch: the first, or the sharpest of the first moments.

    Time is cut into stretches of `every_seconds` (or the sequence into `every_frames`), starting at 0. A stretch
    without frames gives nothing. Among equally sharp ones the earlier is taken.

    Parameters
    ----------
    stamped
        In order of time. Consumed lazily; sharpness is only asked for when there is a choice.
    every_seconds, every_frames
        Length of a stretch in seconds or in frames; exactly one of them.
    sharpest_within
        How many seconds after the stretch's start a frame may lie to be considered. 0 takes the first.

    Raises
    ------
    ValueError
        When not exactly one step is given, or one is not above 0.
    """
    stretch = _stretches(every_seconds, every_frames)
    best: _S | None = None
    number, until = -1, 0.0
    for one in stamped:
        here = stretch(one)
        if best is None or here != number:
            if best is not None:
                yield best
            start = here * every_seconds if every_seconds else one.seconds
            best, number, until = one, here, start + sharpest_within
        elif one.seconds < until - _SLACK and one.sharpness > best.sharpness:
            best = one
    if best is not None:
        yield best


def _stretches(every_seconds: float | None, every_frames: int | None) -> Callable[[Stamped], int]:
    if every_seconds is not None and every_frames is None and every_seconds > 0:
        return lambda one: int(one.seconds / every_seconds + _SLACK)
    if every_frames is not None and every_seconds is None and every_frames > 0:
        return lambda one: one.index // every_frames
    raise ValueError(f"give one of every_seconds, every_frames, above 0; found {every_seconds} and {every_frames}")


def gradient_energy(luma: np.ndarray[Any, Any]) -> float:
    """Mean squared difference of neighbouring pixels, across plus down.

    Parameters
    ----------
    luma
        Shape (h, w), both at least 2, 0..255.

    >>> gradient_energy(np.array([[0, 2], [0, 2]], np.uint8))
    4.0
    """
    plane = luma.astype(np.float32)
    across, down = plane[:, 1:] - plane[:, :-1], plane[1:] - plane[:-1]
    return float(np.mean(across * across) + np.mean(down * down))


def ended_early(decoded: int, seconds: float, counted: int | None, promised_seconds: float | None) -> bool:
    """Tell whether a video broke off.

    A header that counts frames is believed to one frame. One that only gives a duration is compared in seconds, since
    frames cannot be computed from it when the rate varies, and the sound may outlast the picture a little.

    Parameters
    ----------
    decoded, seconds
        What came: frames, and where the last one ends.
    counted, promised_seconds
        What the header promised; None when it says nothing.

    >>> ended_early(28, 0.93, 41, None), ended_early(1571, 62.88, 1572, None), ended_early(382, 12.73, None, 12.80)
    (True, False, False)
    """
    if counted is not None:
        return decoded < counted - _FRAMES_AMISS
    return promised_seconds is not None and seconds < promised_seconds - _SECONDS_AMISS


def display_matrix(raw: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Give how a frame is to be turned for display: a, b, c, d in x' = a x + c y, y' = b x + d y; None for as it is."""
    tag = raw.side_data.get(SideData.DISPLAYMATRIX)
    if tag is None:
        return None
    nine = np.frombuffer(bytes(tag), "<i4")
    return int(nine[0]), int(nine[1]), int(nine[3]), int(nine[4])


def upright(image: Image, matrix: tuple[int, int, int, int] | None) -> Image:
    """Turn and mirror a picture as its display matrix says, to the nearest quarter turn.

    Parameters
    ----------
    image
        Shape (h, w, 3).
    matrix
        See `display_matrix`.

    Returns
    -------
    Image
        A view of shape (h, w, 3) or (w, h, 3).
    """
    if matrix is None:
        return image
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]


def _open(path: Path) -> Any:
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file; check the path in the catalog, or fetch the source again")
    size = path.stat().st_size
    if not size:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy or download it again")
    try:
        # A "video" from the community may be a playlist: let it open no other file and no address.
        container = av.open(str(path), options={"protocol_whitelist": "file"})
    except (FFmpegError, OSError) as error:
        with path.open("rb") as file:
            head = file.read(8)
        raise SourceError(
            f"{path}: not a video FFmpeg can open ({error.strerror or error}). Expected a whole MP4, MOV, MKV, WebM or "
            f"AVI file; found {size} bytes that start with {head!r}. Get it again (a cut-off download is the usual "
            "cause), or take this source out of the catalog"
        ) from error
    kind = container.format.name
    if kind in _NOT_VIDEOS or kind.endswith("_pipe"):
        container.close()
        raise SourceError(
            f"{path}: not a video; FFmpeg takes it for {kind} (a picture, a text or a playlist). Give a video file"
        )
    return container


def _picture_stream(path: Path, container: Any) -> Any:
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not moving:
        found = ", ".join(f"{stream.type} ({_codec(stream)})" for stream in container.streams) or "no stream at all"
        raise SourceError(
            f"{path}: no video stream; found {found}. Give a file with pictures, or take this source out of the catalog"
        )
    if moving[0].codec_context is None:
        raise SourceError(f"{path}: no decoder for its codec. Convert it, for example `ffmpeg -i IN -c:v libx264 OUT.mp4`")
    return moving[0]


def _codec(stream: Any) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "unknown codec"


def _duration(container: Any, stream: Any) -> float | None:
    """Give the picture's length in seconds, or the whole file's when only that is known."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    if tag := stream.metadata.get("DURATION"):  # Matroska and WebM keep it as 00:00:12.732000000
        hours, minutes, seconds = tag.split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    return float(container.duration / av.time_base) if container.duration else None
