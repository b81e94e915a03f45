"""Changes of light, colour, noise and sharpness, by albumentations; none that moves a pixel, so the truth stays what it is.

Buslaev et al., "Albumentations: Fast and Flexible Image Augmentations", Information 2020. Importing it takes
seconds, so it is imported when it is needed; and its look for a newer version of itself is turned off.
"""

import os
import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

import cv2

from figureground.errors import CatalogError
from figureground.types import Image

Target = Literal["backgrounds", "people", "composites"]
Settings = Mapping[str, Mapping[str, Any] | None]

DEFAULTS: dict[Target, dict[str, dict[str, Any]]] = {
    "backgrounds": {
        "RandomBrightnessContrast": {"brightness_limit": 0.12, "contrast_limit": 0.12, "p": 0.4},
        "RandomGamma": {"gamma_limit": [85, 118], "p": 0.3},
        "GaussianBlur": {"sigma_limit": [0.3, 1.2], "blur_limit": 0, "p": 0.2},
    },
    "people": {"RandomBrightnessContrast": {"brightness_limit": 0.08, "contrast_limit": 0.1, "p": 0.3}},
    "composites": {
        "PlanckianJitter": {"temperature_limit": [4500, 9000], "p": 0.2},
        "GaussNoise": {"std_range": [0.004, 0.022], "p": 0.5},
    },
}
"""Little of everything, and blur for the background alone."""


class Augmentations:
    """A chain of transforms, each picture's chances drawn from its own seed.

    Parameters
    ----------
    settings
        Name of a transform to its settings; ``p`` is how often it is applied.
    target
        What they are for: blur is for backgrounds only, because on the others it would cross the alpha's edge.

    Raises
    ------
    CatalogError
        When there is no such transform, it moves pixels, or does not take these settings.
    """

    def __init__(self, settings: Settings, target: Target) -> None:
        chain = [_transform(library(), name, own or {}, target) for name, own in settings.items()]
        self._chain = library().Compose(chain, save_applied_params=True) if chain else None

    def applied(self, image: Image, seed: int) -> tuple[Image, dict[str, Any]]:
        """Change a picture.

        Parameters
        ----------
        image
            Shape (h, w, 3), uint8, RGB.
        seed
            0 to 2⁶⁴ − 1; the same gives the same.

        Returns
        -------
        tuple
            The new picture, and each transform that was applied with the numbers it drew.
        """
        if self._chain is None or not image.size:
            return image, {}
        self._chain.set_random_seed(seed % 2**32)
        cv2.setRNGSeed(seed % 2**31)
        augmented = self._chain(image=image)
        return augmented["image"], {name: _plain(drawn) for name, drawn in augmented["applied_transforms"]}


def _plain(drawn: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the numbers and words; whole arrays (a noise of each pixel) come again from the seed."""
    kept = {key: value.item() if getattr(value, "size", 2) == 1 else value for key, value in drawn.items()}
    settings = {key: round(value, 6) if isinstance(value, float) else value for key, value in kept.items()}
    return {key: value for key, value in settings.items() if isinstance(value, str | int | float)}


def _transform(library: Any, name: str, settings: Mapping[str, Any], target: Target) -> Any:
    kind = getattr(library, name, None)
    if not (isinstance(kind, type) and issubclass(kind, library.ImageOnlyTransform)):
        moved = " that moves no pixel" if isinstance(kind, type) else ""
        raise CatalogError(f"augmentations.{target}: albumentations {library.__version__} has no transform {name!r}{moved}")
    if target != "backgrounds" and ".blur." in kind.__module__:
        raise CatalogError(f"augmentations.{target}: {name} blurs across the person's edge; put it under backgrounds")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()})
    except (ValueError, TypeError, UserWarning) as error:
        problem = " ".join(str(error).split())
        raise CatalogError(f"augmentations.{target}.{name}: {problem[:300]}") from error


@cache
def library() -> Any:
    """Import albumentations, without its look for a newer version of itself."""
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import albumentations
    return albumentations
