"""Removers: what is person and what is background, one method a file.

The Protocols say what a remover must do and what it can do besides.
"""

from collections.abc import Sequence
from typing import ClassVar, Protocol, runtime_checkable

from figureground.types import Alpha, PersonCrop


class Remover(Protocol):
    """Estimates soft masks."""

    VERSION: ClassVar[int]
    """Raised by 1 when the output changes."""

    def estimate_alphas(self, crops: Sequence[PersonCrop]) -> list[Alpha]:
        """Give one alpha a crop, each of its crop's own size."""


@runtime_checkable
class ScoringRemover(Remover, Protocol):
    """A remover that gives its own confidence with each alpha."""

    def estimate_with_confidence(self, crops: Sequence[PersonCrop]) -> list[tuple[Alpha, float]]:
        """Give one alpha and its confidence, 0..1, for each crop."""


@runtime_checkable
class RecurrentRemover(Remover, Protocol):
    """A remover whose alpha of a crop can depend on the crops before it in the same call."""

    @property
    def recurrent(self) -> bool:
        """Whether it does so with its settings."""


PROTOCOL = Remover
