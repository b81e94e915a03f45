"""A crop as a row of the crops table, and back."""

import numpy as np

from figureground.errors import ArrayError
from figureground.imaging import crops
from figureground.tables.rows import CropRow
from figureground.types import Box, Image, PersonCrop


def from_crop(crop: PersonCrop, file: str, sha256: str) -> CropRow:
    """Make the row of a crop; `to_crop` is the way back.

    Parameters
    ----------
    crop
        The crop.
    file, sha256
        Name of its image file in the storage, and that file's hash.
    """
    height, width = crop.image.shape[:2]
    return CropRow(
        crop_id=crop.crop_id,
        frame_id=crop.frame_id,
        source_id=crop.source_id,
        seconds=float(crop.seconds),
        x0=int(crop.box.x0),
        y0=int(crop.box.y0),
        x1=int(crop.box.x1),
        y1=int(crop.box.y1),
        person_x0=float(crop.person.x0),
        person_y0=float(crop.person.y0),
        person_x1=float(crop.person.x1),
        person_y1=float(crop.person.y1),
        score=float(crop.score),
        keypoints=tuple(tuple(point) for point in crop.keypoints.tolist()),
        others=tuple(_edges(other) for other in crop.others),
        track=crop.track,
        face=_edges(crop.face) if crop.face else (),
        face_score=float(crop.face_score),
        instances=crop.instances,
        frame_width=crop.frame_width,
        frame_height=crop.frame_height,
        width=width,
        height=height,
        file=file,
        sha256=sha256,
    )


def to_crop(row: CropRow, image: Image) -> PersonCrop:
    """Make a crop from its row and its image.

    Parameters
    ----------
    row
        The row.
    image
        Its image, (h, w, 3) uint8 RGB, of the width and height in the row; see `figureground.imaging.crops.decode`.

    Raises
    ------
    ArrayError
        When the image has another shape or dtype.
    """
    crops.check(image, row.crop_id)
    if image.shape[:2] != (row.height, row.width):
        raise ArrayError(
            f"{row.crop_id}: expected an image of {row.width}x{row.height} pixels as its table says; "
            f"found {image.shape[1]}x{image.shape[0]}"
        )
    return PersonCrop(
        crop_id=row.crop_id,
        frame_id=row.frame_id,
        source_id=row.source_id,
        box=Box(row.x0, row.y0, row.x1, row.y1),
        person=Box(row.person_x0, row.person_y0, row.person_x1, row.person_y1),
        score=row.score,
        keypoints=np.array(row.keypoints, np.float32).reshape(-1, 3),
        others=tuple(Box(*other) for other in row.others),
        frame_width=row.frame_width,
        frame_height=row.frame_height,
        image=image,
        face=Box(*row.face) if row.face else None,
        face_score=row.face_score,
        seconds=row.seconds,
        track=row.track,
        instances=row.instances,
    )


def _edges(box: Box) -> tuple[float, ...]:
    return float(box.x0), float(box.y0), float(box.x1), float(box.y1)
