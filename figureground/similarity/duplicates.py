"""Which pictures look alike, whatever their size, compression, brightness or side.

A picture's signature is the signs of its 16x16 lowest cosine coefficients without the mean (a perceptual hash: Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010); two pictures are as similar as the share of signs
they have in common, 1 for the same and about one half for strangers. A mirrored picture has the signs of the odd columns
turned, so both sides are compared.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.imaging import codecs, jpeg
from figureground.parallel import map_ordered
from figureground.types import Image

_R = TypeVar("_R")

Signature = NDArray[np.int8]
"""Shape (256,), -1 or 1, and 0 in the mean's place: row by row the signs of the coefficients."""

Look: TypeAlias = Signature | bytes
"""A signature, or what `pack` makes of it."""

ALIKE_AT_LEAST = 0.75
"""Copies reach it, strangers stay below: see docs/decisions/0004."""

_SIDE, _KEPT = 64, 16
METHOD = 1
"""Another number whenever a picture gets another signature than before: kept ones are then computed again."""
_SIGNS = _KEPT * _KEPT - 1
_MIRROR = np.tile(np.where(np.arange(_KEPT) % 2, -1, 1), _KEPT).astype(np.int8)
_BLOCK = 512
_ROWS, _COLUMNS, _STRIP = 16, 8192, 256
_TURNED = _KEPT * _KEPT // 2
_EVEN, _ODD = np.uint64(0xAAAAAAAAAAAAAAAA), np.uint64(0x5555555555555555)
"""The bits of even and of odd columns in eight bytes of a packed signature, which begin at the highest bit."""


class Pair(NamedTuple):
    """Two pictures by their numbers, how similar they are (0..1), and whether one has to be mirrored for it."""

    one: int
    other: int
    similarity: float
    mirrored: bool


def signature(image: Image) -> Signature:
    """Give a picture's signature.

    Parameters
    ----------
    image
        Shape (h, w, 3) or (h, w), uint8; gray or RGB.
    """
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    coefficients = cv2.dct(small)[:_KEPT, :_KEPT].ravel()
    signs: Signature = np.where(coefficients >= 0, 1, -1).astype(np.int8)
    signs[0] = 0
    return signs


def of_jpeg(content: bytes) -> Signature:
    """Give the signature of a JPEG file, decoded no larger than needed.

    Raises
    ------
    ArrayError
        When it is no JPEG or cannot be decoded.
    """
    short = min(jpeg.size(content))
    scale = next((scale for scale in _SHRINKS if short >= 2 * scale * _SIDE), 1)
    gray = codecs.decode_grey(content, scale)
    if gray is None:
        raise ArrayError(f"a JPEG of {len(content)} bytes that cannot be decoded")
    return signature(np.asarray(gray, np.uint8))


_SHRINKS = (8, 4, 2)


def pack(signature: Signature) -> bytes:
    """Give a signature as 32 bytes, one bit a sign in the signature's own order, the first sign in the highest bit.

    This is how tables and certificates store it, and `closest`, `alike` and `between` compare it as it is.

    >>> pack(np.array([0, 1, -1, 1] * 64, np.int8)).hex()[:8]
    '55555555'
    """
    return np.packbits(signature > 0).tobytes()


def unpack(packed: bytes) -> Signature:
    """Give the signature that `pack` packed."""
    signs: Signature = unpack_all([packed])[0]
    return signs


def unpack_all(packed: Sequence[bytes]) -> NDArray[np.int8]:
    """Give the signatures that `pack` packed, one a row: shape (n, 256)."""
    bits = np.unpackbits(np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), -1), axis=1)
    signs = np.where(bits, 1, -1).astype(np.int8)
    signs[:, 0] = 0  # the mean has no sign
    return signs


def closest(some: Sequence[Look], others: Sequence[Look]) -> Pair | None:
    """Find the two most similar pictures of two sets, or None when one is empty; of equals the first."""
    return compared(some, others, at_least=2)[0]


def alike(some: Sequence[Look], others: Sequence[Look], at_least: float = ALIKE_AT_LEAST) -> Iterator[Pair]:
    """Give every pair of two sets that is at least so similar, by the numbers of the pictures."""
    yield from compared(some, others, at_least)[1]


def compared(some: Sequence[Look], others: Sequence[Look], at_least: float = ALIKE_AT_LEAST) -> tuple[Pair | None, list[Pair]]:
    """Give `closest` and `alike` at once, for one look at each two pictures."""
    if not len(some) or not len(others):
        return None, []
    left, right = _Bits.of(some), _Bits.of(others)
    looked = list(_strips(lambda strip: _compared(left, right, strip, at_least), len(left)))
    return _pair(left, right, *min(nearest for nearest, _ in looked)[1:]), [pair for _, some in looked for pair in some]


def _compared(left: "_Bits", right: "_Bits", strip: range, at_least: float) -> tuple[tuple[int, int, int], list[Pair]]:
    nearest, found = (_SIGNS + 1, 0, 0), []
    for top, beside, apart in _tiles(left, right, strip):
        one, other = divmod(int(apart.argmin()), apart.shape[1])
        nearest = min(nearest, (int(apart[one, other]), top + one, beside + other))
        found += _below(left, right, top, beside, apart, at_least)
    return nearest, found


def _strips(look: Callable[[range], _R], rows: int) -> Iterable[_R]:
    """Look at some rows at a time, in threads: numpy leaves Python's lock meanwhile."""
    return map_ordered(look, (range(start, min(start + _STRIP, rows)) for start in range(0, rows, _STRIP)))


class _Bits(NamedTuple):
    """Signatures as bits, a column a picture; the signs that a mirror leaves and those it turns apart, 128 each.

    So the signs that differ are counted once for both sides: of the turned ones a mirror makes those that differ equal.
    """

    even: NDArray[np.uint64]
    odd: NDArray[np.uint64]

    @classmethod
    def of(cls, looks: Sequence[Look]) -> "_Bits":
        rows = b"".join(look if isinstance(look, bytes) else pack(look) for look in looks)
        first, second = np.frombuffer(rows, np.uint64).reshape(len(looks), 2, 2).transpose(2, 1, 0)
        even = np.ascontiguousarray(first & _EVEN | (second & _EVEN) >> np.uint64(1))
        odd = np.ascontiguousarray((first & _ODD) << np.uint64(1) | second & _ODD)
        return cls(even, odd)

    def __len__(self) -> int:
        return int(self.even.shape[1])

    def some(self, start: int, stop: int | None = None) -> "_Bits":
        return _Bits(self.even[:, start:stop], self.odd[:, start:stop])


def _tiles(some: _Bits, others: _Bits, rows: range) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Give how many signs differ, straight or mirrored, whichever is fewer, some rows and thousands of columns at a time.

    Where they begin comes with them; the next overwrites them.
    """
    words, counts = np.empty(_ROWS * _COLUMNS, np.uint64), np.empty((3, _ROWS * _COLUMNS), np.uint8)
    for top in range(rows.start, rows.stop, _ROWS):
        high = some.some(top, min(top + _ROWS, rows.stop))
        for beside in range(0, len(others), _COLUMNS):
            wide = others.some(beside, beside + _COLUMNS)
            shape = len(high), len(wide)
            room = (words, *counts)
            differing, even, odd, half = (one[: shape[0] * shape[1]].reshape(shape) for one in room)
            for halves, count in (((high.even, wide.even), even), ((high.odd, wide.odd), odd)):
                _count(*halves, differing, half, count)
            np.subtract(_TURNED, odd, out=half)
            even += np.minimum(odd, half, out=half)
            yield top, beside, even


def _count(
    some: NDArray[np.uint64], others: NDArray[np.uint64], differing: Any, half: NDArray[np.uint8], count: NDArray[np.uint8]
) -> None:
    """Count the bits that differ between columns of two sets into `count`; the others are room to work in."""
    np.bitwise_count(np.bitwise_xor(some[0][:, None], others[0][None, :], out=differing), out=count)
    np.bitwise_count(np.bitwise_xor(some[1][:, None], others[1][None, :], out=differing), out=half)
    count += half


def _below(left: _Bits, right: _Bits, top: int, beside: int, apart: NDArray[np.uint8], at_least: float) -> list[Pair]:
    """Give the pairs of a tile that are similar enough."""
    if _share(int(apart.min())) < at_least:
        return []
    enough = np.array([_share(count) >= at_least for count in range(_SIGNS + 1)])
    return [_pair(left, right, top + int(one), beside + int(other)) for one, other in np.argwhere(enough[apart])]


def _pair(some: _Bits, others: _Bits, one: int, other: int) -> Pair:
    even, odd = (int(np.bitwise_count(left[:, one] ^ right[:, other]).sum()) for left, right in zip(some, others, strict=True))
    return Pair(one, other, _share(even + min(odd, _TURNED - odd)), odd > _TURNED // 2)


def _share(differing: int) -> float:
    """Give the similarity of two pictures with so many signs that differ."""
    return float(np.float32(2 * _SIGNS - 2 * differing) / np.float32(2 * _SIGNS))


def _shares(products: NDArray[np.float32]) -> NDArray[np.float32]:
    shares: NDArray[np.float32] = (products + np.float32(_SIGNS)) / np.float32(2 * _SIGNS)
    return shares


def similarities(some: NDArray[np.int8], others: NDArray[np.int8]) -> NDArray[np.float32]:
    """Give the similarity of every two pictures of two sets, as they are or one of them mirrored, whichever is higher.

    Parameters
    ----------
    some, others
        Signatures as rows, (n, 256) and (m, 256).

    Returns
    -------
    ndarray
        Shape (n, m), 0..1.
    """
    left, right = some.astype(np.float32), others.astype(np.float32)
    return np.maximum(_shares(left @ right.T), _shares(left @ (right * _MIRROR).T))


def cluster(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Join names that a chain of pairs connects.

    Returns
    -------
    list of tuple
        Each cluster's names sorted, clusters sorted; a name without a pair is a cluster of its own.

    Examples
    --------
    >>> cluster("abcd", [("a", "c"), ("c", "d")])
    [('a', 'c', 'd'), ('b',)]
    """
    parents = {name: name for name in names}

    def find_root(name: str) -> str:
        while parents[name] != name:
            parents[name] = parents[parents[name]]  # halves the path, so that a long chain is walked once
            name = parents[name]
        return name

    for one, other in pairs:
        parents[find_root(other)] = find_root(one)
    clusters: dict[str, list[str]] = {}
    for name in sorted(parents):
        clusters.setdefault(find_root(name), []).append(name)
    return sorted(tuple(members) for members in clusters.values())


def between(groups: Mapping[str, Sequence[Look]], at_least: float = ALIKE_AT_LEAST) -> dict[tuple[str, str], Pair]:
    """Find the groups that hold a picture alike: for each two, by name, their closest pair."""
    found: dict[tuple[str, str], Pair] = {}
    names = sorted(name for name, signatures in groups.items() if len(signatures))
    if not names:
        return found
    every = _Bits.of([signature for name in names for signature in groups[name]])
    starts = np.cumsum([0, *(len(groups[name]) for name in names)])
    for at, one in enumerate(names):
        start, stop = int(starts[at]), int(starts[at + 1])
        own, later = every.some(start, stop), every.some(stop)
        for pair in (pair for some in _strips(_alike_in(own, later, at_least), len(own)) for pair in some):
            number = stop + pair.other
            other = int(np.searchsorted(starts, number, side="right")) - 1
            key = one, names[other]
            if key not in found or found[key].similarity < pair.similarity:
                found[key] = pair._replace(other=number - int(starts[other]))
    return found


def _alike_in(own: _Bits, later: _Bits, at_least: float) -> Callable[[range], list[Pair]]:
    return lambda strip: [pair for tile in _tiles(own, later, strip) for pair in _below(own, later, *tile, at_least)]


def standings(count: int, similarities: Callable[[int, int], NDArray[np.float32]]) -> NDArray[np.float64]:
    """Say of each of some pictures, best first, from which limit on it is kept beside the better ones.

    A picture's number is the highest limit at which a better one that is kept there is more similar to it. So keeping those
    whose number is at most a limit keeps no two that are more similar than that, a lower limit never keeps what a higher one
    drops, and one that is dropped itself no longer stands in the way: of a slow movement one picture a step stays, not one of
    all.

    Parameters
    ----------
    count
        How many pictures.
    similarities
        Gives for the pictures from one number to below another their similarities with all below the latter: an array
        (to - from, to).

    Returns
    -------
    ndarray
        Shape (count,), float64; 0 for the best one, and for whatever is like none.

    Examples
    --------
    A slow pan: each like the one before, the third no longer like the first.

    >>> alike = np.array([[1, 0.9, 0.2], [0.9, 1, 0.8], [0.2, 0.8, 1]], np.float32)
    >>> standings(3, lambda start, stop: alike[start:stop, :stop]).round(2).tolist()
    [0.0, 0.9, 0.2]
    """
    found = np.zeros(count)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        for number, row in enumerate(similarities(start, stop).astype(float), start):
            better = row[:number]
            found[number] = np.max(better, where=found[:number] < better, initial=0.0)
    return found
