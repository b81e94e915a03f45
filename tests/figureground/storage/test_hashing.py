"""Hashes of files and folders: each file is read once, and the index is used as a dict is."""

from pathlib import Path

import pytest

from figureground.storage import hashing
from figureground.storage.hashing import FileIndex, ReadLog, hash_folder, read_file, sha256

FILES = {f"img/{number:02}.jpg": (f"{number:064x}", 2**33 + number) for number in range(20)}


def test_an_index_equals_a_dict_of_the_same_files() -> None:
    index = FileIndex(FILES.items())
    assert index == FILES and len(index) == 20 and list(index) == sorted(FILES)
    assert dict(index.items()) == FILES and ("img/03.jpg", FILES["img/03.jpg"]) in index.items()
    assert "img/03" not in index and index.get("zzz") is None
    with pytest.raises(KeyError, match="img/99"):
        index["img/99"]


@pytest.mark.parametrize("name", ["img/00.jpg", "img/07.jpg", "img/19.jpg"])
def test_a_file_can_be_removed_from_the_index(name: str) -> None:
    index, left = FileIndex(FILES.items()), dict(FILES)
    assert index.pop(name) == left.pop(name)
    assert index == left
    with pytest.raises(KeyError):
        index.pop(name)


@pytest.mark.parametrize("names", [("b", "a"), ("a", "a")])
def test_names_out_of_order_are_refused(names: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="in order"):
        FileIndex((name, ("0" * 64, 1)) for name in names)


def test_files_in_the_log_are_not_read_again(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_bytes(name.encode())
    seen: list[str] = []
    log = ReadLog(lambda path, _digest, _content: seen.append(path))
    assert read_file(tmp_path / "a.txt", log) == b"a.txt"
    log.add(tmp_path / "b.txt", sha256(b"as written"), len("b.txt"))

    assert dict(hash_folder(tmp_path, log)) == {
        "a.txt": (sha256(b"a.txt"), 5),
        "b.txt": (sha256(b"as written"), 5),
        "c.txt": (sha256(b"c.txt"), 5),
    }
    assert seen == [f"{tmp_path}/a.txt", f"{tmp_path}/c.txt"]


def test_a_file_that_changed_its_size_since_it_was_logged_is_read_again(tmp_path: Path) -> None:
    log = ReadLog()
    (tmp_path / "a.txt").write_bytes(b"short")
    read_file(tmp_path / "a.txt", log)
    (tmp_path / "a.txt").write_bytes(b"longer")
    assert hash_folder(tmp_path, log)["a.txt"] == (sha256(b"longer"), 6)


def test_a_large_file_is_hashed_without_being_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "LARGE_FILE_BYTES", 4)
    (tmp_path / "a.txt").write_bytes(b"large")
    seen: list[str] = []
    log = ReadLog(lambda path, _digest, _content: seen.append(path))
    assert hash_folder(tmp_path, log)["a.txt"] == (sha256(b"large"), 5)
    assert seen == []
