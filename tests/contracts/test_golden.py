"""A golden output fails when the output changed and the version did not, and is never written over."""

import json
import math
from pathlib import Path

import pytest

from figureground import plugins
from figureground.plugins import HasHead
from figureground.storage.hashing import sha256_file
from tests.contracts.goldens import FOLDER, GoldenCheck, compare

HEADS = Path(plugins.__file__).parent / "checks/heads"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    compare(tmp_path / "a.json", 1, {"value": [1.0, math.nan], "name": "x"}, 0.01, update=True)
    return tmp_path / "a.json"


def test_the_same_output_passes_and_tolerance_is_relative_above_1(file: Path) -> None:
    compare(file, 1, {"value": [1.009, math.nan], "name": "x"}, 0.01, update=False)
    compare(file.with_name("b.json"), 1, [1000.0], 0.01, update=True)
    compare(file.with_name("b.json"), 1, [1009.0], 0.01, update=False)


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ({"value": [1.02, math.nan], "name": "x"}, r"output\.value\[0\]: expected 1\.0 within 0\.01, found 1\.02"),
        ({"value": [1.0, 0.0], "name": "x"}, r"output\.value\[1\]"),
        ({"value": [1.0], "name": "x"}, r"output\.value: expected 2 values, found 1"),
        ({"value": [1.0, math.nan], "name": "y"}, r"output\.name: expected 'x'"),
        ({"value": [1.0, math.nan]}, r"output: expected the keys \['name', 'value'\], found \['value'\]"),
    ],
)
@pytest.mark.parametrize("update", [False, True])
def test_a_changed_output_of_the_same_version_fails_and_is_not_written(
    file: Path, output: object, place: str, update: bool
) -> None:
    before = file.read_bytes()
    with pytest.raises(pytest.fail.Exception, match=rf"the output of a changed and its VERSION, 1, did not: {place}"):
        compare(file, 1, output, 0.01, update=update)
    assert file.read_bytes() == before


def test_a_raised_version_asks_for_the_golden_output_and_writes_it(file: Path) -> None:
    message = "a has VERSION 2, its golden output is of 1; run pytest with --update-golden"
    with pytest.raises(pytest.fail.Exception, match=message):
        compare(file, 2, {}, 0, update=False)
    compare(file, 2, {"value": 7}, 0, update=True)
    assert json.loads(file.read_text()) == {"version": 2, "tolerance": 0, "output": {"value": 7}}
    with pytest.raises(pytest.fail.Exception, match="a has VERSION 1, its golden output is of 2"):
        compare(file, 1, {}, 0, update=True)


def test_a_missing_golden_output_is_named(tmp_path: Path) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"checks\.tilt has no golden output; run pytest on this file with"):
        compare(tmp_path / "checks.tilt.json", 1, {}, 0, update=False)


def test_no_golden_output_is_left_of_a_plug_in_that_is_gone() -> None:
    plugged = {f"{kind}.{name}" for kind in plugins.KINDS for name in plugins.names(kind)}
    kept = {".".join(file.name.split(".")[:2]) for file in FOLDER.glob("*.json") if file.name.split(".")[0] in plugins.KINDS}
    assert kept == plugged


WITH_HEADS = [name for name in plugins.names("checks") if isinstance(plugins.find("checks", name), HasHead)]


@pytest.mark.parametrize("name", WITH_HEADS)
def test_a_head_trained_anew_has_another_version(golden: GoldenCheck, name: str) -> None:
    head = plugins.find("checks", name).HEAD
    digest = sha256_file(HEADS / f"{head.name}.npz")
    assert digest == head.sha256
    golden(f"heads.{head.name}", head.version, digest)
