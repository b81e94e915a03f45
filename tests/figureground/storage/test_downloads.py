"""The download archive: clips are found by site and id, stay when a source is forgotten, and damage is never guessed away."""

from pathlib import Path

import pytest

from figureground.errors import StoreError
from figureground.storage import downloads
from figureground.storage.downloads import Download
from figureground.storage.store import Store

ROW = {"source_id": "walks-1", "title": "Ein Spaziergang 公园", "uploader": "anna", "sha256": "0" * 64}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def test_a_recorded_clip_is_found_by_site_and_id(store: Store) -> None:
    assert downloads.find(store, "Youtube", "a") is None
    downloads.record(store, Download("Youtube", "a", "walks-1", ROW))

    assert downloads.find(store, "Youtube", "a") == Download("Youtube", "a", "walks-1", ROW)
    assert downloads.find(store, "Vimeo", "a") is None
    assert downloads.list_names(store) == {downloads.name("Youtube", "a")}


def test_a_hostile_id_does_not_become_a_path(store: Store) -> None:
    downloads.record(store, Download("../x", "../../../etc/passwd\0", "walks-1", ROW))
    assert [file.parent.name for file in Path(store.root).rglob("*.json")] == ["downloads"]


def test_forgetting_keeps_the_identity_only(store: Store) -> None:
    downloads.record(store, Download("Youtube", "a", "walks-1", ROW))
    downloads.record(store, Download("Youtube", "b", "walks-2", ROW))

    assert downloads.forget(store, ["walks-1"]) == 1
    assert downloads.find(store, "Youtube", "a") == Download("Youtube", "a", "walks-1", None)
    assert b"anna" not in store.read(downloads.name("Youtube", "a"))
    assert downloads.find(store, "Youtube", "b") == Download("Youtube", "b", "walks-2", ROW)
    assert downloads.forget(store, ["walks-1"]) == 0


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"site": "a"}', b"\xff"])
def test_a_damaged_entry_is_named(store: Store, content: bytes) -> None:
    store.write(downloads.name("Youtube", "a"), content)
    with pytest.raises(StoreError, match=r"downloads/.*\.json .*is damaged.*Remove it to let its clip be fetched again"):
        downloads.find(store, "Youtube", "a")
