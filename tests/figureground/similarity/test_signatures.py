"""Signatures that are kept come back as they were, and only while the method is the same."""

from pathlib import Path

import numpy as np
import pytest

from figureground.similarity import duplicates, signatures
from figureground.similarity.duplicates import Signature
from figureground.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


@pytest.fixture
def found() -> dict[str, Signature]:
    pictures = (np.random.default_rng(seed).integers(0, 256, (90, 60, 3), dtype=np.uint8) for seed in range(5))
    return {f"{number:064x}": duplicates.compute_signature(picture) for number, picture in enumerate(pictures)}


def test_signatures_are_read_back(store: Store, found: dict[str, Signature]) -> None:
    signatures.write(store, "park", found)
    back = signatures.read(store, "park")
    assert back.keys() == found.keys()
    for digest, one in found.items():
        assert back[digest].dtype == one.dtype
        np.testing.assert_array_equal(back[digest], one)


def test_no_signatures_are_read_back_as_none(store: Store) -> None:
    assert signatures.read(store, "park") == {}
    signatures.write(store, "park", {})
    assert signatures.read(store, "park") == {}


def test_those_of_another_method_are_not_taken(
    store: Store, found: dict[str, Signature], monkeypatch: pytest.MonkeyPatch
) -> None:
    signatures.write(store, "park", found)
    monkeypatch.setattr(signatures, "METHOD", 0)
    assert signatures.read(store, "park") == {}


def test_a_damaged_table_is_none(store: Store, found: dict[str, Signature]) -> None:
    signatures.write(store, "park", found)
    store.path("tables/signatures/park.parquet").write_bytes(b"PAR1")
    assert signatures.read(store, "park") == {}
