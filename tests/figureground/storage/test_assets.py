"""The cache gives a file only after its hash matched."""

from pathlib import Path

import pytest

from figureground.errors import AssetError
from figureground.storage import assets
from figureground.storage.hashing import sha256
from figureground.types import Weights

WEIGHTS = Weights("net.onnx", sha256(b"layers"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_environment_names_the_cache(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert assets.path_in_cache(WEIGHTS) == cache / "assets" / WEIGHTS.sha256 / "net.onnx"
    monkeypatch.delenv("FIGUREGROUND_CACHE")
    assert assets.cache_folder().name == "figureground"


def test_a_verified_file_is_given(cache: Path) -> None:
    place = assets.path_in_cache(WEIGHTS)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"layers")

    assert assets.locate(WEIGHTS) == place


def test_a_missing_file_says_how_to_get_it() -> None:
    with pytest.raises(AssetError, match=r"net\.onnx is not in the cache \(.*\); `figureground doctor --fetch` fetches it"):
        assets.locate(WEIGHTS)


def test_a_damaged_file_is_never_given() -> None:
    place = assets.path_in_cache(WEIGHTS)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"layerz")

    with pytest.raises(AssetError, match=rf"is damaged: expected sha256 {WEIGHTS.sha256}, found {sha256(b'layerz')}"):
        assets.locate(WEIGHTS)
