"""One line a format: what a photo becomes, or why it is refused. All are made here."""

import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, TiffImagePlugin

from figureground.errors import SourceError
from figureground.media import photos

WIDTH, HEIGHT = 48, 32


def scene() -> Image.Image:
    """A smooth picture whose upper left corner is red, upper right green, lower left blue."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    pixels[(x < 24) & (y < 16)] = 220, 30, 30
    pixels[(x >= 24) & (y < 16)] = 30, 200, 30
    pixels[(x < 24) & (y >= 16)] = 30, 30, 210
    return Image.fromarray(pixels)


def turned(orientation: int) -> bytes:
    """The scene as a camera held another way stores it."""
    way = Image.Transpose
    back = {2: way.FLIP_LEFT_RIGHT, 3: way.ROTATE_180, 6: way.ROTATE_90, 8: way.ROTATE_270}
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = orientation, "a camera"
    return saved(scene().transpose(back[orientation]), "JPEG", quality=95, subsampling=0, exif=exif)


def saved(picture: Image.Image, kind: str, **settings: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **settings)
    return buffer.getvalue()


def several(kind: str, **settings: object) -> bytes:
    return saved(scene(), kind, save_all=True, append_images=[scene().rotate(180), scene().rotate(90)], **settings)


def with_alpha(lowest: int) -> Image.Image:
    picture = scene().convert("RGBA")
    picture.putalpha(Image.linear_gradient("L").resize((WIDTH, HEIGHT)).point(lambda value: max(value, lowest)))
    return picture


def sixteen(dtype: type = np.uint16, shape: tuple[int, ...] = (HEIGHT, WIDTH)) -> Image.Image:
    return Image.fromarray(np.full(shape, 0.5 * 65535).astype(dtype))


def rgb16_png() -> bytes:
    """16 bits a channel, which Pillow reads but does not write."""
    wide = np.asarray(scene())[..., ::-1].astype(np.uint16) * 257
    return bytes(cv2.imencode(".png", wide)[1])


def rgb16_tiff() -> bytes:
    wide = np.asarray(scene())[..., ::-1].astype(np.uint16) * 257
    return bytes(cv2.imencode(".tif", wide)[1])


def thumbnailed_tiff() -> bytes:
    small = TiffImagePlugin.ImageFileDirectory_v2()
    small[254] = 1
    page = scene().resize((12, 8))
    page.encoderinfo = {"tiffinfo": small}
    return saved(scene(), "TIFF", save_all=True, append_images=[page])


def transparent_palette() -> bytes:
    return saved(scene().quantize(8), "PNG", transparency=0)


GOOD: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(scene(), "JPEG", quality=95, subsampling=0),
    "progressive jpeg": lambda: saved(scene(), "JPEG", quality=95, subsampling=0, progressive=True),
    "mpo of two cameras": lambda: several("MPO", quality=95, subsampling=0),
    "png": lambda: saved(scene(), "PNG"),
    "png, 16 bits": rgb16_png,
    "png, palette": lambda: saved(scene().quantize(16), "PNG"),
    "png, alpha that hides nothing": lambda: saved(with_alpha(255), "PNG"),
    "webp": lambda: saved(scene(), "WEBP", lossless=True),
    "tiff": lambda: saved(scene(), "TIFF", compression="tiff_lzw"),
    "tiff, 16 bits": rgb16_tiff,
    "tiff with a thumbnail": thumbnailed_tiff,
    "bmp": lambda: saved(scene(), "BMP"),
    "gif": lambda: saved(scene(), "GIF"),
    "avif": lambda: saved(scene(), "AVIF", quality=95, subsampling="4:4:4"),
    "jpeg 2000": lambda: saved(scene(), "JPEG2000"),
    "ppm": lambda: saved(scene(), "PPM"),
    "turned half": lambda: turned(3),
    "turned right": lambda: turned(6),
    "turned left": lambda: turned(8),
    "mirrored": lambda: turned(2),
}


GOOD_BYTES = {kind: make() for kind, make in GOOD.items()}


@pytest.mark.parametrize("make", GOOD.values(), ids=GOOD)
def test_every_kind_of_photo_is_upright_rgb(tmp_path: Path, make: Callable[[], bytes]) -> None:
    (tmp_path / "photo").write_bytes(make())
    image = photos.read(tmp_path / "photo")

    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((HEIGHT, WIDTH, 3), np.uint8, True)
    assert np.abs(image.astype(int) - np.asarray(scene()).astype(int)).mean() < 6


FLAT = {
    "grey": (lambda: saved(Image.new("L", (8, 8), 90), "PNG"), (90, 90, 90)),
    "grey, 16 bits": (lambda: saved(sixteen(), "PNG"), (127, 127, 127)),
    "grey tiff, 16 bits": (lambda: saved(sixteen(), "TIFF"), (127, 127, 127)),
    "grey with alpha that hides nothing": (lambda: saved(Image.new("LA", (8, 8), (90, 255)), "PNG"), (90, 90, 90)),
    "black and white": (lambda: saved(Image.new("1", (8, 8), 1), "PNG"), (255, 255, 255)),
    "cmyk": (lambda: saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0)),
    "cmyk tiff": (lambda: saved(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "TIFF"), (255, 0, 0)),
    "ycbcr tiff": (lambda: saved(Image.new("YCbCr", (8, 8), (81, 90, 240)), "TIFF"), (238, 15, 14)),
}


@pytest.mark.parametrize(("make", "colour"), FLAT.values(), ids=FLAT)
def test_other_channels_become_rgb(tmp_path: Path, make: Callable[[], bytes], colour: tuple[int, int, int]) -> None:
    (tmp_path / "photo").write_bytes(make())
    assert np.abs(photos.read(tmp_path / "photo").astype(int) - colour).max() <= 4


def test_a_colour_profile_is_applied_and_a_broken_one_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    grey = Image.new("L", (8, 8), 100)
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    (tmp_path / "other").write_bytes(saved(grey.convert("RGB"), "PNG", icc_profile=linear))
    (tmp_path / "broken").write_bytes(saved(grey.convert("RGB"), "PNG", icc_profile=b"no profile" * 20))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    (tmp_path / "srgb").write_bytes(saved(grey.convert("RGB"), "PNG", icc_profile=srgb))

    assert [int(photos.read(tmp_path / name)[0, 0, 0]) for name in ("other", "srgb")] == [100, 100]
    assert not caplog.messages
    assert photos.read(tmp_path / "broken")[0, 0, 0] == 100
    assert "its colour profile is broken" in caplog.text


def swapped_profile() -> bytes:
    """An sRGB profile whose red and blue primaries are exchanged: nothing else could make blue of red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {bytes(profile[at : at + 4]): at for at in range(132, 132 + 12 * int.from_bytes(profile[128:132], "big"), 12)}
    red, blue = tags[b"rXYZ"], tags[b"bXYZ"]
    profile[red + 4 : red + 12], profile[blue + 4 : blue + 12] = profile[blue + 4 : blue + 12], profile[red + 4 : red + 12]
    return bytes(profile).replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be"))


def test_colours_are_seen_through_the_profile(tmp_path: Path) -> None:
    (tmp_path / "photo").write_bytes(saved(Image.new("RGB", (8, 8), (255, 0, 0)), "PNG", icc_profile=swapped_profile()))
    red, _, blue = photos.read(tmp_path / "photo")[0, 0]
    assert blue > 240 and red < 40


whole = saved(scene().resize((200, 200)), "JPEG", quality=95)
REFUSED: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", r"the file is empty \(0 bytes\)"),
    "text": (lambda: b"not a picture at all", r"not a photo that can be read: starts with b'not a pi'"),
    "a web page": (lambda: b"<html>please log in</html>", "not a photo that can be read"),
    "random bytes": (lambda: np.random.default_rng(1).bytes(4000), "not a photo that can be read"),
    "cut jpeg": (lambda: whole[: len(whole) // 2], "a damaged or cut-off photo of"),
    "jpeg, only its header": (lambda: whole[:30], "a damaged or cut-off"),
    "cut png": (lambda: saved(scene(), "PNG")[:80], "a damaged or cut-off photo of 80 bytes"),
    "png, one byte wrong": (lambda: flipped(saved(scene(), "PNG"), 60), "a damaged or cut-off photo"),
    "cut webp": (lambda: saved(scene(), "WEBP", lossless=True)[:60], "a damaged or cut-off|not a photo"),
    "cut tiff": (lambda: saved(scene(), "TIFF")[:300], "a damaged or cut-off|not a photo"),
    "animated gif": (lambda: several("GIF"), "an animation, GIF with 3 images; give it to a source of `kind: video`"),
    "animated webp": (lambda: several("WEBP"), "an animation, WEBP with 3 images"),
    "animated png": (lambda: several("PNG"), "an animation, PNG with 3 images"),
    "tiff of pages": (lambda: several("TIFF"), "a TIFF of 3 pages"),
    "transparent": (lambda: saved(with_alpha(0), "PNG"), r"transparent in [\d.]+% of its pixels: a cut-out"),
    "transparent webp": (lambda: saved(with_alpha(0), "WEBP", lossless=True), "transparent in"),
    "transparent palette": (transparent_palette, "transparent in"),
    "32-bit tiff": (lambda: saved(Image.fromarray(np.ones((8, 8), np.float32)), "TIFF"), "a photo with 32 bits a channel"),
    "heic": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not a photo that can be read: an HEIC photo, .* as JPEG"),
    "pdf": (lambda: b"%PDF-1.7\n%", "not a photo that can be read: a PDF: export its images"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n", "not a photo that can be read: PostScript"),
    "svg": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not a photo that can be read: an SVG drawing"),
}  # fmt: skip


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 0xFF]) + content[at + 1 :]


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_photo_is_refused_by_name(tmp_path: Path, make: Callable[[], bytes], reason: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(make())
    with pytest.raises(SourceError, match=rf"photo\.jpg: ({reason})"):
        photos.read(tmp_path / "photo.jpg")


@pytest.mark.filterwarnings("ignore")  # Pillow warns of what it can read in spite of the damage
@given(kind=st.sampled_from(sorted(GOOD)), data=st.data())
@settings(max_examples=150, deadline=None)
def test_damage_gives_a_photo_or_its_reason_and_nothing_else(kind: str, data: st.DataObject) -> None:
    content = bytearray(GOOD_BYTES[kind])
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photo"
        path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
        try:
            image = photos.read(path)
        except SourceError:
            return
    assert image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path) -> None:
    header = saved(Image.new("1", (1, 1)), "PNG")
    body = b"IHDR" + struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    (tmp_path / "bomb.png").write_bytes(header[:12] + body + struct.pack(">I", zlib.crc32(body)) + header[33:])
    with pytest.raises(SourceError, match=r"bomb\.png: 30000x30000 pixels; expected at most 300,000,000"):
        photos.read(tmp_path / "bomb.png")
