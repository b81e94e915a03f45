"""What benchmarks/compose.py is made of: cutouts and backgrounds from ../shared/data, which are never published.

Cutouts: the dancer keyed from the blue, people of DAVIS by their masks, of CCP by their labels; hard labels get a border as
soft as a lens makes it. Backgrounds: windows of frames that hold nobody, and the temporal median of clips whose camera
stands still.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import scipy.io

from figureground.imaging import foreground
from figureground.media import decoding
from figureground.types import Alpha, Image

SHARED = Path(__file__).parents[2] / "shared/data"
_STILL = ("street_surveillance.avi", "lab_two_cam01.mp4", "lab_two_cam03.mp4", "lab_beam_cam01.mp4")
_MOVING = {
    "walk_away_indoor.webm": 120,
    "park_two_people.mp4": 40,
    "ballet_single.mp4": 40,
    "phone_portrait_header_lies.mov": 7,
}
_HIDDEN = "bmx-trees"
"""A sequence whose foreground is a bicycle in pieces behind leaves."""


def dancer(every: int = 40) -> Iterator[tuple[str, Image, Alpha]]:
    """Key the dancer from the blue."""
    for number, image in _frames(SHARED / "videos/dancer_bluescreen.avi", every):
        red, green, blue = (image[:, :, channel].astype(np.float32) for channel in range(3))
        bluer = blue - np.maximum(red, green)
        there = float(np.median(bluer[:40]))
        alpha = np.clip(1 - (bluer - 0.12 * there) / (0.65 * there), 0, 1).astype(np.float32)
        yield f"dancer-{number:06d}", image, alpha


def davis(every: int = 6) -> Iterator[tuple[str, Image, Alpha]]:
    """Take the annotated foreground of each sequence."""
    for folder in sorted(folder for folder in (SHARED / "davis").iterdir() if folder.name != _HIDDEN):
        for at, file in enumerate(sorted((folder / "images").glob("*.jpg"))[::every]):
            mask = cv2.imread(str(folder / "masks" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE)
            yield f"{folder.name}-{at * every:06d}", _read(file), _soft(mask > 127)


def ccp() -> Iterator[tuple[str, Image, Alpha]]:
    """Take whatever is labelled: the person with bags."""
    for file in sorted((SHARED / "ccp/photos").glob("*.jpg")):
        label = scipy.io.loadmat(SHARED / "ccp/annotations/pixel-level" / f"{file.stem}.mat")["groundtruth"]
        yield f"ccp{file.stem}", _read(file), _soft(label > 0)


def backgrounds() -> Iterator[tuple[str, Image]]:
    """Give pictures that should hold nobody; screening has the last word."""
    for name in _STILL:
        frames = [image for _, image in _frames(SHARED / "videos" / name, 9 if "lab" in name else 25)]
        yield f"{Path(name).stem.replace('_', '')}-median", np.median(frames, axis=0).astype(np.uint8)
    for name, every in _MOVING.items():
        for number, image in _frames(SHARED / "videos" / name, every):
            yield from ((f"{Path(name).stem.replace('_', '')}-{number:06d}{side}", part) for side, part in _sides(image))
    for folder in sorted((SHARED / "davis").iterdir()):
        for file in sorted((folder / "images").glob("*.jpg"))[::10]:
            mask = cv2.imread(str(folder / "masks" / f"{file.stem}.png"), cv2.IMREAD_GRAYSCALE)
            for side, part in _sides(_read(file), mask):
                yield f"{folder.name}-{int(file.stem):06d}{side}", part


def write_cutouts(into: Path, every: int = 1) -> int:
    """Write RGBA cutouts, the background's share taken out of their colours; every so many of those there are."""
    count = 0
    for source in (dancer(40 * every), davis(6 * every), ccp()):
        for stem, image, alpha in source:
            file = into / stem.rpartition("-")[0] / f"{stem}.png" if "-" in stem else into / f"{stem}.png"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                levels = np.rint(alpha * 255).astype(np.uint8)
                rgb = foreground.matte_foreground(image, levels.astype(np.float32) / np.float32(255))
                cv2.imwrite(str(file), np.dstack([rgb[:, :, ::-1], levels]))
            count += 1
    return count


def write_backgrounds(into: Path) -> int:
    """Write the backgrounds as JPEG."""
    into.mkdir(parents=True, exist_ok=True)
    count = 0
    for stem, image in backgrounds():
        cv2.imwrite(str(into / f"{stem}.jpg"), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        count += 1
    return count


def _frames(path: Path, every: int) -> Iterator[tuple[int, Image]]:
    with decoding.VideoReader(path) as opened:
        for picture in opened.frames():
            if picture.index % every == 0:
                yield picture.index, picture.image()


def _read(file: Path) -> Image:
    return np.ascontiguousarray(cv2.imread(str(file))[:, :, ::-1])


def _soft(mask: np.ndarray) -> Alpha:
    """Give a hard label the border that a lens gives: half a pixel inwards, a pixel wide."""
    inner = cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    return np.clip(cv2.GaussianBlur(inner, (0, 0), 1.0), 0, 1)


def _sides(image: Image, mask: np.ndarray | None = None) -> Iterator[tuple[str, Image]]:
    """Give the left and right part of a frame; where a mask is known, only what it leaves free."""
    height, width = image.shape[:2]
    wide = min(width, round(height * 0.9))
    for side, columns in (("l", slice(0, wide)), ("r", slice(width - wide, width))):
        if mask is None or not mask[:, columns].any():
            yield side, np.ascontiguousarray(image[:, columns])
