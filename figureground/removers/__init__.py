"""Removers: what is person and what is background, one method a file."""

from collections.abc import Sequence
from typing import Protocol

from figureground.types import Alpha, PersonCrop


class Remover(Protocol):
    """Makes soft masks."""

    def alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size."""


PROTOCOL = Remover
