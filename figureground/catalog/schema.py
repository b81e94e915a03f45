"""The whole catalog as one frozen model, and the plug-ins that it names."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationInfo, field_validator

from figureground import ids, layouts, plugins
from figureground.catalog.entries import (
    AssetEntry,
    BudgetEntry,
    DaskEntry,
    LabelStudioEntry,
    NotifyEntry,
    RunnerEntry,
    ScheduleEntry,
    SourceEntry,
    parse_runner,
)
from figureground.catalog.messages import suggest_and_list
from figureground.catalog.recipes import ComposeRecipe, Recipe, ReleaseRecipe, layout_settings
from figureground.catalog.values import FileName, Host, Name, Strict, absolute_path, refuse_credentials, refuse_secrets
from figureground.checks import Check
from figureground.detectors import Detector
from figureground.errors import CatalogError, PluginError
from figureground.layouts import DatasetLayout, ImportableLayout, Layout
from figureground.mattes.remover import Remover
from figureground.storage.store import StorageAddress
from figureground.types import Asset, Source, Weights

_PORTRAIT_CHECKS = ("face", "enlargement")


class Catalog(Strict):
    """The whole file. ``folder`` is where it stands: relative paths start there."""

    folder: Path
    storage: str = "data"
    sources: dict[Name, SourceEntry]
    assets: dict[FileName, AssetEntry] = {}
    recipe: Recipe
    label_studio: LabelStudioEntry = LabelStudioEntry()
    releases: ReleaseRecipe = ReleaseRecipe()
    compose: ComposeRecipe | None = None
    schedules: ScheduleEntry = ScheduleEntry()
    notify: NotifyEntry | None = None
    budget: BudgetEntry = BudgetEntry()
    storage_options: dict[str, Any] = {}
    local_folder: str = "data"
    allow_hosts: tuple[Host, ...] = ()
    runner: Annotated[RunnerEntry | None, BeforeValidator(parse_runner)] = None

    @property
    def storage_root(self) -> StorageAddress:
        """The storage as an absolute folder or a URL, with what opens it."""
        local = str((self.folder / self.local_folder).resolve())
        address = self.storage if "://" in self.storage else str((self.folder / self.storage).resolve())
        return StorageAddress(address, self.storage_options, local)

    @field_validator("storage")
    @classmethod
    def _storage_without_secret(cls, storage: str) -> str:
        return refuse_secrets(storage) if "://" in storage else storage

    @field_validator("storage_options")
    @classmethod
    def _options_without_secret(cls, options: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if options and "://" not in others.data.get("storage", "://"):
            raise ValueError("expected none for a local folder: they open a storage behind an address, such as s3://bucket")
        return refuse_credentials(options)

    @property
    def cluster(self) -> DaskEntry | None:
        """The Dask cluster that runs the stages; None means threads of this process."""
        return None if self.runner is None else self.runner.dask

    @property
    def own_label_config(self) -> bool:
        """Whether the labelling interface is a file of the user's, and not a packaged one by its name."""
        return self.label_studio.label_config.endswith(".xml")

    @property
    def label_config_file(self) -> Path:
        """The labelling interface's file.

        Raises
        ------
        CatalogError
            When no packaged interface has the name that the catalog gives.
        """
        name = self.label_studio.label_config
        if self.own_label_config:
            return (self.folder / Path(name).expanduser()).resolve()
        packaged = {Path(file.name).stem: Path(str(file)) for file in resources.files("label_config").iterdir()}
        names = sorted(stem for stem, file in packaged.items() if file.suffix == ".xml")
        if name not in names:
            raise CatalogError(
                f"label_studio.label_config: no packaged interface {name!r}{suggest_and_list(name, names)}. "
                "For a file of your own give its path, ending in .xml"
            )
        return packaged[name]

    def source(self, source_id: str) -> Source:
        """Give a source as the tasks take it.

        Raises
        ------
        CatalogError
            When there is none of that name.
        """
        if source_id not in self.sources:
            raise CatalogError(f"no source {source_id!r} in the catalog{suggest_and_list(source_id, list(self.sources))}")
        entry = self.sources[source_id]
        return Source(source_id, entry.kind, entry.path, entry.sha256, entry.license, entry.scenes, entry.split)

    def scenes_of(self, source_id: str) -> tuple[str, ...]:
        """Give a source's scenes; of a file of a folder or glob, ``<source>-<file>``, those of the folder's entry.

        Raises
        ------
        CatalogError
            When no source has that name.
        """
        return self.source(self.entry_of(source_id)).scenes

    def entry_of(self, source_id: str) -> str:
        """Name the entry that a source comes from: its own, or that of the folder, glob or dataset it is a part of."""
        return ids.find_entry(source_id, self.sources)

    def dataset(self, source_id: str) -> DatasetLayout:
        """Build the layout that a ``kind: layout`` source is read with.

        Raises
        ------
        PluginError
            When there is no such layout, or its datasets cannot become sources.
        """
        layout = self.sources[self.entry_of(source_id)].layout or {}
        plugin: Layout = self._plugin("layouts", layout)
        if not isinstance(plugin, ImportableLayout):
            able = ", ".join(layouts.importable())
            raise PluginError(f"layout {next(iter(layout))}: its datasets cannot become a source; those of {able} can")
        return plugin

    def asset(self, name: str) -> Asset:
        """Give an asset as `figureground.clients.sources.fetching` takes it.

        Raises
        ------
        CatalogError
            When there is none of that name.
        """
        if name not in self.assets:
            raise CatalogError(f"no asset {name!r} in the catalog{suggest_and_list(name, list(self.assets))}")
        entry = self.assets[name]
        return Asset(Weights(name, entry.sha256), entry.license, tuple(absolute_path(path, self.folder) for path in entry.path))

    def detector(self) -> Detector:
        """Build the detector the recipe names."""
        detector: Detector = self._plugin("detectors", self.recipe.detector)
        return detector

    def remover(self) -> Remover:
        """Build the remover the recipe names."""
        remover: Remover = self._plugin("removers", self.recipe.remover)
        return remover

    def checks(self) -> dict[str, Check]:
        """Build the checks the recipe names, in its order: the first that rejects a crop gives the reason.

        Portraits are always checked for their face and their enlargement. Where the recipe does not name these two checks they
        come first, with their default limits.
        """
        implied = _PORTRAIT_CHECKS if self.recipe.crop.portrait else ()
        named = {name: None for name in implied if name not in self.recipe.checks} | self.recipe.checks
        return {name: plugins.build("checks", name, settings or {}, self._weights()) for name, settings in named.items()}

    def face_weights(self) -> Weights | None:
        """Give the face detector's weights when the recipe cuts portraits."""
        portrait = self.recipe.crop.portrait
        return plugins.asset(portrait.weights, self._weights(), "portrait", "weights") if portrait else None

    def instance_weights(self) -> Weights | None:
        """Give the weights of the segmentation network that runs on each crop as it is cut, when the recipe names it."""
        name = self.recipe.crop.instances
        return plugins.outlining(plugins.asset(name, self._weights(), "crop", "instances"), "crop") if name else None

    def weights(self) -> tuple[Weights, ...]:
        """List all weights that the recipe needs, in the order of their use."""
        used = [self.face_weights(), self.instance_weights()]
        needed: list[plugins.Plugin] = [self.detector(), *self.checks().values(), self.remover()]
        for plugin in needed:
            used += plugins.weights(plugin)
        return tuple(dict.fromkeys(weights for weights in used if weights))

    def layouts(self) -> dict[str, Layout]:
        """Build the layouts a release is written in."""
        return {name: layouts.build(name, settings) for name, settings in self.releases.settings().items()}

    def composition(self) -> ComposeRecipe:
        """Give the recipe of synthetic pairs.

        Raises
        ------
        CatalogError
            When the catalog has none.
        """
        if self.compose is None:
            raise CatalogError(
                "the catalog has no `compose:`; give it at least `people: [FOLDER]` and `backgrounds: [{path: FOLDER}]`: "
                "docs/compose.md"
            )
        return self.compose

    def background_detector(self) -> Detector:
        """Build the detector that finds people in backgrounds: the composition's own, or the recipe's."""
        own = self.compose.detector if self.compose else None
        detector: Detector = self._plugin("detectors", own or self.recipe.detector)
        return detector

    def composite_layouts(self) -> dict[str, Any]:
        """Give the settings of the layouts that synthetic pairs are written in besides ``im_gt``, each checked."""
        settings = layout_settings(self.compose.layouts) if self.compose else {}
        for name, own in settings.items():
            layouts.build(name, own)
        return settings

    def _plugin(self, kind: str, entry: dict[str, dict[str, Any] | None]) -> Any:
        name, settings = next(iter(entry.items()))
        return plugins.build(kind, name, settings or {}, self._weights())

    def _weights(self) -> dict[str, Weights]:
        return {name: Weights(name, entry.sha256) for name, entry in self.assets.items()}
