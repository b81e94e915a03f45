"""A catalog over a scratch folder, and one real Label Studio for all tests that ask for it."""

import os
from pathlib import Path

import pytest

from figureground.catalog import Catalog
from tasks import studio

ROOT = Path(__file__).parents[2]


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


@pytest.fixture
def catalog(tmp_path):
    """A catalog whose Label Studio is nowhere."""
    return catalog_in(tmp_path)


@pytest.fixture(scope="session")
def studio_folder(tmp_path_factory):
    """The folder of the real Label Studio's catalog; tests share its storage and take projects and sources of their own."""
    return tmp_path_factory.mktemp("studio")


@pytest.fixture(scope="session")
def real_studio(studio_folder):
    """A real Label Studio on a free port, stopped at the end."""
    os.environ.pop("LABEL_STUDIO_API_KEY", None)
    catalog = catalog_in(studio_folder)
    yield studio.up(catalog, studio._any_port())
    studio.down(catalog)
