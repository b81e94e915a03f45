"""Near-duplicates: images that differ only in size, compression or brightness, or are mirrored.

An image's signature is the signs of its 16x16 lowest cosine coefficients without the mean (a perceptual hash: Zauner,
"Implementation and Benchmarking of Perceptual Image Hash Functions", 2010). The similarity of two images is the share of equal
signs, 1 for the same image and about one half for unrelated ones. In a mirrored image the signs of the odd columns are
inverted, so each pair is compared as it is and mirrored.
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

_Result = TypeVar("_Result")

Signature = NDArray[np.int8]
"""Shape (256,), -1 or 1, and 0 in the mean's place: row by row the signs of the coefficients."""

AnySignature: TypeAlias = Signature | bytes
"""A signature, or its bytes from `pack`."""

SIMILARITY_AT_LEAST = 0.75
"""Copies reach it, unrelated images stay below: see docs/decisions/0004."""

METHOD = 1
"""Raised when images get other signatures than before: stored ones are then computed again."""

_IMAGE_SIZE, _COEFFICIENTS = 64, 16  # px of the small image; coefficients in each direction
_SIGNS = _COEFFICIENTS * _COEFFICIENTS - 1
_MIRROR = np.tile(np.where(np.arange(_COEFFICIENTS) % 2, -1, 1), _COEFFICIENTS).astype(np.int8)
_ODD_SIGNS = _COEFFICIENTS * _COEFFICIENTS // 2
_SHRINKS = (8, 4, 2)  # at which JPEG decoders can decode directly
_BLOCK = 512  # images at a time in `compute_keep_limits`
_ROWS, _COLUMNS, _STRIP = 16, 8192, 256  # images in a tile, and in the rows of a thread
_EVEN, _ODD = np.uint64(0xAAAAAAAAAAAAAAAA), np.uint64(0x5555555555555555)
"""The bits of even and of odd columns in eight bytes of a packed signature, which begin at the highest bit."""


class Pair(NamedTuple):
    """Two images by their numbers, their similarity (0..1), and whether one has to be mirrored for it."""

    first: int
    second: int
    similarity: float
    mirrored: bool


def compute_signature(image: Image) -> Signature:
    """Compute an image's signature.

    Parameters
    ----------
    image
        Shape (h, w, 3) or (h, w), uint8; gray or RGB.
    """
    gray = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(gray, (_IMAGE_SIZE, _IMAGE_SIZE), interpolation=cv2.INTER_AREA).astype(np.float32)
    coefficients = cv2.dct(small)[:_COEFFICIENTS, :_COEFFICIENTS].ravel()
    signs: Signature = np.where(coefficients >= 0, 1, -1).astype(np.int8)
    signs[0] = 0
    return signs


def compute_jpeg_signature(content: bytes) -> Signature:
    """Compute the signature of a JPEG file, decoded no larger than needed.

    Raises
    ------
    ArrayError
        When it is no JPEG or cannot be decoded.
    """
    short = min(jpeg.size(content))
    scale = next((scale for scale in _SHRINKS if short >= 2 * scale * _IMAGE_SIZE), 1)
    gray = codecs.decode_grey(content, scale)
    if gray is None:
        raise ArrayError(f"a JPEG of {len(content)} bytes that cannot be decoded")
    return compute_signature(np.asarray(gray, np.uint8))


def pack(signature: Signature) -> bytes:
    """Give a signature as 32 bytes, one bit a sign in the signature's own order, the first sign in the highest bit.

    This is how tables and certificates store it, and `find_closest`, `find_similar` and `find_similar_groups` compare it as it
    is.

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


def find_closest(left: Sequence[AnySignature], right: Sequence[AnySignature]) -> Pair | None:
    """Find the two most similar images of two sets, or None when one is empty; of equals the first."""
    return compare(left, right, at_least=2)[0]


def find_similar(
    left: Sequence[AnySignature], right: Sequence[AnySignature], at_least: float = SIMILARITY_AT_LEAST
) -> Iterator[Pair]:
    """Give every pair of two sets with at least that similarity, by the images' numbers."""
    yield from compare(left, right, at_least)[1]


def compare(
    left: Sequence[AnySignature], right: Sequence[AnySignature], at_least: float = SIMILARITY_AT_LEAST
) -> tuple[Pair | None, list[Pair]]:
    """Give `find_closest` and `find_similar` at once: each two images are compared once."""
    if not len(left) or not len(right):
        return None, []
    rows, columns = _Bits.of(left), _Bits.of(right)
    strips = list(_map_strips(lambda strip: _compare_strip(rows, columns, strip, at_least), len(rows)))
    _, row, column = min(nearest for nearest, _ in strips)
    return _pair(rows, columns, row, column), [pair for _, pairs in strips for pair in pairs]


def _compare_strip(
    rows: "_Bits", columns: "_Bits", strip: range, at_least: float
) -> tuple[tuple[int, int, int], list[Pair]]:
    """Give the fewest differing signs of some rows with their place, and the similar pairs."""
    nearest, pairs = (_SIGNS + 1, 0, 0), []
    for tile in _tiles(rows, columns, strip):
        row, column = divmod(int(tile.differing.argmin()), tile.differing.shape[1])
        nearest = min(nearest, (int(tile.differing[row, column]), tile.top + row, tile.left + column))
        pairs += _similar_pairs(rows, columns, tile, at_least)
    return nearest, pairs


def _map_strips(process: Callable[[range], _Result], row_count: int) -> Iterable[_Result]:
    """Process some rows at a time, in threads: numpy releases Python's lock meanwhile."""
    return map_ordered(process, (range(start, min(start + _STRIP, row_count)) for start in range(0, row_count, _STRIP)))


class _Bits(NamedTuple):
    """Signatures as bits, a column an image; the signs of even columns, which a mirror leaves, and of odd ones, 128 each.

    So the differing signs are counted once for both sides: of the odd ones a mirror makes the differing ones equal.
    """

    even: NDArray[np.uint64]
    odd: NDArray[np.uint64]

    @classmethod
    def of(cls, signatures: Sequence[AnySignature]) -> "_Bits":
        rows = b"".join(signature if isinstance(signature, bytes) else pack(signature) for signature in signatures)
        first, second = np.frombuffer(rows, np.uint64).reshape(len(signatures), 2, 2).transpose(2, 1, 0)
        even = np.ascontiguousarray(first & _EVEN | (second & _EVEN) >> np.uint64(1))
        odd = np.ascontiguousarray((first & _ODD) << np.uint64(1) | second & _ODD)
        return cls(even, odd)

    def __len__(self) -> int:
        return int(self.even.shape[1])

    def part(self, start: int, stop: int | None = None) -> "_Bits":
        return _Bits(self.even[:, start:stop], self.odd[:, start:stop])


class _Tile(NamedTuple):
    """Differing signs of some rows and columns, as they are or mirrored, whichever is fewer; where they begin."""

    top: int
    left: int
    differing: NDArray[np.uint8]


def _tiles(rows: _Bits, columns: _Bits, strip: range) -> Iterator[_Tile]:
    """Count the differing signs of some rows and thousands of columns at a time; the next tile overwrites the arrays."""
    buffers = (np.empty(_ROWS * _COLUMNS, np.uint64), *np.empty((3, _ROWS * _COLUMNS), np.uint8))
    for top in range(strip.start, strip.stop, _ROWS):
        high = rows.part(top, min(top + _ROWS, strip.stop))
        for left in range(0, len(columns), _COLUMNS):
            wide = columns.part(left, left + _COLUMNS)
            shape = len(high), len(wide)
            words, even, odd, scratch = (buffer[: shape[0] * shape[1]].reshape(shape) for buffer in buffers)
            for halves, count in (((high.even, wide.even), even), ((high.odd, wide.odd), odd)):
                _count_differing(*halves, words, scratch, count)
            np.subtract(_ODD_SIGNS, odd, out=scratch)
            even += np.minimum(odd, scratch, out=scratch)
            yield _Tile(top, left, even)


def _count_differing(
    rows: NDArray[np.uint64], columns: NDArray[np.uint64], words: Any, scratch: NDArray[np.uint8], count: NDArray[np.uint8]
) -> None:
    """Count the bits that differ between columns of two sets into `count`; `words` and `scratch` are overwritten."""
    np.bitwise_count(np.bitwise_xor(rows[0][:, None], columns[0][None, :], out=words), out=count)
    np.bitwise_count(np.bitwise_xor(rows[1][:, None], columns[1][None, :], out=words), out=scratch)
    count += scratch


def _similar_pairs(rows: _Bits, columns: _Bits, tile: _Tile, at_least: float) -> list[Pair]:
    """Give the pairs of a tile that are similar enough."""
    if _similarity(int(tile.differing.min())) < at_least:
        return []
    enough = np.array([_similarity(count) >= at_least for count in range(_SIGNS + 1)])
    positions = np.argwhere(enough[tile.differing])
    return [_pair(rows, columns, tile.top + int(row), tile.left + int(column)) for row, column in positions]


def _pair(rows: _Bits, columns: _Bits, row: int, column: int) -> Pair:
    even, odd = (
        int(np.bitwise_count(left[:, row] ^ right[:, column]).sum()) for left, right in zip(rows, columns, strict=True)
    )
    return Pair(row, column, _similarity(even + min(odd, _ODD_SIGNS - odd)), odd > _ODD_SIGNS // 2)


def _similarity(differing: int) -> float:
    """Give the similarity of two images with so many differing signs."""
    return float(np.float32(2 * _SIGNS - 2 * differing) / np.float32(2 * _SIGNS))


def _to_similarities(products: NDArray[np.float32]) -> NDArray[np.float32]:
    similarities: NDArray[np.float32] = (products + np.float32(_SIGNS)) / np.float32(2 * _SIGNS)
    return similarities


def compute_similarities(rows: NDArray[np.int8], columns: NDArray[np.int8]) -> NDArray[np.float32]:
    """Compute the similarity of every two images of two sets, as they are or one of them mirrored, whichever is higher.

    Parameters
    ----------
    rows, columns
        Signatures as rows, (n, 256) and (m, 256).

    Returns
    -------
    ndarray
        Shape (n, m), 0..1.
    """
    left, right = rows.astype(np.float32), columns.astype(np.float32)
    return np.maximum(_to_similarities(left @ right.T), _to_similarities(left @ (right * _MIRROR).T))


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

    for first, second in pairs:
        parents[find_root(second)] = find_root(first)
    clusters: dict[str, list[str]] = {}
    for name in sorted(parents):
        clusters.setdefault(find_root(name), []).append(name)
    return sorted(tuple(members) for members in clusters.values())


def find_similar_groups(
    groups: Mapping[str, Sequence[AnySignature]], at_least: float = SIMILARITY_AT_LEAST
) -> dict[tuple[str, str], Pair]:
    """Find the groups that share a similar image: for each two, by name, their closest pair."""
    closest: dict[tuple[str, str], Pair] = {}
    names = sorted(name for name, signatures in groups.items() if len(signatures))
    if not names:
        return closest
    bits = _Bits.of([signature for name in names for signature in groups[name]])
    starts = np.cumsum([0, *(len(groups[name]) for name in names)])
    for number, name in enumerate(names):
        start, stop = int(starts[number]), int(starts[number + 1])
        own, later = bits.part(start, stop), bits.part(stop)
        for pair in (pair for pairs in _map_strips(_similar_pairs_in(own, later, at_least), len(own)) for pair in pairs):
            image = stop + pair.second
            other = int(np.searchsorted(starts, image, side="right")) - 1
            key = name, names[other]
            if key not in closest or closest[key].similarity < pair.similarity:
                closest[key] = pair._replace(second=image - int(starts[other]))
    return closest


def _similar_pairs_in(own: _Bits, later: _Bits, at_least: float) -> Callable[[range], list[Pair]]:
    return lambda strip: [pair for tile in _tiles(own, later, strip) for pair in _similar_pairs(own, later, tile, at_least)]


def compute_keep_limits(count: int, similarities: Callable[[int, int], NDArray[np.float32]]) -> NDArray[np.float64]:
    """Compute for each of some images, best first, the limit of similarity from which on it is kept beside the better ones.

    An image's number is the highest limit at which a better image that is kept there is more similar to it. So keeping the
    images whose number is at most a limit keeps no two that are more similar than that, a lower limit never keeps what a higher
    one drops, and an image that is dropped itself drops no other: of a slow movement one image a step stays, not one of all.

    Parameters
    ----------
    count
        How many images.
    similarities
        Gives for the images from one number to below another their similarities with all below the latter: an array
        (to - from, to).

    Returns
    -------
    ndarray
        Shape (count,), float64; 0 for the best image, and for one that resembles no better image.

    Examples
    --------
    A slow pan: each like the one before, the third no longer like the first.

    >>> alike = np.array([[1, 0.9, 0.2], [0.9, 1, 0.8], [0.2, 0.8, 1]], np.float32)
    >>> compute_keep_limits(3, lambda start, stop: alike[start:stop, :stop]).round(2).tolist()
    [0.0, 0.9, 0.2]
    """
    limits = np.zeros(count)
    for start in range(0, count, _BLOCK):
        stop = min(start + _BLOCK, count)
        for number, row in enumerate(similarities(start, stop).astype(float), start):
            better = row[:number]
            limits[number] = np.max(better, where=limits[:number] < better, initial=0.0)
    return limits
