"""Build folders: locked while their process lives, taken up again by their fingerprint, removed when they are left over."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from figureground.errors import StoreError
from figureground.storage.atomic import build_folder

ROOT = str(Path(__file__).parents[3])
FINGERPRINT = "0123456789abcdef"


def leave(folder: Path, fingerprint: str) -> None:
    """Let a process die while it builds a folder."""
    code = (
        "import os, sys; from pathlib import Path; from figureground.storage.atomic import build_folder; "
        "held = build_folder(Path(sys.argv[1]), sys.argv[2]); (held.__enter__() / 'half').write_bytes(b'1'); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(folder), fingerprint], env={"PYTHONPATH": ROOT}, check=False)


def test_a_build_with_a_fingerprint_continues_where_a_killed_one_ended(tmp_path: Path) -> None:
    leave(tmp_path / "model", FINGERPRINT)
    with build_folder(tmp_path / "model", FINGERPRINT) as build:
        assert (build / "half").read_bytes() == b"1"
        build.rename(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_build_with_another_fingerprint_begins_anew_and_removes_the_old_one(tmp_path: Path) -> None:
    leave(tmp_path / "model", FINGERPRINT)
    with build_folder(tmp_path / "model", FINGERPRINT[::-1]) as build:
        assert list(build.iterdir()) == []
        assert [path.name for path in tmp_path.iterdir()] == [build.name]


def test_two_runs_do_not_build_the_same(tmp_path: Path) -> None:
    with (
        build_folder(tmp_path / "model", FINGERPRINT),
        pytest.raises(StoreError, match="another run is making model; wait for it"),
        build_folder(tmp_path / "model", FINGERPRINT),
    ):
        pass


def test_a_build_without_a_fingerprint_leaves_nothing_and_removes_what_dead_processes_left(tmp_path: Path) -> None:
    leave(tmp_path / "release", "")
    leave(tmp_path / "other", FINGERPRINT)
    assert len(list(tmp_path.iterdir())) == 2
    with (
        contextlib.suppress(KeyError),
        build_folder(tmp_path / "release") as build,
        build_folder(tmp_path / "release") as second,
    ):
        assert sorted(tmp_path.iterdir()) == sorted([build, second])
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    expected = r"cannot write .*file/model: .*free some space"
    with pytest.raises(StoreError, match=expected), build_folder(tmp_path / "file/model"):
        pass
