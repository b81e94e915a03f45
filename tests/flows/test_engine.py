"""How Prefect is started: a new home begins with empty tables that were made once."""

import sqlite3
from pathlib import Path

import pytest

from flows.engine import lay_tables


@pytest.mark.slow
def test_a_new_home_begins_with_tables_and_no_secret_in_them(tmp_path: Path) -> None:
    lay_tables(tmp_path)
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        assert {"flow_run", "task_run", "log", "configuration", "block_document", "alembic_version"} <= tables
        filled = {name for name in tables if database.execute(f'select count(*) from "{name}"').fetchone() != (0,)}
    assert filled == {"alembic_version"}, "no key, and nobody's runs"


def test_a_home_that_is_told_of_another_database_gets_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://prefect@127.0.0.1/prefect")
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    lay_tables(tmp_path)
    assert list(tmp_path.iterdir()) == []
