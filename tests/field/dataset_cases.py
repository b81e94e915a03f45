"""Small datasets as users met them: drawn by this code, each wrong in one way. One figure on a light ground."""

import json
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

HEIGHT, WIDTH = 240, 160
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def figure(shade: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image (h, w, 3) and its mask (h, w) with values 0 and 1; the shade tells images apart."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (80, 50), 24, 1, -1)
    cv2.ellipse(mask, (80, 140), (38, 72), 0, 0, 360, 1, -1)
    coarse = np.random.default_rng(shade).integers(0, 60, (12, 8, 3), np.uint8)
    ground = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return np.where(mask[..., None] == 1, shade % 150, 190).astype(np.uint8) + ground, mask


def jpeg(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jpg", image)[1])


def png(image: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", image)[1])


def polygon() -> list[list[float]]:
    """Draw the figure as COCO's polygons."""
    lines = cv2.findContours(figure(0)[1], cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
    return [line.reshape(-1).astype(float).tolist() for line in lines]


def write(path: Path, content: bytes | str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def coco(folder: Path, segmentations: dict[str, Any], **changes: Any) -> Path:
    """Write a COCO dataset.

    Parameters
    ----------
    folder
        Where.
    segmentations
        File name to the segmentation of its one annotation; `...` leaves the key out.
    changes
        ``category``, ``annotations_file``, ``images_folder``; all else replaces a value in each image's record.
    """
    category = changes.pop("category", "person")
    file = changes.pop("annotations_file", "instances_train.json")
    images_folder = changes.pop("images_folder", "images")
    images, annotations = [], []
    for number, (name, segmentation) in enumerate(segmentations.items(), 1):
        write(folder / images_folder / name, jpeg(figure(20 * number)[0]))
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **changes})
        annotation = {"id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 1, "bbox": [0, 0, 1, 1]}
        annotations.append(annotation if segmentation is ... else annotation | {"segmentation": segmentation})
    document = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": category}]}
    write(folder / "annotations" / file, json.dumps(document))
    return folder


def lists(folder: Path, content: bytes) -> Path:
    """Write images and label maps in folders of two videos, and a list of them."""
    for number, video in enumerate(("vidA", "vidB"), 1):
        image, mask = figure(30 * number)
        write(folder / f"images/{video}/000{number}.jpg", jpeg(image))
        write(folder / f"labels/{video}/000{number}.png", png(mask))
    write(folder / "train.txt", content)
    return folder


LINES = b"images/vidA/0001.jpg labels/vidA/0001.png\nimages/vidB/0002.jpg labels/vidB/0002.png\n"


def masks(folder: Path, **contents: bytes) -> Path:
    """Write images and masks as mmsegmentation has them; each name has the mask that is given."""
    for number, (name, content) in enumerate(contents.items(), 1):
        write(folder / f"img_dir/train/{name}.jpg", jpeg(figure(40 * number)[0]))
        write(folder / f"ann_dir/train/{name}.png", content)
    return folder


def healthy(folder: Path) -> Path:
    """Write a dataset of two pairs with nothing wrong."""
    return masks(folder, one=png(figure(0)[1]), two=png(figure(0)[1]))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))


@cache
def harmful_pngs() -> dict[str, bytes]:
    """Make PNGs of a few bytes that some decoders take gigabytes for."""
    rows = zlib.compress(b"\0" * (WIDTH + 1) * HEIGHT)
    end = chunk(b"IEND", b"")
    much = chunk(b"IDAT", zlib.compress(b"\0" * 12_003_000))
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"a" * 20_000_000))
    return {
        "two_headers": SIGNATURE + header(WIDTH, HEIGHT) + header(4000, 3000) + much + end,
        "claims_two_gigabytes": SIGNATURE + header(WIDTH, HEIGHT) + struct.pack(">I", 0x7FFFFFF0) + b"IDAT" + rows,
        "sixty_five_thousand": SIGNATURE + header(65535, 65535) + chunk(b"IDAT", rows) + end,
        "text_bomb": SIGNATURE + header(WIDTH, HEIGHT) + text + chunk(b"IDAT", rows) + end,
    }
