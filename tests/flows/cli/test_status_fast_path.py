"""`figureground status` in a process of its own: fast because it imports nothing slow, and right."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from figureground import tables
from figureground.storage.store import Store
from flows.cli import status_fast_path

ROOT = Path(__file__).parents[3]


def python(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)


def imported(folder: Path, *slow: str) -> list[str]:
    """Run the command in a process of its own, and give those of these modules that it imported."""
    code = "import sys; sys.argv = ['figureground', 'status']; from flows.cli.status_fast_path import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += f"print([name for name in {slow} if name in sys.modules])"
    done = python(folder, "-c", code)
    assert done.returncode == 0 and "park" in done.stdout, done
    return list(ast.literal_eval(done.stdout.splitlines()[-1]))


def test_status_needs_no_prefect_no_pandas_and_no_network(tmp_path: Path) -> None:
    (tmp_path / "data_catalog.yaml").write_text((ROOT / "data_catalog.yaml").read_text())
    assert imported(tmp_path, "prefect", "pandas", "cv2", "torch", "httpx", "pyarrow") == []


@pytest.mark.slow
def test_a_valid_catalog_is_not_validated_again(tmp_path: Path) -> None:
    file, slow = tmp_path / "data_catalog.yaml", ("numpy", "pydantic", "fsspec", "yaml", "typer", "rich", "pyarrow", "prefect")
    file.write_text((ROOT / "data_catalog.yaml").read_text())
    assert "pydantic" in imported(tmp_path, *slow)
    assert imported(tmp_path, *slow) == []
    fixed = {"source_id": "park", "width": 9, "height": 9, "original": "a", "reason": "", "file": "", "sha256": ""}
    rows = pd.DataFrame([{"frame_id": f"park-{n:06d}", "index": n, "seconds": n / 2, **fixed} for n in range(6)])
    tables.write(Store(str(tmp_path / "data")), "frames", "park", rows, fingerprint="frames")
    assert imported(tmp_path, *slow) == [], "the writer of a table stores its statistics"
    file.write_text(file.read_text() + "# changed\n")
    assert "pydantic" in imported(tmp_path, *slow)


@pytest.mark.slow
def test_a_broken_catalog_is_reported_as_by_other_commands(tmp_path: Path) -> None:
    file = tmp_path / "data_catalog.yaml"
    file.write_text((ROOT / "data_catalog.yaml").read_text())
    assert python(tmp_path, "-m", "flows.cli", "status").returncode == 0
    file.write_text(file.read_text() + "sorces: {}\n")
    done = python(tmp_path, "-m", "flows.cli.status_fast_path", "status")
    assert done.returncode == 1
    assert "sorces: unknown key, did you mean 'sources'?" in done.stderr


@pytest.mark.parametrize("arguments", [["ingest"], ["status", "--help"], ["status", "--verbose"], ["status", "x"], []])
def test_other_arguments_go_to_the_whole_command_line(arguments: list[str]) -> None:
    assert status_fast_path.parse_plain_status(arguments) is None


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_the_command_prints_text_or_json(tmp_path: Path, options: list[str]) -> None:
    (tmp_path / "data_catalog.yaml").write_text((ROOT / "data_catalog.yaml").read_text())
    printed = python(tmp_path, "-m", "flows.cli", "status", *options).stdout
    assert "park" in printed and "walk" in printed
    assert not options or json.loads(printed)["sources"][0]["source"] == "park"
