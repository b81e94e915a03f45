"""Disk budgets: which files are removed when a class of files takes more space than the catalog allows, and in which order.

Only what can be made again, to the same bytes, from what stays is removed: frames from the original video or photo, crops that
no check kept from their frames. Originals, labels, tables, releases, crops that were kept (Label Studio shows them, releases
are made from them) and their mattes always stay; of the mattes only those are removed that no table names any more.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CLASSES = ("frames", "crops", "mattes")
"""The classes of files that can have a budget."""

_UNITS: dict[str, int] = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGTP", 1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate("KMGTP", 1)},
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Parse a size in bytes. Why it is not pydantic's `ByteSize` is written in decision 0006.

    Parameters
    ----------
    text
        A number with B, KB, MB, GB, TB, PB (powers of 1000) or KiB to PiB (of 1024).

    Raises
    ------
    ValueError
        When it is not a size.

    Examples
    --------
    >>> parse_size("200GB"), parse_size("1.5 MiB"), parse_size("0")
    (200000000000, 1572864, 0)
    """
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in _UNITS:
        raise ValueError("expected a size such as 200GB, 500 MB or 1.5TiB")
    return round(float(match[1]) * _UNITS[match[2]])


def format_size(size_bytes: float) -> str:
    """Format a size for people.

    >>> format_size(0), format_size(1536), format_size(2.5e11)
    ('0 B', '1.5 KB', '250.0 GB')
    """
    prefix = ""
    for prefix in ("", "K", "M", "G", "T", "P"):
        if size_bytes < 1000 or prefix == "P":
            break
        size_bytes /= 1000
    return f"{size_bytes:.1f} {prefix}B" if prefix else f"{size_bytes:.0f} B"


@dataclass(frozen=True, slots=True)
class EvictionCandidate:
    """Files of one class and one source that may be removed: when the source was last processed (s), and bytes by file."""

    source_id: str
    last_processed: float
    files: Mapping[str, int]

    @property
    def size_bytes(self) -> int:
        """How much space the files take."""
        return sum(self.files.values())


def choose_evictions(used: int, at_most: int | None, candidates: Iterable[EvictionCandidate]) -> list[EvictionCandidate]:
    """Choose the sources whose files are removed, those processed longest ago first, until the rest fits.

    Parameters
    ----------
    used
        Bytes that the class takes now, including files that must stay.
    at_most
        Bytes it may take; None means any.
    candidates
        What may be removed; a source's files are removed together.

    Returns
    -------
    list of EvictionCandidate
        In the order of removal. All of them when even that is not enough.

    Examples
    --------
    >>> old, new = EvictionCandidate("old", 1.0, {"a": 60}), EvictionCandidate("new", 2.0, {"b": 60})
    >>> [candidate.source_id for candidate in choose_evictions(120, 100, [new, old])]
    ['old']
    >>> choose_evictions(100, 100, [new, old])
    []
    """
    chosen: list[EvictionCandidate] = []
    for candidate in sorted(candidates, key=lambda candidate: (candidate.last_processed, candidate.source_id)):
        if at_most is None or used <= at_most:
            break
        if candidate.files:
            chosen.append(candidate)
            used -= candidate.size_bytes
    return chosen
