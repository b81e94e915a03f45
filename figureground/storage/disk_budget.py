"""Disk budgets: which files may go when a class of files takes more room than the catalog gives it, and in which order.

What may go can be made again, to the same bytes, from what stays: frames from the original video or photo, the crops that
no check kept from their frames. Never go: originals, labels, tables, releases; crops that were kept (Label Studio shows
them, releases are cut from them) and their mattes. Of mattes only those may go that no table names any more.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

CLASSES = ("frames", "crops", "mattes")
"""What a budget can be given to."""

_UNITS: dict[str, int] = {
    "": 1,
    "B": 1,
    **{f"{k}B": 1000**n for n, k in enumerate("KMGTP", 1)},
    **{f"{k}iB": 1024**n for n, k in enumerate("KMGTP", 1)},
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]*)")


def parse_size(text: str) -> int:
    """Read a size in bytes.

    Parameters
    ----------
    text
        A number with B, KB, MB, GB, TB, PB (powers of 1000) or KiB to PiB (of 1024).

    Raises
    ------
    ValueError
        When it is none.

    Examples
    --------
    >>> parse_size("200GB"), parse_size("1.5 MiB"), parse_size("0")
    (200000000000, 1572864, 0)
    """
    found = _SIZE.fullmatch(text)
    if found is None or found[2] not in _UNITS:
        raise ValueError("expected a size such as 200GB, 500 MB or 1.5TiB")
    return round(float(found[1]) * _UNITS[found[2]])


def format_size(bytes_: float) -> str:
    """Write a size for people.

    >>> format_size(0), format_size(1536), format_size(2.5e11)
    ('0 B', '1.5 KB', '250.0 GB')
    """
    unit = ""
    for unit in ("", "K", "M", "G", "T", "P"):
        if bytes_ < 1000 or unit == "P":
            break
        bytes_ /= 1000
    return f"{bytes_:.1f} {unit}B" if unit else f"{bytes_:.0f} B"


@dataclass(frozen=True, slots=True)
class EvictionCandidate:
    """Files of one class of one source that may go: when the source was worked on last (seconds), and how much they take."""

    source_id: str
    last: float
    files: Mapping[str, int]

    @property
    def bytes(self) -> int:
        """How much room they take."""
        return sum(self.files.values())


def choose_evictions(used: int, allowed: int | None, candidates: Iterable[EvictionCandidate]) -> list[EvictionCandidate]:
    """Choose whose files go: those worked on longest ago first, a source as a whole, until the rest fits.

    Parameters
    ----------
    used
        Bytes that the class takes now, those that must stay included.
    allowed
        Bytes it may take; None means any.
    candidates
        What may go.

    Returns
    -------
    list of Candidate
        In the order to go. Where even all of them are not enough, all of them.

    Examples
    --------
    >>> old, new = EvictionCandidate("old", 1.0, {"a": 60}), EvictionCandidate("new", 2.0, {"b": 60})
    >>> [one.source_id for one in choose_evictions(120, 100, [new, old])]
    ['old']
    >>> choose_evictions(100, 100, [new, old])
    []
    """
    chosen: list[EvictionCandidate] = []
    for one in sorted(candidates, key=lambda one: (one.last, one.source_id)):
        if allowed is None or used <= allowed:
            break
        if one.files:
            chosen.append(one)
            used -= one.bytes
    return chosen
