"""Videos and photos as users met them: encoded by this code, each wrong in one way, by replacing bytes."""

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from PIL import Image as Pillow

HEIGHT, WIDTH = 96, 128


def figure(number: int) -> np.ndarray:
    """Draw an image (h, w, 3): a disc that moves on textured ground."""
    image = np.random.default_rng(1).integers(120, 180, (HEIGHT, WIDTH, 3), np.uint8)
    cv2.circle(image, (20 + 2 * number, 48), 16, (200, 40, 40), -1)
    return image


def clip(
    path: Path,
    *,
    codec: str = "libx264",
    frames: int = 30,
    ticks: Sequence[int] | None = None,
    title: bytes = b"",
    handler: bytes = b"",
    cover: bool = False,
    sample_aspect: Fraction | None = None,
    transfer: int = 0,
    interlaced: bool = False,
) -> Path:
    """Write a clip of ten frames a second.

    Parameters
    ----------
    path
        Where; its suffix names the container.
    codec
        The encoder.
    frames
        How many.
    ticks
        The packets' times in tenths of a second; 0, 1, 2… if omitted.
    title, handler
        Bytes of these texts, in any encoding.
    cover
        Begin with a stream of one still image that is not marked as a cover.
    sample_aspect
        The aspect ratio of a pixel; square if omitted.
    transfer
        The transfer function's number, such as 18 for HLG and 16 for PQ, with the primaries of BT.2020.
    interlaced
        Encode two fields a frame, the top one first.
    """
    texts = [(b"title of the file..", title), (b"name of the handler", handler)]
    written = path.with_name(f"made{path.suffix}")
    with av.open(str(written), "w") as container:
        if title:
            container.metadata["title"] = texts[0][0].decode()
        if cover:
            still = container.add_stream("mjpeg", rate=25)
            still.width, still.height, still.pix_fmt = WIDTH, HEIGHT, "yuvj420p"
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        if codec == "libx264":
            stream.codec_context.options = {"bf": "0"} | ({"x264-params": "interlaced=1:tff=1"} if interlaced else {})
        if sample_aspect:
            stream.codec_context.sample_aspect_ratio = sample_aspect
        if transfer:
            context = stream.codec_context
            context.color_trc, context.color_primaries, context.colorspace = transfer, 9, 9
        if handler:
            stream.metadata["handler_name"] = texts[1][0].decode()
        if cover:
            frame = av.VideoFrame.from_ndarray(figure(0), format="rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            container.mux([*still.encode(frame), *still.encode()])
        packets = encode(stream, frames)
        for number, packet in enumerate(packets):
            if ticks:
                packet.pts = packet.dts = round(ticks[number] / 10 / packet.time_base)
            container.mux(packet)
    content = written.read_bytes()
    for mark, text in texts:
        if text:
            assert mark in content
            content = content.replace(mark, text.ljust(len(mark))[: len(mark)])
    written.unlink()
    path.write_bytes(content)
    return path


def encode(stream: av.VideoStream, frames: int) -> Iterable[av.Packet]:
    for number in range(frames):
        frame = av.VideoFrame.from_ndarray(figure(number), format="rgb24")
        frame.pts, frame.time_base = number, Fraction(1, 10)
        yield from stream.encode(frame)
    yield from stream.encode()


def replaced(path: Path, old: bytes, new: bytes) -> Path:
    """Replace bytes of a file by as many others."""
    content = path.read_bytes()
    assert old in content and len(old) == len(new)
    path.write_bytes(content.replace(old, new))
    return path


def trimmed(path: Path, seconds: float, frames: int = 30) -> Path:
    """Write an MP4 whose edit list shows the clip's beginning only: it was trimmed without encoding it anew."""
    content = bytearray(clip(path, frames=frames).read_bytes())
    for kind, place in ((b"elst", 12), (b"mvhd", 20), (b"tkhd", 24)):  # durations in thousandths of a second
        if kind in content:
            struct.pack_into(">I", content, content.index(kind) + place, round(1000 * seconds))
    path.write_bytes(content)
    return path


# --- photos ---


def jpeg(number: int = 0) -> bytes:
    return bytes(cv2.imencode(".jpg", figure(number))[1])


def animation(kind: str) -> bytes:
    """Draw an animation of five images."""
    images = [Pillow.fromarray(figure(10 * number)) for number in range(5)]
    buffer = io.BytesIO()
    images[0].save(buffer, kind, save_all=True, append_images=images[1:], duration=100)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def harmful_pngs() -> dict[str, bytes]:
    """Make PNGs of a few bytes that some decoders take gigabytes for."""
    rows, start, end = zlib.compress(b"\0" * (WIDTH + 1) * HEIGHT), b"\x89PNG\r\n\x1a\n", chunk(b"IEND", b"")

    def header(width: int, height: int) -> bytes:
        return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))

    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 100_000_000, 9))
    return {
        "two_headers": start + header(WIDTH, HEIGHT) + header(4000, 3000) + chunk(b"IDAT", rows) + end,
        "claims_two_gigabytes": start + header(WIDTH, HEIGHT) + struct.pack(">I", 0x7FFFFFF0) + b"IDAT" + rows,
        "sixty_five_thousand": start + header(65535, 65535) + chunk(b"IDAT", rows) + end,
        "text_bomb": start + header(WIDTH, HEIGHT) + text + chunk(b"IDAT", rows) + end,
    }
