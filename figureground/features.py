"""What the lower layers of the pose network see on a person: a few hundred numbers that a small learned head can judge.

The detector's network has learned on many pictures what cloth, skin and outlines look like; its lower layers cost a
tenth of finding people when they look at a crop of 256 pixels. A head over them is a weighted sum: ten kilobytes that
hold no picture. Heads are written by ``benchmarks/learn_ghosting.py``, are pinned by their sha256 and live in
``figureground/heads``.
"""

import hashlib
import io
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground import body, conversion, inference, yolo
from figureground.errors import AssetError
from figureground.types import PersonCrop, Weights

Floats = NDArray[np.float32]

_LAYERS = ("__module.model.4/aten::cat/Concat", "__module.model.6/aten::cat/Concat")  # 1/8 and 1/16 of the input's size
_SIZE = 256  # px, the crop's longer side for the network
_RIM = 0.06  # of the person's height: a ghost reaches beyond the body
_FAR = 6.0  # standard deviations: what lies farther from anything learned on counts as that far


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A weighted sum over (n,) features: their ``middle``, ``spread`` and ``weights``; (k,) weights of the last ``answer``."""

    middle: Floats
    spread: Floats
    weights: Floats
    answer: Floats

    def score(self, features: Floats) -> float:
        """Give the weighted sum of (n,) features, about -1 for the one kind and 1 for the other."""
        return float(np.clip((features - self.middle) / self.spread, -_FAR, _FAR) @ self.weights)


def pooled(crop: PersonCrop, network: Weights) -> Floats:
    """Give mean, spread and maximum of each channel of two lower layers on and around the person.

    Parameters
    ----------
    crop
        One person.
    network
        An ultralytics YOLO11 network in the cache, as a ``.pt`` file.

    Returns
    -------
    ndarray
        (864,) float32 for a nano network: square roots with their signs, so that no channel outweighs all others.

    Raises
    ------
    AssetError
        When the network is not in the cache, is not the pinned file, or has no such layers.
    """
    batch, place = yolo.letterboxed(crop.image, _SIZE)
    near = _near(crop, place, (batch.shape[2], batch.shape[3]))
    parts = [part for plane in _lower(network, batch) for part in _statistics(plane, near)]
    whole = np.concatenate(parts)
    return np.asarray(np.sign(whole) * np.sqrt(np.abs(whole)), np.float32)


def head(name: str, sha256: str) -> Head:
    """Read a committed head.

    Parameters
    ----------
    name
        Its file in ``figureground/heads``, without extension.
    sha256
        The file's hash. It stands in the code of whoever uses the head, so that another head is another check.

    Raises
    ------
    AssetError
        When the file is another one.
    """
    return _head(name, sha256)


@lru_cache
def _head(name: str, sha256: str) -> Head:
    content = (resources.files("figureground") / "heads" / f"{name}.npz").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise AssetError(f"figureground/heads/{name}.npz: expected sha256 {sha256}; found {found}. Install figureground anew")
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return Head(*(np.asarray(arrays[key], np.float32) for key in ("middle", "spread", "weights", "answer")))


def _near(crop: PersonCrop, place: yolo.Letterbox, size: tuple[int, int]) -> Floats:
    """Draw the person with a rim into the network's input, (h, w), 0 to 1."""
    rim = max(3, int(_RIM * max(crop.person_inside.width, crop.person_inside.height))) | 1
    area = cv2.dilate(body.area(crop), np.ones((rim, rim), np.uint8)).astype(np.float32)
    near = np.zeros(size, np.float32)
    part = cv2.resize(area, (place.width, place.height), interpolation=cv2.INTER_AREA)
    near[place.top : place.top + place.height, place.left : place.left + place.width] = part
    return near


def _statistics(plane: Floats, near: Floats) -> tuple[Floats, Floats, Floats]:
    channels, height, width = plane.shape
    weight = cv2.resize(near, (width, height), interpolation=cv2.INTER_AREA).ravel()
    inside = weight > 0.2 * weight.max()
    weight = weight / (weight.sum() + 1e-6)
    values = plane.reshape(channels, -1)
    mean = values @ weight
    spread = np.sqrt(np.maximum((values * values) @ weight - mean * mean, 0))
    return mean, spread, (values * inside).max(axis=1)


_lock = threading.Lock()
_opened: dict[str, Any] = {}
_abandoned: list[Any] = []


def _lower(network: Weights, batch: Floats) -> list[Floats]:
    """Run the network up to the layers, each (channels, h, w); one call at a time, as the request's memory is reused."""
    with _lock:
        if network.sha256 not in _opened:
            _opened[network.sha256] = _open(network)
        answers = _opened[network.sha256].infer({0: batch}, share_inputs=True)
        return [np.array(answers[number][0]) for number in range(len(_LAYERS))]


def _open(network: Weights) -> Any:
    import openvino

    core = openvino.Core()
    whole = core.read_model(str(conversion.converted(network)))
    layers = {layer.get_friendly_name(): layer for layer in whole.get_ops()}
    missing = [name for name in _LAYERS if name not in layers]
    if missing:
        raise AssetError(f"{network.name} has no layer {missing[0]}; a YOLO11 pose network has")
    lower = openvino.Model([layers[name].output(0) for name in _LAYERS], whole.get_parameters())
    threads = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": inference.usable_cores()}
    return core.compile_model(lower, "CPU", {**threads, "INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()


def _forget() -> None:
    """Start anew in a forked child, as `figureground.inference` does."""
    global _lock, _opened
    _abandoned.append(_opened)
    _lock, _opened = threading.Lock(), {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
