"""data_catalog.yaml as a frozen `Catalog`: the only place with paths and limits.

Everything is checked when it is read: an unknown key, a wrong value or a plug-in that is not there is refused with
the file, the line, the key, what was found and what is allowed.
"""

import difflib
import os
import re
import zoneinfo
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from figureground import ids, layouts, plugins
from figureground.errors import ArrayError, CatalogError, PluginError, SourceError
from figureground.media import addresses
from figureground.storage import disk_budget
from figureground.storage.store import Root
from figureground.types import Asset, Source, Weights

_SHA256 = "^[0-9a-f]{64}$"
_SHA256_OR_NONE = "^([0-9a-f]{64})?$"
_NAME = "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
_FILE_NAME = "^[A-Za-z0-9][A-Za-z0-9._-]*$"
_ADDRESS = "^https?://"
_CLUSTER = "^(tcp|tls|ws|wss)://"
_SECRETS = re.compile(r"(?<=://)[^/@\s]*(?=@)|[^\s/'\"@]+:[^\s/'\"@]+(?=@)|(?<=[?&#])[^\s'\"]+")  # never repeated
_WHEN = r"^(\S+( \S+){4}|every [1-9][0-9]* (minutes?|hours?|days?)|never)$"
_ADDRESS_OR_NONE = "^(https?://.*)?$"
_WEBHOOK = "^(https?://.+|env:[A-Za-z_][A-Za-z0-9_]*)$"
_HOST = r"^[A-Za-z0-9._:-]+$"
_OF_PORTRAITS = ("face", "enlargement")
_A_SHA256 = "expected a sha256, 64 characters of 0-9 and a-f (`sha256sum FILE` prints it)"
_IN_WORDS = {
    _SHA256: _A_SHA256,
    _SHA256_OR_NONE: _A_SHA256,
    _NAME: "expected a name of 1 to 64 letters A-Z, a-z, digits, '_' and '-', starting with a letter or digit",
    _FILE_NAME: "expected a file name of letters A-Z, a-z, digits, '.', '_' and '-'",
    _ADDRESS: "expected an address that starts with http:// or https://",
    _CLUSTER: "expected a Dask scheduler's address, such as tcp://10.0.0.5:8786",
    _WHEN: "expected cron's five fields such as '0 2 * * *', 'every 15 minutes', or 'never'",
    _ADDRESS_OR_NONE: "expected an address that starts with http:// or https://",
    _HOST: "expected a host's name or number without http:// and port, such as media.lan or 10.0.0.5",
    _WEBHOOK: "expected an address that starts with http:// or https://, or env:NAME, the variable that holds it",
}


def _without_secret(address: str) -> str:
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        raise ValueError("expected an address without name, password or token; these come from the environment")
    return address


def _zone(name: str) -> str:
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected a time zone such as UTC or Europe/Berlin") from error
    return name


def _sized(text: str) -> str:
    disk_budget.size(text)
    return text


def _without_credentials(options: dict[str, Any]) -> dict[str, Any]:
    if told := sorted(set(options) & {"key", "secret", "token", "username", "password"}):
        raise ValueError(f"expected no {', '.join(told)} here: credentials come from the environment or ~/.aws")
    return options


def _readable(path: str) -> str:
    if addresses.in_package(path):
        try:
            addresses.member(path)
        except SourceError as error:
            raise ValueError(str(error)) from error
    elif "://" in path and not urlsplit(path).path.strip("/"):
        raise ValueError("expected the address of a file, such as https://example.org/clips/park.mp4")
    return path


Sha256 = Annotated[str, Field(pattern=_SHA256)]
Name = Annotated[str, Field(pattern=_NAME)]
FileName = Annotated[str, Field(pattern=_FILE_NAME)]
When = Annotated[str, Field(pattern=_WHEN)]
Size = Annotated[str, AfterValidator(_sized)]
Bytes = Annotated[int, Field(ge=1), BeforeValidator(lambda one: disk_budget.size(one) if isinstance(one, str) else one)]
Host = Annotated[str, Field(pattern=_HOST), AfterValidator(str.lower)]
Place = Annotated[str, Field(min_length=1), AfterValidator(_readable)]
Places = Annotated[tuple[Place, ...], Field(min_length=1), BeforeValidator(lambda one: (one,) if isinstance(one, str) else one)]
Plugin = Annotated[dict[str, dict[str, Any] | None], Field(min_length=1, max_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("expected no true/false here (yes, no, on and off mean these in YAML; quote them to mean words)")
        return value


class LimitsEntry(_Strict):
    """What is taken from elsewhere; what is beyond is a row with the reason."""

    videos_at_most: int = Field(default=100, ge=1)
    seconds_at_least: float = Field(default=0.0, ge=0)
    seconds_at_most: float = Field(default=7200.0, gt=0)
    bytes_at_most: Bytes = 10_000_000_000
    bytes_per_second_at_most: Bytes | None = None
    seconds_untouched_at_least: float = Field(default=2.0, ge=0, le=60)


class SourceEntry(_Strict):
    """One source: footage that came from one place."""

    kind: Literal["video", "images", "layout", "web"] = "video"
    path: Place
    sha256: Annotated[str, Field(pattern=_SHA256_OR_NONE)] = ""
    licenses: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    license: str = Field(default="", validate_default=True)
    limits: LimitsEntry = LimitsEntry()
    storage_options: dict[str, Any] = {}
    scenes: tuple[Name, ...] = ()
    split: Literal["auto", "train", "val", "test"] = "auto"
    layout: Plugin | None = None
    classes: str | dict[Annotated[int, Field(ge=0, le=255)], Annotated[str, Field(min_length=1)]] = "person"
    remap: dict[str, str] = {}
    specks_at_most: Annotated[float, Field(ge=0)] = 12

    @field_validator("license")
    @classmethod
    def _license_is_known(cls, found: str, others: ValidationInfo) -> str:
        if not found and not (others.data.get("kind") == "web" and others.data.get("licenses")):
            raise PydanticCustomError("missing", "missing")
        return found

    @model_validator(mode="after")
    def _only_from_elsewhere(self) -> Self:
        if self.kind == "web" and not self.path.startswith(("http://", "https://")):
            raise ValueError("kind: web needs the address of a page, playlist, channel or feed: http:// or https://")
        if self.kind == "web" and self.sha256:
            raise ValueError("a page is no file, which a sha256 could pin; remove it")
        if self.kind != "web" and self.licenses:
            raise ValueError("licenses is only for kind: web, where each video has its own; give license")
        if self.storage_options and "://" not in self.path:
            raise ValueError("storage_options open a storage behind an address, such as s3://bucket/prefix; remove them")
        return self

    _no_credentials = field_validator("storage_options")(_without_credentials)

    @model_validator(mode="after")
    def _layouts_are_datasets(self) -> Self:
        if self.kind == "layout" and self.layout is None:
            raise ValueError("kind: layout needs to know which, for example `layout: {mmseg_custom: {}}`")
        if self.kind != "layout" and (self.layout or self.remap or self.classes != "person" or self.specks_at_most != 12):
            raise ValueError("layout, classes, remap and specks_at_most are only for kind: layout")
        if self.kind == "layout" and self.sha256:
            raise ValueError("a dataset is a folder, which no sha256 pins; remove it")
        if self.kind == "layout":
            self._check_classes()
        return self

    def _check_classes(self) -> None:
        from figureground.imaging import class_maps  # OpenCV comes with it, which a catalog without datasets does not need

        try:
            class_maps.reading(self.classes, self.remap)
        except ArrayError as error:
            raise ValueError(str(error)) from error


class AssetEntry(_Strict):
    """Model weights, pinned by their hash; several paths are tried in order."""

    sha256: Sha256
    license: str = Field(min_length=1)
    path: Places


class ScenesRecipe(_Strict):
    """Some frames of each shot; `figureground.media.shots` finds where shots begin."""

    detector: Literal["adaptive", "content", "hash", "histogram"] = "adaptive"
    threshold: float | None = Field(default=None, gt=0)
    frames: int = Field(default=1, ge=1, le=20)
    seconds_at_least: float = Field(default=0.5, ge=0)


class SampleRecipe(_Strict):
    """Which frames to take."""

    every_seconds: float | None = Field(default=None, gt=0)
    every_frames: int | None = Field(default=None, ge=1)
    scenes: ScenesRecipe | None = None
    sharpest_within: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _one_step(self) -> Self:
        if sum(step is not None for step in (self.every_seconds, self.every_frames, self.scenes)) != 1:
            raise ValueError("give exactly one of every_seconds, every_frames, scenes")
        return self


class PortraitRecipe(_Strict):
    """Half-length portraits of one size, placed by the face; see `figureground.people.portraits`."""

    width: int = Field(default=600, ge=16, le=8192)
    height: int = Field(default=800, ge=16, le=8192)
    face_share: float = Field(default=0.25, gt=0, le=1)
    weights: FileName = "face_detection_yunet_2023mar.onnx"


class CropRecipe(_Strict):
    """How a box becomes a crop."""

    margin: float = Field(default=0.1, ge=0, le=1)
    short_side_at_least: int = Field(default=32, ge=1)
    portrait: PortraitRecipe | None = None
    instances: FileName | None = None


class Recipe(_Strict):
    """What is done to every source."""

    sample: SampleRecipe
    detector: Plugin
    crop: CropRecipe = CropRecipe()
    checks: dict[str, dict[str, Any] | None]
    remover: Plugin

    @model_validator(mode="after")
    def _faces_only_where_they_are_looked_for(self) -> Self:
        if "face" in self.checks and self.crop.portrait is None:
            raise ValueError("the check face needs crop.portrait: faces are looked for only there")
        return self


class PaysOffEntry(_Strict):
    """Whether pre-annotation pays is measured, and where it does not, tasks are left blank.

    See `figureground.annotation.preannotation_gate`.
    """

    left_blank: float = Field(default=0.05, gt=0, le=0.5)
    labels_at_least: int = Field(default=20, ge=5)


class LabelStudioEntry(_Strict):
    """The annotators' server. The token is never here: it comes from the environment."""

    url: str = Field(default="http://127.0.0.1:8080", pattern=_ADDRESS)
    project: str = Field(default="figureground", min_length=3, max_length=50)
    label_config: str = "label_config/person.xml"
    pays_off: PaysOffEntry | None = None
    second_opinions: float = Field(default=0.0, ge=0, le=1)
    mask: Literal["brush", "bitmask"] = "brush"
    _no_secret = field_validator("url")(_without_secret)


class ReleaseRecipe(_Strict):
    """What a release is made of."""

    note: Name = "community"
    layouts: Annotated[tuple[str | Plugin, ...], Field(min_length=1)] = ("mmseg_custom",)
    val: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _something_to_train_on(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val and test together must stay below 1; found {self.val} + {self.test}")
        return self

    def settings(self) -> dict[str, dict[str, Any]]:
        """Give the settings of each layout by its name; one that is named again is called ``<name>-2``."""
        return _layout_settings(self.layouts)


def _layout_settings(entries: tuple[str | Plugin, ...]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name, own = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
        again = sum(one.partition("-")[0] == name for one in found)
        found[f"{name}-{again + 1}" if again else name] = dict(own or {})
    return found


class BackgroundsEntry(_Strict):
    """Where backgrounds come from: ``path``, a folder of pictures, or the frames of a ``source`` of this catalog."""

    path: Annotated[str, Field(min_length=1)] | None = None
    source: Name | None = None
    horizon: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.path is None) == (self.source is None):
            raise ValueError("give either path, a folder of pictures, or source, a source of this catalog")
        return self


class ShadowsEntry(_Strict):
    """How much light shadows take away at most."""

    contact: float = Field(default=0.7, ge=0, le=1)
    cast: float = Field(default=0.75, ge=0, le=1)


class MatchEntry(_Strict):
    """How far a person's light and colour go towards the place's."""

    mean: float = Field(default=0.4, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, le=1)


class AugmentationsEntry(_Strict):
    """albumentations' transforms by name, each with its settings. None: its defaults.

    See `figureground.synthesis.augmentations`.
    """

    backgrounds: dict[str, dict[str, Any] | None] | None = None
    people: dict[str, dict[str, Any] | None] | None = None
    composites: dict[str, dict[str, Any] | None] | None = None


class ComposeRecipe(_Strict):
    """Synthetic pairs: cutouts on new backgrounds; see `figureground.synthesis.synthesize`."""

    note: Name = "synthetic"
    people: Annotated[tuple[str, ...], Field(min_length=1)]
    backgrounds: tuple[BackgroundsEntry, ...]
    detector: Plugin | None = None
    pictures: int = Field(default=1000, ge=1)
    seed: int = 1
    width: int = Field(default=768, ge=32, le=8192)
    height: int = Field(default=576, ge=32, le=8192)
    val: float = Field(default=0.1, ge=0, lt=1)
    real: str | None = Field(default=None, min_length=1)
    real_share: float = Field(default=0.0, ge=0, le=1)
    layouts: tuple[str | Plugin, ...] = ()
    people_at_most: int = Field(default=1, ge=1, le=8)
    person_height: tuple[float, float] = (0.35, 0.95)
    horizon: tuple[float, float] = (0.25, 0.5)
    half_length: float = Field(default=0.15, ge=0, le=1)
    faces: float = Field(default=0.05, ge=0, le=1)
    mirrored: float = Field(default=0.5, ge=0, le=1)
    turned_at_most: float = Field(default=3.0, ge=0, le=45)
    enlarged_at_most: float = Field(default=1.5, ge=1, le=4)
    zoom_at_most: float = Field(default=1.6, ge=1, le=8)
    shadows: ShadowsEntry = ShadowsEntry()
    match: MatchEntry = MatchEntry()
    blend: Literal["display", "linear"] = "display"
    jpeg_quality: tuple[int, int] = (75, 95)
    augmentations: AugmentationsEntry = AugmentationsEntry()

    @field_validator("person_height", "horizon", "jpeg_quality")
    @classmethod
    def _in_order(cls, found: tuple[float, float], which: ValidationInfo) -> tuple[float, float]:
        low, high = (1, 100) if which.field_name == "jpeg_quality" else (0.02, 1)
        if not low <= found[0] <= found[1] <= high:
            raise ValueError(f"expected two numbers from {low} to {high}, the smaller first")
        return found

    @model_validator(mode="after")
    def _shares(self) -> Self:
        if self.half_length + self.faces > 1:
            raise ValueError("half_length and faces are shares of the pictures; together at most 1")
        if self.real_share and self.real is None:
            raise ValueError("real_share needs real: the folder of a release")
        return self


class ScheduleEntry(_Strict):
    """When the flows run by themselves: cron's five fields in ``timezone``, ``every 15 minutes``, or ``never``."""

    ingest: When = "0 2 * * *"
    pull: When = "*/15 * * * *"
    release: When = "0 6 * * 1"
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    reports_url: str = Field(default="", pattern=_ADDRESS_OR_NONE)
    runs_kept: int = Field(default=100, ge=1)
    _no_secret = field_validator("reports_url")(_without_secret)


class NotifyEntry(_Strict):
    """Who hears of a run that failed. A webhook's address that is a secret stands in the environment: ``env:NAME``."""

    webhook: Annotated[str, Field(pattern=_WEBHOOK), AfterValidator(_without_secret)] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    again_after_hours: float = Field(default=12.0, ge=0)

    @model_validator(mode="after")
    def _somebody_hears(self) -> Self:
        if self.webhook is None and self.command is None:
            raise ValueError("give webhook, command or both")
        return self


class BudgetEntry(_Strict):
    """How much room files may take that can be made again; see `figureground.storage.disk_budget`."""

    frames: Size | None = None
    crops: Size | None = None
    mattes: Size | None = None


class DaskEntry(_Strict):
    """A cluster that does the stages' work: one of our own on this machine, or one that runs already."""

    address: str | None = Field(default=None, pattern=_CLUSTER)
    workers: int | None = Field(default=None, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=64)
    gpu_stages: tuple[Literal["crop", "measure", "matte"], ...] = ()
    shards: int | None = Field(default=None, ge=1, le=4096)
    shard_at_least: int = Field(default=64, ge=1)

    @model_validator(mode="after")
    def _own_or_running(self) -> Self:
        if (self.address is None) == (self.workers is None):
            raise ValueError("give either workers, a cluster of our own on this machine, or the address of one that runs")
        if self.address and "threads" in self.model_fields_set:
            raise ValueError("threads is for a cluster of our own; a running worker was told with `dask worker --nthreads`")
        return self


class RunnerEntry(_Strict):
    """Where the stages' work is done, when not in threads."""

    dask: DaskEntry


def _runner(entry: Any) -> Any:
    if isinstance(entry, str) and entry != "threads":
        raise ValueError("expected threads, or a cluster such as `{dask: {workers: 2}}`")
    return None if entry == "threads" else entry


class Catalog(_Strict):
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
    local: str = "data"
    allow_hosts: tuple[Host, ...] = ()
    runner: Annotated[RunnerEntry | None, BeforeValidator(_runner)] = None

    @property
    def storage_root(self) -> Root:
        """The storage as an absolute folder or a URL, with what opens it."""
        local = str((self.folder / self.local).resolve())
        address = self.storage if "://" in self.storage else str((self.folder / self.storage).resolve())
        return Root(address, self.storage_options, local)

    @field_validator("storage")
    @classmethod
    def _storage_without_secret(cls, storage: str) -> str:
        return _without_secret(storage) if "://" in storage else storage

    @field_validator("storage_options")
    @classmethod
    def _options_without_secret(cls, options: dict[str, Any], others: ValidationInfo) -> dict[str, Any]:
        if options and "://" not in others.data.get("storage", "://"):
            raise ValueError("expected none for a local folder: they open a storage behind an address, such as s3://bucket")
        if told := sorted(set(options) & {"key", "secret", "token", "username", "password"}):
            raise ValueError(f"expected no {', '.join(told)} here: credentials come from the environment or ~/.aws")
        return options

    @property
    def cluster(self) -> DaskEntry | None:
        """The Dask cluster that does the stages' work; None means threads of this process."""
        return None if self.runner is None else self.runner.dask

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

    def scenes_of(self, source_id: str) -> tuple[str, ...]:
        """Give a source's scenes; of one file of a folder or glob, ``<source>-<file>``, those of the folder's entry.

        Raises
        ------
        CatalogError
            When no source has that name.
        """
        return self.source(self.entry_of(source_id)).scenes

    def entry_of(self, source_id: str) -> str:
        """Name the entry that a source comes from: its own, or that of the folder, glob or dataset it is a part of."""
        return ids.entry_of(source_id, self.sources)

    def dataset(self, source_id: str) -> Any:
        """Build the layout that a ``kind: layout`` source is read with.

        Raises
        ------
        PluginError
            When there is no such layout, or its datasets cannot become sources.
        """
        layout = self.sources[self.entry_of(source_id)].layout or {}
        plugin = self._plugin("layouts", layout)
        if not hasattr(plugin, "found"):
            able = [name for name in plugins.names("layouts") if hasattr(plugins.find("layouts", name), "found")]
            raise PluginError(
                f"layout {next(iter(layout))}: its datasets cannot become a source; those of {', '.join(able)} can"
            )
        return plugin

    def asset(self, name: str) -> Asset:
        """Give one asset as the noun `tasks.ingest.fetch` works on.

        Raises
        ------
        CatalogError
            When there is none of that name.
        """
        if name not in self.assets:
            raise CatalogError(f"no asset {name!r} in the catalog{_did_you_mean(name, list(self.assets))}")
        entry = self.assets[name]
        return Asset(Weights(name, entry.sha256), entry.license, tuple(_absolute(path, self.folder) for path in entry.path))

    def detector(self) -> Any:
        """Build the detector the recipe names."""
        return self._plugin("detectors", self.recipe.detector)

    def remover(self) -> Any:
        """Build the remover the recipe names."""
        return self._plugin("removers", self.recipe.remover)

    def checks(self) -> dict[str, Any]:
        """Build the checks the recipe names, in its order: the first that refuses gives the reason.

        Portraits are always checked for their face and their enlargement, first and by default limits where the recipe
        does not name them: a person without a face is dropped, and that is said.
        """
        always: dict[str, None] = dict.fromkeys(_OF_PORTRAITS) if self.recipe.crop.portrait else {}
        named = {name: settings for name, settings in always.items() if name not in self.recipe.checks} | self.recipe.checks
        return {name: plugins.build("checks", name, settings or {}, self._weights()) for name, settings in named.items()}

    def face_weights(self) -> Weights | None:
        """Give the face detector's weights when the recipe cuts portraits."""
        portrait = self.recipe.crop.portrait
        return plugins.asset(portrait.weights, self._weights(), "portrait", "weights") if portrait else None

    def instance_weights(self) -> Weights | None:
        """Give the weights of the segmentation network that looks at each crop as it is cut, when the recipe names one."""
        name = self.recipe.crop.instances
        return plugins.outlining(plugins.asset(name, self._weights(), "crop", "instances"), "crop") if name else None

    def weights(self) -> tuple[Weights, ...]:
        """List all weights that the recipe needs, in the order of their use."""
        looking = (self.face_weights(), self.instance_weights())
        used = [*looking, *(one for plugin in self._plugins() for one in plugins.weights(plugin))]
        return tuple(dict.fromkeys(one for one in used if one))

    def _plugins(self) -> tuple[Any, ...]:
        return (self.detector(), *self.checks().values(), self.remover())

    def layouts(self) -> dict[str, Any]:
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

    def screener(self) -> Any:
        """Build the detector that looks for people in backgrounds: the composition's own, or the recipe's."""
        own = self.compose.detector if self.compose else None
        return self._plugin("detectors", own or self.recipe.detector)

    def composed_layouts(self) -> dict[str, Any]:
        """Give the settings of the layouts that synthetic pairs are written in besides ``im_gt``, each checked."""
        settings = _layout_settings(self.compose.layouts) if self.compose else {}
        for name, own in settings.items():
            layouts.build(name, own)
        return settings

    def _plugin(self, kind: str, entry: dict[str, dict[str, Any] | None]) -> Any:
        name, settings = next(iter(entry.items()))
        return plugins.build(kind, name, settings or {}, self._weights())

    def _weights(self) -> dict[str, Weights]:
        return {name: Weights(name, entry.sha256) for name, entry in self.assets.items()}


def load(path: Path, *, whole: bool = True) -> Catalog:
    """Read and check a catalog.

    Parameters
    ----------
    path
        The YAML file.
    whole
        Also build every plug-in it names, to see that they take their settings; that imports what they need.

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
        raise CatalogError(f"{path}{_spot(error)}: not YAML: {_syntax(error)}") from error
    _refuse_twins(node, path)
    if not isinstance(content, dict):
        raise CatalogError(f"{path}: expected a mapping with the keys {', '.join(_keys(Catalog))}; found {content!r}")
    if "folder" in content:
        raise CatalogError(f"{path}:{_line(node, ('folder',))}: folder: unknown key; allowed: {', '.join(_keys(Catalog))}")
    try:
        catalog = Catalog.model_validate({**content, "folder": path.resolve().parent})
    except ValidationError as error:
        raise CatalogError("\n".join(_message(path, node, problem) for problem in error.errors())) from error
    parts: list[tuple[Callable[[], Any], tuple[str, ...]]] = [
        (catalog.detector, ("recipe", "detector")),
        (catalog.face_weights, ("recipe", "crop")),
        (catalog.instance_weights, ("recipe",)),
        (catalog.checks, ("recipe", "checks")),
        (catalog.remover, ("recipe", "remover")),
        (catalog.layouts, ("releases", "layouts")),
        (catalog.screener, ("compose", "detector") if catalog.compose and catalog.compose.detector else ("recipe", "detector")),
        (catalog.composed_layouts, ("compose", "layouts")),
        *((partial(catalog.dataset, name), ("sources", name, "layout")) for name, one in catalog.sources.items() if one.layout),
    ]
    for build, where in parts if whole else ():
        try:
            build()
        except PluginError as error:
            place = (*where, *error.where)
            raise PluginError(f"{path}:{_line(node, place)}: {'.'.join(place)}: {error}") from error
    return catalog


def moved(catalog: Catalog, folder: Path, *, url: str, project: str, note: str) -> str:
    """Write a catalog for another folder: the same sources and recipe, a storage, project and releases of its own.

    Parameters
    ----------
    catalog
        Whose relative paths start in its own folder.
    folder
        Where the text will stand.
    url, project, note
        Label Studio's address and project, and the releases' note.

    Returns
    -------
    str
        YAML that `load` reads.
    """
    content = catalog.model_dump(mode="json", exclude={"folder", "storage_options", "local", "compose"})
    for entry in content["sources"].values():
        entry["path"] = _absolute(entry["path"], catalog.folder)
    for entry in content["assets"].values():
        entry["path"] = [_absolute(path, catalog.folder) for path in entry["path"]]
    content["recipe"]["sample"] = catalog.recipe.sample.model_dump(exclude_none=True)
    content["storage"] = "data"
    label_config = os.path.relpath(catalog.label_config_file, folder)
    content["label_studio"] |= {"url": url, "project": project, "label_config": label_config}
    content["releases"]["note"] = note
    return "# Written by `figureground demo`.\n" + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)


def _absolute(path: str, folder: Path) -> str:
    """Give a local path that means the same from everywhere; an address stays as it is."""
    return path if addresses.is_address(path) else str((folder / Path(path).expanduser()).absolute())


def _spot(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    return f":{mark.line + 1}" if mark else ""


def _syntax(error: yaml.YAMLError) -> str:
    """Say what the parser stumbled over, and the slips that cause it most."""
    said = [getattr(error, "context", None), getattr(error, "problem", None)]
    words = ", ".join(part for part in said if part) or " ".join(str(error).split())
    return f"{words}. Look for a missing space after ':', a tab instead of spaces, an open bracket or quote, wrong indentation"


def _keys(model: type[BaseModel]) -> list[str]:
    return [name for name in model.model_fields if name != "folder"]


_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): Catalog,
    ("sources", "*"): SourceEntry,
    ("sources", "*", "limits"): LimitsEntry,
    ("assets", "*"): AssetEntry,
    ("recipe",): Recipe,
    ("recipe", "sample"): SampleRecipe,
    ("recipe", "sample", "scenes"): ScenesRecipe,
    ("recipe", "crop"): CropRecipe,
    ("recipe", "crop", "portrait"): PortraitRecipe,
    ("label_studio",): LabelStudioEntry,
    ("label_studio", "pays_off"): PaysOffEntry,
    ("releases",): ReleaseRecipe,
    ("compose",): ComposeRecipe,
    ("compose", "backgrounds", "*"): BackgroundsEntry,
    ("compose", "shadows"): ShadowsEntry,
    ("compose", "match"): MatchEntry,
    ("compose", "augmentations"): AugmentationsEntry,
    ("schedules",): ScheduleEntry,
    ("notify",): NotifyEntry,
    ("budget",): BudgetEntry,
    ("runner",): RunnerEntry,
    ("runner", "dask"): DaskEntry,
}


def _message(path: Path, node: yaml.Node | None, problem: Any) -> str:
    loc = tuple(str(part) for part in problem["loc"] if part != "[key]")
    where = f"{path}:{_line(node, loc)}: {'.'.join(loc) or 'catalog'}"
    if problem["type"] == "extra_forbidden":
        allowed = _keys(_MODELS.get(loc[:-1]) or _MODELS.get((*loc[:-2], "*")) or _MODELS[(loc[0], "*", *loc[2:-1])])
        return f"{where}: unknown key{_perhaps(loc[-1], allowed)}; allowed: {', '.join(allowed)}"
    if problem["type"] == "missing":
        return f"{where}: missing; expected a value"
    return f"{where}: {_expected(problem)}; found {_short(problem['input'])}"


def _expected(problem: Any) -> str:
    context = problem.get("ctx", {})
    if problem["type"] == "string_pattern_mismatch":
        return _IN_WORDS[context["pattern"]]
    if problem["type"] == "literal_error":
        return f"expected {context['expected']}"
    if problem["loc"][-1] == "[key]":
        return "expected words as a name; put it in quotes"
    if problem["type"] in ("model_type", "dict_type"):
        return "expected keys with values below it"
    if problem["type"] == "tuple_type":
        return "expected a list, for example [park, jumping]"
    if problem["type"] in ("too_long", "too_short"):
        return f"expected {'exactly one' if context.get('field_type') == 'Dictionary' else 'at least one'}"
    return str(problem["msg"]).removeprefix("Value error, ").replace("Input should be", "expected", 1)


def _short(found: Any) -> str:
    text = _SECRETS.sub("…", repr(found))
    return text if len(text) <= 100 else f"{text[:80]} …"


def _perhaps(found: str, allowed: list[str]) -> str:
    near = difflib.get_close_matches(found, allowed, n=1)
    return f", did you mean {near[0]!r}?" if near else ""


def _did_you_mean(found: str, allowed: list[str]) -> str:
    return f"{_perhaps(found, allowed)}; it has: {', '.join(allowed) or 'none'}"


def _line(node: yaml.Node | None, loc: tuple[str, ...]) -> int:
    """Give the line of the deepest part of a key path that the file has."""
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            pair = next(((key, value) for key, value in node.value if key.value == part), None)
            if pair is None:
                break
            line, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode):
            node = next((item for number, item in enumerate(node.value) if part in (str(number), item.value)), None)
            if node is None:
                break
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
