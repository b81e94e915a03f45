"""Fingerprints: hashes of everything that a table depends on, by which a run knows that a stage need not run again.

What counts are the input tables, the settings, the weights, and the versions of stages and plug-ins. The text of the code does
not count: ``VERSION`` is raised by hand when an output changes, and a golden output in ``tests/contracts`` fails otherwise.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from figureground.tables import format_1

if TYPE_CHECKING:  # it imports numpy, which `figureground status` does without
    from figureground.types import TableRef


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """The hash of everything that a table depends on, 64 hexadecimal digits.

    ``format_1`` is the hash that a storage of format 1 has for the same, see `figureground.tables.format_1`; "" when a version
    has been raised since.
    """

    digest: str
    format_1: str = ""

    def __str__(self) -> str:
        return self.digest

    def matches(self, recorded: str) -> bool:
        """Tell whether a recorded hash is of the same inputs, settings and versions."""
        return recorded != "" and recorded in (self.digest, self.format_1)


def fingerprint(stage: str, inputs: "Sequence[TableRef]", *, version: int, **settings: Any) -> Fingerprint:
    """Hash everything that a stage depends on.

    Parameters
    ----------
    stage
        Name of the stage.
    inputs
        The tables that it reads.
    version
        ``VERSION`` of the stage.
    **settings
        Anything that `json.dumps` can write; the order does not matter. Plug-ins are given by `figureground.plugins.identity`,
        or by name with their ``plugin_versions``.
    """
    tables = [[ref.stage, ref.source_id, ref.sha256] for ref in inputs]
    story = {"stage": stage, "version": version, "inputs": tables, "settings": settings}
    digest = hashlib.sha256(json.dumps(story, sort_keys=True).encode()).hexdigest()
    return Fingerprint(digest, format_1.fingerprint(stage, tables, settings) if version == 1 else "")
