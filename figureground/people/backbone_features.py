"""What the lower layers of the pose network see on a person: numbers that a small learned head can judge.

The detector's network has learned on many pictures what cloth, skin and outlines look like; its lower half costs a
tenth of finding people when it looks at a crop of 256 pixels. A head over it is a weighted sum or two: kilobytes that
hold no picture. Heads are written by ``benchmarks/learn_ghosting.py`` and ``benchmarks/learn_occlusion.py``, are pinned by
their sha256 and live in ``figureground/checks/heads``.
"""

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import AssetError
from figureground.inference import backends, yolo
from figureground.people import pose_regions
from figureground.types import Mask, PersonCrop, Weights

Floats = NDArray[np.float32]

_LAYERS = tuple(f"__module.model.{number}/aten::cat/Concat" for number in (4, 6, 16))  # 1/8, 1/16 and 1/8 of the input's size
_CELL = 8  # px of the input: the size that `cells` speaks of
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
    seen = _seen(crop, network)
    near = _laid(_near(crop), seen.place, seen.size)
    parts = [part for plane in seen.planes[:2] for part in _statistics(plane, near)]
    whole = np.concatenate(parts)
    return np.asarray(np.sign(whole) * np.sqrt(np.abs(whole)), np.float32)


def likelihood(odds: float) -> float:
    """Turn the logarithm of odds, as heads give it, into a likelihood of 0 to 1.

    >>> likelihood(0.0)
    0.5
    """
    return float(1 / (1 + np.exp(-np.clip(odds, -30, 30))))


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """What the network sees at each 8th pixel of its input: (h, w, channels) ``values``, and where the crop lies in it."""

    values: Floats
    place: yolo.Letterbox
    size: tuple[int, int]

    def lay(self, plane: NDArray[np.generic]) -> Floats:
        """Average a plane of the crop's height and width over each cell: (h, w), 0 beside the crop."""
        high, wide = self.values.shape[:2]
        laid = cv2.resize(_laid(plane, self.place, self.size), (wide, high), interpolation=cv2.INTER_AREA)
        return np.asarray(laid, np.float32)

    def middles(self) -> tuple[Floats, Floats]:
        """Give x and y of the cells' middles in the crop's pixels, each (h, w)."""
        y, x = np.mgrid[: self.values.shape[0], : self.values.shape[1]].astype(np.float32) * _CELL + _CELL / 2
        return (x - self.place.left) / self.place.scale, (y - self.place.top) / self.place.scale


def cells(crop: PersonCrop, network: Weights) -> Cells:
    """Give what the network's layers 4 and 16 see at each 8th pixel: 192 channels for a nano network.

    Parameters
    ----------
    crop, network
        As for `pooled`.

    Raises
    ------
    AssetError
        As `pooled`.
    """
    seen = _seen(crop, network)
    values = np.concatenate([seen.planes[0], seen.planes[2]]).transpose(1, 2, 0)
    return Cells(values, seen.place, seen.size)


def head(name: str, sha256: str) -> Head:
    """Read a committed head that is a weighted sum; see `arrays`."""
    found = arrays(name, sha256)
    return Head(*(found[key] for key in ("middle", "spread", "weights", "answer")))


@lru_cache
def arrays(name: str, sha256: str) -> Mapping[str, Floats]:
    """Read what a committed head consists of.

    Parameters
    ----------
    name
        Its file in ``figureground/checks/heads``, without extension.
    sha256
        The file's hash. It stands in the code of whoever uses the head, so that another head is another check.

    Returns
    -------
    Mapping
        float32 arrays by name.

    Raises
    ------
    AssetError
        When the file is another one.
    """
    content = (resources.files("figureground") / "checks/heads" / f"{name}.npz").read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise AssetError(
            f"figureground/checks/heads/{name}.npz: expected sha256 {sha256}; found {found}. Install figureground anew"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {key: np.asarray(stored[key], np.float32) for key in stored.files}


def _near(crop: PersonCrop) -> Mask:
    """Draw the person with a rim, (h, w) of the crop."""
    rim = max(3, int(_RIM * max(crop.person_inside.width, crop.person_inside.height))) | 1
    return np.asarray(cv2.dilate(pose_regions.area(crop), np.ones((rim, rim), np.uint8)), np.uint8)


def _laid(plane: NDArray[np.generic], place: yolo.Letterbox, size: tuple[int, int]) -> Floats:
    """Lay a plane over the crop into the network's input of (h, w), 0 beside the crop."""
    laid = np.zeros(size, np.float32)
    part = cv2.resize(plane.astype(np.float32), (place.width, place.height), interpolation=cv2.INTER_AREA)
    laid[place.top : place.top + place.height, place.left : place.left + place.width] = part
    return laid


def _statistics(plane: Floats, near: Floats) -> tuple[Floats, Floats, Floats]:
    channels, height, width = plane.shape
    weight = cv2.resize(near, (width, height), interpolation=cv2.INTER_AREA).ravel()
    inside = weight > 0.2 * weight.max()
    weight = weight / (weight.sum() + 1e-6)
    values = plane.reshape(channels, -1)
    mean = values @ weight
    spread = np.sqrt(np.maximum((values * values) @ weight - mean * mean, 0))
    return mean, spread, (values * inside).max(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """What each layer gives of one crop, (channels, h, w); where the crop lies in the input, and the input's (h, w)."""

    planes: tuple[Floats, ...]
    place: yolo.Letterbox
    size: tuple[int, int]


def _seen(crop: PersonCrop, network: Weights) -> _Seen:
    """Run the network's lower half once a crop: several checks need what it gives."""
    return crop.memo.get(("backbone", network.sha256), lambda: _run(crop, network))


def _run(crop: PersonCrop, network: Weights) -> _Seen:
    batch, place = yolo.letterboxed(crop.image, _SIZE)
    planes = tuple(plane[0] for plane in backends.run_inner(network, batch, _LAYERS))
    return _Seen(planes, place, (batch.shape[2], batch.shape[3]))
