"""Is the person bent or stretched, as by a wide angle, a fisheye or high up in a 360° picture."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from figureground.people import backbone_features
from figureground.people.backbone_features import Head
from figureground.types import PersonCrop, PinnedHead, Weights

_LONG_SIDE = 256  # px: detail is compared at the same size for everyone
_HEAD = PinnedHead("distortion", version=1, sha256="6cc2cecf160c2090f9dff7dc32cd9ce083d022a4c542e8760e700146dfbdb5cd")


@dataclass(frozen=True)
class Distortion:
    """How many times coarser the picture's detail is sideways than upright, or how likely a lens bent the person.

    Parameters
    ----------
    at_most
        The limit.
    network
        The catalog's asset: the YOLO11 pose network as a ``.pt`` file. Without it only a stretch along the picture's rows
        is noticed, and not what a fisheye does.
    """

    VERSION: ClassVar[int] = 1
    HEAD: ClassVar[PinnedHead] = _HEAD

    at_most: Annotated[float, Field(ge=0)] = 2.0
    network: Weights | None = None

    def measure(self, crop: PersonCrop) -> float:
        """Compare the picture's detail along both axes, or with a network judge what it sees.

        The likelihood weighs what the network's layers see on the person and around: how edges run, and which shapes
        heads and limbs have. The weights were learned on people bent on purpose
        (``figureground/checks/heads/train_distortion.py``).

        Parameters
        ----------
        crop
            One person with its margin: what is around is bent like the person.

        Returns
        -------
        float
            A factor > 0, see `anisotropy`, NaN when there is no detail; with a network a likelihood of 0 to 1, where
            straight and bent pictures are as frequent.

        Raises
        ------
        AssetError
            When `network` is not in the cache, is not the pinned file, or has other layers.
        """
        if self.network is None:
            return anisotropy(crop)
        return likelihood(backbone_features.load_head(_HEAD.name, _HEAD.sha256), summary(crop, self.network))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def likelihood(head: Head, seen: NDArray[np.float32]) -> float:
    """Give how likely a lens bent the picture, 0 to 1, from the (n,) `summary` of it."""
    return backbone_features.to_likelihood(head.score(seen) * head.calibration[0] + head.calibration[1])


def summary(crop: PersonCrop, network: Weights) -> NDArray[np.float32]:
    """Give mean and spread of each channel that the network has of a crop.

    Parameters
    ----------
    crop
        One person with its margin.
    network
        As for `figureground.people.backbone_features.compute_cells`.

    Returns
    -------
    ndarray
        (384,) float32 for a nano network: square roots with their signs, so that no channel outweighs all others.
    """
    cells = backbone_features.compute_cells(crop, network)
    weight = cells.average(np.ones(crop.image.shape[:2], np.uint8)).ravel()
    values = cells.values.reshape(len(weight), -1)
    mean = weight @ values / weight.sum()
    spread = np.sqrt(np.maximum(weight @ (values * values) / weight.sum() - mean * mean, 0))
    both = np.concatenate([mean, spread])
    return np.asarray(np.sign(both) * np.sqrt(np.abs(both)), np.float32)


def anisotropy(crop: PersonCrop) -> float:
    """Compare the picture's detail along both axes.

    Stretching a picture by s along one axis divides its second derivative along that axis by s², of a step edge by
    s. What a person's proportions say is much weaker: poses change a box's shape more than lenses do. Only a
    stretch along the picture's rows is measured, a person smeared sideways looks like one, and a lens that bends
    straight lines without stretching anybody is not noticed.

    Parameters
    ----------
    crop
        One person with its margin.

    Returns
    -------
    float
        Mean second difference down the columns over that along the rows, a factor > 0: median 1.0 for people as a
        camera sees them, 1.8 stretched to 1.4 or 1.6 times the width, 2.4 at twice; NaN when there is no detail.
    """
    scale = min(1.0, _LONG_SIDE / max(crop.image.shape[:2]))
    size = (max(8, round(crop.image.shape[1] * scale)), max(8, round(crop.image.shape[0] * scale)))
    grey = cv2.resize(cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA)
    along_rows = float(np.abs(cv2.Sobel(grey, cv2.CV_32F, 2, 0)).mean())
    down_columns = float(np.abs(cv2.Sobel(grey, cv2.CV_32F, 0, 2)).mean())
    return down_columns / along_rows if along_rows > 0 else float("nan")
