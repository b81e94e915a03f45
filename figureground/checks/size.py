"""Is the person large enough to be labelled."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from figureground.imaging import geometry
from figureground.types import PersonCrop


@dataclass(frozen=True)
class Size:
    """How many pixels across the person is: the short side of the detected box."""

    VERSION: ClassVar[int] = 1

    at_least: Annotated[float, Field(ge=0)] = 64.0

    def measure(self, crop: PersonCrop) -> float:
        """Give the short side of the detected box, pixels of the source.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            Pixels, > 0.
        """
        return float(geometry.short_side(crop.person))

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at least the limit; NaN is not."""
        return value >= self.at_least
