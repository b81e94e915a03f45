"""Files are whole or absent, reading notices damage, and every error names the place."""

import contextlib
import hashlib
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.errors import StoreError
from figureground.storage import atomic
from figureground.storage.atomic import write_beside, write_file
from figureground.storage.hashing import sha256, sha256_file
from figureground.storage.store import StorageAddress, Store

ROOT = str(Path(__file__).parents[3])


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """A local folder, and an object store as fsspec sees one."""
    if request.param == "folder":
        return Store(str(tmp_path / "data"))
    fsspec.filesystem("memory").store.clear()
    return Store("memory://bucket/data")


@given(content=st.binary(max_size=200))
def test_written_bytes_are_read_back(content: bytes) -> None:
    fsspec.filesystem("memory").store.clear()
    store = Store("memory://bucket")

    assert store.read("a/b.bin", store.write("a/b.bin", content)) == content


def test_written_files_verify_and_are_listed(store: Store) -> None:
    digest = store.write("frames/park/a.jpg", b"one")
    store.write("frames/b.jpg", b"two")

    assert digest == hashlib.sha256(b"one").hexdigest() == sha256(b"one")
    assert store.exists("frames/b.jpg")
    assert store.verifies("frames/park/a.jpg", digest)
    assert not store.verifies("frames/b.jpg", digest)
    assert not store.verifies("frames/none.jpg", digest)
    assert store.names("frames") == ["frames/b.jpg", "frames/park/a.jpg"]
    assert store.names("nothing") == []


def test_a_new_write_replaces_the_old_bytes(store: Store) -> None:
    store.write("a.txt", b"old and long")
    store.write("a.txt", b"new")

    assert store.read("a.txt") == b"new"


def test_damage_is_noticed(store: Store) -> None:
    digest = store.write("a.txt", b"good")
    store.write("a.txt", b"bad")

    with pytest.raises(StoreError, match=rf"a\.txt in .* is damaged: expected sha256 {digest}, found"):
        store.read("a.txt", digest)
    with pytest.raises(StoreError, match=r"a\.txt in .* is damaged"), store.local_file("a.txt", digest):
        pass


def test_a_missing_file_is_named(store: Store) -> None:
    with pytest.raises(StoreError, match=r"gone\.txt is missing from .*run the stage"):
        store.read("gone.txt")
    with pytest.raises(StoreError, match=r"gone\.txt in .* is missing"), store.local_file("gone.txt", sha256(b"")):
        pass


@pytest.mark.parametrize("name", ["/etc/passwd", "../a", "a/../../b", ""])
def test_names_stay_inside(store: Store, name: str) -> None:
    with pytest.raises(StoreError, match="not a name inside the storage"):
        store.write(name, b"x")


def test_a_large_file_is_written_whole_or_not_at_all(store: Store) -> None:
    with store.write_large("videos/a.mp4") as temporary:
        temporary.write_bytes(b"clip")
        assert not store.exists("videos/a.mp4")
        assert store.names("videos") == []
    with store.local_file("videos/a.mp4", sha256(b"clip")) as path:
        assert path.read_bytes() == b"clip"
        assert path.suffix == ".mp4"

    with contextlib.suppress(KeyboardInterrupt), store.write_large("videos/b.mp4") as temporary:
        temporary.write_bytes(b"cl")
        raise KeyboardInterrupt
    assert store.names("videos") == ["videos/a.mp4"]


def test_equal_bytes_are_left_untouched(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("a.txt", b"same")
    before = (tmp_path / "a.txt").stat()
    store.write("a.txt", b"same")
    after = (tmp_path / "a.txt").stat()

    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_reader_sees_the_old_or_the_new_file_and_never_half_of_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, b"old")
    with write_beside(path) as temporary:
        temporary.write_bytes(b"ne")
        assert path.read_bytes() == b"old"
        temporary.write_bytes(b"new")

    assert path.read_bytes() == b"new"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_failed_write_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_file(path, b"old")
    with contextlib.suppress(KeyboardInterrupt), write_beside(path) as temporary:
        temporary.write_bytes(b"ne")
        raise KeyboardInterrupt

    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_temporary_files_of_a_killed_process_are_removed_and_those_of_a_running_one_stay(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    store.write("frames/a.jpg", b"one")
    imports = "import os; from pathlib import Path; from figureground.storage.atomic import write_beside; "
    dies = "held = write_beside(Path('frames/b.jpg')); held.__enter__(); os._exit(9)"
    subprocess.run([sys.executable, "-c", imports + dies], cwd=tmp_path, env={"PYTHONPATH": ROOT}, check=False)

    with write_beside(tmp_path / "frames/c.jpg") as mine:
        assert len(list((tmp_path / "frames").iterdir())) == 3
        assert store.names("frames") == ["frames/a.jpg"]
        [removed] = store.remove_temporary_files()
        assert removed.startswith("frames/.tmp-")
        assert mine.exists()
    assert store.remove_temporary_files() == []
    assert store.names("frames") == ["frames/a.jpg", "frames/c.jpg"]


def test_a_storage_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")  # below a regular file not even root can write
    store = Store(str(tmp_path / "file/data"))

    with pytest.raises(StoreError, match=r"cannot write .*file/data/a\.txt: Not a directory.*another `storage:`"):
        store.write("a.txt", b"x")
    with pytest.raises(StoreError, match="cannot write"), store.write_large("a.mp4"):
        pass


def test_a_full_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StoreError, match=r"a\.txt: No space left on device.*free some space"):
        write_file(tmp_path / "a.txt", b"x")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(StoreError, match="storage 'wat://x' cannot be opened"):
        Store("wat://x")


def test_only_a_folder_has_local_paths(tmp_path: Path) -> None:
    assert Store(str(tmp_path)).path("a/b") == tmp_path / "a/b"
    with pytest.raises(StoreError, match="not a local folder"):
        Store("memory://bucket").path("a/b")


def test_a_file_is_hashed_without_holding_it(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100_000)

    assert sha256_file(tmp_path / "a") == sha256(b"x" * 100_000)


def test_files_of_a_local_folder_are_served_without_copies(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    digest = store.write("crops/park/a.jpg", b"one")
    assert store.serve("crops/park/a.jpg", digest) == tmp_path / "crops/park/a.jpg" == store.served_path("crops/park/a.jpg")
    assert [path.name for path in tmp_path.rglob("*.jpg")] == ["a.jpg"]


def test_files_behind_a_url_are_served_as_verified_copies(tmp_path: Path) -> None:
    store = Store(StorageAddress("memory://served", local_folder=str(tmp_path)))
    digest = store.write("crops/park/a.jpg", b"one")
    copy = store.serve("crops/park/a.jpg", digest)
    assert copy == tmp_path / "crops/park/a.jpg"
    assert copy.read_bytes() == b"one"
    inode = copy.stat().st_ino
    store.serve("crops/park/a.jpg", digest)
    assert copy.stat().st_ino == inode, "nothing is written again"
    copy.write_bytes(b"on")
    assert store.serve("crops/park/a.jpg", digest).read_bytes() == b"one"
    with pytest.raises(StoreError, match=r"crops/park/a\.jpg in memory://served is damaged"):
        store.serve("crops/park/a.jpg", "0" * 64)
    with pytest.raises(StoreError, match="names are relative"):
        store.served_path("../a.jpg")
    with pytest.raises(StoreError, match="has no local path"):
        Store("memory://served").served_path("crops")


def test_a_folder_is_listed_without_links_and_removed_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.txt").write_bytes(b"two")
    store = Store(str(tmp_path / "data"))
    store.write("tables/a.txt", b"one!")
    store.path("crops").symlink_to(tmp_path / "elsewhere")
    store.path("tables/linked").symlink_to(tmp_path / "elsewhere")
    store.path("tables/link.txt").symlink_to(tmp_path / "elsewhere/b.txt")
    assert store.names("crops") == ["crops/b.txt"], "one of the storage's own folders may lie on another disk"
    assert store.names("tables") == ["tables/a.txt"]
    assert store.names("tables/linked") == store.list_sizes("tables/linked") == []
    assert [(name, size) for name, size, _ in store.list_sizes("tables")] == [("tables/a.txt", 4)]
    assert store.names("nothing") == []
    assert store.list_sizes("nothing") == []
    plain = Path.stat

    def gone(path: Path, **given: bool) -> object:
        if path.name == "a.txt":
            raise FileNotFoundError(path)
        return plain(path, **given)

    monkeypatch.setattr(Path, "stat", gone)
    assert [name for name, _, _ in store.list_sizes("tables")] == []
