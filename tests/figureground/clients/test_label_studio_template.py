"""A new home of Label Studio begins with tables that were made once."""

import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from figureground.clients import label_studio_template
from figureground.errors import FiguregroundError, StoreError


@pytest.mark.studio
def test_a_new_home_begins_with_tables_and_nobody_in_them(tmp_path: Path, studio_executable: str) -> None:
    home, program = tmp_path / "home", Path(studio_executable)
    home.mkdir()
    label_studio_template.lay(home, program, os.environ)
    with sqlite3.connect(home / label_studio_template.DATABASE) as database:
        for table in ("htx_user", "authtoken_token", "organization", "project"):
            assert database.execute(f"select count(*) from {table}").fetchone() == (0,)
        assert database.execute("select count(*) from django_migrations").fetchone()[0] > 100
    (home / label_studio_template.DATABASE).write_bytes(b"somebody's")
    label_studio_template.lay(home, program, os.environ)
    assert (home / label_studio_template.DATABASE).read_bytes() == b"somebody's"


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An installation whose python does what it is told; give its program."""
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib/python3.11/site-packages/label_studio-9.9.dist-info").mkdir(parents=True)

    def install(script: str) -> Path:
        python = tmp_path / "bin/python"
        python.write_text(f"#!/bin/sh\n{script}\n")
        python.chmod(0o755)
        return tmp_path / "bin/label-studio"

    return install


def test_tables_are_made_once(installation, tmp_path: Path) -> None:
    program = installation('echo tables > "$LABEL_STUDIO_BASE_DATA_DIR/label_studio.sqlite3"; echo >> "$COUNT"')
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        label_studio_template.lay(tmp_path / name, program, {**os.environ, "COUNT": str(tmp_path / "count")})
        assert (tmp_path / name / label_studio_template.DATABASE).read_text() == "tables\n"
    assert (tmp_path / "count").read_text() == "\n"


def test_two_who_begin_in_one_home_at_once_share_a_file(installation, tmp_path: Path) -> None:
    """The second one's copy would replace the file that the first one's server has begun to write to."""
    program = installation('sleep 0.5; echo tables > "$LABEL_STUDIO_BASE_DATA_DIR/label_studio.sqlite3"')

    def begin(_: int) -> int:
        label_studio_template.lay(tmp_path, program, os.environ)
        return (tmp_path / label_studio_template.DATABASE).stat().st_ino

    with ThreadPoolExecutor() as pool:
        assert len(set(pool.map(begin, range(4)))) == 1


def test_tables_that_cannot_be_made_are_one_message_and_leave_nothing(installation, tmp_path: Path) -> None:
    program = installation("echo no such table >&2; exit 3")
    with pytest.raises(FiguregroundError, match=r"cannot make its tables .*ended with 3.*\n    no such table"):
        label_studio_template.lay(tmp_path, program, os.environ)
    assert not (tmp_path / label_studio_template.DATABASE).exists() and not list((tmp_path / "cache/blank").glob("*.sqlite3"))


def test_beside_another_database_none_is_laid(installation, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    label_studio_template.lay(tmp_path / "home", installation("exit 3"), {**os.environ, "DJANGO_DB": "default"})
    assert list((tmp_path / "home").iterdir()) == []


def test_a_cache_that_cannot_be_written_is_named(installation, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("no folder")
    with pytest.raises(
        StoreError, match=r"cannot keep the empty tables of Label Studio in .*cache/blank, .*FIGUREGROUND_CACHE"
    ):
        label_studio_template.lay(tmp_path, installation("exit 3"), os.environ)


def test_an_installation_of_another_kind_makes_its_own(tmp_path: Path) -> None:
    label_studio_template.lay(tmp_path, tmp_path / "bin/label-studio", os.environ)
    assert list(tmp_path.iterdir()) == []
