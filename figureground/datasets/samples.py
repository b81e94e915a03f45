"""Checks of a sample before a layout writes it, its files, and fitting it into a square."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground import ids
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import crops, jpeg, masks
from figureground.storage.hashing import ReadLog
from figureground.types import Mask, Sample

GREY = 128
"""The level around an image in a square."""


def check(sample: Sample) -> None:
    """Raise a `ReleaseError` unless names are file names, the image is a JPEG and the label has its size."""
    for what, text in (("stem", sample.sample_id), *(("scene", scene) for scene in sample.scenes)):
        check_name(text, what)
    try:
        width, height = jpeg.size(sample.image)
    except ArrayError as error:
        raise ReleaseError(f"{sample.sample_id}: {error}") from error
    if sample.label.shape != (height, width):
        raise ReleaseError(
            f"{sample.sample_id}: the label has the shape {sample.label.shape}, its image {(height, width)}; expected the same"
        )


def write(file: Path | str, content: bytes, sha256: str = "", log: ReadLog | None = None) -> None:
    """Write a file, making its folder when that is not there: asking first would cost more than most files do.

    Parameters
    ----------
    file
        Where; it is overwritten.
    content
        The whole file.
    sha256
        The content's hash when the caller knows it.
    log
        Where a known hash is recorded.
    """
    try:
        _put(file, content)
    except FileNotFoundError:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        _put(file, content)
    if sha256 and log is not None:
        log.add(file, sha256, len(content))


def _put(file: Path | str, content: bytes) -> None:
    with open(file, "wb", buffering=0) as opened:  # noqa: PTH123  small files, many of them
        left = memoryview(content)
        while left:
            left = left[opened.write(left) :]


def check_name(text: str, what: str) -> None:
    """Raise a `ReleaseError` unless a text can be part of a file's name on every system and one line of a list."""
    if not ids.is_file_name(text):
        raise ReleaseError(f"the {what} {text!r} cannot be a file's name; expected letters, digits, '_' and '-'. Rename it")


def letterboxed(sample: Sample, side: int) -> Sample:
    """Fit a sample into a square of `side` pixels with its aspect ratio: around the image is grey 128, around the label 0."""
    image = crops.decode(sample.image, sample.sample_id)
    parts = None if sample.parts is None else letterbox(sample.parts, side, 0, label=True)
    alpha = masks.from_levels(letterbox(masks.to_levels(sample.alpha), side, 0, label=False))
    fitted = crops.encode(letterbox(image, side, GREY, label=False))
    return replace(sample, image=fitted, label=alpha, parts=parts, sha256="")


def letterbox(image: Mask, side: int, fill: int, *, label: bool, stretch: float = 1.0) -> Mask:
    """Fit an image or label into a square, keep its aspect ratio or nearly so, and fill the rest.

    Parameters
    ----------
    image
        Shape (h, w) or (h, w, 3), uint8.
    side
        The square's, pixels, at least 1.
    fill
        The level around it: 128 for images, 0 for labels.
    label
        Labels are taken from the nearest pixel, so that no id is invented; images are averaged or interpolated.
    stretch
        By how much the short side may be drawn out to fill the square, at least 1, which keeps the aspect: at 4/3 what is
        three by four fills all of it.

    Returns
    -------
    Mask
        Shape (side, side) or (side, side, 3), the original in the middle.
    """
    if side < 1:
        raise ArrayError(f"letterbox: expected a side of at least 1 pixel, found {side}")
    height, width = image.shape[:2]
    rows, columns, size = _inside(side, height, width, stretch)
    how = cv2.INTER_NEAREST_EXACT if label else cv2.INTER_AREA if side < max(height, width) else cv2.INTER_LINEAR
    square: Mask = np.full((side, side, *image.shape[2:]), fill, np.uint8)
    square[rows, columns] = cv2.resize(image, size, interpolation=how)
    return square


def unletterbox(square: NDArray[np.float32], height: int, width: int, stretch: float = 1.0) -> NDArray[np.float32]:
    """Give a network's output for a letterboxed square at the image's own size: the inverse of `letterbox`.

    Parameters
    ----------
    square
        Shape (side, side) or (side, side, c), float32: probabilities or an alpha, not yet cut into classes.
    height, width
        The image's.
    stretch
        As it was letterboxed.

    Returns
    -------
    ndarray
        Shape (height, width) or (height, width, c), float32, interpolated linearly, or averaged where it gets smaller.
    """
    side = square.shape[0]
    rows, columns, _ = _inside(side, height, width, stretch)
    how = cv2.INTER_LINEAR if side < max(height, width) else cv2.INTER_AREA
    resized: NDArray[np.float32] = cv2.resize(np.ascontiguousarray(square[rows, columns]), (width, height), interpolation=how)
    return resized.reshape(height, width, *square.shape[2:])


def _inside(side: int, height: int, width: int, stretch: float) -> tuple[slice, slice, tuple[int, int]]:
    """Give the rows and columns of a square that hold an image, and their width and height."""
    scale = side / max(height, width)
    size = min(side, max(1, round(width * scale * stretch))), min(side, max(1, round(height * scale * stretch)))
    left, top = (side - size[0]) // 2, (side - size[1]) // 2
    return slice(top, top + size[1]), slice(left, left + size[0]), size
