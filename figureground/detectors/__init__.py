"""Detectors: the people in an image, one network family a file.

The Protocol says what a detector must do.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol

from figureground.types import Image, Person


class Detector(Protocol):
    """Finds people."""

    VERSION: ClassVar[int]
    """Raised by 1 when the output changes."""

    def find(self, images: Sequence[Image]) -> list[list[Person]]:
        """Give the people of each image, best score first, boxes clipped to the image."""


PROTOCOL = Detector
