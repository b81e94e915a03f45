"""Is the person in a scene that the product will not support."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import Field

from figureground.types import PersonCrop


@dataclass(frozen=True)
class ExcludedScenes:
    """How many of the source's scenes are on the catalog's list; the list gives the reason for each."""

    VERSION: ClassVar[int] = 1

    scenes: Mapping[str, Annotated[str, Field(min_length=1)]] = field(default_factory=dict)
    at_most: Annotated[float, Field(ge=0)] = 0.0

    def measure(self, crop: PersonCrop) -> float:
        """Count the scenes of the crop's source that are excluded.

        Parameters
        ----------
        crop
            One person; its picture is not looked at.

        Returns
        -------
        float
            A whole number, 0 or more.
        """
        return float(sum(scene in self.scenes for scene in crop.scenes))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most
