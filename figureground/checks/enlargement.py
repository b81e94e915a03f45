"""Is the source fine enough for the size a portrait was brought to."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from figureground.types import PersonCrop


@dataclass(frozen=True)
class Enlargement:
    """How many times larger a crop is than what the source has of it."""

    VERSION: ClassVar[int] = 1

    at_most: Annotated[float, Field(ge=0)] = 2.0

    def measure(self, crop: PersonCrop) -> float:
        """Give the crop's pixels for each pixel of the source, along a side.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            A factor, > 0; 1 for crops that are not resized, below 1 for portraits from larger pictures.
        """
        return crop.scale

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at most the limit; NaN is not."""
        return value <= self.at_most
