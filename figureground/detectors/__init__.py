"""Detectors: who is in a picture, one network family a file."""

from collections.abc import Sequence
from typing import Protocol

from figureground.types import Image, Person


class Detector(Protocol):
    """Finds people."""

    def find(self, images: Sequence[Image]) -> list[list[Person]]:
        """Give the people of each picture, best score first, boxes clipped to the picture."""


PROTOCOL = Detector
