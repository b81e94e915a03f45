"""Reads one photo of any camera or program as upright sRGB; what is not a single photo is refused with a reason.

Pillow reads only the formats of photos: others start programs (EPS) or name other files. The EXIF orientation and the
colour profile are applied to the pixels. The tags themselves (place, camera, owner) are not kept.
"""

import io
import logging
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pillow
from PIL import ImageCms, ImageOps, UnidentifiedImageError

from figureground.errors import FiguregroundError, SourceError
from figureground.imaging.file_headers import read_header
from figureground.shortage import refuse_short_memory, translate_shortage
from figureground.types import Image

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF", "JPEG2000", "PPM")
_FILE_BYTES_AT_MOST = 2_000_000_000
_PIXEL_BYTES = 16  # what reading a photo takes for a pixel at most, with its copies

_REFUSED_FORMATS = {
    b"ftyphei": "an HEIC photo, which needs a licensed codec: save it as JPEG (phones: \"most compatible\")",
    b"ftypmif": "an HEIF photo, which needs a licensed codec: save it as JPEG",
    b"%PDF": "a PDF: export its images",
    b"%!PS": "PostScript: export it as PNG",
    b"<svg": "an SVG drawing, no photo",
    b"8BPS": "a Photoshop file: export it as JPEG or PNG",
}
_COLOUR_SPACES = {"RGB": "RGB", "CMYK": "CMYK", "L": "GRAY"}
_SUBFILE_TYPE = 254  # TIFF's NewSubfileType; bit 0 marks a page that is a smaller copy of another

# Pillow warns and refuses by a global number; ours is checked for each file, right after its header is read.
Pillow.MAX_IMAGE_PIXELS = None


def read(path: Path) -> Image:
    """Read one photo.

    The first image of a camera's multi-picture JPEG (MPO) and of a TIFF with thumbnails is the photo. Grey, palette
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
        When it is empty, not a photo, damaged or cut off; an animation or a document of several pages; transparent
        (it has no background); of 32 bits a channel (without a defined white); or too large.
    ShortageError
        When there is too little memory for it.
    """
    content = _read_file(path)
    header = read_header(content)
    needed_bytes = header.width * header.height * _PIXEL_BYTES
    try:
        with translate_shortage(f"{path} cannot be read", needed_bytes), _open(path, content) as photo:
            if header.oversized:
                raise SourceError(f"{path}: {header.fault}. Scale or cut it first")
            if header.fault:
                raise SourceError(f"{path}: a damaged or cut-off photo of {len(content)} bytes ({header.fault}); get it again")
            _refuse_several_images(path, photo)
            photo.load()
            return _upright_rgb(path, photo)
    except FiguregroundError:
        raise
    except Exception as error:
        refuse_short_memory(f"{path} cannot be read", needed_bytes)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise SourceError(f"{path}: a damaged or cut-off photo of {len(content)} bytes ({reason}); get it again") from error


def _read_file(path: Path) -> bytes:
    size = path.stat().st_size
    if not size:
        raise SourceError(f"{path}: the file is empty (0 bytes); copy or download it again")
    if size > _FILE_BYTES_AT_MOST:
        raise SourceError(f"{path}: a file of {size:,} bytes; expected a photo of at most {_FILE_BYTES_AT_MOST:,}")
    with translate_shortage(f"{path} cannot be read"):
        return path.read_bytes()


def _open(path: Path, content: bytes) -> Pillow.Image:
    try:
        photo = Pillow.open(io.BytesIO(content), formats=FORMATS)
    except UnidentifiedImageError as error:
        refuse_short_memory(f"{path} cannot be read", 0)
        head = content[:16]
        description = next((words for mark, words in _REFUSED_FORMATS.items() if mark in head), f"starts with {head[:8]!r}")
        raise SourceError(
            f"{path}: not a photo that can be read: {description}. Expected {', '.join(FORMATS)}; found {len(content)} bytes"
        ) from error
    return photo


def _refuse_several_images(path: Path, photo: Pillow.Image) -> None:
    if photo.format == "MPO" or (count := getattr(photo, "n_frames", 1)) == 1:
        return
    if photo.format == "WEBP":
        raise SourceError(
            f"{path}: an animation, WEBP with {count} images, which FFmpeg cannot read. Convert it first, for example "
            "`magick IN.webp OUT.gif`, and give that to a source of `kind: video`, or save the photo you want alone"
        )
    if photo.format != "TIFF":
        raise SourceError(
            f"{path}: an animation, {photo.format} with {count} images; give it to a source of `kind: video`, "
            "or save the photo you want as a file of its own"
        )
    pages = sum(not _is_thumbnail(photo, page) for page in range(count))
    photo.seek(0)
    if pages > 1:
        raise SourceError(f"{path}: a TIFF of {pages} pages; save each photo as a file of its own")


def _is_thumbnail(photo: Any, page: int) -> bool:
    photo.seek(page)
    return page > 0 and bool(int(photo.tag_v2.get(_SUBFILE_TYPE, 0)) & 1)


def _upright_rgb(path: Path, photo: Pillow.Image) -> Image:
    profile = photo.info.get("icc_profile")
    turned = ImageOps.exif_transpose(photo)
    plain = _drop_alpha(path, _to_8_bits(path, turned))
    return np.ascontiguousarray(np.asarray(_to_srgb(path, plain, profile), np.uint8))


def _to_8_bits(path: Path, photo: Pillow.Image) -> Pillow.Image:
    if photo.mode.startswith("I;16"):
        return Pillow.fromarray((np.asarray(photo) >> 8).astype(np.uint8))
    if photo.mode in ("I", "F"):
        raise SourceError(
            f"{path}: a photo with 32 bits a channel, where white is not defined; save it with 8 or 16 bits"
        )
    return photo


def _drop_alpha(path: Path, photo: Pillow.Image) -> Pillow.Image:
    if not photo.has_transparency_data:
        return photo
    whole = photo.convert("RGBA")
    clear = float(np.mean(np.asarray(whole.getchannel("A")) < 255))
    if clear:
        raise SourceError(
            f"{path}: transparent in {max(clear, 0.001):.1%} of its pixels: a cut-out, which has no background; "
            "save it on the background it belongs to, without an alpha channel"
        )
    return whole.convert("RGB")


def _to_srgb(path: Path, photo: Pillow.Image, profile: bytes | None) -> Pillow.Image:
    plain = photo if photo.mode in _COLOUR_SPACES else photo.convert("L" if photo.mode == "1" else "RGB")
    try:
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if profile else None
        if embedded is None or embedded.profile.xcolor_space.strip() != _COLOUR_SPACES[plain.mode] or _is_srgb(embedded):
            return plain.convert("RGB")  # a profile for other channels describes the file before conversion
        converted = ImageCms.profileToProfile(plain, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        logger.warning("%s: its colour profile is broken (%s); its colours are read as sRGB, as viewers do", path, error)
        converted = None
    return converted or plain.convert("RGB")


def _is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    return "srgb" in (ImageCms.getProfileDescription(profile) or "").lower()
