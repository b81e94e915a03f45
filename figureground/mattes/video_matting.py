"""Robust Video Matting, one picture at a time or along a track.

Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022. The network looks at a small copy,
and a guided filter inside it brings the answer up to the picture's own size. It carries four planes of memory from one
picture to the next.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.inference import backends
from figureground.types import Alpha, Image, Weights

Memory = tuple[NDArray[np.float32], ...]
"""Four arrays (1, channels, h, w)."""

NOTHING: Memory = (np.zeros((1, 1, 1, 1), np.float32),) * 4


def alpha(
    weights: Weights, image: Image, size: int, memory: Memory = NOTHING, device: backends.Device = "auto", step: int = 1
) -> tuple[Alpha, Memory]:
    """Mat one picture.

    Parameters
    ----------
    weights
        ``rvm_mobilenetv3_fp32.onnx``.
    image
        (h, w, 3) uint8 RGB.
    size
        The longer side of the small copy, pixels; a smaller picture is looked at as it is.
    memory
        What the picture before left; `NOTHING` at a track's start. It is scaled when the pictures differ in size.
    device
        See `figureground.inference.backends.Device`.
    step
        The last row and column are repeated until both sides are multiples of it, pixels. A size of its own for every picture
        makes OpenVINO prepare anew, which doubles the time. But of noise drawn out to streaks the network makes somebody, so
        somebody else must say that a person is there.

    Returns
    -------
    Alpha, Memory
        (h, w) float32, 0 to 1; and what the next picture needs.
    """
    padded = _padded(image, step)
    ratio = min(1.0, size / max(padded.shape[:2]))
    source = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    inputs = {
        "src": source,
        "downsample_ratio": np.array([ratio], np.float32),
        **{f"r{n}i": part for n, part in enumerate(_fitted(memory, padded, ratio), start=1)},
    }
    answers = backends.run_named(weights, inputs, precision="fast", device=device)
    height, width = image.shape[:2]
    return np.clip(answers["pha"][0, 0, :height, :width], 0, 1), tuple(answers[f"r{n}o"] for n in range(1, 5))


def _padded(image: Image, step: int) -> Image:
    height, width = image.shape[:2]
    return np.asarray(cv2.copyMakeBorder(image, 0, -height % step, 0, -width % step, cv2.BORDER_REPLICATE), np.uint8)


def _fitted(memory: Memory, image: Image, ratio: float) -> Sequence[NDArray[np.float32]]:
    if memory is NOTHING:
        return memory
    high, wide = (int(side * ratio) for side in image.shape[:2])
    return [_scaled(part, *_halved(high, wide, n)) for n, part in enumerate(memory, start=1)]


def _halved(high: int, wide: int, times: int) -> tuple[int, int]:
    for _ in range(times):
        high, wide = -(-high // 2), -(-wide // 2)
    return high, wide


def _scaled(part: NDArray[np.float32], high: int, wide: int) -> NDArray[np.float32]:
    if part.shape[2:] == (high, wide):
        return part
    planes = [cv2.resize(plane, (wide, high), interpolation=cv2.INTER_LINEAR) for plane in part[0]]
    return np.stack(planes)[None]
