"""The catalog's recipes: how a source becomes crops, what a release is made of, how composites are made."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from figureground.catalog.values import FileName, Name, Plugin, Plugins, Strict


class ScenesRecipe(Strict):
    """Some frames of each shot; `figureground.media.shots` finds where shots begin."""

    detector: Literal["adaptive", "content", "hash", "histogram"] = "adaptive"
    threshold: float | None = Field(default=None, gt=0)
    frames: int = Field(default=1, ge=1, le=20)
    seconds_at_least: float = Field(default=0.5, ge=0)


class SampleRecipe(Strict):
    """Which frames to take."""

    every_seconds: float | None = Field(default=None, gt=0)
    every_frames: int | None = Field(default=None, ge=1)
    scenes: ScenesRecipe | None = None
    sharpest_within: float = Field(default=0.0, ge=0)

    @model_validator(mode="after")
    def _exactly_one_step(self) -> Self:
        if sum(step is not None for step in (self.every_seconds, self.every_frames, self.scenes)) != 1:
            raise ValueError("give exactly one of every_seconds, every_frames, scenes")
        return self


class PortraitRecipe(Strict):
    """Half-length portraits of one size, placed by the face; see `figureground.people.portraits`."""

    width: int = Field(default=600, ge=16, le=8192)
    height: int = Field(default=800, ge=16, le=8192)
    face_share: float = Field(default=0.25, gt=0, le=1)
    weights: FileName = "face_detection_yunet_2023mar.onnx"


class CropRecipe(Strict):
    """How a box becomes a crop."""

    margin: float = Field(default=0.1, ge=0, le=1)
    short_side_at_least: int = Field(default=32, ge=1)
    portrait: PortraitRecipe | None = None
    instances: FileName | None = None


class Recipe(Strict):
    """What is done to every source."""

    sample: SampleRecipe
    detector: Plugin
    crop: CropRecipe = CropRecipe()
    checks: Plugins
    remover: Plugin

    @model_validator(mode="after")
    def _face_check_needs_portraits(self) -> Self:
        if "face" in self.checks and self.crop.portrait is None:
            raise ValueError("the check face needs crop.portrait: faces are looked for only there")
        return self


class ReleaseRecipe(Strict):
    """What a release is made of."""

    note: Name = "community"
    layouts: Annotated[tuple[str | Plugin, ...], Field(min_length=1)] = ("mmseg_custom",)
    val: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _leave_something_to_train_on(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val and test together must stay below 1; found {self.val} + {self.test}")
        return self

    def settings(self) -> dict[str, dict[str, Any]]:
        """Give the settings of each layout by its name; a name's second use becomes ``<name>-2``."""
        return layout_settings(self.layouts)


def layout_settings(entries: tuple[str | Plugin, ...]) -> dict[str, dict[str, Any]]:
    """Give the settings of each layout by its name; the second entry of a name is called ``<name>-2``."""
    settings: dict[str, dict[str, Any]] = {}
    for entry in entries:
        name, own = (entry, None) if isinstance(entry, str) else next(iter(entry.items()))
        earlier = sum(key.partition("-")[0] == name for key in settings)
        settings[f"{name}-{earlier + 1}" if earlier else name] = dict(own or {})
    return settings


class BackgroundsEntry(Strict):
    """Where backgrounds come from: ``path``, a folder of pictures, or the frames of a ``source`` of this catalog."""

    path: Annotated[str, Field(min_length=1)] | None = None
    source: Name | None = None
    horizon: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _path_or_source(self) -> Self:
        if (self.path is None) == (self.source is None):
            raise ValueError("give either path, a folder of pictures, or source, a source of this catalog")
        return self


class ShadowsEntry(Strict):
    """How much light shadows take away at most."""

    contact: float = Field(default=0.7, ge=0, le=1)
    cast: float = Field(default=0.75, ge=0, le=1)


class MatchEntry(Strict):
    """How far a person's light and colour go towards the place's."""

    mean: float = Field(default=0.4, ge=0, le=1)
    contrast: float = Field(default=0.3, ge=0, le=1)


class AugmentationsEntry(Strict):
    """albumentations' transforms by name, each with its settings. None: its defaults.

    See `figureground.synthesis.augmentations`.
    """

    backgrounds: dict[str, dict[str, Any] | None] | None = None
    people: dict[str, dict[str, Any] | None] | None = None
    composites: dict[str, dict[str, Any] | None] | None = None


class ComposeRecipe(Strict):
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
    def _check_range(cls, value: tuple[float, float], field: ValidationInfo) -> tuple[float, float]:
        low, high = (1, 100) if field.field_name == "jpeg_quality" else (0.02, 1)
        if not low <= value[0] <= value[1] <= high:
            raise ValueError(f"expected two numbers from {low} to {high}, the smaller first")
        return value

    @model_validator(mode="after")
    def _check_shares(self) -> Self:
        if self.half_length + self.faces > 1:
            raise ValueError("half_length and faces are shares of the pictures; together at most 1")
        if self.real_share and self.real is None:
            raise ValueError("real_share needs real: the folder of a release")
        return self
