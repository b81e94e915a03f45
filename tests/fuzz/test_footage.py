"""Damaged footage: no error but ours, no growth above 500 MB, no input above 5 s, whatever bytes come in.

Real files are damaged by hypothesis: bytes flipped, cut out, put in, numbers of headers replaced. What was found stays in
`FOUND`. The short run is for every check; the long one takes `FIGUREGROUND_FUZZ_SECONDS`, half of it here.
"""

import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources.identity import expand
from figureground.errors import FiguregroundError
from figureground.storage.store import Store
from tasks.ingest.fetch import fetch

ROOT = Path(__file__).parents[2]
SECONDS_AT_MOST, MEGABYTES_AT_MOST = 5.0, 500.0
SECONDS = float(os.environ.get("FIGUREGROUND_FUZZ_SECONDS", "600"))
_INPUTS_A_PROCESS = 500

VIDEOS = {
    "h264.mp4": ("mp4", "libx264", "yuv420p"),
    "h264.mov": ("mov", "libx264", "yuv420p"),
    "h264.mkv": ("matroska", "libx264", "yuv420p"),
    "vp8.webm": ("webm", "libvpx", "yuv420p"),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p"),
    "mpeg2.ts": ("mpegts", "mpeg2video", "yuv420p"),
    "mjpeg.avi": ("avi", "mjpeg", "yuvj420p"),
    "clip.gif": ("gif", "gif", "rgb8"),
}
IMAGES = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF")
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 65536, 1_000_000)

Mutation = tuple[str, float, int]


def drawn(number: int) -> np.ndarray:
    image = np.full((48, 64, 3), 60 + 10 * number, np.uint8)
    cv2.circle(image, (20 + 2 * number, 24), 12, (200, 40, 40), -1)
    return image


@cache
def video(name: str) -> bytes:
    kind, codec, pixels = VIDEOS[name]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/clip"
        with av.open(path, "w", format=kind) as container:
            container.metadata["title"] = "a title"
            stream = container.add_stream(codec, rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for number in range(8):
                frame = av.VideoFrame.from_ndarray(drawn(number), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        return Path(path).read_bytes()


@cache
def image(kind: str) -> bytes:
    buffer = io.BytesIO()
    exif = Pillow.Exif()
    exif[0x0112] = 6  # the orientation
    options: dict[str, Any] = {"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF") else {}
    Pillow.fromarray(drawn(3)).save(buffer, kind, **options)
    return buffer.getvalue()


SEEDS: dict[str, Callable[[], bytes]] = {
    **{f"video {name}": lambda name=name: video(name) for name in VIDEOS},  # type: ignore[misc]
    **{f"{door} {kind}": lambda kind=kind: image(kind) for kind in IMAGES for door in ("photo", "image")},  # type: ignore[misc]
}

FOUND: list[tuple[str, list[Mutation]]] = []
"""Inputs that broke a limit once."""

MUTATION = st.tuples(
    st.sampled_from(["flip", "number 1", "number 2", "number 4", "number 8", "cut", "insert", "end", "repeat"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(0, 2**16),
)


def mutate(content: bytes, mutations: list[Mutation]) -> bytes:
    """Damage a file; places are fractions of its length, half of them in its first 512 bytes."""
    for kind, place, number in mutations:
        if not content:
            break
        at = int(place * 2 * min(512, len(content))) if place < 0.5 else int(place * len(content))
        at = min(at, len(content) - 1)
        name, _, size = kind.partition(" ")
        if name == "flip":
            content = content[:at] + bytes([content[at] ^ (1 << number % 8)]) + content[at + 1 :]
        elif name == "number":
            value, order = NUMBERS[number % len(NUMBERS)], "little" if number & 0x8000 else "big"
            field = (value & (1 << 8 * int(size)) - 1).to_bytes(int(size), order)  # type: ignore[arg-type]
            content = content[:at] + field + content[at + int(size) :]
        elif name == "cut":
            content = content[:at] + content[at + 1 + number % 64 :]
        elif name == "insert":
            content = content[:at] + struct.pack("<I", number * 2654435761 % 2**32) * (1 + number % 4) + content[at:]
        elif name == "end":
            content = content[: max(at, 1)]
        else:
            content = content[:at] + content[at : at + number % 256] * 2 + content[at + number % 256 :]
    return content


class Doors:
    """The process that reads inputs; a new one after a crash, and after some hundred inputs."""

    program = "footage_doors.py"
    healthy = ("video h264.mp4", "photo JPEG", "image PNG")

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._inputs, self._base = 0, 0.0

    def read(self, door: str, content: bytes) -> dict[str, Any]:
        if self._process is None or self._inputs >= _INPUTS_A_PROCESS:
            self._start()
        self._inputs += 1
        answer = self._ask(door, content)
        if answer is None:
            self.close()
            return {"outcome": "the process died", "seconds": 0.0, "megabytes": 0.0}
        answer["megabytes"] -= self._base
        return answer

    def _start(self) -> None:
        self.close()
        command = [sys.executable, str(Path(__file__).with_name(self.program))]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
        )
        self._inputs = 0
        for name in self.healthy:  # what a healthy file takes is no growth
            healthy = self._ask(name.split()[0], self.make_seed(name))
            assert healthy and healthy["outcome"] == "read", healthy
            self._base = healthy["megabytes"]

    def make_seed(self, name: str) -> bytes:
        return SEEDS[name]()

    def _ask(self, door: str, content: bytes) -> dict[str, Any] | None:
        assert self._process and self._process.stdin and self._process.stdout
        try:
            self._process.stdin.write(f"{door} {len(content)}\n".encode() + content)
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process = None


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    made = Doors()
    yield made
    made.close()


def check(doors: Doors, name: str, mutations: list[Mutation]) -> None:
    answer = doors.read(name.split()[0], mutate(SEEDS[name](), mutations))
    if answer["megabytes"] > MEGABYTES_AT_MOST:
        doors.close()  # the next input starts anew
    assert answer["outcome"] in ("read", "SourceError", "ArrayError"), (name, mutations, answer)
    assert answer["seconds"] < SECONDS_AT_MOST and answer["megabytes"] < MEGABYTES_AT_MOST, (name, mutations, answer)


def run(doors: Doors, number: int, examples: int) -> None:
    @seed(number)
    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(sorted(SEEDS)), st.lists(MUTATION, min_size=1, max_size=6))
    def damaged(name: str, mutations: list[Mutation]) -> None:
        check(doors, name, mutations)

    damaged()


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_read(doors: Doors, name: str) -> None:
    assert doors.read(name.split()[0], SEEDS[name]())["outcome"] == "read"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "mutations"), FOUND)
def test_inputs_that_once_failed_are_handled(doors: Doors, name: str, mutations: list[Mutation]) -> None:
    check(doors, name, mutations)


@pytest.mark.slow
def test_damaged_footage_is_refused_or_read(doors: Doors) -> None:
    run(doors, 0, 600)


@pytest.mark.soak
def test_damaged_footage_is_refused_or_read_for_minutes(doors: Doors) -> None:
    until, number = time.monotonic() + SECONDS / 2, int(time.time())
    while time.monotonic() < until:
        run(doors, number, 500)
        number += 1


# --- names ---

NAME = st.binary(min_size=1, max_size=60).map(lambda name: name.replace(b"/", b"_").replace(b"\0", b"_"))


@pytest.mark.slow
@given(st.lists(NAME, min_size=1, max_size=4, unique=True), st.sampled_from([b".mp4", b".MOV", b".webm"]))
@settings(max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck))
def test_a_watched_folder_takes_files_of_any_name(names: list[bytes], suffix: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inside = Path(folder) / "in"
        inside.mkdir()
        for number, name in enumerate(names):
            (inside / os.fsdecode(name + suffix)).write_bytes(f"clip {number}".encode())
        recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
        sources = {"park": {"path": "in", "license": "CC0-1.0"}}
        catalog = Catalog.model_validate({"folder": folder, "storage": "data", "sources": sources, "recipe": recipe})
        try:
            found = expand(catalog.source("park"), catalog)
        except FiguregroundError:
            return
        store = Store(catalog.storage_root)
        assert len({source.source_id for source in found}) == len(found)
        for source in found:
            assert source.source_id.isascii() and source.source_id.isprintable()
            [row] = tables.read_rows(store, fetch.fn(source, catalog), tables.VideoRow)
            row.path.encode()
            row.file.encode()
        assert [source.source_id for source in expand(catalog.source("park"), catalog)] == [one.source_id for one in found]
