"""The threat model names tests that exist, and the page of licences every packaged asset with its licence."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_the_threat_model_names_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/security.md").read_text(encoding="utf-8"))
    assert len(named) > 20
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text(encoding="utf-8")]
    assert not missing


def test_every_file_of_security_tests_is_in_the_threat_model() -> None:
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    files = [file.name for file in (ROOT / "tests/security").glob("test_*.py")]
    assert not [name for name in files if f"tests/security/{name}::" not in page]


def test_every_packaged_asset_stands_with_its_licence() -> None:
    page = (ROOT / "docs/licenses.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", page, re.M))
    defaults = yaml.safe_load((ROOT / "figureground/catalog/defaults.yaml").read_text(encoding="utf-8"))
    assert rows == {name: asset["license"] for name, asset in defaults["assets"].items()}
