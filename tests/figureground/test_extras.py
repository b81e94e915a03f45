"""What an extra brings is asked for by name, before any work; every extra of pyproject.toml is known."""

import re
import tomllib
from pathlib import Path

import pytest

from figureground import catalog, extras
from figureground.errors import MissingPackageError

ROOT = Path(__file__).parents[2]


def test_every_extra_names_packages_that_pyproject_lists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    assert set(extras.PACKAGES) == set(optional) - {"all", "dev", "benchmark"}
    for name, packages in extras.PACKAGES.items():
        listed = {re.split(r"[=<>\[]", line)[0].replace("-", "_") for line in optional[name]}
        assert set(packages) <= listed
        based = {re.split(r"[=<>\[]", line)[0].replace("-", "_") for line in project["dependencies"]}
        assert not listed & based


@pytest.mark.parametrize(
    ("package", "extra", "text", "purpose"),
    [
        (
            "yt_dlp",
            "web",
            "sources: {talks: {kind: web, path: 'https://example.org/talks', license: MIT}}",
            "sources.talks: kind: web",
        ),
        ("s3fs", "s3", "storage: s3://bucket\nsources: {}", "storage: s3://bucket"),
        ("s3fs", "s3", "sources: {a: {path: 's3://b/c.mp4', license: MIT}}", "sources.a: s3://b/c.mp4"),
        ("distributed", "cluster", "sources: {}\nrunner: {dask: {workers: 2}}", "runner: dask"),
        ("albumentations", "train", "sources: {}\ncompose: {people: [a], backgrounds: [{path: b}]}", "compose"),
    ],
)
def test_a_missing_extra_is_named_before_any_work(
    package: str, extra: str, text: str, purpose: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "data_catalog.yaml"
    file.write_text(text)
    assert catalog.load(file, build_plugins=False)
    monkeypatch.setattr(extras, "find_spec", lambda name: None if name == package else object())
    with pytest.raises(MissingPackageError) as caught:
        catalog.load(file, build_plugins=False)
    assert str(caught.value) == (
        f"{purpose} needs {package}, which is not installed; install it with: pip install 'figureground[{extra}]'"
    )
