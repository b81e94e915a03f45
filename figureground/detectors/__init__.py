"""Detectors: the people in an image, one network family a file.

The Protocol says what a detector must do.
"""

from collections.abc import Sequence
from typing import Protocol

from figureground.plugins import Plugin
from figureground.types import Image, Person


class Detector(Plugin, Protocol):
    """Finds people."""

    def find(self, images: Sequence[Image]) -> list[list[Person]]:
        """Give the people of each image, best score first, boxes clipped to the image."""


PROTOCOL = Detector
