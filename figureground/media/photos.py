"""Reads one photo, whatever camera or program made it, as upright sRGB; what is not one picture is refused by name.

Pillow reads; only the formats of photos are let near it, because others start programs of their own (EPS) or name other
files. Turning by the EXIF tag and the colour profile are part of what the picture looks like, so both are baked in; the
tags themselves (place, camera, owner) go no further.
"""

import io
import logging
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from figureground.errors import SourceError
from figureground.types import Image

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000", "PPM")
PIXELS_AT_MOST = 300_000_000
"""Largest picture that is opened: above today's 200-megapixel phones, below what fills a machine's memory."""

_OTHERS = {
    b"ftyphei": "an HEIC photo, which needs a licensed codec: save it as JPEG (phones: \"most compatible\")",
    b"ftypmif": "an HEIF photo, which needs a licensed codec: save it as JPEG",
    b"%PDF": "a PDF: export its pictures",
    b"%!PS": "PostScript: export it as PNG",
    b"<svg": "an SVG drawing, no photo",
    b"8BPS": "a Photoshop file: export it as JPEG or PNG",
}
_BROKEN = (
    OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, OverflowError, ArithmeticError,
    RuntimeError, struct.error, zlib.error, Pillow.DecompressionBombError,
)  # fmt: skip
"""What Pillow's readers raise on damaged files; they share no class."""
_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}
_REDUCED = 254  # TIFF's NewSubfileType; bit 0 marks a page that is a smaller copy of another

# Pillow warns and refuses by a global number; ours is checked for each file, right after its header is read.
Pillow.MAX_IMAGE_PIXELS = None


def read(path: Path) -> Image:
    """Read one photo.

    The first picture of a camera's multi-picture JPEG (MPO) and of a TIFF with thumbnails is the photo. Grey, palette
    and CMYK become RGB; 16 bits a channel become 8 by their upper byte; an embedded colour profile is converted to
    sRGB. An alpha channel that hides nothing is dropped.

    Parameters
    ----------
    path
        A local file.

    Returns
    -------
    Image
        (h, w, 3) uint8 RGB, turned upright as the EXIF orientation says.

    Raises
    ------
    SourceError
        When it is empty, no picture, damaged or cut off; an animation or a document of several pages; transparent
        (what would stand behind is nobody's photo); of 32 bits a channel (without a defined white); or too large.
    """
    content = path.read_bytes()
    if not content:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy or download it again")
    try:
        with _open(path, content) as picture:
            _refuse_several(path, picture)
            picture.load()
            return _upright_rgb(path, picture)
    except _BROKEN as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path}: a damaged or cut-off picture of {len(content)} bytes ({said}); get it again") from error


def _open(path: Path, content: bytes) -> Pillow.Image:
    try:
        picture = Pillow.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        head = content[:16]
        what = next((words for mark, words in _OTHERS.items() if mark in head), f"starts with {head[:8]!r}")
        raise SourceError(
            f"{path}: not a picture that can be read: {what}. Expected {', '.join(FORMATS)}; found {len(content)} bytes"
        ) from error
    if picture.width * picture.height > PIXELS_AT_MOST:
        size = f"{picture.width}x{picture.height}"
        picture.close()
        raise SourceError(f"{path}: {size} pixels; expected at most {PIXELS_AT_MOST:,} in all. Scale or cut it first")
    return picture


def _refuse_several(path: Path, picture: Pillow.Image) -> None:
    if picture.format == "MPO" or (count := getattr(picture, "n_frames", 1)) == 1:
        return
    if picture.format != "TIFF":
        raise SourceError(
            f"{path}: an animation, {picture.format} with {count} pictures; give it to a source of `kind: video`, "
            "or save the picture you want as a file of its own"
        )
    pages = sum(not _is_thumbnail(picture, page) for page in range(count))
    picture.seek(0)
    if pages > 1:
        raise SourceError(f"{path}: a TIFF of {pages} pages; save each photo as a file of its own")


def _is_thumbnail(picture: Any, page: int) -> bool:
    picture.seek(page)
    return page > 0 and bool(int(picture.tag_v2.get(_REDUCED, 0)) & 1)


def _upright_rgb(path: Path, picture: Pillow.Image) -> Image:
    profile = picture.info.get("icc_profile")
    turned = ImageOps.exif_transpose(picture)
    plain = _without_alpha(path, _in_8_bits(path, turned))
    return np.ascontiguousarray(np.asarray(_in_srgb(path, plain, profile), np.uint8))


def _in_8_bits(path: Path, picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    if picture.mode in ("I", "F"):
        raise SourceError(
            f"{path}: a picture with 32 bits a channel, where white is not defined; save it with 8 or 16 bits"
        )
    return picture


def _without_alpha(path: Path, picture: Pillow.Image) -> Pillow.Image:
    if not picture.has_transparency_data:
        return picture
    whole = picture.convert("RGBA")
    clear = float(np.mean(np.asarray(whole.getchannel("A")) < 255))
    if clear:
        raise SourceError(
            f"{path}: transparent in {max(clear, 0.001):.1%} of its pixels: a cut-out, whose background is nobody's photo; "
            "save it on the background it belongs to, without an alpha channel"
        )
    return whole.convert("RGB")


def _in_srgb(path: Path, picture: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    plain = picture if picture.mode in _SPACES else picture.convert("L" if picture.mode == "1" else "RGB")
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        if found is None or found.profile.xcolor_space.strip() != _SPACES[plain.mode] or _is_srgb(found):
            return plain.convert("RGB")  # a profile of other channels speaks of what the file held before conversion
        made = ImageCms.profileToProfile(plain, found, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        logger.warning("%s: its colour profile is broken (%s); its colours are taken as sRGB, as viewers do", path, error)
        made = None
    return made or plain.convert("RGB")


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in (ImageCms.getProfileDescription(profile) or "").lower()
