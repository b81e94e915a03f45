"""data_catalog.yaml as a frozen `Catalog`: the only place with paths and limits.

Everything is checked when it is read: an unknown key, a wrong value or a plug-in that is not there is refused with
the file, the line, the key, what was found and what is allowed.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from figureground import plugins
from figureground.errors import CatalogError, PluginError
from figureground.types import Asset, Source, Weights

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Name = Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Plugin = Annotated[dict[str, dict[str, Any] | None], Field(min_length=1, max_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SourceEntry(_Strict):
    """One source: footage that came from one place."""

    kind: Literal["video"] = "video"
    path: str = Field(min_length=1)
    sha256: Sha256 | Literal[""] = ""
    license: str = Field(min_length=1)
    scenes: tuple[Name, ...] = ()
    split: Literal["auto", "train", "val", "test"] = "auto"


class AssetEntry(_Strict):
    """Model weights, pinned by their hash; several paths are tried in order."""

    sha256: Sha256
    license: str = Field(min_length=1)
    path: str | tuple[str, ...] = Field(min_length=1)


class SampleRecipe(_Strict):
    """Which frames to take."""

    every_seconds: float | None = Field(default=None, gt=0)
    every_frames: int | None = Field(default=None, ge=1)
    sharpest_within: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if (self.every_seconds is None) == (self.every_frames is None):
            raise ValueError("give exactly one of every_seconds, every_frames")
        return self


class CropRecipe(_Strict):
    """How a box becomes a crop."""

    margin: float = Field(default=0.1, ge=0, le=1)
    short_side_at_least: int = Field(default=32, ge=1)


class Recipe(_Strict):
    """What is done to every source."""

    sample: SampleRecipe
    detector: Plugin
    crop: CropRecipe = CropRecipe()
    checks: dict[str, dict[str, Any] | None]
    remover: Plugin


class LabelStudioEntry(_Strict):
    """The annotators' server. The token is never here: it comes from the environment."""

    url: str = Field(default="http://127.0.0.1:8080", pattern="^https?://")
    project: str = Field(default="figureground", min_length=3, max_length=50)
    label_config: str = "label_config/person.xml"


class ReleaseRecipe(_Strict):
    """What a release is made of."""

    note: Name = "community"
    layouts: tuple[str, ...] = ("mmseg_custom",)
    val: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.0, ge=0, lt=1)


class ScheduleEntry(_Strict):
    """When the flows run by themselves, in cron's five fields (UTC)."""

    ingest: str = Field(default="0 2 * * *", pattern=r"^\S+( \S+){4}$")
    pull: str = Field(default="*/15 * * * *", pattern=r"^\S+( \S+){4}$")
    release: str = Field(default="0 6 * * 1", pattern=r"^\S+( \S+){4}$")


class Catalog(_Strict):
    """The whole file. ``folder`` is where it stands: relative paths start there."""

    folder: Path
    storage: str = "data"
    sources: dict[Name, SourceEntry]
    assets: dict[str, AssetEntry] = {}
    recipe: Recipe
    label_studio: LabelStudioEntry = LabelStudioEntry()
    releases: ReleaseRecipe = ReleaseRecipe()
    schedules: ScheduleEntry = ScheduleEntry()

    @property
    def storage_root(self) -> str:
        """The storage as an absolute folder or a URL."""
        return self.storage if "://" in self.storage else str((self.folder / self.storage).resolve())

    @property
    def label_config_file(self) -> Path:
        """The labelling interface's file."""
        return (self.folder / self.label_studio.label_config).resolve()

    def source(self, source_id: str) -> Source:
        """Give one source as the noun the tasks work on.

        Raises
        ------
        CatalogError
            When there is none of that name.
        """
        if source_id not in self.sources:
            raise CatalogError(f"no source {source_id!r} in the catalog{_did_you_mean(source_id, list(self.sources))}")
        entry = self.sources[source_id]
        return Source(source_id, entry.kind, entry.path, entry.sha256, entry.license, entry.scenes, entry.split)

    def asset(self, name: str) -> Asset:
        """Give one asset as the noun `tasks.fetch` works on.

        Raises
        ------
        CatalogError
            When there is none of that name.
        """
        if name not in self.assets:
            raise CatalogError(f"no asset {name!r} in the catalog{_did_you_mean(name, list(self.assets))}")
        entry = self.assets[name]
        paths = (entry.path,) if isinstance(entry.path, str) else entry.path
        return Asset(Weights(name, entry.sha256), entry.license, paths)

    def detector(self) -> Any:
        """Build the detector the recipe names."""
        return self._plugin("detectors", self.recipe.detector)

    def remover(self) -> Any:
        """Build the remover the recipe names."""
        return self._plugin("removers", self.recipe.remover)

    def checks(self) -> dict[str, Any]:
        """Build the checks the recipe names, in its order: the first that refuses gives the reason."""
        return {
            name: plugins.build("checks", name, settings or {}, self._weights())
            for name, settings in self.recipe.checks.items()
        }

    def layouts(self) -> dict[str, Any]:
        """Build the layouts a release is written in."""
        return {name: plugins.build("layouts", name, {}) for name in self.releases.layouts}

    def _plugin(self, kind: str, entry: dict[str, dict[str, Any] | None]) -> Any:
        name, settings = next(iter(entry.items()))
        return plugins.build(kind, name, settings or {}, self._weights())

    def _weights(self) -> dict[str, Weights]:
        return {name: Weights(name, entry.sha256) for name, entry in self.assets.items()}


def load(path: Path) -> Catalog:
    """Read and check a catalog.

    Parameters
    ----------
    path
        The YAML file.

    Returns
    -------
    Catalog
        Every plug-in it names exists and takes the settings given.

    Raises
    ------
    CatalogError
        With the file, the line, the key, what was found and what is allowed.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogError(
            f"{path}: cannot read the catalog ({error}). Expected a YAML file; give it with --catalog FILE, "
            "or run in the folder that has data_catalog.yaml"
        ) from error
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise CatalogError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    _refuse_twins(node, path)
    if not isinstance(content, dict):
        raise CatalogError(f"{path}: expected a mapping with the keys {', '.join(_keys(Catalog))}; found {content!r}")
    if "folder" in content:
        raise CatalogError(f"{path}:{_line(node, ('folder',))}: folder: unknown key; allowed: {', '.join(_keys(Catalog))}")
    try:
        catalog = Catalog.model_validate({**content, "folder": path.resolve().parent})
    except ValidationError as error:
        raise CatalogError("\n".join(_message(path, node, problem) for problem in error.errors())) from error
    for build, where in (
        (catalog.detector, ("recipe", "detector")),
        (catalog.checks, ("recipe", "checks")),
        (catalog.remover, ("recipe", "remover")),
        (catalog.layouts, ("releases", "layouts")),
    ):
        try:
            build()
        except PluginError as error:
            raise PluginError(f"{path}:{_line(node, where)}: {'.'.join(where)}: {error}") from error
    return catalog


def moved(catalog: Catalog, folder: Path, *, project: str, note: str) -> str:
    """Write a catalog for another folder: the same sources and recipe, a storage, project and releases of its own.

    Parameters
    ----------
    catalog
        Whose relative paths start in its own folder.
    folder
        Where the text will stand.
    project, note
        The Label Studio project and the releases' note.

    Returns
    -------
    str
        YAML that `load` reads.
    """
    content = catalog.model_dump(mode="json", exclude={"folder"})
    for entry in content["sources"].values():
        if not re.match(r"[a-z0-9]+:", entry["path"]):
            entry["path"] = str((catalog.folder / entry["path"]).absolute())
    content["recipe"]["sample"] = catalog.recipe.sample.model_dump(exclude_none=True)
    content["storage"] = "data"
    content["label_studio"] |= {"project": project, "label_config": os.path.relpath(catalog.label_config_file, folder)}
    content["releases"]["note"] = note
    return "# Written by `figureground demo`.\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _keys(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != "folder"]


_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Catalog,
    ("sources", "*"): SourceEntry,
    ("assets", "*"): AssetEntry,
    ("recipe",): Recipe,
    ("recipe", "sample"): SampleRecipe,
    ("recipe", "crop"): CropRecipe,
    ("label_studio",): LabelStudioEntry,
    ("releases",): ReleaseRecipe,
    ("schedules",): ScheduleEntry,
}


def _message(path: Path, node: yaml.Node | None, problem: Any) -> str:
    loc = tuple(str(part) for part in problem["loc"])
    key, where = ".".join(loc), f"{path}:{_line(node, loc)}"
    if problem["type"] == "extra_forbidden":
        parent = loc[:-1]
        model = _MODELS.get(parent) or _MODELS[(parent[0], "*")]
        return f"{where}: {key}: unknown key{_did_you_mean(loc[-1], _keys(model))}; allowed: {', '.join(_keys(model))}"
    if problem["type"] == "missing":
        return f"{where}: {key}: missing; expected a value"
    return f"{where}: {key or 'catalog'}: {problem['msg']}; found {problem['input']!r}"


def _did_you_mean(found: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(found, allowed, n=1)
    there = f"; it has: {', '.join(allowed) or 'none'}" if not near else ""
    return f"; did you mean {near[0]!r}?" if near else there


def _line(node: yaml.Node | None, loc: tuple[str, ...]) -> int:
    """Give the line of the deepest part of a key path that the file has."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and part.isdigit() and int(part) < len(node.value):
            node = node.value[int(part)]
            line = node.start_mark.line + 1
    return line


def _refuse_twins(node: yaml.Node | None, path: Path, above: str = "") -> None:
    """Refuse a key given twice: YAML would silently keep the last."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise CatalogError(
                    f"{path}:{line}: {above}{key.value}: given twice; the first is in line {seen[key.value]}. Remove one"
                )
            seen[key.value] = line
            _refuse_twins(value, path, f"{above}{key.value}.")
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_twins(value, path, above)
