"""Does the person of a portrait show a face."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field

from figureground.types import PersonCrop


@dataclass(frozen=True)
class ShownFace:
    """How sure the face detector is of the face that a portrait was cut around."""

    VERSION: ClassVar[int] = 1

    at_least: Annotated[float, Field(ge=0, le=1)] = 0.7

    def measure(self, crop: PersonCrop) -> float:
        """Give the confidence that was stored when the portrait was cut; nothing is looked for again.

        Parameters
        ----------
        crop
            One person.

        Returns
        -------
        float
            Confidence, 0 (no face found) to 1; NaN when none was looked for.
        """
        return float(crop.face_score)

    def accepts(self, value: float) -> bool:
        """Tell whether `value` is at least the limit; NaN is not."""
        return value >= self.at_least
