"""What an imported dataset may carry that no release may show: places, makers' notes, what lies behind an image."""

import io
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources import identity, local_files
from figureground.errors import SourceError
from figureground.storage.store import Store
from figureground.types import Source
from tasks.ingest.import_dataset import _jpeg, import_dataset

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


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A picture of this machine that no dataset and no watched folder holds."""
    file = tmp_path / "private/id-card.jpg"
    file.parent.mkdir()
    file.write_bytes(bytes(cv2.imencode(".jpg", np.full((40, 40, 3), 90, np.uint8))[1]))
    return file


def lay_dataset(folder: Path) -> None:
    """Two pairs in the layout ``mmseg_custom``."""
    for kind, ending in (("img_dir", ".jpg"), ("ann_dir", ".png")):
        (folder / kind / "train").mkdir(parents=True)
        for name in ("a", "b"):
            pixels = np.full((60, 60, 3), 40, np.uint8) if kind == "img_dir" else np.zeros((60, 60), np.uint8)
            pixels[10:50, 10:50] = 255 if kind == "img_dir" else 1
            (folder / kind / "train" / f"{name}{ending}").write_bytes(bytes(cv2.imencode(ending, pixels)[1]))


def dataset_in(tmp_path: Path, make_catalog) -> tuple[Catalog, Source]:
    entry = {"kind": "layout", "path": "set", "layout": {"mmseg_custom": {}}}
    catalog = with_source(make_catalog(tmp_path, "http://127.0.0.1:9", "none"), entry)
    return catalog, replace(catalog.source("own"), source_id="own-train", split="train")


@pytest.mark.parametrize("kind", ["img_dir", "ann_dir"])
@pytest.mark.parametrize("how", ["leads out of", "a named pipe, and no file"])
def test_a_dataset_leads_to_no_other_file_of_this_machine(tmp_path, make_catalog, private, kind: str, how: str) -> None:
    lay_dataset(tmp_path / "set")
    victim = tmp_path / "set" / kind / ("train/b.jpg" if kind == "img_dir" else "train/b.png")
    victim.unlink()
    victim.symlink_to(private) if "leads" in how else os.mkfifo(victim)
    catalog, source = dataset_in(tmp_path, make_catalog)
    assert import_dataset.fn(source, catalog).rows == 1
    store = Store(catalog.storage_root)
    frames = tables.find(store, "frames", "own-train")
    assert frames
    [reason] = [row.reason for row in tables.read_rows(store, frames, tables.FrameRow) if row.reason]
    assert how in reason and victim.name in reason
    assert not any(private.read_bytes() in file.read_bytes() for file in (tmp_path / "data").rglob("*") if file.is_file())


def test_a_folder_of_a_dataset_that_leads_out_is_refused_and_one_that_stays_inside_is_read(tmp_path, make_catalog) -> None:
    lay_dataset(tmp_path / "set")
    catalog, source = dataset_in(tmp_path, make_catalog)
    train = tmp_path / "set/img_dir/train"
    train.rename(tmp_path / "set/pictures")
    train.symlink_to("../pictures")
    assert import_dataset.fn(source, catalog).rows == 2
    train.unlink()
    (tmp_path / "set/pictures").rename(tmp_path / "pictures")
    train.symlink_to(tmp_path / "pictures")
    with pytest.raises(SourceError, match=r"a\.jpg is a link that leads out of .*set"):
        import_dataset.fn(source, catalog)


def with_source(catalog: Catalog, entry: dict[str, str]) -> Catalog:
    return Catalog.model_validate(
        catalog.model_dump(exclude={"sources"}) | {"sources": {"own": {"license": "CC0-1.0", "scenes": ["street"], **entry}}}
    )


@pytest.mark.parametrize("pattern", ["in", "in/*.jpg", "in/**/*.jpg"])
def test_links_out_of_a_photo_folder_and_pipes_in_it_are_named(tmp_path, make_catalog, private, pattern: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/own.jpg").write_bytes(private.read_bytes()[:-2] + b"\xff\xd9")
    (tmp_path / "in/inside.jpg").symlink_to("own.jpg")
    (tmp_path / "in/card.jpg").symlink_to(private)
    os.mkfifo(tmp_path / "in/pipe.jpg")
    (tmp_path / "in/deep").symlink_to(private.parent)
    catalog = with_source(make_catalog(tmp_path, "http://127.0.0.1:9", "none"), {"kind": "images", "path": pattern})
    source = catalog.source("own")
    assert [path.name for path in local_files.list_photos(source, catalog)] == ["inside.jpg", "own.jpg"]
    named = identity.describe_refused_files(source, catalog)
    assert "card.jpg is a link that leads out of" in named and "pipe.jpg is a named pipe, and no file" in named


def test_links_out_of_a_watched_folder_are_named_and_the_folder_itself_may_be_one(tmp_path, make_catalog, private) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/own.mp4").write_bytes(b"video")
    (tmp_path / "elsewhere/theirs.mp4").symlink_to(private)
    os.mkfifo(tmp_path / "elsewhere/pipe.mp4")
    (tmp_path / "videos").symlink_to("elsewhere")
    catalog = with_source(make_catalog(tmp_path, "http://127.0.0.1:9", "none"), {"path": "videos"})
    source = catalog.source("own")
    assert [path.name for path in local_files.list_videos(source, catalog)] == ["own.mp4"]
    named = identity.describe_refused_files(source, catalog)
    assert "theirs.mp4 is a link that leads out of" in named and "pipe.mp4 is a named pipe" in named
    (tmp_path / "elsewhere/own.mp4").unlink()
    with pytest.raises(SourceError, match=r"no file in .*videos can be taken: .*pipe\.mp4 is a named pipe"):
        local_files.list_videos(source, catalog)
