"""What a manifest holds: a record for each source, each sample and each file of a release."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic.dataclasses import dataclass

from figureground import __version__
from figureground.datasets.splits import SPLITS, Split

FILE = "manifest.json"
FOLDER_PREFIX = "CustomSeg_Person_"
"""What the name of a release's folder begins with; a date and a note follow."""

_NO_OTHER_KEYS = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class FileRecord:
    """One file of the release; ``bytes`` is its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class AttributionRecord:
    """What the web page of a clip says: title, uploader, address, upload date, site; "" where it says nothing."""

    title: str
    uploader: str
    page: str
    uploaded: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class SourceRecord:
    """One source: its path in the catalog, the hash of its video, its licence, the weights that its frames went through."""

    path: str
    sha256: str
    license: str
    attribution: AttributionRecord | None = None
    """Only for clips from a web page."""
    weights: dict[str, str] = field(default_factory=dict)
    """File name to sha256, as far as the tables record them."""
    funnel: dict[str, int] = field(default_factory=dict)
    """The number of frames, people, crops and labels, and of those that were left out, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class MatteRecord:
    """The machine's mask that the annotator was shown."""

    remover: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class ClassMapRecord:
    """The class of each pixel: the hash of the class map's PNG in the storage, and its number of classes.

    See `figureground.imaging.class_maps`.
    """

    sha256: str
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class SecondAnnotationRecord:
    """A second annotator's annotation of the same crop: IoU and boundary IoU with the released one, when both kept the crop."""

    annotator: str
    verdict: str
    iou: float | None = None
    boundary_iou: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class AnnotationRecord:
    """The annotation that became the label; ``sha256`` is the hash of the label's file in the storage."""

    id: int
    annotator: str
    origin: str
    sha256: str
    iou_with_matte: float | None = None
    parts: ClassMapRecord | None = None
    second: SecondAnnotationRecord | None = None

    @property
    def digests(self) -> tuple[str, ...]:
        """The hashes of its files."""
        return (self.sha256, self.parts.sha256) if self.parts else (self.sha256,)


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class PreviousRecord:
    """The release before this one, and the number of samples that differ for each kind of change."""

    name: str
    digest: str
    changes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, config=_NO_OTHER_KEYS)
class SampleRecord:
    """Where one sample comes from: frame, crop ``box`` in the frame's pixels (half-open), matte, annotation."""

    split: Split
    scenes: tuple[str, ...]
    source: str
    license: str
    frame: str
    index: int
    seconds: float
    box: tuple[int, int, int, int]
    person: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The detected box in the crop's own pixels."""
    sha256: str
    """Hash of the crop's JPEG, which the release holds byte for byte."""
    matte: MatteRecord | None
    annotation: AnnotationRecord


class Manifest(BaseModel):
    """All that ``manifest.json`` says.

    ``layouts`` gives for each layout its folder in the release, "." for the release itself; ``settings`` are the layouts' own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    code: str = __version__
    layouts: dict[str, str]
    settings: dict[str, dict[str, Any]] = {}
    counts: dict[str, int]
    sources: dict[str, SourceRecord]
    samples: Mapping[str, SampleRecord]
    previous: PreviousRecord | None = None
    files: Mapping[str, FileRecord] = {}
    digest: str = ""


def build(
    layouts: Mapping[str, Mapping[str, Any]], sources: Mapping[str, SourceRecord], samples: Mapping[str, SampleRecord]
) -> Manifest:
    """Make the manifest of a release that is not yet written.

    Parameters
    ----------
    layouts
        Name to settings: the first is the release itself, each further one a folder of its name in it.
    sources
        Those without a sample are left out.
    samples
        Sample id to record.

    Returns
    -------
    Manifest
        Without files and unsealed: see `figureground.datasets.manifest.sealing.seal`.
    """
    used = {sample.source for sample in samples.values()}
    counts = Counter(sample.split for sample in samples.values())
    return Manifest(
        layouts={name: name if number else "." for number, name in enumerate(layouts)},
        settings={name: dict(own) for name, own in layouts.items() if own},
        counts={split: counts[split] for split in SPLITS if counts[split]},
        sources={source_id: record for source_id, record in sources.items() if source_id in used},
        samples=dict(samples),
    )
