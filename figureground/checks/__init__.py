"""Checks: what can be wrong with a crop, one idea a file.

A check is a frozen dataclass. Fields called at_least or at_most are limits: moving one never measures anything again.
Any other field changes what is measured. All have defaults. `measure` states its unit. See ``docs/plugins.md``.
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
LIMITS = ("at_least", "at_most")
"""How a limit's name begins."""
