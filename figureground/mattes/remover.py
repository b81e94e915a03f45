"""What a remover must do and what it can do besides. The removers themselves are `figureground.removers`."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from figureground.plugins import Plugin
from figureground.types import Alpha, PersonCrop


class Remover(Plugin, Protocol):
    """Estimates soft masks."""

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
