"""docs/architecture.md and the tree agree, no file is too long, and an import that goes up is refused."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
ROOMS = ("figureground", "tasks", "flows")
MODULES_AT_MOST, LINES_AT_MOST, FUNCTION_LINES_AT_MOST = 14, 450, 70
FILES = sorted(file for room in ROOMS for file in (ROOT / room).rglob("*.py"))


def test_every_file_and_function_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:figureground|tasks|flows|tests)/[\w/.]*)`", PAGE)
    assert len(named) > 15
    assert [name for name in named if not (ROOT / name).exists()] == []
    for function, file in re.findall(r"`(\w+)` in `([\w/.]+\.py)`", PAGE):
        assert f"def {function}(" in (ROOT / file).read_text(encoding="utf-8")


def test_the_page_names_every_package() -> None:
    packages = {folder.parent.name for folder in (ROOT / "figureground").glob("*/__init__.py")}
    modules = {file.name for file in (ROOT / "figureground").glob("*.py")} - {"__init__.py"}
    named = set(re.findall(r"`([\w.]+)`", PAGE)) | set(re.findall(r"\w+\.py", PAGE))
    assert packages | modules <= named


def test_no_folder_module_or_function_is_too_long() -> None:
    folders = [folder for room in ROOMS for folder in (ROOT / room, *(ROOT / room).rglob("*")) if folder.is_dir()]
    crowded = {str(folder): count for folder in folders if (count := len(list(folder.glob("*.py")))) > MODULES_AT_MOST}
    texts = {file: file.read_text(encoding="utf-8") for file in FILES}
    long = {str(file): lines for file, text in texts.items() if (lines := text.count("\n")) > LINES_AT_MOST}
    functions = {
        f"{file}:{node.name}": lines
        for file, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES_AT_MOST
    }
    assert (crowded, long, functions) == ({}, {}, {})


def test_every_package_says_what_lives_there() -> None:
    for file in FILES:
        if file.name == "__init__.py":
            assert ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))), file


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for name in ROOMS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    program = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "text", "named"),
    [
        (
            "figureground/imaging/wrong.py",
            "from figureground.catalog import Catalog\n",
            "figureground.imaging.wrong -> figureground.catalog",
        ),
        ("figureground/media/wrong.py", "import httpx\n", "figureground.media.wrong -> httpx"),
        ("figureground/wrong.py", "", "wrong"),
        ("tasks/ingest/wrong.py", "from flows import ingest\n", "tasks.ingest.wrong -> flows.ingest"),
        ("tasks/annotation/wrong.py", "from tasks.annotation import push\n", "tasks.annotation.wrong -> tasks.annotation.push"),
    ],
)
def test_a_module_in_the_wrong_layer_is_refused(copy: Path, file: str, text: str, named: str) -> None:
    assert lint(copy).returncode == 0
    (copy / file).write_text(text)
    done = lint(copy)
    assert done.returncode == 1
    assert named in done.stdout.replace("\n", " ")
