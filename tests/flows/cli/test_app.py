import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from figureground.errors import CatalogError
from flows.cli import app

HEAVY = {"prefect", "torch", "ultralytics", "rembg", "pandas", "pyarrow", "cv2", "av", "label_studio_sdk", "onnxruntime"}


def imported_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("statement", ["import figureground", "import figureground.catalog", "import flows.cli"])
def test_starting_imports_nothing_heavy(statement: str) -> None:
    assert imported_by(statement) & HEAVY == set()


def test_loading_the_catalog_imports_no_network_of_any_kind() -> None:
    load = "from pathlib import Path; from figureground.catalog import load; load(Path('data_catalog.yaml'))"
    assert imported_by(load) & {"prefect", "torch", "ultralytics", "rembg", "label_studio_sdk", "onnxruntime"} == set()


@pytest.mark.parametrize("command", sorted(app.app.registered_commands, key=lambda command: command.callback.__name__),
                         ids=lambda command: command.callback.__name__)  # fmt: skip
def test_every_command_has_help(command) -> None:
    found = CliRunner().invoke(app.app, [command.callback.__name__.replace("_", "-"), "--help"])
    assert found.exit_code == 0
    assert command.callback.__doc__.split(".")[0][:30] in found.output


def test_wrong_usage_exits_2() -> None:
    assert CliRunner().invoke(app.app, ["ingest", "--no-such-option"]).exit_code == 2
    assert CliRunner().invoke(app.app, ["nonsense"]).exit_code == 2


def run(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    environment = {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": "/usr/bin:/bin", "HOME": str(cwd)}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, env=environment)


def test_an_error_is_one_message_without_traceback_and_exit_code_1(tmp_path: Path) -> None:
    found = run("ingest", cwd=tmp_path)
    assert found.returncode == 1
    assert found.stderr.startswith("error: ")
    assert "data_catalog.yaml" in found.stderr
    assert "--catalog" in found.stderr
    assert "Traceback" not in found.stderr


def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    found = run("ingest", "--verbose", cwd=tmp_path)
    assert found.returncode == 1
    assert "Traceback" in found.stderr
    assert CatalogError.__name__ in found.stderr
