"""Is the person there twice: a shifted ghost, a doubled exposure, two moments blended."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import cv2
import numpy as np
import scipy.fft
from numpy.typing import NDArray
from pydantic import Field

from figureground.people import backbone_features, pose_regions
from figureground.people.backbone_features import Head
from figureground.types import PersonCrop, PinnedHead, Weights

_Plane = NDArray[np.float32]

_LONG_SIDE = 256  # px: everyone is measured at this height, so a ghost's distance is a share of the person
_DENOISE = 0.7  # px, sigma: sensor noise and JPEG blocks repeat nothing but make everything else weaker
_NEAREST, _FARTHEST = 0.015, 0.1  # of the person's height: nearer is blur, farther another thing
_SURROUND = 9  # px: a peak stands above what is around it
_HEAD = PinnedHead("ghosting", version=1, sha256="7b4b1e361c75f27d80d3412ee32bc4e5d9efc352263d3160d2c35d60bb7b3f56")


@dataclass(frozen=True)
class Ghosting:
    """How strongly the person's detail repeats itself at one distance, or how likely the person is there twice.

    Parameters
    ----------
    at_most
        The limit.
    network
        The catalog's asset: the YOLO11 pose network as a ``.pt`` file. Without it only what repeats at one distance is
        noticed, and not two moments blended.
    """

    VERSION: ClassVar[int] = 1
    HEAD: ClassVar[PinnedHead] = _HEAD

    at_most: Annotated[float, Field(ge=0, le=1)] = 0.045
    network: Weights | None = None

    def measure(self, crop: PersonCrop) -> float:
        """Give the height of the echo, or with a network the likelihood of a ghost.

        The likelihood weighs the echo together with what the network's lower layers see on the person: outlines that
        cross and show through one another. The weights were learned on pictures blended on purpose.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            0 to 1, see `echo`, or a likelihood where clean and blended pictures are as frequent; NaN when the person's
            area has no detail at all.

        Raises
        ------
        AssetError
            When `network` is not in the cache, is not the pinned file, or has other layers.
        """
        height = echo(crop)
        if self.network is None:
            return height
        head = backbone_features.load_head(_HEAD.name, _HEAD.sha256)
        return likelihood(head, backbone_features.pool_features(crop, self.network), height)

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most


def likelihood(head: Head, pooled: NDArray[np.float32], height: float) -> float:
    """Weigh what the network sees and the echo's height together.

    Parameters
    ----------
    head
        What was learned.
    pooled
        (n,) features of the crop, see `figureground.people.backbone_features.pool_features`.
    height
        Of the echo, 0..1 or NaN.

    Returns
    -------
    float
        0 to 1; NaN when the height is.
    """
    evidence = np.array([head.score(pooled), np.log(height + 0.005), max(0.0, height - 0.04) * 20, 1.0])
    return backbone_features.to_likelihood(float(evidence @ head.calibration)) if height == height else float("nan")


def echo(crop: PersonCrop) -> float:
    """Find the distance at which the picture on and around the person resembles itself most.

    A picture laid over itself has every fine edge twice, always at the same distance and in the same direction: its
    autocorrelation has a peak there, as an echo has one in a sound's cepstrum (Bogert, Healy, Tukey: The quefrency
    alanysis of time series for echoes, 1963). The spectrum is flattened first, by a square root instead of
    a logarithm, so that large shapes do not hide the peak.

    Parameters
    ----------
    crop
        One person.

    Returns
    -------
    float
        The peak's height above its surroundings, as a share of the picture's resemblance with itself unmoved: 0
        (nothing repeats) to 1; NaN when the person's area has no detail at all.
    """
    detail, height = _detail(crop)
    reach = int(_FARTHEST * height)
    resemblance = _autocorrelation(detail, reach + _SURROUND)
    peaks = resemblance - cv2.blur(resemblance, (_SURROUND, _SURROUND))
    y, x = np.mgrid[: len(peaks), : len(peaks)] - (reach + _SURROUND)
    distance = np.hypot(y, x)
    return float(np.clip(peaks[(distance >= _NEAREST * height) & (distance <= reach)].max(), 0, 1))


def _detail(crop: PersonCrop) -> tuple[_Plane, float]:
    """Give the Laplacian on and around the person at the standard height, (h, w), and that height in pixels."""
    long_side = max(crop.person_inside.width, crop.person_inside.height)
    scale = min(1.0, _LONG_SIDE / long_side)
    size = (max(16, round(crop.image.shape[1] * scale)), max(16, round(crop.image.shape[0] * scale)))
    grey = cv2.resize(cv2.cvtColor(crop.image, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = cv2.Laplacian(cv2.GaussianBlur(grey, (0, 0), _DENOISE), cv2.CV_32F)
    detail = np.clip(detail, *np.percentile(detail, [2, 98]))  # a few hard edges would outweigh all cloth
    return np.asarray(detail * _window(crop, size), np.float32), max(_FARTHEST * 100, min(_LONG_SIDE, long_side))


def _window(crop: PersonCrop, size: tuple[int, int]) -> _Plane:
    """Fade out away from the person, where a ghost may reach, and towards the crop's sides, where the picture ends."""
    area = cv2.resize(pose_regions.person_area(crop), size, interpolation=cv2.INTER_NEAREST)
    near = cv2.GaussianBlur(cv2.dilate(area, np.ones((31, 31), np.uint8)).astype(np.float32), (0, 0), 3)
    sides = np.outer(np.hanning(size[1]), np.hanning(size[0])) ** 0.5
    return np.asarray(near * sides, np.float32)


def _autocorrelation(plane: _Plane, reach: int) -> _Plane:
    """Give how much a plane resembles itself moved by up to `reach` pixels, 1 in the middle where it is unmoved."""
    height, width = (cv2.getOptimalDFTSize(max(side * 3 // 2, 2 * reach + 1)) for side in plane.shape)
    flattened = np.sqrt(np.abs(scipy.fft.rfft2(plane, (height, width))))
    alike = scipy.fft.irfft2(flattened, (height, width))
    around = np.roll(alike, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    with np.errstate(invalid="ignore"):
        return np.asarray(np.divide(around, alike[0, 0]), np.float32)
