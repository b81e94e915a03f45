"""Checks: what can be wrong with a crop, one idea a file.

A check is a frozen dataclass. Its fields are limits with defaults, so moving one never measures anything again;
`measure` states its unit. See ``docs/plugins.md``.
"""

from typing import Protocol

from figureground.types import PersonCrop


class Check(Protocol):
    """Measuring is not judging."""

    def measure(self, crop: PersonCrop) -> float:
        """Give one number, whatever the limits are; NaN when it cannot be measured on this crop."""

    def accepts(self, value: float) -> bool:
        """Tell whether a crop with this value is kept. NaN is never accepted."""


PROTOCOL = Check
