"""Reads the one matrix of a Matlab file; what it unpacks to is bounded before it is unpacked."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

from figureground import documents
from figureground.errors import ArrayError

_COMPRESSED = 15
_HEADER_BYTES = 128
_BYTES_A_PIXEL = 16
_BYTES_BESIDE = 1_000_000


def read_matrix(file: Path, size: tuple[int, int]) -> Any:
    """Give a Matlab file's matrix as SciPy reads it; None when it has none or several.

    Parameters
    ----------
    file
        Of Matlab's version 4 to 7.
    size
        The width and height that the matrix should have; a file that unpacks to far more is refused.

    Raises
    ------
    ArrayError
        When it cannot be read, or is larger than a matrix of that size.
    """
    from scipy.io import loadmat  # its import takes a second

    at_most = _BYTES_A_PIXEL * size[0] * size[1] + _BYTES_BESIDE
    try:
        content = _unpack(documents.read_bytes(file, at_most), at_most)
        matrices = [matrix for name, matrix in loadmat(io.BytesIO(content)).items() if not name.startswith("__")]
    except (ValueError, NotImplementedError, OSError, TypeError, zlib.error, struct.error) as error:
        reason = "".join(sign if sign.isprintable() else " " for sign in str(error)[:300])  # scipy's has the file's own bytes
        raise ArrayError(f"{file.name}: Matlab's file cannot be read: {reason}") from error
    return matrices[0] if len(matrices) == 1 else None


def _unpack(content: bytes, at_most: int) -> bytes:
    """Give a file of version 5 to 7 with its compressed elements unpacked; other files as they are."""
    order = {b"IM": "<", b"MI": ">"}.get(content[_HEADER_BYTES - 2 : _HEADER_BYTES])
    if order is None:
        return content
    unpacked, at = [content[:_HEADER_BYTES]], _HEADER_BYTES
    while at + 8 <= len(content):
        kind, length = struct.unpack_from(f"{order}II", content, at)
        element = content[at + 8 : at + 8 + length]
        if kind == _COMPRESSED:
            inflate = zlib.decompressobj()
            unpacked.append(inflate.decompress(element, at_most))
            if inflate.unconsumed_tail:
                raise ValueError(f"it unpacks to more than {at_most:,} bytes; expected one matrix of the image's size")
        else:
            unpacked.append(content[at : at + 8 + length])
        at_most -= len(unpacked[-1])
        at += 8 + length
    return b"".join(unpacked)
