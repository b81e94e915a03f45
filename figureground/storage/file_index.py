"""Many files' names, hashes and sizes, in a third of the memory that a dict of them takes."""

from array import array
from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, Mapping


class Listing(Mapping[str, tuple[str, int]]):
    """File name to sha256 and size in bytes, sorted by name.

    Parameters
    ----------
    files
        Each name once, in sorted order.

    Raises
    ------
    ValueError
        When they are not in order.

    Examples
    --------
    >>> dict(Listing([("a.txt", ("00" * 32, 5))]))["a.txt"][1]
    5
    """

    def __init__(self, files: Iterable[tuple[str, tuple[str, int]]]) -> None:
        self._names: list[str] = []
        self._digests, self._sizes = bytearray(), array("q")
        for name, (digest, size) in files:
            if self._names and name <= self._names[-1]:
                raise ValueError(f"{name} after {self._names[-1]}: expected names in order, each once")
            self._names.append(name)
            self._digests += bytes.fromhex(digest)
            self._sizes.append(size)

    def __getitem__(self, name: str) -> tuple[str, int]:
        at = bisect_left(self._names, name)
        if at == len(self._names) or self._names[at] != name:
            raise KeyError(name)
        return self._at(at)

    def _at(self, number: int) -> tuple[str, int]:
        return self._digests[32 * number : 32 * number + 32].hex(), self._sizes[number]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Listing):
            return (self._names, self._digests, self._sizes) == (other._names, other._digests, other._sizes)
        return super().__eq__(other)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def items(self) -> ItemsView[str, tuple[str, int]]:
        """Give names with hashes and sizes without looking each name up."""
        return _Items(self)

    def pop(self, name: str) -> tuple[str, int]:
        """Take one file out and give its hash and size.

        Raises
        ------
        KeyError
            When it is not there.
        """
        found, at = self[name], bisect_left(self._names, name)
        del self._names[at], self._sizes[at], self._digests[32 * at : 32 * at + 32]
        return found


class _Items(ItemsView[str, tuple[str, int]]):
    _mapping: Listing  # ItemsView keeps what it shows there

    def __iter__(self) -> Iterator[tuple[str, tuple[str, int]]]:
        listing = self._mapping
        return ((name, listing._at(number)) for number, name in enumerate(listing))
