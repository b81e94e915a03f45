"""The catalog's entries for sources, weights, annotation, schedules and machines."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from figureground.catalog.values import (
    ADDRESS_OR_EMPTY_PATTERN,
    ADDRESS_PATTERN,
    CLUSTER_PATTERN,
    SHA256_OR_EMPTY_PATTERN,
    WEBHOOK_PATTERN,
    Bytes,
    Name,
    Plugin,
    Schedule,
    Sha256,
    Size,
    SourcePath,
    SourcePaths,
    Strict,
    check_time_zone,
    refuse_credentials,
    refuse_secrets,
)
from figureground.errors import ArrayError


class LimitsEntry(Strict):
    """What is taken from elsewhere; what is beyond is a row with the reason."""

    videos_at_most: int = Field(default=100, ge=1)
    seconds_at_least: float = Field(default=0.0, ge=0)
    seconds_at_most: float = Field(default=7200.0, gt=0)
    bytes_at_most: Bytes = 10_000_000_000
    bytes_per_second_at_most: Bytes | None = None
    seconds_untouched_at_least: float = Field(default=2.0, ge=0, le=60)


class SourceEntry(Strict):
    """One source: footage that came from one place."""

    kind: Literal["video", "images", "layout", "web"] = "video"
    path: SourcePath
    sha256: Annotated[str, Field(pattern=SHA256_OR_EMPTY_PATTERN)] = ""
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
    def _require_license(cls, value: str, others: ValidationInfo) -> str:
        if not value and not (others.data.get("kind") == "web" and others.data.get("licenses")):
            raise PydanticCustomError("missing", "missing")
        return value

    @model_validator(mode="after")
    def _check_remote_keys(self) -> Self:
        if self.kind == "web" and not self.path.startswith(("http://", "https://")):
            raise ValueError("kind: web needs the address of a page, playlist, channel or feed: http:// or https://")
        if self.kind == "web" and self.sha256:
            raise ValueError("a page is no file, which a sha256 could pin; remove it")
        if self.kind != "web" and self.licenses:
            raise ValueError("licenses is only for kind: web, where each video has its own; give license")
        if self.storage_options and "://" not in self.path:
            raise ValueError("storage_options open a storage behind an address, such as s3://bucket/prefix; remove them")
        return self

    _no_credentials = field_validator("storage_options")(refuse_credentials)

    @model_validator(mode="after")
    def _check_dataset_keys(self) -> Self:
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


class AssetEntry(Strict):
    """Model weights, pinned by their hash; several paths are tried in order."""

    sha256: Sha256
    license: str = Field(min_length=1)
    path: SourcePaths


class PreannotationGateEntry(Strict):
    """Whether pre-annotation pays is measured, and where it does not, tasks are left blank.

    See `figureground.annotation.preannotation_gate`.
    """

    left_blank: float = Field(default=0.05, gt=0, le=0.5)
    labels_at_least: int = Field(default=20, ge=5)


class LabelStudioEntry(Strict):
    """The annotators' server. The token is never here: it comes from the environment."""

    url: str = Field(default="http://127.0.0.1:8080", pattern=ADDRESS_PATTERN)
    project: str = Field(default="figureground", min_length=3, max_length=50)
    label_config: str = "person"
    preannotation_gate: PreannotationGateEntry | None = None
    second_opinions: float = Field(default=0.0, ge=0, le=1)
    mask: Literal["brush", "bitmask"] = "brush"
    _refuse_secrets_in_url = field_validator("url")(refuse_secrets)


class ScheduleEntry(Strict):
    """When the flows run by themselves: cron's five fields in ``timezone``, ``every 15 minutes``, or ``never``."""

    ingest: Schedule = "0 2 * * *"
    pull: Schedule = "*/15 * * * *"
    release: Schedule = "0 6 * * 1"
    timezone: Annotated[str, AfterValidator(check_time_zone)] = "UTC"
    reports_url: str = Field(default="", pattern=ADDRESS_OR_EMPTY_PATTERN)
    runs_kept: int = Field(default=100, ge=1)
    _refuse_secrets_in_url = field_validator("reports_url")(refuse_secrets)


class NotifyEntry(Strict):
    """What is called when a run failed. A webhook address that is a secret stands in the environment: ``env:NAME``."""

    webhook: Annotated[str, Field(pattern=WEBHOOK_PATTERN), AfterValidator(refuse_secrets)] | None = None
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    repeat_after_hours: float = Field(default=12.0, ge=0)

    @model_validator(mode="after")
    def _webhook_or_command(self) -> Self:
        if self.webhook is None and self.command is None:
            raise ValueError("give webhook, command or both")
        return self


class BudgetEntry(Strict):
    """How much room files may take that can be made again; see `figureground.storage.disk_budget`."""

    frames: Size | None = None
    crops: Size | None = None
    mattes: Size | None = None


class DaskEntry(Strict):
    """A Dask cluster that runs the stages: workers that we start on this machine, or the address of a running cluster."""

    address: str | None = Field(default=None, pattern=CLUSTER_PATTERN)
    workers: int | None = Field(default=None, ge=1, le=1024)
    threads: int = Field(default=1, ge=1, le=64)
    gpu_stages: tuple[Literal["crop", "measure", "matte"], ...] = ()
    shards: int | None = Field(default=None, ge=1, le=4096)
    shard_at_least: int = Field(default=64, ge=1)

    @model_validator(mode="after")
    def _workers_or_address(self) -> Self:
        if (self.address is None) == (self.workers is None):
            raise ValueError("give either workers, to start a cluster on this machine, or the address of a running cluster")
        if self.address and "threads" in self.model_fields_set:
            raise ValueError(
                "threads is for a cluster that we start; workers of a running cluster have their own (`dask worker --nthreads`)"
            )
        return self


class RunnerEntry(Strict):
    """Where the stages' work is done, when not in threads."""

    dask: DaskEntry


def parse_runner(entry: Any) -> Any:
    """Read the key ``runner``: ``threads`` means no cluster."""
    if isinstance(entry, str) and entry != "threads":
        raise ValueError("expected threads, or a cluster such as `{dask: {workers: 2}}`")
    return None if entry == "threads" else entry
