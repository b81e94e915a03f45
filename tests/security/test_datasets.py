"""What an imported dataset may carry that no release may show: places, makers' notes, what lies behind an image."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from tasks.ingest.import_dataset import _jpeg

SECRETS = (b"48.2082N", b"maker-note", b"iptc-city", b"ftypmp42", b"thumbnail", b"a comment")


def tagged() -> bytes:
    pixels = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 256, (60, 40, 3), np.uint8), (9, 9), 3)
    plain = bytes(cv2.imencode(".jpg", pixels)[1])
    segments = {
        0xE1: b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><exif:GPSLatitude>48.2082N</exif:GPSLatitude></x:xmpmeta>",
        0xED: b"Photoshop 3.0\x008BIM iptc-city",
        0xE5: b"maker-note",
        0xE2: b"MPF\0thumbnail",
    }
    middle = b"".join(b"\xff" + bytes([kind]) + (2 + len(text)).to_bytes(2) + text for kind, text in segments.items())
    return plain[:20] + middle + plain[20:] + b"\0\0\0\x18ftypmp42 a motion photo's video"


@pytest.mark.parametrize("kind", ["segments", "exif", "profile"])
def test_an_imported_jpeg_keeps_its_pixels_and_nothing_else(tmp_path, kind: str) -> None:
    content, file = tagged(), tmp_path / "place.jpg"
    if kind != "segments":
        out, extra = io.BytesIO(), {}
        image = JpegImageFile(io.BytesIO(content))
        if kind == "exif":
            extra["exif"] = image.getexif()
            extra["exif"][0x927C] = b"maker-note"
            extra["comment"] = b"a comment"
        else:
            extra["icc_profile"] = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
        image.save(out, "JPEG", quality=95, **extra)
        content = out.getvalue() + content[-40:]
    file.write_bytes(content)
    released = _jpeg(file)
    assert [secret for secret in SECRETS if secret in released] == []
    assert released.endswith(b"\xff\xd9")
    with Pillow.open(io.BytesIO(released)) as image:
        assert not {"exif", "icc_profile", "comment", "xmp", "photoshop", "mp"} & image.info.keys()
    before, after = (cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) for data in (content, released))
    assert np.abs(before.astype(int) - after).max() <= (0 if kind == "segments" else 8)
