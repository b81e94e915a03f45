"""Robust Video Matting, one image at a time or along a track.

Lin et al., "Robust High-Resolution Video Matting with Temporal Guidance", WACV 2022. The network sees a small copy, and a
guided filter inside it brings the alpha up to the image's own size. Four planes of recurrent state go from one image to the
next.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.inference import backends
from figureground.inference.network import Device
from figureground.types import Alpha, Image, Weights

RecurrentState = tuple[NDArray[np.float32], ...]
"""Four arrays (1, channels, h, w)."""

INITIAL_STATE: RecurrentState = (np.zeros((1, 1, 1, 1), np.float32),) * 4


def estimate_alpha(
    weights: Weights,
    image: Image,
    size: int,
    state: RecurrentState = INITIAL_STATE,
    device: Device = "auto",
    step: int = 1,
) -> tuple[Alpha, RecurrentState]:
    """Estimate the alpha of one image.

    Parameters
    ----------
    weights
        ``rvm_mobilenetv3_fp32.onnx``.
    image
        (h, w, 3) uint8 RGB.
    size
        The longer side of the small copy, pixels; a smaller image is not scaled.
    state
        The state after the image before; `INITIAL_STATE` at a track's start. It is scaled when the images differ in size.
    device
        See `figureground.inference.network.Device`.
    step
        The last row and column are repeated until both sides are multiples of it, pixels. OpenVINO has to prepare for each
        new image size, which doubles the time. But the network takes noise that is stretched to streaks for a person, so the
        caller must know that there is one.

    Returns
    -------
    Alpha, RecurrentState
        (h, w) float32, 0 to 1; and the state for the next image.
    """
    padded = _pad(image, step)
    ratio = min(1.0, size / max(padded.shape[:2]))
    source = np.ascontiguousarray(padded.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
    inputs = {
        "src": source,
        "downsample_ratio": np.array([ratio], np.float32),
        **{f"r{number}i": plane for number, plane in enumerate(_fit_state(state, padded, ratio), start=1)},
    }
    outputs = backends.run_named(weights, inputs, precision="fast", device=device)
    height, width = image.shape[:2]
    alpha = np.clip(outputs["pha"][0, 0, :height, :width], 0, 1)
    return alpha, tuple(outputs[f"r{number}o"] for number in range(1, 5))


def _pad(image: Image, step: int) -> Image:
    height, width = image.shape[:2]
    return np.asarray(cv2.copyMakeBorder(image, 0, -height % step, 0, -width % step, cv2.BORDER_REPLICATE), np.uint8)


def _fit_state(state: RecurrentState, image: Image, ratio: float) -> Sequence[NDArray[np.float32]]:
    if state is INITIAL_STATE:
        return state
    height, width = (int(side * ratio) for side in image.shape[:2])
    return [_resize(plane, *_halve(height, width, times)) for times, plane in enumerate(state, start=1)]


def _halve(height: int, width: int, times: int) -> tuple[int, int]:
    for _ in range(times):
        height, width = -(-height // 2), -(-width // 2)
    return height, width


def _resize(planes: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    if planes.shape[2:] == (height, width):
        return planes
    resized = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in planes[0]]
    return np.stack(resized)[None]
