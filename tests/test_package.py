"""What is installed from a wheel works from any folder: nothing of the checkout is needed."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's content in a folder of its own, built from a copy of the sources."""
    copy, built = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("built")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("figureground", "tasks", "flows", "label_config"):
        shutil.copytree(ROOT / name, copy / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(built), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [wheel] = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(built / "site")
    return built / "site"


def run(installed: Path, folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run Python in a folder outside the checkout, with the wheel's content before everything else."""
    environment = os.environ | {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    return subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_wheel_holds_every_data_file(installed: Path) -> None:
    suffixes = {".yaml", ".xml", ".npz", ".html", ".jinja", ".js", ".css", ".json"}
    for name in ("figureground", "label_config"):
        expected = {str(file.relative_to(ROOT)) for file in (ROOT / name).rglob("*") if file.suffix in suffixes}
        assert expected == {
            str(file.relative_to(installed)) for file in (installed / name).rglob("*") if file.suffix in suffixes
        }


@pytest.mark.slow
def test_a_catalog_with_sources_only_suffices_in_any_folder(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "data_catalog.yaml").write_text("sources: {park: {path: park.mp4, license: MIT}}\n")
    program = (
        "import figureground, pathlib; from figureground.catalog import load\n"
        "read = load(pathlib.Path('data_catalog.yaml'))\n"
        "print(figureground.__file__, read.label_config_file, read.label_config_file.is_file(), len(read.weights()))"
    )
    done = run(installed, tmp_path, "-c", program)
    assert done.returncode == 0, done.stderr
    package, label_config, there, weights = done.stdout.split()
    assert Path(package).is_relative_to(installed) and Path(label_config).is_relative_to(installed)
    assert there == "True" and int(weights) >= 3


@pytest.mark.slow
def test_the_command_line_runs_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "data_catalog.yaml").write_text("sources: {park: {path: park.mp4, license: MIT}}\n")
    done = run(installed, tmp_path, "-m", "flows.cli", "status")
    assert done.returncode == 0, done.stderr
    assert "park" in done.stdout
