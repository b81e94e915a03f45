"""How a video's frame is turned and mirrored for display."""

import av
import numpy as np
from av.sidedata.sidedata import Type as SideData

from figureground.types import Image


def display_matrix(raw: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """Read how a frame is turned for display: a, b, c, d in x' = a x + c y, y' = b x + d y; None when it is not turned."""
    tag = raw.side_data.get(SideData.DISPLAYMATRIX)
    if tag is None:
        return None
    values = np.frombuffer(bytes(tag), "<i4")
    return int(values[0]), int(values[1]), int(values[3]), int(values[4])


def upright(image: Image, matrix: tuple[int, int, int, int] | None) -> Image:
    """Turn and mirror an image as its display matrix says, to the nearest quarter turn.

    Parameters
    ----------
    image
        Shape (h, w, 3).
    matrix
        See `display_matrix`.

    Returns
    -------
    Image
        A view of shape (h, w, 3) or (w, h, 3).
    """
    if matrix is None:
        return image
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return image.transpose(1, 0, 2)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
