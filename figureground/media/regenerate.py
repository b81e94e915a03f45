"""Frames and crops made again, byte for byte, from what they were made from."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np

from figureground.errors import SourceError
from figureground.imaging import crops
from figureground.media import decoding
from figureground.tables import CropRow
from figureground.types import Image

FRAME_QUALITY = 95


def encode_frame(image: Image, frame_id: str) -> bytes:
    """Write a frame as JPEG.

    Parameters
    ----------
    image
        (h, w, 3) uint8 RGB.
    frame_id
        What to call it in an error.

    Raises
    ------
    SourceError
        When it is larger than JPEG can hold.
    """
    settings = [cv2.IMWRITE_JPEG_QUALITY, FRAME_QUALITY]
    encoded, content = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), settings)
    if not encoded:
        raise SourceError(f"{frame_id}: a frame of {image.shape} pixels cannot be written as JPEG (65535 at most)")
    return content.tobytes()


def frames(path: Path, wanted: Mapping[int, str]) -> Iterator[tuple[str, bytes]]:
    """Take frames out of a video by their number.

    Parameters
    ----------
    path
        The video.
    wanted
        Number of the decoded frame to its id.

    Yields
    ------
    tuple
        Id and JPEG, in the video's order.

    Raises
    ------
    SourceError
        When the video cannot be read.
    """
    left = set(wanted)
    with decoding.VideoReader(path) as footage:
        for picture in footage.frames() if left else ():
            if picture.index in left:
                left.remove(picture.index)
                yield wanted[picture.index], encode_frame(picture.image(), wanted[picture.index])
            if not left:
                return


def crop(row: CropRow, frame: Image) -> bytes:
    """Cut a crop out of its frame as its row in the crops table says.

    Parameters
    ----------
    row
        The row.
    frame
        Its frame, (h, w, 3) uint8 RGB.

    Raises
    ------
    ArrayError
        When the frame does not hold the crop's box.
    """
    part = frame[row.y0 : row.y1, row.x0 : row.x1]
    size = (row.width, row.height)
    if part.shape[:2] != size[::-1]:  # a portrait, see figureground.people.portraits
        method = cv2.INTER_CUBIC if size[1] > part.shape[0] else cv2.INTER_AREA
        part = np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)
    return crops.encode(np.ascontiguousarray(part))
