"""Reads a camera, or whatever else FFmpeg knows as a device, frame by frame."""

import sys
import time
from collections.abc import Iterator

import av
import numpy as np
from av.error import FFmpegError

from figureground.errors import SourceError
from figureground.types import Image

_FORMAT_BY_PLATFORM = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}


def parse_device(device: str) -> tuple[str, str]:
    """Read ``FORMAT:DEVICE``, or a device in this system's usual format.

    >>> parse_device("v4l2:/dev/video1"), parse_device("lavfi:testsrc=size=320x240")
    (('v4l2', '/dev/video1'), ('lavfi', 'testsrc=size=320x240'))
    """
    kind, colon, name = device.partition(":")
    if colon and kind.isalnum() and len(kind) > 1:
        return kind, name
    return _FORMAT_BY_PLATFORM.get(sys.platform, "v4l2"), device


def frames(device: str, seconds: float | None = None) -> Iterator[tuple[float, Image]]:
    """Read frames until the caller stops, or until a time limit.

    Parameters
    ----------
    device
        See `parse_device`: on Linux ``/dev/video0``.
    seconds
        The time limit; None: until the device ends or the iteration is closed.

    Yields
    ------
    tuple
        Seconds since the first frame by this machine's clock, and the frame, (h, w, 3) RGB uint8.

    Raises
    ------
    SourceError
        When the device is not there or gives no frame.
    """
    kind, name = parse_device(device)
    try:
        container = av.open(name, format=kind)
    except (FFmpegError, OSError, ValueError) as error:
        raise SourceError(
            f"the camera {name} ({kind}) cannot be opened: {error}. On Linux cameras are /dev/video0 and so on; "
            "FORMAT:DEVICE names another kind, as `ffmpeg -devices` lists them"
        ) from error
    with container:
        start: float | None = None
        for frame in container.decode(video=0):
            now = time.monotonic()
            start = now if start is None else start
            if seconds is not None and now - start >= seconds:
                return
            yield now - start, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
        if start is None:
            raise SourceError(f"the camera {name} ({kind}) gave no frame")
