import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from figureground import __version__
from figureground.errors import CatalogError
from flows.cli import app
from flows.cli.models import _training_settings
from flows.cli.options import locate_release

HEAVY = {"prefect", "torch", "ultralytics", "rembg", "pandas", "pyarrow", "cv2", "av", "label_studio_sdk", "onnxruntime"}


def imported_by(statement: str) -> set[str]:
    program = f"import sys\n{statement}\nprint('\\n'.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split())


@pytest.mark.parametrize("statement", ["import figureground", "import figureground.catalog", "import flows.cli"])
def test_starting_imports_nothing_heavy(statement: str) -> None:
    assert imported_by(statement) & HEAVY == set()


@pytest.mark.slow
def test_loading_the_catalog_imports_no_network_of_any_kind() -> None:
    load = "from pathlib import Path; from figureground.catalog import load; load(Path('data_catalog.yaml'))"
    assert imported_by(load) & {"prefect", "torch", "ultralytics", "rembg", "label_studio_sdk", "onnxruntime"} == set()


COMMANDS = typer.main.get_command(app.app).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name, command in sorted(COMMANDS.items()) if not hasattr(command, "commands")])
def test_every_command_has_help(name: str) -> None:
    found = CliRunner().invoke(app.app, [name, "--help"])
    assert found.exit_code == 0
    assert COMMANDS[name].callback.__doc__.split(".")[0][:30] in found.output


def test_the_help_groups_the_commands() -> None:
    panels = {name: command.rich_help_panel for name, command in COMMANDS.items()}
    groups = ["Set-up", "Data", "Annotation", "Releases", "Models", "Operation"]
    assert list(dict.fromkeys(panels.values())) == groups
    shown = CliRunner().invoke(app.app, ["--help"]).output
    assert [shown.index(f"─ {group} ─") for group in groups] == sorted(shown.index(f"─ {group} ─") for group in groups)


def test_the_version_is_printed() -> None:
    found = CliRunner().invoke(app.app, ["--version"])
    assert (found.exit_code, found.output) == (0, f"figureground {__version__}\n")


def test_shell_completion_can_be_shown() -> None:
    assert "--show-completion" in CliRunner().invoke(app.app, ["--help"]).output


@pytest.mark.parametrize("name", ["meter", "tidy", "listen"])
def test_an_old_name_is_wrong_usage(name: str) -> None:
    assert CliRunner().invoke(app.app, [name]).exit_code == 2


def test_wrong_usage_exits_2() -> None:
    assert CliRunner().invoke(app.app, ["ingest", "--no-such-option"]).exit_code == 2
    assert CliRunner().invoke(app.app, ["nonsense"]).exit_code == 2
    assert CliRunner().invoke(app.app, ["train", "folder", "--steps", "5", "--epochs", "1"]).exit_code == 2


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


@pytest.mark.slow
def test_verbose_shows_the_traceback(tmp_path: Path) -> None:
    found = run("ingest", "--verbose", cwd=tmp_path)
    assert found.returncode == 1
    assert "Traceback" in found.stderr
    assert CatalogError.__name__ in found.stderr


def test_a_release_is_found_by_its_folder_or_its_name_in_the_storage(tmp_path: Path) -> None:
    file = tmp_path / "data_catalog.yaml"
    file.write_text(Path("data_catalog.yaml").read_text())
    (tmp_path / "label_config").symlink_to(Path("label_config").resolve())
    stored = tmp_path / "data/releases/CustomSeg_Person_20260105_x"
    assert locate_release(Path(stored.name), file) == Path(stored.name)
    stored.mkdir(parents=True)
    assert locate_release(Path(stored.name), file) == stored
    assert locate_release(stored, tmp_path / "nothing.yaml") == stored
    assert locate_release(Path("CustomSeg_Person_20260105_x"), tmp_path / "nothing.yaml") == Path(stored.name)


def test_the_default_is_20000_images() -> None:
    settings = _training_settings(network="segnet", settings=["width=4"], steps=None, batch=8, side=32, classes=2)
    assert (settings.pictures, settings.steps) == (20_000, 2_500)
    settings = _training_settings(network="segnet", settings=None, steps=5, batch=4, side=32, classes=2)
    assert (settings.pictures, settings.steps) == (20, 5)
