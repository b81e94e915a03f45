"""docs/add_a_check.md, gone through word by word in a copy of what it needs."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def blocks(language: str) -> list[str]:
    text = (ROOT / "docs/add_a_check.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, the docs and the contract suite, with the page's file and section put where it says."""
    folder = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("figureground", "docs", "tests/contracts"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "data_catalog.yaml"):
        shutil.copy(ROOT / name, folder / name)
    place = re.search(r"^`(figureground/checks/\w+\.py)`:$", (ROOT / "docs/add_a_check.md").read_text(), re.MULTILINE)
    assert place, "the page says where its file goes"
    assert not (folder / place[1]).exists()
    (folder / place[1]).write_text(blocks("python")[0], encoding="utf-8")
    with (folder / "docs/checks.md").open("a", encoding="utf-8") as file:
        file.write("\n" + blocks("markdown")[0])
    return folder


def run(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    found = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.slow
def test_the_contract_suite_finds_the_new_check_and_it_passes(copy: Path) -> None:
    [command] = blocks("sh")
    arguments = command.split()[1:]
    assert arguments[:2] == ["-m", "pytest"]
    said = run(copy, *arguments, "-k", "tilt", "-p", "no:cacheprovider")
    assert int(re.search(r"(\d+) passed", said)[1]) >= 15  # type: ignore[index]


def test_the_catalog_may_name_it_at_once(copy: Path) -> None:
    [recipe] = blocks("yaml")
    lines = "".join(f"  {line}\n" for line in recipe.splitlines() if line.startswith("  "))
    packaged = (copy / "figureground/catalog/defaults.yaml").read_text()
    catalog = (copy / "data_catalog.yaml").read_text() + packaged[packaged.index("\nrecipe:") :]
    (copy / "mine.yaml").write_text(re.sub(r"(?m)^(  checks:.*\n)", lambda found: found[1] + lines, catalog))
    program = "from pathlib import Path; from figureground.catalog import load; print(load(Path('mine.yaml')).checks()['tilt'])"
    assert "Tilt(at_most=30" in run(copy, "-c", program)


def test_a_person_lying_down_is_dropped(copy: Path) -> None:
    program = """
import numpy as np
from figureground import plugins
from figureground.types import Box, PersonCrop
joints = np.full((17, 3), 0.9, np.float32)
joints[[5, 6], :2], joints[[11, 12], :2] = (10, 20), (60, 25)
box, image = Box(0, 0, 80, 40), np.zeros((40, 80, 3), np.uint8)
check = plugins.build("checks", "tilt", {})
value = check.measure(PersonCrop("a", "b", "c", box, box, 0.9, joints, (), 80, 40, image))
print(round(value), check.accepts(value))
"""
    assert run(copy, "-c", program).split() == ["84", "False"]
