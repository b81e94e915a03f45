"""Reads a video from start to end, frame by frame.

There is one decoder, FFmpeg through PyAV: it reads every codec we meet (AV1 too) and gives each frame's own timestamp
and rotation. Frames are decoded in order and counted. Nothing ever seeks: with a variable frame rate a seek lands in the
wrong place. What the header promises is only compared with what was decoded.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.stream import Disposition, Stream
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from figureground.errors import FiguregroundError, SourceError
from figureground.media.orientation import display_matrix, upright
from figureground.media.sampling import choose
from figureground.media.timestamps import FrameClock, frame_timestamp, is_still, is_truncated, promised_seconds
from figureground.shortage import refuse_short_memory, translate_shortage
from figureground.types import Frame, Image

SUFFIXES = frozenset(
    {".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv"}
    | {".ts", ".webm", ".wmv"}
)
"""What a video file's name may end with, in lower case; only for looking through folders, files are known by content."""

# FFmpeg also opens these, but they are text, pictures, or lists that name other files and addresses to read.
_NOT_VIDEOS = frozenset({"tty", "image2", "hls", "dash", "concat", "concatf", "sdp", "rtsp", "tedcaptions", "webvtt", "srt"})
FRAME_PIXELS_AT_MOST = 80_000_000
"""The largest frame that is decoded: that of a 12K camera. A damaged header may claim any size."""

_DECODER_BYTES_AT_MOST = 400_000_000  # each thread of a decoder holds a frame; large frames get fewer threads
_HEADER_BYTES = 64 << 20  # more than a header needs
_FRAMES_HELD = 16  # by a decoder, at most
_SHARPNESS_LONG_SIDE = 480  # pixels; blur that matters shows at this size, sensor noise and block edges do not


@dataclass(frozen=True, slots=True)
class Probe:
    """What a video says about itself.

    ``width`` and ``height`` are in pixels after rotation, ``fps`` is the average, ``promised`` the number of frames by
    the header (or duration times fps), None when it says nothing. The promise may be wrong: see `VideoReader.truncated`.
    """

    width: int
    height: int
    fps: float
    promised: int | None
    codec: str


class DecodedFrame:
    """A decoded frame that is not converted yet: most are never taken, and converting costs more than decoding."""

    def __init__(
        self,
        path: Path,
        index: int,
        seconds: float,
        raw: av.VideoFrame,
        luma_scaler: VideoReformatter,
        rgb_scaler: VideoReformatter,
    ) -> None:
        self.index = index
        self.seconds = seconds
        self._path = path
        self._raw = raw
        self._luma_scaler = luma_scaler
        self._rgb_scaler = rgb_scaler

    @cached_property
    def sharpness(self) -> float:
        """Gradient energy (after Tenenbaum, 1970) of the luma, shrunk to 480 pixels on the long side."""
        width, height = self._size_within(_SHARPNESS_LONG_SIDE)
        with self._translate_errors():
            small = self._luma_scaler.reformat(self._raw, width=width, height=height, format="gray", interpolation="AREA")
            return gradient_energy(small.to_ndarray())

    def scaled_to(self, long_side: int) -> Image:
        """Convert to RGB with at most `long_side` pixels on the long side, as it is stored: not turned upright."""
        width, height = self._size_within(long_side)
        with self._translate_errors():
            small = self._rgb_scaler.reformat(self._raw, width=width, height=height, format="rgb24", interpolation="AREA")
            return np.asarray(small.to_ndarray(), np.uint8)

    def _size_within(self, long_side: int) -> tuple[int, int]:
        scale = min(1.0, long_side / max(self._raw.width, self._raw.height))
        return max(2, round(self._raw.width * scale)), max(2, round(self._raw.height * scale))

    def image(self) -> Image:
        """Convert to RGB, upright."""
        with self._translate_errors():
            return np.ascontiguousarray(upright(self._raw.to_ndarray(format="rgb24"), display_matrix(self._raw)))

    def _translate_errors(self) -> AbstractContextManager[None]:
        return _translate_errors(self._path, f"frame {self.index} of {self._raw.width}x{self._raw.height} pixels")


class VideoReader:
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
        How many frames were decoded so far; how many packets or frames were damaged; how many frames were not given because of
        the damage.
    seconds : float
        Where the last decoded frame ends.

    Raises
    ------
    SourceError
        When it is missing, empty, not a video, has no picture stream, or no decoder knows its codec.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with ExitStack() as opened:
            opened.enter_context(_translate_errors(path, "its header"))
            self._container = opened.enter_context(_open(path))
            self._stream = _video_stream(path, self._container)
            self._stream.thread_type = "AUTO"
            self._stream.codec_context.thread_count = _count_threads(self._stream)
            self.fps = float(self._stream.average_rate or self._stream.guessed_rate or 0)
            self.codec = str(self._stream.codec_context.codec.canonical_name)
            self._promised_seconds = promised_seconds(self._container, self._stream)
            estimate = round(self._promised_seconds * self.fps) if self._promised_seconds and self.fps else None
            self._promised_frames = self._stream.frames or None  # read now: a closed container's stream gives random numbers
            opened.pop_all()  # it stays open
        self.promised: int | None = self._promised_frames or estimate
        self.decoded = 0
        self._hidden = 0
        self._needed_bytes = _needed_bytes(self._stream)
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
        """Whether fewer frames were decoded than promised. Valid after the last frame."""
        return is_truncated(self.decoded + self._hidden, self.seconds, self._promised_frames, self._promised_seconds)

    def frames(self) -> Iterator[DecodedFrame]:
        """Decode everything, in order, holding one frame at a time.

        After a damaged packet or frame, the frames up to the next key frame count as decoded but are not given: they are
        predicted from the damaged one and are smeared. (Which frames are smeared also depends on the decoder's threads.)

        Raises
        ------
        SourceError
            At the end, when not a single frame could be decoded.
        ShortageError
            When damage was met and there is little memory: decoders take the one for the other.
        """
        clock = FrameClock(self.fps)
        luma_scaler, rgb_scaler = VideoReformatter(), VideoReformatter()  # each is fast for a fixed size only
        for raw in self._decode():
            seconds = clock.seconds_of_next(frame_timestamp(raw, self._stream))
            index, self.decoded, self.seconds = self.decoded, self.decoded + 1, seconds + clock.frame_seconds
            self.corrupt += raw.is_corrupt
            self._smears = bool(raw.is_corrupt) or (self._smears and not raw.key_frame)
            if self._smears:
                self.smeared += 1
            else:
                yield DecodedFrame(self.path, index, seconds, raw, luma_scaler, rgb_scaler)
        if self.corrupt or not self.decoded:
            refuse_short_memory(f"{self.path} cannot be decoded", self._needed_bytes)
        if not self.decoded:
            raise SourceError(
                f"{self.path}: no frame can be read: {self.codec} video, {self.promised or 'an unknown number of'} frames "
                f"promised, 0 decoded, {self.corrupt} damaged packets. The file is cut off or damaged; get it again, "
                "or take this source out of the catalog"
            )

    def _decode(self) -> Iterator[av.VideoFrame]:
        for packet in self._demux():
            with _translate_errors(self.path, "a packet", self._needed_bytes):
                try:
                    frames = self._decode_packet(packet)
                except FFmpegError:
                    frames = []
                    self.corrupt += 1
                    self._smears = True
            yield from frames

    def _demux(self) -> Iterator[av.Packet | None]:
        packets = self._container.demux(self._stream)
        while True:
            with _translate_errors(self.path, "a packet", self._needed_bytes):
                try:
                    packet = self._next_packet(packets)
                except FFmpegError:
                    self.corrupt += 1  # the container ends here; what the decoder still holds comes below
                    packet = None
            if packet is None:
                break
            # an edit list hides packets of a clip that was trimmed without encoding it anew; AVI's empty one repeats a frame
            self._hidden += packet.is_discard or (not packet.size and packet.dts is not None)
            if packet.size:
                yield packet
        yield None

    def _decode_packet(self, packet: av.Packet | None) -> list[av.VideoFrame]:
        with translate_shortage(f"{self.path} cannot be decoded", self._needed_bytes):
            return list(self._stream.decode(packet))

    def _next_packet(self, packets: Iterator[av.Packet]) -> av.Packet | None:
        with translate_shortage(f"{self.path} cannot be read", self._needed_bytes):
            return next(packets, None)


def probe(path: Path) -> Probe:
    """Read a video's header and its first frame.

    Raises
    ------
    SourceError
        When no frame can be read; the message says what was found instead.
    """
    with VideoReader(path) as video:
        height, width = next(video.frames()).image().shape[:2]
        return Probe(width, height, video.fps, video.promised, video.codec)


def sample(
    video: VideoReader,
    source_id: str,
    *,
    every_seconds: float | None = None,
    every_frames: int | None = None,
    sharpest_within: float = 0.0,
) -> Iterator[Frame]:
    """Give the chosen frames one by one, holding two decoded frames at most.

    Parameters
    ----------
    video
        An opened video; afterwards it knows how many frames were decoded, and whether it is `VideoReader.truncated`.
    source_id
        Goes into the frames' ids: ``<source>-<index, six digits>``.
    every_seconds, every_frames, sharpest_within
        See `figureground.media.sampling.choose`; exactly one of the first two.

    Yields
    ------
    Frame
        Upright RGB, with the decoded index and the container's own time.

    Raises
    ------
    SourceError
        When no frame can be read.
    """
    steps = {"every_seconds": every_seconds, "every_frames": every_frames}
    for chosen in choose(video.frames(), sharpest_within=sharpest_within, **steps):  # type: ignore[arg-type]
        yield convert(chosen, source_id)


def convert(frame: DecodedFrame, source_id: str) -> Frame:
    """Convert a chosen frame to upright RGB; its id is ``<source>-<index, six digits>``."""
    return Frame(f"{source_id}-{frame.index:06d}", source_id, frame.index, frame.seconds, frame.image())


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


def _open(path: Path) -> InputContainer:
    if not path.is_file():
        raise SourceError(f"{path}: there is no such file; check the path in the catalog, or fetch the source again")
    size = path.stat().st_size
    if not size:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy or download it again")
    # A "video" from the community may be a playlist: let it open no other file and no address. Its texts are in any encoding.
    options = {"protocol_whitelist": "file", "max_pixels": str(FRAME_PIXELS_AT_MOST)}
    try:
        with translate_shortage(f"{path} cannot be opened", _HEADER_BYTES):
            container: InputContainer = av.open(str(path), options=options, metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        refuse_short_memory(f"{path} cannot be opened", _HEADER_BYTES)
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
        advice = "; an animated WebP converts first, for example `magick IN.webp OUT.gif`" if kind == "webp_pipe" else ""
        raise SourceError(
            f"{path}: not a video; FFmpeg reads it as {kind} (an image, a text or a playlist). Give a video file{advice}"
        )
    return container


def _video_stream(path: Path, container: InputContainer) -> VideoStream:
    moving = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    moving = [stream for stream in moving if not is_still(stream)] or moving
    if not moving:
        streams = ", ".join(f"{stream.type} ({_codec(stream)})" for stream in container.streams) or "no stream at all"
        raise SourceError(
            f"{path}: no video stream; found {streams}. Give a file with a video stream, or take this source out of the catalog"
        )
    if moving[0].codec_context is None:
        raise SourceError(f"{path}: no decoder for its codec. Convert it, for example `ffmpeg -i IN -c:v libx264 OUT.mp4`")
    width, height = moving[0].codec_context.width, moving[0].codec_context.height
    if width * height > FRAME_PIXELS_AT_MOST:
        raise SourceError(
            f"{path}: frames of {width}x{height} pixels; expected at most {FRAME_PIXELS_AT_MOST:,} in all. The header is "
            "damaged, or scale it first, for example `ffmpeg -i IN -vf scale=3840:-2 OUT.mp4`"
        )
    return moving[0]


def _count_threads(stream: VideoStream) -> int:
    """Give the number of a decoder's threads, 0 for its own choice; each holds a frame of up to 4 bytes a pixel."""
    frame_bytes = 4 * stream.codec_context.width * stream.codec_context.height
    fitting = _DECODER_BYTES_AT_MOST // max(1, frame_bytes)
    return 0 if fitting > (os.cpu_count() or 1) else max(1, fitting)


def _needed_bytes(stream: VideoStream) -> int:
    """Give the memory that decoding needs at most, roughly: a lack of it must not be taken for damage."""
    return int(_HEADER_BYTES + _FRAMES_HELD * 2 * stream.codec_context.width * stream.codec_context.height)


@contextmanager
def _translate_errors(path: Path, part: str, needed_bytes: int = _HEADER_BYTES) -> Iterator[None]:
    """Turn what PyAV and FFmpeg raise for a part of a file into a reason, unless the machine lacks memory or the like."""
    try:
        with translate_shortage(f"{path} cannot be decoded", needed_bytes):
            yield
    except FiguregroundError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())
        raise SourceError(
            f"{path}: {part} cannot be read ({type(error).__name__}{f': {reason}' if reason else ''}). The file is damaged, "
            "or of a kind that FFmpeg does not know; convert it, get it again, or take this source out of the catalog"
        ) from error


def _codec(stream: Stream) -> str:
    return str(stream.codec_context.codec.canonical_name) if stream.codec_context else "unknown codec"
