"""One new file is one new plug-in, and what is not one is refused by name."""

import dataclasses
import sys
from pathlib import Path

import pytest

import figureground.checks
from figureground import plugins
from figureground.errors import PluginError
from figureground.types import Weights

GOOD = '''
from dataclasses import dataclass
from typing import ClassVar

from figureground.types import PersonCrop


@dataclass(frozen=True)
class Brightness:
    """Mean grey, 0..255."""

    VERSION: ClassVar[int] = 1

    at_least: float = 20

    def measure(self, crop: PersonCrop) -> float:
        """Give the mean."""
        return float(crop.image.mean())

    def accepts(self, value: float) -> bool:
        """Refuse the dark."""
        return value >= self.at_least
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder that counts as part of figureground/checks/."""
    before = set(sys.modules)
    monkeypatch.setattr(figureground.checks, "__path__", [*figureground.checks.__path__, str(tmp_path)])
    plugins.find.cache_clear()
    yield tmp_path
    plugins.find.cache_clear()
    for name in set(sys.modules) - before:
        if name.startswith("figureground.checks."):
            del sys.modules[name]


def test_a_new_file_is_found_with_no_other_edit(folder: Path) -> None:
    (folder / "brightness.py").write_text(GOOD)

    assert "brightness" in plugins.names("checks")
    check = plugins.build("checks", "brightness", {"at_least": "30"})
    assert (check.at_least, check.accepts(29), check.accepts(30)) == (30.0, False, True)
    assert plugins.describe(check) == {"name": "brightness", "at_least": 30.0}
    assert plugins.weights(check) == ()


def test_a_package_beside_the_plugins_is_no_plugin(folder: Path) -> None:
    (folder / "brightness").mkdir()
    (folder / "brightness/__init__.py").write_text(GOOD)

    assert not {"brightness", "heads"} & set(plugins.names("checks"))
    for name in ("brightness", "heads"):
        with pytest.raises(PluginError, match=f"checks has no '{name}'"):
            plugins.find("checks", name)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("nothing", "X = 1\n", "must hold exactly one frozen dataclass; found none"),
        ("imported", "from figureground.types import Box\n", "must hold exactly one frozen dataclass; found none"),
        ("thawed", GOOD.replace("(frozen=True)", ""), "exactly one frozen dataclass; found Brightness"),
        ("twins", GOOD + GOOD.replace("Brightness", "Darkness"), "found Brightness, Darkness"),
        ("mute", GOOD.replace("def accepts", "def approves"), r"Brightness lacks accepts, which figureground\.checks asks for"),
    ],
)
def test_what_is_no_plugin_is_refused(folder: Path, name: str, text: str, message: str) -> None:
    (folder / f"{name}.py").write_text(text)

    with pytest.raises(PluginError, match=message) as caught:
        plugins.find("checks", name)
    assert f"figureground.checks.{name}" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "where", "message"),
    [
        ({"at_leest": 3}, ("brightness", "at_leest"), r"no setting 'at_leest'; it has: at_least\. Did you mean 'at_least'\?"),
        ({"wrong": 3}, ("brightness", "wrong"), r"no setting 'wrong'; it has: at_least$"),
        ({"at_least": "dark"}, ("brightness", "at_least"), r"checks\.brightness\.at_least: .*valid number.*found 'dark'"),
    ],
)
def test_wrong_settings_are_named(folder: Path, settings: dict[str, object], where: tuple[str, ...], message: str) -> None:
    (folder / "brightness.py").write_text(GOOD)

    with pytest.raises(PluginError, match=message) as caught:
        plugins.build("checks", "brightness", settings)
    assert caught.value.where == where


def test_a_missing_setting_is_named(folder: Path) -> None:
    (folder / "brightness.py").write_text(GOOD.replace("at_least: float = 20", "at_least: float"))

    with pytest.raises(PluginError, match=r"checks\.brightness\.at_least: Field required$"):
        plugins.build("checks", "brightness", {})


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(PluginError, match=r"checks has no 'sharpnes'; it has: .*occlusion, .*Did you mean 'sharpness'\?"):
        plugins.find("checks", "sharpnes")


NEEDS_WEIGHTS = GOOD.replace("at_least: float = 20", "model: Weights\n    at_least: float = 20").replace(
    "import PersonCrop", "import PersonCrop, Weights"
)


@pytest.mark.parametrize("named", ["a.onnx", "a"])
def test_weights_are_given_by_the_assets_name(folder: Path, named: str) -> None:
    (folder / "judge.py").write_text(NEEDS_WEIGHTS)
    weights = Weights("a.onnx", "0" * 64)
    check = plugins.build("checks", "judge", {"model": named}, {"a.onnx": weights})

    assert plugins.weights(check) == (weights,)
    assert plugins.describe(check)["model"] == dataclasses.asdict(weights)


def test_an_asset_that_is_not_there_is_named(folder: Path) -> None:
    (folder / "judge.py").write_text(NEEDS_WEIGHTS)

    with pytest.raises(PluginError, match=r"no asset 'b\.onnx'; the catalog's assets are: a\.onnx\. Did you mean") as caught:
        plugins.build("checks", "judge", {"model": "b.onnx"}, {"a.onnx": Weights("a.onnx", "0" * 64)})
    assert caught.value.where == ("judge", "model")


@pytest.mark.parametrize("kind", plugins.KINDS)
def test_every_plugin_there_is_can_be_found(kind: str) -> None:
    assert plugins.names(kind)
    for name in plugins.names(kind):
        assert dataclasses.is_dataclass(plugins.find(kind, name))


@pytest.mark.parametrize("version", ["", "VERSION: ClassVar[int] = 0", "VERSION: ClassVar[str] = '1'", "VERSION = True"])
def test_a_plug_in_without_a_version_is_refused(folder: Path, version: str) -> None:
    (folder / "brightness.py").write_text(GOOD.replace("VERSION: ClassVar[int] = 1", version))

    message = r"figureground\.checks\.brightness\.Brightness has no VERSION: expected `VERSION: ClassVar\[int\] = 1`.*found"
    with pytest.raises(PluginError, match=message):
        plugins.find("checks", "brightness")


def test_an_identity_is_the_name_the_version_the_head_and_the_settings(folder: Path) -> None:
    (folder / "brightness.py").write_text(GOOD.replace("= 1\n", "= 3\n"))
    check = plugins.build("checks", "brightness", {"at_least": 30})

    settings = {"at_least": 30.0}
    assert plugins.identity(check) == {"plugin": "checks.brightness", "version": 3, "head": None, "settings": settings}
    assert plugins.identity(check, leave_out=("at_least",))["settings"] == {}
    assert plugins.version("checks", "brightness") == 3


def test_a_head_is_part_of_the_identity() -> None:
    distortion = plugins.build("checks", "distortion", {})
    assert plugins.identity(distortion)["head"] == ["distortion", 1]


NETWORKS = {"a.onnx": Weights("a.onnx", "0" * 64), "b.onnx": Weights("b.onnx", "1" * 64)}
PERSON = {"matting": "rvm_1.onnx", "instances": "yolo-seg.pt"}
PERSON_NETWORKS = NETWORKS | {name: Weights(name, "2" * 64) for name in PERSON.values()}


def test_assets_of_a_group_of_settings_are_found_too() -> None:
    refine = {"encoder": "a", "decoder": "b.onnx", "below": 0.5}
    remover = plugins.build("removers", "person", PERSON | {"refine": refine}, PERSON_NETWORKS)

    assert (remover.refine.encoder, remover.refine.decoder, remover.refine.below) == (*NETWORKS.values(), 0.5)
    assert set(plugins.weights(remover)) == set(PERSON_NETWORKS.values())
    assert plugins.identity(remover)["settings"]["refine"]["decoder"]["sha256"] == "1" * 64


@pytest.mark.parametrize(
    ("refine", "message"),
    [
        ({"encoder": "a", "decoder": "c"}, r"no asset 'c'; the catalog's assets are: "),
        ({"encoder": "a", "decoder": "b", "under": 1}, r"person\.refine has no setting .under.; it has: encoder, "),
        ({"encoder": "a", "decoder": "b", "below": 2}, r"removers\.person\.refine.*below: .*less than or equal to 1; found 2"),
        ({"encoder": "a"}, r"removers\.person\.refine.*decoder: Field required"),
        ("yes", r"removers\.person\.refine.*; found 'yes'"),
    ],
)
def test_a_wrong_group_of_settings_is_refused_by_name(refine: object, message: str) -> None:
    with pytest.raises(PluginError, match=message) as caught:
        plugins.build("removers", "person", PERSON | {"refine": refine}, PERSON_NETWORKS)
    assert caught.value.where[:2] == ("person", "refine")


def test_a_group_of_settings_that_is_not_given_does_not_count() -> None:
    """What was made before a plug-in had the group stays what it was."""
    remover = plugins.build("removers", "person", PERSON, PERSON_NETWORKS)
    assert "refine" not in plugins.identity(remover)["settings"]
