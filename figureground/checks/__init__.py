"""Checks: what can be wrong with a crop, one idea a file.

A check is a frozen dataclass. Fields called at_least or at_most are limits: moving one never measures anything again.
Any other field changes what is measured. All have defaults. `measure` states its unit. See ``docs/plugins.md``.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from figureground.plugins import Plugin
from figureground.types import PersonCrop


class Check(Plugin, Protocol):
    """Measuring is not judging."""

    def measure(self, crop: PersonCrop) -> float:
        """Give one number, whatever the limits are; NaN when it cannot be measured on this crop."""

    def accepts(self, value: float) -> bool:
        """Tell whether a crop with this value is kept. NaN is never accepted."""


@runtime_checkable
class ComparingCheck(Check, Protocol):
    """A check that compares crops with each other. Its ``measure`` gives the value of a crop without others."""

    def signature(self, crop: PersonCrop) -> bytes:
        """Give what has to be known of a crop later, when no picture is opened; the same length for every crop."""

    def among(self, signatures: Sequence[bytes], fit: Sequence[bool]) -> Sequence[float]:
        """Give one number a crop, whatever the limits are; what is not fit has no say about what is.

        Parameters
        ----------
        signatures
            Of all crops of all sources, by crop id; their order breaks ties only.
        fit
            Which of them no other check of the recipe refuses.
        """


PROTOCOL = Check
LIMITS = ("at_least", "at_most")
"""How a limit's name begins."""


def limits(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give those of a check's settings that are limits.

    >>> limits({"at_most": 0.9, "window": 0.6})
    {'at_most': 0.9}
    """
    return {name: value for name, value in settings.items() if name.startswith(LIMITS)}
