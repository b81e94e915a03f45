"""The option and the fixture of golden outputs, see goldens.py."""

from typing import Any

import pytest

from tests.contracts.goldens import FOLDER, GoldenCheck, compare


def pytest_addoption(parser: pytest.Parser) -> None:
    about = "write the golden outputs of what is new or of a raised VERSION"
    parser.addoption("--update-golden", action="store_true", help=about)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> GoldenCheck:
    """Give the function that compares an output with its golden file."""
    update = bool(request.config.getoption("--update-golden", default=False))

    def check(name: str, version: int, output: Any, tolerance: float = 0.0) -> None:
        compare(FOLDER / f"{name}.json", version, output, tolerance, update=update)

    return check
