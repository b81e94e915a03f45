"""Features of a person from the lower layers of the pose network: numbers for small learned heads.

The detector's network has learned from many images what cloth, skin and outlines look like; its lower half on a crop of 256
pixels costs a tenth of detecting people. A head over it is a weighted sum or two: kilobytes that hold no image. Heads are
pinned by their sha256 and live in ``figureground/checks/heads``.
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
from figureground.inference import backends, letterbox
from figureground.inference.letterbox import Letterbox
from figureground.people import pose_regions
from figureground.types import Mask, PersonCrop, Weights

Floats = NDArray[np.float32]

_LAYERS = tuple(f"__module.model.{number}/aten::cat/Concat" for number in (4, 6, 16))  # 1/8, 1/16 and 1/8 of the input's size
_CELL = 8  # px of the input: the side of a cell of `FeatureCells`
_IMAGE_SIZE = 256  # px, the crop's longer side for the network
_RIM = 0.06  # of the person's height: a ghost reaches beyond the body
_DEVIATIONS_AT_MOST = 6.0  # features farther from the training data than that count as that far


HEAD_KEYS = ("middle", "spread", "weights", "answer")
"""The names of a `Head`'s arrays in its file, in the order of its fields."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """A weighted sum of (n,) features, standardised by ``mean`` and ``deviation``.

    ``calibration`` holds the (k,) weights that turn the sum, and what a check adds to it, into log odds.
    """

    mean: Floats
    deviation: Floats
    weights: Floats
    calibration: Floats

    def score(self, features: Floats) -> float:
        """Give the weighted sum of (n,) features, about -1 for the negative class and 1 for the positive class."""
        standardised = (features - self.mean) / self.deviation
        return float(np.clip(standardised, -_DEVIATIONS_AT_MOST, _DEVIATIONS_AT_MOST) @ self.weights)


def pool_features(crop: PersonCrop, network: Weights) -> Floats:
    """Compute mean, standard deviation and maximum of each channel of two lower layers on and around the person.

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
    features = _backbone_features(crop, network)
    near = _to_input(_grown_area(crop), features.letterbox, features.input_size)
    pooled = np.concatenate([values for plane in features.planes[:2] for values in _channel_statistics(plane, near)])
    return np.asarray(np.sign(pooled) * np.sqrt(np.abs(pooled)), np.float32)


def to_likelihood(log_odds: float) -> float:
    """Turn the logarithm of odds, as heads give it, into a likelihood of 0 to 1.

    >>> to_likelihood(0.0)
    0.5
    """
    return float(1 / (1 + np.exp(-np.clip(log_odds, -30, 30))))


@dataclass(frozen=True, slots=True, eq=False)
class FeatureCells:
    """Features at each 8th pixel of the network's input: (h, w, channels) ``values``, and how the crop lies in the input."""

    values: Floats
    letterbox: Letterbox
    input_size: tuple[int, int]

    def average(self, plane: NDArray[np.generic]) -> Floats:
        """Average a plane of the crop's height and width over each cell: (h, w), 0 beside the crop."""
        height, width = self.values.shape[:2]
        on_input = _to_input(plane, self.letterbox, self.input_size)
        return np.asarray(cv2.resize(on_input, (width, height), interpolation=cv2.INTER_AREA), np.float32)

    def centres(self) -> tuple[Floats, Floats]:
        """Give x and y of the cells' centres in the crop's pixels, each (h, w)."""
        y, x = np.mgrid[: self.values.shape[0], : self.values.shape[1]].astype(np.float32) * _CELL + _CELL / 2
        return (x - self.letterbox.left) / self.letterbox.scale, (y - self.letterbox.top) / self.letterbox.scale


def compute_cells(crop: PersonCrop, network: Weights) -> FeatureCells:
    """Compute the features of the network's layers 4 and 16 at each 8th pixel: 192 channels for a nano network.

    Parameters
    ----------
    crop, network
        As for `pool_features`.

    Raises
    ------
    AssetError
        As `pool_features`.
    """
    features = _backbone_features(crop, network)
    values = np.concatenate([features.planes[0], features.planes[2]]).transpose(1, 2, 0)
    return FeatureCells(values, features.letterbox, features.input_size)


def load_head(name: str, sha256: str) -> Head:
    """Read a committed head that is a weighted sum; see `load_arrays`."""
    arrays = load_arrays(name, sha256)
    return Head(*(arrays[key] for key in HEAD_KEYS))


@lru_cache
def load_arrays(name: str, sha256: str) -> Mapping[str, Floats]:
    """Read the arrays of a committed head.

    Parameters
    ----------
    name
        Its file in ``figureground/checks/heads``, without extension.
    sha256
        The file's hash. It stands in the code of the check that uses the head, so that another head is another check.

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
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise AssetError(
            f"figureground/checks/heads/{name}.npz: expected sha256 {sha256}; found {digest}. Install figureground anew"
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        return {key: np.asarray(stored[key], np.float32) for key in stored.files}


def _grown_area(crop: PersonCrop) -> Mask:
    """Draw the person with a rim, (h, w) of the crop."""
    rim = max(3, int(_RIM * max(crop.person_inside.width, crop.person_inside.height))) | 1
    return np.asarray(cv2.dilate(pose_regions.person_area(crop), np.ones((rim, rim), np.uint8)), np.uint8)


def _to_input(plane: NDArray[np.generic], fit: Letterbox, input_size: tuple[int, int]) -> Floats:
    """Resize a plane over the crop into the network's input of (h, w), 0 beside the crop."""
    on_input = np.zeros(input_size, np.float32)
    scaled = cv2.resize(plane.astype(np.float32), (fit.width, fit.height), interpolation=cv2.INTER_AREA)
    on_input[fit.top : fit.top + fit.height, fit.left : fit.left + fit.width] = scaled
    return on_input


def _channel_statistics(plane: Floats, near: Floats) -> tuple[Floats, Floats, Floats]:
    channels, height, width = plane.shape
    weight = cv2.resize(near, (width, height), interpolation=cv2.INTER_AREA).ravel()
    inside = weight > 0.2 * weight.max()
    weight = weight / (weight.sum() + 1e-6)
    values = plane.reshape(channels, -1)
    mean = values @ weight
    deviation = np.sqrt(np.maximum((values * values) @ weight - mean * mean, 0))
    return mean, deviation, (values * inside).max(axis=1)


@dataclass(frozen=True, slots=True, eq=False)
class _BackboneFeatures:
    """The values of each layer for one crop, (channels, h, w); how the crop lies in the input, and the input's (h, w)."""

    planes: tuple[Floats, ...]
    letterbox: Letterbox
    input_size: tuple[int, int]


def _backbone_features(crop: PersonCrop, network: Weights) -> _BackboneFeatures:
    """Run the network's lower half once a crop: several checks need its features."""
    return crop.memo.get(("backbone features", network.sha256), lambda: _run_backbone(crop, network))


def _run_backbone(crop: PersonCrop, network: Weights) -> _BackboneFeatures:
    batch, fit = letterbox.letterbox_image(crop.image, _IMAGE_SIZE)
    planes = tuple(plane[0] for plane in backends.run_layers(network, batch, _LAYERS))
    return _BackboneFeatures(planes, fit, (batch.shape[2], batch.shape[3]))
