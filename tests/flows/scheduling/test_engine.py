"""How Prefect is started: a new home begins with empty tables that were made once."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from flows.scheduling.engine import create_tables

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_a_new_home_begins_with_tables_and_no_secret_in_them(tmp_path: Path) -> None:
    create_tables(tmp_path)
    with sqlite3.connect(tmp_path / "prefect.db") as database:
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
        assert {"flow_run", "task_run", "log", "configuration", "block_document", "alembic_version"} <= tables
        filled = {name for name in tables if database.execute(f'select count(*) from "{name}"').fetchone() != (0,)}
    assert filled == {"alembic_version"}, "no key, and nobody's runs"


def test_a_home_with_another_database_gets_no_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_DATABASE_CONNECTION_URL", "postgresql+asyncpg://prefect@127.0.0.1/prefect")
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    create_tables(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_command_that_runs_no_flow_waits_for_no_tables(tmp_path: Path) -> None:
    (tmp_path / "data_catalog.yaml").write_text((ROOT / "data_catalog.yaml").read_text())
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FIGUREGROUND_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-m", "flows.cli", "studio", "down"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "it was not running\n"), done.stderr
    assert not (tmp_path / ".prefect/prefect.db").exists() and not (tmp_path / "cache").exists()
