"""A catalog over a scratch folder, a storage with labelled crops, and one real Label Studio for all tests that ask for it."""

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients import local_label_studio
from figureground.clients.local_label_studio import Studio
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import crop_rows
from figureground.types import Alpha, Box, PersonCrop, Source, TableRef

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a drawn release and a checkpoint that was trained on it in seconds: soft alpha."""
    from tests import trained_network  # torch takes seconds to import

    folder = tmp_path_factory.mktemp("learnt")
    trained_network.checkpoint(folder / "checkpoint", trained_network.release(folder / "release", 1))
    return folder


def catalog_in(folder: Path, url: str = "http://127.0.0.1:9", project: str = "figureground test") -> Catalog:
    """Make a small catalog: nothing of it is fetched."""
    return Catalog.model_validate(
        {
            "folder": folder,
            "storage": "data",
            "sources": {"park": {"path": "park.mp4", "license": "BSD-3-Clause", "scenes": ["park", "jumping"]}},
            "assets": {"u2netp.onnx": {"sha256": "3" * 64, "license": "Apache-2.0", "path": "nowhere"}},
            "recipe": {
                "sample": {"every_seconds": 0.5},
                "detector": {"yolo": {}},
                "checks": {},
                "remover": {"rembg": {"model": "u2netp"}},
            },
            "label_studio": {"url": url, "project": project, "label_config": str(ROOT / "label_config/person.xml")},
        }
    )


class Material(NamedTuple):
    """What stands before a push: one source's crops and mattes."""

    catalog: Catalog
    source: Source
    crops: TableRef
    mattes: TableRef


def person(number: int, width: int, height: int) -> Alpha:
    """Draw somebody's alpha: a soft disc that is elsewhere in every picture."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot(x - width * (0.4 + 0.02 * (number % 10)), y - height / 2)
    return np.clip((height / 4 - away) / 3 + 0.5, 0, 1).astype(np.float32)


def material_in(catalog: Catalog, source_id: str, count: int, empty: int = -1) -> Material:
    """Make frames, crops and mattes of a source that was never filmed; the matte of number `empty` finds nobody."""
    store = Store(catalog.storage_root)
    frames, crops, mattes = [], [], []
    filmed = f"frames/{source_id}/dark.jpg"
    dark = {"file": filmed, "sha256": store.write(filmed, cutting.encode(np.zeros((480, 640, 3), np.uint8)))}
    for number in range(count):
        width, height = 60 + number % 3, 80
        frame_id = f"{source_id}-{number:06d}"
        alpha = person(number, width, height) * np.float32(number != empty)
        image = np.random.default_rng(number).integers(0, 255, (height, width, 3)).astype(np.uint8)
        box = Box(0, 0, width, height)
        nowhere = np.zeros((0, 3), np.float32)
        found = PersonCrop(f"{frame_id}-00", frame_id, source_id, box, box, 0.9, nowhere, (), 640, 480, image)
        file = f"crops/{source_id}/{found.crop_id}.jpg"
        crops.append(asdict(crop_rows.from_crop(found, file, store.write(file, cutting.encode(image)))))
        file = f"mattes/{source_id}/{found.crop_id}.png"
        digest = store.write(file, masks.to_png(alpha))
        mattes.append({"crop_id": found.crop_id, "remover": "rembg", "score": 0.5, "file": file, "sha256": digest})
        frame = {"frame_id": frame_id, "source_id": source_id, "index": number, "seconds": number / 10}
        frames.append(frame | {"width": 640, "height": 480, "original": "park.mp4", "reason": "", **dark})
    written = {
        stage: tables.write(store, stage, source_id, pd.DataFrame(rows), fingerprint="made")
        for stage, rows in (("frames", frames), ("crops", crops), ("mattes", mattes))
    }
    source = Source(source_id, "video", "park.mp4", "", "BSD-3-Clause", ("park", "jumping"), "auto")
    return Material(catalog, source, written["crops"], written["mattes"])


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A catalog whose Label Studio is nowhere."""
    return catalog_in(tmp_path)


@pytest.fixture(scope="session")
def studio_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the real Label Studio's catalog; tests share its storage and take projects and sources of their own."""
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="session")
def real_studio(studio_folder: Path) -> Iterator[Studio]:
    """A real Label Studio on a free port, stopped at the end: the one of `make studio`, or of $FIGUREGROUND_STUDIO."""
    catalog = catalog_in(studio_folder)
    with pytest.MonkeyPatch.context() as patch:
        if "FIGUREGROUND_STUDIO" not in os.environ:
            patch.setenv("FIGUREGROUND_STUDIO", str(ROOT / ".venv-studio/bin/label-studio"))
        found = local_label_studio.start(catalog, local_label_studio.find_free_port())
    yield found
    local_label_studio.stop(catalog)


@pytest.fixture(scope="session")
def make_catalog() -> Callable[..., Catalog]:
    """A way to make a catalog for a server of one's own."""
    return catalog_in


@pytest.fixture(scope="session")
def make_material() -> Callable[..., Material]:
    """A way to make crops and mattes without a server."""
    return material_in


@pytest.fixture(scope="session")
def alpha_of() -> Callable[..., Alpha]:
    """A way to draw the alpha that the material's crop of some number has."""
    return person


@pytest.fixture
def real(real_studio: Studio, studio_folder: Path, request: pytest.FixtureRequest) -> Callable[..., Material]:
    """A way to make material of a source and project that nobody else uses, on the real Label Studio."""

    def make(count: int, url: str = real_studio.url, empty: int = -1) -> Material:
        name = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
        return material_in(catalog_in(studio_folder, url, f"project {name}"), f"park-{name}", count, empty)

    return make


@pytest.fixture(scope="session")
def write_down() -> Callable[..., Path]:
    """A way to write a material's catalog as a file beside its storage, for the command line."""

    def write(material: Material, **label_studio: Any) -> Path:
        catalog, source = material.catalog, material.source
        content = catalog.model_dump(mode="json", exclude={"folder"})
        content["recipe"]["sample"] = catalog.recipe.sample.model_dump(exclude_none=True)
        content["sources"] = {source.source_id: content["sources"]["park"]}
        content["recipe"]["detector"] = {"yolo": {"weights": "yolo11n-pose.pt"}}  # never loaded here
        content["assets"]["yolo11n-pose.pt"] = content["assets"]["u2netp.onnx"]
        content["label_studio"] |= label_studio
        (catalog.folder / "park.mp4").touch()
        file = catalog.folder / f"{source.source_id}.yaml"
        file.write_text(yaml.safe_dump(content), encoding="utf-8")
        return file

    return write


WIDTH, HEIGHT = 24, 32


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    return bytes(cv2.imencode(".jpg", pixels)[1])


def label(seed: int) -> bytes:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    distance = np.hypot(x - WIDTH / 2, y - HEIGHT / 2 + seed % 5)
    return bytes(cv2.imencode(".png", (255 * np.clip(9 - distance, 0, 1)).astype(np.uint8))[1])


def alone() -> dict[str, Any]:
    """What a label without a second opinion and without parts has in its other columns."""
    nothing = dict.fromkeys(("second_annotator", "second_verdict", "parts", "parts_sha256"), "")
    return {**nothing, "agreement": math.nan, "boundary_agreement": math.nan, "classes": 0, "overlaps": []}


def put(root: Path, name: str, content: bytes) -> str:
    """Write without flushing to the disk, which a test has no use for."""
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(content)
    return sha256(content)


def fill(root: Path, source_id: str, verdicts: Sequence[str], seed: int, scenes: Sequence[str], order: int = 1) -> None:
    """Write one source's files and tables: one frame and one crop a verdict; `order` -1 writes all in reverse."""
    store = Store(str(root))
    rows: dict[str, list[dict[str, Any]]] = {stage: [] for stage in tables.SCHEMAS}
    for number, verdict in list(enumerate(verdicts))[::order]:
        frame_id, crop_id = f"{source_id}-{number * 15:06d}", f"{source_id}-{number * 15:06d}-00"
        image, mask = picture(seed + number), label(seed + number)
        files = {
            "frames": (f"frames/{source_id}/{frame_id}.jpg", image),
            "crops": (f"crops/{source_id}/{crop_id}.jpg", image),
            "mattes": (f"mattes/{source_id}/{crop_id}.png", label(seed + number + 1)),
            "labels": (f"labels/{source_id}/{crop_id}.png", mask),
        }
        named = {stage: {"file": name, "sha256": put(root, name, content)} for stage, (name, content) in files.items()}
        size = {"width": WIDTH, "height": HEIGHT}
        whole = {"frame_width": WIDTH, "frame_height": HEIGHT, "keypoints": [], "others": [[0.0, 0.0, 3.0, 4.0]]}
        whole |= {"seconds": 0.0, "track": 0, "face": [], "face_score": math.nan}
        box = {"x0": 0, "y0": 0, "x1": WIDTH, "y1": HEIGHT}
        person = {f"person_{side}": float(value) for side, value in box.items()}
        when = {"index": number * 15, "seconds": number / 2, "original": f"clips/{source_id}.mp4", "reason": ""}
        rows["frames"].append({"frame_id": frame_id, "source_id": source_id, **when, **size, **named["frames"]})
        ids = {"crop_id": crop_id, "frame_id": frame_id, "source_id": source_id}
        rows["crops"].append({**ids, **box, **person, "score": 0.9, **size, **whole, **named["crops"]})
        rows["scores"].append({"crop_id": crop_id, "check": "size", "value": float(WIDTH)})
        rows["verdicts"].append({"crop_id": crop_id, "kept": True, "reason": ""})
        rows["mattes"].append({"crop_id": crop_id, "remover": "rembg", "score": 0.5, **named["mattes"]})
        ticket = {"crop_id": crop_id, "key": f"key-{crop_id}", "project_id": 1, "task_id": seed + number}
        asked = {"blank": "", "remover": "rembg-u2netp.onnx-33333333", "people": 1}
        rows["tasks"].append({**ticket, **asked, "prediction_sha256": named["mattes"]["sha256"]})
        answer = {"annotation_id": seed + number, "annotator": "anna", "seconds_spent": 4.5, "origin": "prediction-changed"}
        answer |= {"parent_prediction": 0, "boundary_iou_with_matte": 0.8, "changed": 0.05, **alone()}
        drawn = named["labels"] if verdict == "keep" else {"file": "", "sha256": ""}
        rows["labels"].append(
            {"crop_id": crop_id, **answer, "verdict": verdict, "scenes": list(scenes), "iou_with_matte": 0.9, **drawn}
        )
    video = f"video of {seed}".encode()
    rows["videos"].append(
        {
            "source_id": source_id,
            "path": f"clips/{source_id}.mp4",
            "license": "CC0-1.0",
            "file": f"videos/{source_id}/{source_id}.mp4",
            "sha256": put(root, f"videos/{source_id}/{source_id}.mp4", video),
        }
    )
    for stage, some in rows.items():
        tables.write(store, stage, source_id, pd.DataFrame(some), fingerprint=sha256(stage.encode()))


@pytest.fixture(scope="session")
def labelled() -> Callable[..., Catalog]:
    """Make a storage: source id to the annotators' verdicts, one a crop; gives its catalog."""

    def make(
        folder: Path,
        sources: Mapping[str, Sequence[str]],
        splits: Mapping[str, str] | None = None,
        *,
        reverse: bool = False,
        seeds: Mapping[str, int] | None = None,
        scenes: Sequence[str] = (),
        **releases: Any,
    ) -> Catalog:
        for at, (source_id, verdicts) in list(enumerate(sources.items()))[:: -1 if reverse else 1]:
            seed = (seeds or {}).get(source_id, 1000 * (at + 1))
            fill(folder / "data", source_id, verdicts, seed, scenes, order=-1 if reverse else 1)
        return Catalog.model_validate(
            {
                "folder": folder,
                "sources": {
                    source_id: {
                        "path": f"clips/{source_id}.mp4",
                        "license": "CC0-1.0",
                        "scenes": [source_id, "outdoor"],
                        "split": (splits or {}).get(source_id, "auto"),
                    }
                    for source_id in sources
                },
                "recipe": {
                    "sample": {"every_seconds": 0.5},
                    "detector": {"yolo": {}},
                    "checks": {"size": {"at_least": 16}},
                    "remover": {"rembg": {}},
                },
                "releases": releases,
            }
        )

    return make
