"""What decides the result of a training."""

import math
from dataclasses import asdict, field
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class TrainingSettings:
    """How a network is taught.

    Parameters
    ----------
    network, settings
        The plug-in of `figureground.networks` and its own.
    classes
        1 for soft alpha, or 2 or 5.
    side
        Of the square, pixels; a multiple of 32.
    pictures
        How many it sees, each time counted: the budget.
    batch
        How many at a time.
    learning_rate
        The largest; it rises over the first tenth of the steps and falls along half a cosine to nothing, or stays with
        ``fixed``.
    weight_decay
        AdamW's.
    validations
        How often the validation pictures are scored.
    seed
        Of weights, order and variations.
    plain
        The loop as published repositories have it: no variations, a fixed rate, Adam, cross entropy alone, the last weights.
    stretch
        By how much a picture's short side may be drawn out to fill the square, see `figureground.datasets.samples.letterbox`.
    """

    network: str
    settings: dict[str, Any] = field(default_factory=dict)
    classes: Literal[1, 2, 5] = 2
    side: Annotated[int, Field(ge=32, le=2048, multiple_of=32)] = 256
    pictures: Annotated[int, Field(ge=1)] = 20000
    batch: Annotated[int, Field(ge=2)] = 8
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    validations: Annotated[int, Field(ge=1)] = 10
    seed: int = 1
    plain: bool = False
    stretch: Annotated[float, Field(ge=1, le=4)] = 4 / 3

    def recorded(self) -> dict[str, Any]:
        """Give the settings as cards and fingerprints hold them: ``validations`` has kept its first name there, ``looks``."""
        return {"looks" if name == "validations" else name: value for name, value in asdict(self).items()}

    @property
    def steps(self) -> int:
        """How many times the weights change."""
        return math.ceil(self.pictures / self.batch)

    @property
    def soft(self) -> bool:
        """Whether it learns an alpha."""
        return self.classes == 1
