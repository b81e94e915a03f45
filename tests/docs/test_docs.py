"""The docs say what is there: a file, command, plug-in, error or key without a word fails here."""

import inspect
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer

from figureground import catalog, errors, plugins, tables
from figureground.tables import documentation
from flows.cli.app import app

ROOT = Path(__file__).parents[2]


def tracked() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_top_level_holds_only_what_was_agreed() -> None:
    top = {name.split("/")[0] for name in tracked()}
    agreed = {"pyproject.toml", "README.md", "flows", "tasks", "tests", "label_config", "data_catalog.yaml",
              "figureground", "docs", "benchmarks", "Makefile", "LICENSE", "CHANGELOG.md", "README.zh.md", "SECURITY.md",
              "Containerfile", "compose.yaml", "prefect.yaml", ".ci"}  # fmt: skip
    assert {name for name in top - agreed if not name.startswith(".") and not name.endswith(".lock")} == set()


def commands() -> list[str]:
    group = typer.main.get_command(app)
    names = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        names += [f"{name} {sub}" for sub in command.commands] if hasattr(command, "commands") else [name]
    return names


@pytest.mark.parametrize("command", commands())
def test_every_command_is_documented(command: str) -> None:
    assert f"## `figureground {command}" in text("docs/commands.md")


COMMON = ("--catalog", "--verbose", "--help")


def options() -> list[tuple[str, str]]:
    found = [("", option) for option in typer_options(typer.main.get_command(app))]
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        found += [(name, option) for option in typer_options(command)]
        found += [
            (f"{name} {sub}", option) for sub, one in getattr(command, "commands", {}).items() for option in typer_options(one)
        ]
    return sorted(set(found))


def typer_options(command: Any) -> list[str]:
    return [option for parameter in command.params for option in parameter.opts if option.startswith("--")]


@pytest.mark.parametrize(("command", "option"), options())
def test_every_option_is_documented(command: str, option: str) -> None:
    whole = text("docs/commands.md")
    section = whole if not command else re.split(r"\n##? ", whole.split(f"## `figureground {command}")[1])[0]
    documented = whole if option in COMMON else section
    assert re.search(rf"`(figureground )?{option}\b", documented), f"{command} {option}"


@pytest.mark.parametrize("command", [command for command in commands() if command != "studio"])
def test_every_command_takes_a_catalog(command: str) -> None:
    assert (command, "--catalog") in options()


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in plugins.KINDS for name in plugins.names(kind)])
def test_every_plug_in_is_documented(kind: str, name: str) -> None:
    assert re.search(rf"^\| `{name}` \|", text("docs/plugins.md").split(f"## {kind}")[1].split("\n## ")[0], re.MULTILINE)


@pytest.mark.parametrize("error", [name for name, thing in vars(errors).items() if inspect.isclass(thing)])
def test_every_error_is_drawn_and_documented(error: str) -> None:
    assert re.search(rf"(── |^)\s*{error}\b", errors.__doc__ or "", re.MULTILINE)
    assert f"`{error}`" in text("docs/errors.md")


def keys() -> list[str]:
    models = [thing for thing in vars(catalog).values() if inspect.isclass(thing) and hasattr(thing, "model_fields")]
    return sorted({name for model in models for name in model.model_fields if name != "folder"})


@pytest.mark.parametrize("key", keys())
def test_every_catalog_key_is_documented(key: str) -> None:
    assert f"`{key}`" in text("docs/catalog.md")


def test_the_page_about_tables_is_made_from_the_row_classes() -> None:
    assert text("docs/tables.md") == documentation.render(), "run python -m figureground.tables.documentation docs/tables.md"


@pytest.mark.parametrize("stage", tables.SCHEMAS)
def test_every_column_is_documented(stage: str) -> None:
    section = text("docs/tables.md").split(f"## {stage}\n")[1].split("\n## ")[0]
    for column in tables.SCHEMAS[stage]:
        unit = f" ({column.unit})" if column.unit else ""
        assert f"| `{column.name}` | {column.type} | {column.meaning}{unit} |" in section, column.name


def test_every_make_target_is_in_the_help() -> None:
    listed = subprocess.run(["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("help", "install", "demo", "test", "test-fast", "check", "studio", "clean"):
        assert re.search(rf"^{target} ", listed, re.MULTILINE), target


def test_every_dependency_gives_its_reason() -> None:
    listed = re.findall(r'^    "[^"]+",(.*)$', text("pyproject.toml").split("[project.scripts]")[0], re.MULTILINE)
    assert listed
    assert all("#" in rest for rest in listed)


@pytest.mark.parametrize("name", [name for name in tracked() if name.endswith(".lock")])
def test_a_lock_has_hashes_and_names_no_index(name: str) -> None:
    content = text(name)
    assert "--hash=sha256:" in content
    assert not re.search(r"https?://|--index-url|--find-links", content)


def test_links_in_the_docs_lead_somewhere() -> None:
    for name in (name for name in tracked() if name.endswith(".md")):
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", text(name)):
            assert (ROOT / name).parent.joinpath(target).exists(), f"{name} links to {target}"


def test_the_changelog_has_this_version() -> None:
    from figureground import __version__

    assert f"## {__version__}" in text("CHANGELOG.md")
    assert f'version = "{__version__}"' in text("pyproject.toml")
