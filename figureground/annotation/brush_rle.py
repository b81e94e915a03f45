"""Label Studio's brush format, both ways, in numpy.

A brush region is the picture's RGBA buffer (width x height x 4 bytes, row by row) packed with thi.ng's `rle-pack
<https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack>`_; the mask is its alpha channel, soft or hard. It
is not COCO's run-length format.

The packed stream, most significant bit first: 32 bits the number of values, 5 bits the word size - 1, four times
4 bits a size - 1; then blocks of 1 bit (1 a run, 0 literals), 2 bits naming which of the four sizes the length has,
the length - 1, and one word (a run) or as many words as the length says (literals).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError, LabelError

Bytes = NDArray[np.uint8]
_WORD = 8
_SIZES = (3, 4, 8, 16)
_HEADER_BITS = 32 + 5 + 4 * 4
_LONGEST = 1 << _SIZES[-1]
_SIZE_AT_MOST = 16
_BYTES_PER_VALUE_AT_MOST = 4  # each value a run of its own, its length written with 16 bits


def encode(mask: Bytes) -> list[int]:
    """Pack a mask the way Label Studio stores a brush region.

    Parameters
    ----------
    mask
        Shape (h, w), uint8: 0 is outside, 255 inside, values between are soft.

    Returns
    -------
    list of int
        0..255, ready for JSON: the bytes that ``label_studio_sdk``'s ``mask2rle`` gives.

    Raises
    ------
    ArrayError
        When the mask is not a two-dimensional, non-empty uint8 array.

    Examples
    --------
    >>> rle = encode(np.array([[0, 255]], np.uint8))
    >>> decode(rle, width=2, height=1)
    array([[  0, 255]], dtype=uint8)
    """
    if mask.ndim != 2 or mask.dtype != np.uint8 or mask.size == 0:
        raise ArrayError(f"a brush mask needs shape (h, w), uint8, not empty; found shape {mask.shape}, {mask.dtype}")
    values, lengths = _runs(mask.ravel())
    packed: list[int] = _pack(values, lengths * 4).tolist()
    return packed


def pack(values: Bytes) -> Bytes:
    """Pack any bytes: the general form of `encode`.

    Parameters
    ----------
    values
        Shape (n,), uint8, at least one.

    Returns
    -------
    ndarray
        Shape (m,), uint8: the bytes that ``label_studio_sdk``'s ``encode_rle`` gives.

    Raises
    ------
    ArrayError
        When the values are not one row of uint8, or none at all.
    """
    if values.ndim != 1 or values.dtype != np.uint8 or values.size == 0:
        raise ArrayError(f"values to pack need shape (n,), uint8, not empty; found shape {values.shape}, {values.dtype}")
    return _pack(*_runs(values))


def decode(rle: Sequence[int] | Bytes, width: int, height: int) -> Bytes:
    """Unpack a brush region to its mask.

    Parameters
    ----------
    rle
        The packed bytes, 0..255.
    width, height
        The region's ``original_width`` and ``original_height`` in pixels.

    Returns
    -------
    ndarray
        Shape (h, w), uint8: the alpha channel, 0..255.

    Raises
    ------
    LabelError
        When the stream is not of this format, ends early, goes on after its end or is of another size.
    """
    return unpack(rle, width * height * 4)[3::4].reshape(height, width).copy()


def unpack(rle: Sequence[int] | Bytes, count: int) -> Bytes:
    """Unpack a stream of a known number of values: the general form of `decode`.

    Parameters
    ----------
    rle
        The packed bytes, 0..255.
    count
        How many values it must hold.

    Returns
    -------
    ndarray
        Shape (count,), uint8.

    Raises
    ------
    LabelError
        As `decode`. Nothing of the promised size is allocated before the stream is known to hold it.
    """
    stream = _checked(rle, count)
    bits = np.unpackbits(stream)
    sizes = _sizes(bits, count)
    starts, end = _walk(bits, stream, sizes, count)
    if bits[end:].any():
        raise LabelError(f"brush stream goes on after its {count} values: bit {end} of {bits.size} should be the last")
    return _expand(stream, starts, sizes)


def _runs(values: Bytes) -> tuple[Bytes, NDArray[np.int64]]:
    """Give the values and lengths of the runs."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    bounds = np.concatenate(([0], edges, [values.size]))
    return values[bounds[:-1]], np.diff(bounds)


def _pack(values: Bytes, lengths: NDArray[np.int64]) -> Bytes:
    pieces = -(-lengths // _LONGEST)
    cut = np.repeat(pieces > 1, pieces)
    values, lengths = np.repeat(values, pieces), _cut(lengths, pieces)
    # the reference writes a cut run's rest with the longest size, however short it is
    kind = np.where(cut, 3, np.searchsorted([8, 16, 256], lengths))
    run = np.where((lengths > 1) | cut, 4, 0)
    size = np.array(_SIZES)[kind]
    codes = ((run | kind) << (size + _WORD)) | ((lengths - 1) << _WORD) | values
    return _write(codes, 3 + size + _WORD, int(lengths.sum()))


def _cut(lengths: NDArray[np.int64], pieces: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cut runs longer than a length field can say into full pieces and a rest."""
    parts = np.full(int(pieces.sum()), _LONGEST)
    parts[np.cumsum(pieces) - 1] = lengths - (pieces - 1) * _LONGEST
    return parts


def _write(codes: NDArray[np.int64], widths: NDArray[np.int64], count: int) -> Bytes:
    """Lay codes of 14 to 27 bits one after the other behind the header.

    No two codes start in the same byte, so the bytes each one covers can be set for all codes at once.
    """
    starts = _HEADER_BITS + np.concatenate(([0], np.cumsum(widths)))
    end = int(starts[-1])
    out = np.zeros(end // 8 + 1 + 5, np.uint8)
    header = (count << 21) | ((_WORD - 1) << 16) | sum((size - 1) << (4 * (3 - i)) for i, size in enumerate(_SIZES))
    out[:7] = np.frombuffer((header << 3).to_bytes(7, "big"), np.uint8)
    first = starts[:-1] >> 3
    window = codes << (40 - (starts[:-1] & 7) - widths)
    for byte in range(5):
        out[first + byte] |= (window >> (32 - 8 * byte)).astype(np.uint8)
    return out[: end // 8 + 1]


def _checked(rle: Sequence[int] | Bytes, count: int) -> Bytes:
    if isinstance(rle, Sequence) and len(rle) > 16 + _BYTES_PER_VALUE_AT_MOST * count:
        raise LabelError(f"brush stream has {len(rle)} bytes, more than {count} values can take")
    try:
        values = np.asarray(rle)
    except (TypeError, ValueError, OverflowError) as error:
        raise LabelError(f"brush stream is not a list of bytes: {error}") from error
    if values.ndim != 1 or values.dtype.kind not in "iu" or values.size == 0:
        raise LabelError(f"brush stream is not a list of bytes: found {values.dtype} of shape {values.shape}")
    if values.min() < 0 or values.max() > 255:
        raise LabelError(f"brush stream holds a value outside 0..255: {values.min()} to {values.max()}")
    return values.astype(np.uint8)


def _sizes(bits: Bytes, count: int) -> list[int]:
    """Read the header: give its four sizes after checking the rest."""
    if bits.size < _HEADER_BITS:
        raise LabelError(f"brush stream ends within its header: {bits.size} of {_HEADER_BITS} bits")
    values, word = _number(bits, 0, 32), _number(bits, 32, 5) + 1
    if values != count:
        raise LabelError(f"brush stream holds {values} values, the picture has {count} (width x height x 4)")
    if word != _WORD:
        raise LabelError(f"brush stream has words of {word} bits, expected {_WORD}")
    return [_number(bits, 37 + 4 * i, 4) + 1 for i in range(4)]


def _number(bits: Bytes, start: int, width: int) -> int:
    return int("".join(map(str, bits[start : start + width].tolist())), 2)


def _walk(bits: Bytes, stream: Bytes, sizes: Sequence[int], count: int) -> tuple[NDArray[np.int64], int]:
    """Find where each block starts and where the last one ends.

    Only this is sequential, so only this is a Python loop: a run's width is looked up by its first three bits, which
    are there for every position beforehand. Blocks behind the last (the padding looks like some) are cut off after.
    """
    widths = bytes([0] * 4 + [3 + size + _WORD for size in sizes])
    kinds = (bits[:-2] << 2 | bits[1:-1] << 1 | bits[2:]).tobytes()
    steps = kinds.translate(widths + bytes(248))
    content, at, stop = stream.tobytes(), _HEADER_BITS, len(steps)
    starts = []
    while at < stop:
        starts.append(at)
        at += steps[at] or _literal_width(content, at, sizes[kinds[at]])
    positions = np.array(starts, np.int64)
    run, size, length = _blocks(stream, positions, sizes)
    total = np.cumsum(length)
    last = int(np.searchsorted(total, count))
    if last == total.size:
        raise LabelError(f"brush stream ends early: {total[-1] if total.size else 0} of {count} values")
    if total[last] != count:
        raise LabelError(f"brush stream's last block goes {total[last] - count} values over the picture's {count}")
    end = int(positions[last] + 3 + size[last] + _WORD * (1 if run[last] else length[last]))
    if end > bits.size:
        raise LabelError(f"brush stream ends early: within its last block, at bit {bits.size} of {end}")
    return positions[: last + 1], end


def _literal_width(content: bytes, at: int, size: int) -> int:
    window = int.from_bytes(content[at >> 3 : (at >> 3) + 4].ljust(4, b"\0"), "big")
    length = (window >> (32 - (at & 7) - 3 - size)) & ((1 << size) - 1)
    return 3 + size + _WORD * (length + 1)


def _blocks(
    stream: Bytes, starts: NDArray[np.int64], sizes: Sequence[int]
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Read every block's head: whether it is a run, the width of its length field, its length."""
    head = _read(stream, starts, 3)
    size = np.array(sizes, np.int64)[head & 3]
    field = _read(stream, starts + 3, _SIZE_AT_MOST)
    return (head & 4) > 0, size, (field >> (_SIZE_AT_MOST - size)) + 1


def _read(stream: Bytes, at: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """Read up to 16 bits at each position; behind the stream there are zeros."""
    padded = np.concatenate((stream, np.zeros(4, np.uint8))).astype(np.int64)
    byte = np.minimum(at >> 3, stream.size)
    window = padded[byte] << 16 | padded[byte + 1] << 8 | padded[byte + 2]
    field: NDArray[np.int64] = (window >> (24 - (at & 7) - width)) & ((1 << width) - 1)
    return field


def _expand(stream: Bytes, starts: NDArray[np.int64], sizes: Sequence[int]) -> Bytes:
    run, size, length = _blocks(stream, starts, sizes)
    words = np.where(run, 1, length)
    within = np.arange(int(words.sum())) - np.repeat(np.cumsum(words) - words, words)
    values = _read(stream, np.repeat(starts + 3 + size, words) + _WORD * within, _WORD).astype(np.uint8)
    return np.repeat(values, np.repeat(np.where(run, length, 1), words))
