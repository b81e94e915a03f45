"""The nouns every room speaks of.

Arrays carry their convention in the alias' name: colour is RGB everywhere, the origin is the upper left corner of
the upper left pixel, x runs right and y runs down. Boxes are half-open: ``x0 <= x < x1``.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from figureground.memo import Memo

Image: TypeAlias = NDArray[np.uint8]
"""Shape (h, w, 3), RGB, 0..255."""
Mask: TypeAlias = NDArray[np.uint8]
"""Shape (h, w), class ids."""
Alpha: TypeAlias = NDArray[np.float32]
"""Shape (h, w), 0 (background) to 1 (person)."""
Keypoints: TypeAlias = NDArray[np.float32]
"""Shape (17, 3) in COCO's order, or (0, 3): x and y in pixels, confidence 0..1."""


@dataclass(frozen=True, slots=True)
class Source:
    """Footage that came from one place: the unit of work and of splitting.

    ``path`` is a file, a folder, a glob, ``http(s)://...``, ``s3://...`` or ``package:NAME==VERSION!MEMBER``.
    ``sha256`` is "" when the catalog pins none. ``kind`` says whether a folder is many videos, one set of photos, a
    dataset with labels, or an address that of a page; each clip of a page becomes a source of the kind video.
    """

    source_id: str
    kind: Literal["video", "images", "layout", "web"]
    path: str
    sha256: str
    license: str
    scenes: tuple[str, ...]
    split: Literal["auto", "train", "val", "test"]


@dataclass(frozen=True, slots=True)
class Weights:
    """Model weights as the catalog pins them. `figureground.storage.assets.locate` gives the verified file."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class PinnedHead:
    """A small trained head, ``figureground/checks/heads/<name>.npz``, of which the code expects this very file.

    ``version`` is raised when the head is trained anew.
    """

    name: str
    version: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Asset:
    """Where weights may be had: the paths are tried in order."""

    weights: Weights
    license: str
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Box:
    """A half-open box in pixels."""

    x0: float
    y0: float
    x1: float
    y1: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return max(0.0, self.width) * max(0.0, self.height)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded picture of a source.

    ``index`` counts decoded frames, or a source's photos in their sorted order, from 0; ``seconds`` is the container's
    own timestamp, 0 for a photo.
    """

    frame_id: str
    source_id: str
    index: int
    seconds: float
    image: Image


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A detected person: its box and keypoints in the picture's pixels, the detector's score 0..1."""

    box: Box
    score: float
    keypoints: Keypoints


@dataclass(frozen=True, slots=True, eq=False)
class PersonCrop:
    """One person cut out of a frame at the source's resolution, or as a portrait of a set size.

    ``box`` is the crop and ``person`` the detected box, both in frame pixels; ``keypoints``, ``others`` (other people's
    boxes) and ``face`` are in crop pixels. ``frame_width`` and ``frame_height`` are the whole frame's. ``face`` and
    ``face_score`` (0..1) are None and NaN when no face was found or looked for. ``scenes`` are its source's, as the
    catalog has them now. ``seconds`` is its frame's time, ``track`` the
    person's number in the source, -1 when nobody was followed. ``instances`` holds a segmentation
    network's predictions for `figureground.people.instances.read_or_segment`, b"" when it has not run yet. ``memo`` keeps what
    several checks compute of the crop, such as its pose regions, as long as the crop lives; `dataclasses.replace` gives a new
    crop an empty one.
    """

    crop_id: str
    frame_id: str
    source_id: str
    box: Box
    person: Box
    score: float
    keypoints: Keypoints
    others: tuple[Box, ...]
    frame_width: int
    frame_height: int
    image: Image
    face: Box | None = None
    face_score: float = math.nan
    scenes: tuple[str, ...] = ()
    seconds: float = 0.0
    track: int = -1
    instances: bytes = b""
    memo: Memo = field(default_factory=Memo, init=False, repr=False)

    @property
    def scale(self) -> float:
        """Crop pixels per frame pixel: 1, but for portraits, which are resized."""
        return float(self.image.shape[0] / self.box.height)

    @property
    def person_inside(self) -> Box:
        """The detected box in crop pixels; parts of it may lie outside the crop."""
        left, top, scale = self.box.x0, self.box.y0, self.scale
        x0, x1 = ((x - left) * scale for x in (self.person.x0, self.person.x1))
        y0, y1 = ((y - top) * scale for y in (self.person.y0, self.person.y1))
        return Box(x0, y0, x1, y1)


class Encoded(Protocol):
    """A label that is decoded when somebody asks for its pixels, see `figureground.imaging.masks.Stored`."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Height and width."""

    @property
    def hard(self) -> bytes:
        """The mask cut at one half as PNG, b"" when only decoding would tell."""

    def decoded(self) -> Alpha:
        """Give the pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One image with its label, as a release holds it.

    ``sample_id`` is the crop's id and the name of each of its files without suffix, ``image`` the crop's JPEG byte for byte,
    ``label`` the human's label at the image's size. ``parts`` is a class map (see `figureground.imaging.class_maps`) of
    ``parts_of`` classes, 18 or 5, where an annotator drew one. ``sha256`` is the image's, "" when it is not computed yet.
    """

    sample_id: str
    split: Literal["train", "val", "test"]
    scenes: tuple[str, ...]
    image: bytes
    label: Alpha | Encoded
    parts: Mask | None = None
    parts_of: int = 18
    sha256: str = ""

    @property
    def alpha(self) -> Alpha:
        """The label's pixels; a label that is encoded is decoded each time."""
        return self.label if isinstance(self.label, np.ndarray) else self.label.decoded()


@dataclass(frozen=True, slots=True)
class Release:
    """A finished, immutable dataset version on disk. ``digest`` is its manifest's hash."""

    name: str
    folder: str
    digest: str
    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class TableRef:
    """A table by reference: this, never the rows, travels between tasks."""

    stage: str
    source_id: str
    file: str
    sha256: str
    rows: int
