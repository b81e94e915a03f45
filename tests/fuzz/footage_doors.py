"""Reads inputs through the doors of footage in a process of its own: a decoder that crashes ends only this one.

Each request on stdin is the door's name and the input's length on one line, then the input. The answer is one line of JSON.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from figureground.errors import FiguregroundError
from figureground.imaging import codecs
from figureground.media import decoding, photos


def read_video(path: Path) -> None:
    """Decode and sample a video as ingest does."""
    with decoding.VideoReader(path) as video:
        for _ in decoding.sample(video, "park", every_seconds=0.1, sharpest_within=0.05):
            pass


def read_photo(path: Path) -> None:
    """Read a photo as ingest does."""
    photos.read(path)


def read_image(path: Path) -> None:
    """Decode an image of a dataset or a label."""
    codecs.decode_unchanged(path.read_bytes())


DOORS: dict[str, Callable[[Path], None]] = {"video": read_video, "photo": read_photo, "image": read_image}


def serve(doors: Mapping[str, Callable[[Path], None]]) -> None:
    """Answer requests until stdin ends."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        while line := sys.stdin.buffer.readline():
            door, length = line.decode().split()
            path.write_bytes(sys.stdin.buffer.read(int(length)))
            start, outcome = time.process_time(), "read"  # other programs take no part in it
            try:
                doors[door](path)
            except FiguregroundError as error:
                outcome = type(error).__name__
            except Exception as error:  # noqa: BLE001 every other class is what the fuzz run looks for
                outcome = f"foreign: {type(error).__name__}: {error}"
            seconds = time.process_time() - start
            megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            answer = json.dumps({"outcome": outcome, "seconds": seconds, "megabytes": megabytes})
            sys.stdout.write(f"{answer}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(DOORS)
