"""The manifest: what a release holds, where every pixel of it came from, and a seal over both.

``manifest.json`` is canonical JSON: keys sorted, one record a line, so the same content is always the same bytes. Its
``digest`` is the sha256 of all the rest; a byte changed anywhere in it is noticed. It holds neither the release's name
nor its date nor any folder of the machine, so the same storage gives the same digest on another day and elsewhere.
"""

import hashlib
import io
import json
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from figureground import __version__
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ReleaseError
from figureground.storage.hashing import FileIndex

FILE = "manifest.json"
Found = Mapping[str, tuple[str, int]]
"""File name in the release to sha256 and size in bytes, without the manifest itself."""


_EXACTLY = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class FileRecord:
    """One file of the release; ``bytes`` is its size."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class AttributionRecord:
    """Whom footage from a page is owed to: what the page called it, who put it there, where and when; "" when nobody says."""

    title: str
    uploader: str
    page: str
    uploaded: str
    site: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class SourceRecord:
    """One source: where the catalog has it from, its video's hash, its licence, the weights that looked at it."""

    path: str
    sha256: str
    license: str
    attribution: AttributionRecord | None = None
    """Only of footage from a page."""
    weights: dict[str, str] = field(default_factory=dict)
    """File name to sha256, as far as the tables know."""
    funnel: dict[str, int] = field(default_factory=dict)
    """How many frames, people, crops and labels, and why some went."""


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class MatteRecord:
    """The machine's mask that the annotator was shown."""

    remover: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class PartsRecord:
    """The class of each pixel: the hash of its PNG in the storage, and of how many classes.

    See `figureground.imaging.class_maps`.
    """

    sha256: str
    classes: int


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class SecondRecord:
    """Somebody else's answer to the same task: IoU and boundary IoU with the released one, when both kept it."""

    annotator: str
    verdict: str
    iou: float | None = None
    boundary_iou: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class AnnotationRecord:
    """The human's answer; ``sha256`` is the hash of its mask in the storage."""

    id: int
    annotator: str
    origin: str
    sha256: str
    iou_with_matte: float | None = None
    parts: PartsRecord | None = None
    second: SecondRecord | None = None

    @property
    def digests(self) -> tuple[str, ...]:
        """The hashes of its files."""
        return (self.sha256, self.parts.sha256) if self.parts else (self.sha256,)


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class PreviousRecord:
    """The release before this one and how many samples differ, by what happened to them."""

    name: str
    digest: str
    changes: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, config=_EXACTLY)
class SampleRecord:
    """One picture's way from its video: frame, crop ``box`` in the frame's pixels (half-open), matte, annotation."""

    split: Split
    scenes: tuple[str, ...]
    source: str
    license: str
    frame: str
    index: int
    seconds: float
    box: tuple[int, int, int, int]
    person: tuple[int, int, int, int] = (0, 0, 0, 0)
    """The detected box in the picture's own pixels."""
    sha256: str
    """Hash of the crop's JPEG, which the release holds byte for byte."""
    matte: MatteRecord | None
    annotation: AnnotationRecord


class Manifest(BaseModel):
    """The whole of it. ``layouts`` says in which folder of the release each layout lies, "." for the release itself.

    ``settings`` are the layouts' own.
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
    """Make the manifest of a release that is still to be written.

    Parameters
    ----------
    layouts
        Name to settings: the first is the release itself, each further one a folder of its name in it.
    sources
        Those without a sample are left out.
    samples
        Stem to record.

    Returns
    -------
    Manifest
        Without files and unsealed: see `seal`.
    """
    used = {sample.source for sample in samples.values()}
    counts = Counter(sample.split for sample in samples.values())
    return Manifest(
        layouts={name: name if at else "." for at, name in enumerate(layouts)},
        settings={name: dict(own) for name, own in layouts.items() if own},
        counts={split: counts[split] for split in SPLITS if counts[split]},
        sources={source_id: record for source_id, record in sources.items() if source_id in used},
        samples=dict(samples),
    )


def seal(manifest: Manifest, files: Found) -> Manifest:
    """Give the manifest with its files and its digest."""
    filled = _filled(manifest, files)
    return filled.model_copy(update={"digest": digest(filled)})


def _filled(manifest: Manifest, files: Found) -> Manifest:
    return manifest.model_copy(update={"files": _Files(files), "digest": ""})


class _Files(Mapping[str, FileRecord]):
    """What was found, as records that are made when they are asked for."""

    def __init__(self, found: Found) -> None:
        self.found = found

    def __getitem__(self, name: str) -> FileRecord:
        digest, size = self.found[name]
        return FileRecord(sha256=digest, bytes=size)

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)


class _Samples(Mapping[str, SampleRecord]):
    """Samples as a manifest has them, a line each: a record is made when it is asked for, and takes twice its line's room."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._text, self._ends = bytearray(), array("q", [0])

    def add(self, stem: str, text: str) -> None:
        """Keep a sample's JSON, once it is seen to be right; of a stem that comes again the later."""
        content = text.encode()
        _SAMPLE.validate_json(content)
        self._numbers[stem] = len(self._ends) - 1
        self._text += content
        self._ends.append(len(self._text))

    def __getitem__(self, stem: str) -> SampleRecord:
        number = self._numbers[stem]
        return _SAMPLE.validate_json(self._text[self._ends[number] : self._ends[number + 1]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def digest(manifest: Manifest) -> str:
    """Hash everything but the digest itself."""
    return _digest(dict(manifest))


def _digest(content: Mapping[str, Any]) -> str:
    found = hashlib.sha256()
    for line in _lines({key: value for key, value in content.items() if key != "digest"}):
        found.update(line.encode())
    return found.hexdigest()


def canonical(manifest: Manifest) -> bytes:
    """Give the bytes of ``manifest.json``."""
    return _canonical(dict(manifest))


def write(manifest: Manifest, files: Found, file: Path) -> Manifest:
    """Seal a manifest and write it a line at a time, so that its text is never in memory.

    Returns
    -------
    Manifest
        What `seal` gives; the file holds what `canonical` gives of it.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    filled, found, at = _filled(manifest, files), hashlib.sha256(), 0
    with file.open("wb") as written:
        for line in _lines({**dict(filled), "digest": _UNKNOWN}):
            content = line.encode()
            if content == _UNKNOWN_LINE:
                at = written.tell() + content.index(_UNKNOWN.encode())
            else:
                found.update(content)
            written.write(content)
        written.seek(at)
        written.write(found.hexdigest().encode())
    return filled.model_copy(update={"digest": found.hexdigest()})


def _canonical(content: Mapping[str, Any]) -> bytes:
    """Write keys sorted, UTF-8, one record of the inner mappings a line."""
    return b"".join(line.encode() for line in _lines(content))


def _lines(content: Mapping[str, Any]) -> Iterator[str]:
    """Give the same a line at a time: only one record is there twice."""
    yield "{\n"
    last = max(content, default="")
    for key, value in sorted(content.items()):
        inner = _told(value) if is_dataclass(value) else value
        end = "\n" if key == last else ",\n"
        if isinstance(inner, Mapping) and inner:
            yield f"{_json(key)}: {{\n"
            yield from _records(inner)
            yield f"}}{end}"
        else:
            yield f"{_json(key)}: {_json(dict(inner) if isinstance(inner, Mapping) else inner)}{end}"
    yield "}\n"


def _records(content: Mapping[str, Any]) -> Iterator[str]:
    last = max(content, default="")
    for key in sorted(content):
        value = content[key]
        yield f" {_json(key)}: {_json(value)}" + ("\n" if key == last else ",\n")


_RARE: dict[type, tuple[str, ...]] = {AnnotationRecord: ("parts", "second"), SourceRecord: ("attribution",)}


@cache
def _fields(kind: type) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind))


def _told(record: Any) -> dict[str, Any]:
    """Give a record's fields, without what few have: the digests of releases without it stay what they are."""
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"{type(record).__name__} has no place in a manifest")
    told = {name: getattr(record, name) for name in _fields(type(record))}
    rare = _RARE.get(type(record), ())
    return {name: value for name, value in told.items() if name not in rare or value is not None}


_json = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_told).encode


_UNKNOWN = "0" * 64
_UNKNOWN_LINE = f'"digest": {_json(_UNKNOWN)},\n'.encode()


def parse(content: bytes) -> Manifest:
    """Read ``manifest.json``; whether it is unaltered is `altered`'s question.

    Raises
    ------
    ReleaseError
        When it is no JSON or lacks a field.
    """
    try:
        return _by_line(content) or Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise ReleaseError(f"{FILE}: damaged or of another version of figureground: {where}: {first['msg']}") from error


def _by_line(content: bytes) -> Manifest | None:
    """Read canonical bytes a record at a time, which needs a tenth of the memory; None when they are not canonical."""
    found: dict[str, Any] = {}
    samples, files, inner = _Samples(), [], ""
    try:
        for line in io.BytesIO(content):
            text = line.decode()
            if text[0] == " ":
                key, at = _scanned(text, 1)
                value = text[at:].rstrip(",\n")
                if inner == "samples":
                    samples.add(key, value)
                elif inner == "files":
                    record = _FILE.validate_json(value)
                    files.append((key, (record.sha256, record.bytes)))
                else:
                    found[inner][key] = json.loads(value)
            elif text.endswith(": {\n"):
                inner, _ = _scanned(text, 0)
                found[inner] = {}
            elif text[0] not in "{}":
                key, at = _scanned(text, 0)
                found[key] = json.loads(text[at:].rstrip(",\n"))
        read = Manifest.model_validate(found)
        return read.model_copy(update={"samples": samples, "files": _Files(FileIndex(files))})
    except (ValueError, KeyError):
        return None  # the whole file is read, and what is wrong with it told


def _scanned(text: str, at: int) -> tuple[str, int]:
    """Read a key whose text begins at a place, and say where its value begins."""
    key, end = _decoder.raw_decode(text, at)
    if text[end : end + 2] != ": ":
        raise ValueError("a key without value")
    return key, end + 2


_decoder = json.JSONDecoder()
_FILE, _SAMPLE = TypeAdapter(FileRecord), TypeAdapter(SampleRecord)


def places(content: bytes) -> set[tuple[str, Split]]:
    """Give the sources of ``manifest.json`` and the splits they are in; nothing of a damaged one: `altered` tells."""
    try:
        return {(sample.source, sample.split) for sample in parse(content).samples.values()}
    except ReleaseError:
        return set()


def altered(content: bytes) -> str:
    """Say whether ``manifest.json`` is not as it was sealed; "" when it is.

    Parameters
    ----------
    content
        The file's bytes.
    """
    if _sealed(content):
        return ""
    try:
        held = json.loads(content)
        exact = isinstance(held, dict) and _canonical(held) == content
        sealed = isinstance(held, dict) and held.get("digest") == _digest(held)
    except ValueError as error:
        return f"{FILE}: altered: {error}"
    if not sealed or exact:
        return f"{FILE}: altered: its content does not give the digest it holds"
    return f"{FILE}: altered: not the bytes its content is written as"


def _sealed(content: bytes) -> bool:
    """Tell whether the bytes without the digest's line give the digest, which only those do that were sealed."""
    start = content.find(b'\n"digest": "') + 1
    end = content.find(b"\n", start) + 1
    line = content[start:end]
    found = hashlib.sha256(memoryview(content)[:start])
    found.update(memoryview(content)[end:])
    return start > 0 and line == f'"digest": {_json(found.hexdigest())},\n'.encode()


def differing(manifest: Manifest, found: Found) -> list[str]:
    """Name every file that is altered, missing or extra.

    Parameters
    ----------
    manifest
        What the release should hold.
    found
        What its folder holds.
    """
    expected = manifest.files
    if isinstance(expected, _Files) and expected.found == found:
        return []
    changed = [
        f"{name}: altered: expected {record.bytes} bytes with sha256 {record.sha256}, "
        f"found {found[name][1]} bytes with sha256 {found[name][0]}"
        for name, record in sorted(expected.items())
        if name in found and (record.sha256, record.bytes) != found[name]
    ]
    missing = [f"{name}: missing" for name in sorted(expected) if name not in found]
    extra = [f"{name}: extra: the manifest does not know it" for name in sorted(found) if name not in expected]
    return changed + missing + extra


def incomplete(manifest: Manifest, found: Found) -> list[str]:
    """Name every sample whose picture is in no file: for layouts that keep pictures byte for byte."""
    held = {content for _, (content, _) in found.items()}
    return sorted(
        f"sample {stem}: no file holds its picture (sha256 {sample.sha256})"
        for stem, sample in manifest.samples.items()
        if sample.sha256 not in held
    )


def leaking(manifest: Manifest, found: Found) -> list[str]:
    """Name everything that two splits share: a source, a video under two sources' names, a picture.

    Parameters
    ----------
    manifest
        Which sample of which source is in which split.
    found
        The files as they are: pictures are compared by their bytes.
    """
    splits = _splits(manifest)
    return [*_shared_sources(splits), *_shared_videos(manifest, splits), *_shared_pictures(found)]


def _splits(manifest: Manifest) -> dict[str, dict[Split, str]]:
    """Give for each source its splits, each with the first stem."""
    splits: dict[str, dict[Split, str]] = defaultdict(dict)
    for stem in sorted(manifest.samples):
        sample = manifest.samples[stem]
        splits[sample.source].setdefault(sample.split, stem)
    return dict(splits)


def _shared_sources(splits: Mapping[str, Mapping[Split, str]]) -> list[str]:
    return [
        f"source {source_id} is shared between " + " and ".join(f"{split} ({stem})" for split, stem in sorted(places.items()))
        for source_id, places in sorted(splits.items())
        if len(places) > 1
    ]


def _shared_videos(manifest: Manifest, splits: Mapping[str, Mapping[Split, str]]) -> list[str]:
    videos: dict[str, dict[str, str]] = defaultdict(dict)
    for source_id, places in sorted(splits.items()):
        record = manifest.sources.get(source_id)
        for split in places if record else ():
            videos[record.sha256 if record else ""].setdefault(split, source_id)
    return [
        "the same video is in two splits: " + " and ".join(f"{split} (source {name})" for split, name in sorted(places.items()))
        for _, places in sorted(videos.items())
        if len(places) > 1 and len(set(places.values())) > 1
    ]


def _shared_pictures(found: Found) -> list[str]:
    first: dict[str, dict[str, str]] = {}
    seen: dict[str, str] = {}
    for name in sorted(found):
        split, (content, _) = split_of(name), found[name]
        if split and name.endswith(".jpg") and seen.setdefault(content, split) != split:
            first[content] = {}
    for name in sorted(found) if first else ():
        content, _ = found[name]
        if content in first and name.endswith(".jpg") and (split := split_of(name)):
            first[content].setdefault(split, name)
    return [
        "the same picture is in two splits: " + " and ".join(sorted(places.values())) for _, places in sorted(first.items())
    ]


def split_of(name: str) -> str:
    """Give the split whose folder a file lies in, "" when it lies in none.

    >>> split_of("img_dir/val/park-000120-00.jpg"), split_of("val.txt")
    ('val', '')
    """
    return next((part for part in name.split("/")[:-1] if part in SPLITS), "")


def difference(old: Manifest, new: Manifest) -> dict[str, tuple[str, ...]]:
    """Compare two releases, sample by sample.

    Returns
    -------
    dict
        ``added``, ``dropped``, ``re-annotated`` (another label for the same stem), ``re-cropped`` (another picture under the
        same stem), ``moved`` (to another split), ``relisted`` (in other scenes), each with its stems, sorted.
    """
    before, after = old.samples, new.samples
    both = sorted(before.keys() & after.keys())
    fields = {"re-annotated": "annotation", "re-cropped": "sha256", "moved": "split", "relisted": "scenes"}
    changed: dict[str, list[str]] = {word: [] for word in fields}
    for stem in both:
        one, other = before[stem], after[stem]
        for word, name in fields.items():
            if getattr(one, name) != getattr(other, name):
                changed[word].append(stem)
    added, dropped = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    return {word: tuple(stems) for word, stems in ({"added": added, "dropped": dropped} | changed).items()}


def alike(old: Manifest, new: Manifest) -> bool:
    """Tell whether two releases hold the same samples with the same story; one of each is in memory at a time."""
    return len(old.samples) == len(new.samples) and not _retraced(old, new)


def summary(old: Manifest, new: Manifest, at_most: int = 5) -> Sequence[str]:
    """Say in lines what differs between two manifests, at most so many stems a line; nothing when nothing does."""
    lines = [
        f"{word}: {len(stems)} ({', '.join(stems[:at_most])}{', …' if len(stems) > at_most else ''})"
        for word, stems in difference(old, new).items()
        if stems
    ]
    was, now = (manifest.model_dump(mode="json", exclude={"samples", "files", "digest", "counts"}) for manifest in (old, new))
    lines += [f"{key}: {_json(was[key])} there, {_json(now[key])} now" for key in sorted(was) if was[key] != now[key]]
    if not lines and not alike(old, new):
        lines.append("where samples come from: " + ", ".join(_retraced(old, new)[:at_most]))
    return lines


def _retraced(old: Manifest, new: Manifest) -> list[str]:
    return [stem for stem in sorted(old.samples) if old.samples[stem] != new.samples.get(stem)]
