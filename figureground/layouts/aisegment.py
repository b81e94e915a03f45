"""The layout of AISegment's portrait matting: a JPEG beside an RGBA PNG with the soft alpha, numbered.

::

    clip_img/<group>/clip_<sub>/<group>-<img>.jpg       the images
    matting/<group>/matting_<sub>/<group>-<img>.png     8-bit RGBA: the image's colours and the alpha
    index.tsv                                           <group>-<img>, sample id, split, scenes (with commas); sorted lines

Numbers have 8 digits. A group holds 10,000 images, a sub 1,000; both and the image's number count the sorted sample ids.
"""

import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import cv2
import numpy as np
from PIL.PngImagePlugin import PngImageFile

from figureground import documents
from figureground.datasets import samples
from figureground.datasets.pairs import Pair, Size, refuse_other_size
from figureground.datasets.splits import SPLITS, Split
from figureground.errors import ArrayError, ReleaseError
from figureground.ids import is_hidden
from figureground.imaging import codecs, jpeg, masks
from figureground.parallel import map_ordered
from figureground.storage.hashing import ReadLog
from figureground.types import Alpha, Mask, Sample

_PER_GROUP, _PER_SUB = 10_000, 1_000
_NUMBER = re.compile(r"[0-9]{1,12}-[0-9]{1,12}")


class _Entry(NamedTuple):
    number: str
    sample_id: str
    split: Split
    scenes: tuple[str, ...]


def matting_of(image_file: str) -> str:
    """Give the path of an image's matting.

    >>> matting_of("clip_img/00000001/clip_00000012/00000001-00000345.jpg")
    'matting/00000001/matting_00000012/00000001-00000345.png'
    """
    _, group, sub, name = _parts(image_file, "clip_img", "clip_", ".jpg")
    return f"matting/{group}/matting_{sub}/{name}.png"


def picture_of(matting: str) -> str:
    """Give the path of a matting's image.

    >>> picture_of("matting/00000001/matting_00000012/00000001-00000345.png")
    'clip_img/00000001/clip_00000012/00000001-00000345.jpg'
    """
    _, group, sub, name = _parts(matting, "matting", "matting_", ".png")
    return f"clip_img/{group}/clip_{sub}/{name}.jpg"


def _parts(path: str, top: str, prefix: str, suffix: str) -> tuple[str, str, str, str]:
    parts = path.split("/")
    if len(parts) != 4 or parts[0] != top or not parts[2].startswith(prefix) or not parts[3].endswith(suffix):
        raise ReleaseError(f"{path}: expected {top}/<group>/{prefix}<sub>/<group>-<img>{suffix}")
    return parts[0], parts[1], parts[2].removeprefix(prefix), parts[3].removesuffix(suffix)


@dataclass(frozen=True)
class Aisegment:
    """Images and RGBA mattings, numbered, with an index of their sample ids."""

    VERSION: ClassVar[int] = 1

    verbatim: ClassVar[bool] = True
    exact: ClassVar[bool] = True

    def write(self, items: Iterable[Sample], into: Path, log: ReadLog | None = None) -> None:
        """See `figureground.layouts.Layout`. Files wait under their sample ids, as numbers follow from all of them."""
        seen: dict[str, Sample] = {}
        waiting = into / ".waiting"
        for sample in map_ordered(lambda sample: _written(sample, waiting), items):
            if sample.sample_id in seen:
                raise ReleaseError(f"two samples have the id {sample.sample_id}; expected each once")
            seen[sample.sample_id] = sample
        entries = [
            _Entry(_number(at), sample_id, seen[sample_id].split, tuple(sorted(set(seen[sample_id].scenes))))
            for at, sample_id in enumerate(sorted(seen))
        ]
        for entry in entries:
            image_file = _image_file(entry.number)
            for waits, name in ((f"{entry.sample_id}.jpg", image_file), (f"{entry.sample_id}.png", matting_of(image_file))):
                target = into / name
                target.parent.mkdir(parents=True, exist_ok=True)
                (waiting / waits).rename(target)
        if waiting.exists():
            shutil.rmtree(waiting)
        (into / "index.tsv").write_bytes("".join(map(_line, entries)).encode())

    def read(self, from_: Path) -> Iterator[Sample]:
        """See `figureground.layouts.Layout`."""
        for entry in sorted(_index(from_), key=lambda entry: (SPLITS.index(entry.split), entry.sample_id)):
            image_file = from_ / _image_file(entry.number)
            alpha = _alpha(from_ / matting_of(_image_file(entry.number)))
            yield Sample(entry.sample_id, entry.split, entry.scenes, image_file.read_bytes(), alpha)

    def find_pairs(self, from_: Path) -> Iterator[Pair]:
        """See `figureground.layouts.ImportableLayout`; without an index, images are called by their numbers."""
        lines, problems = _read_index(from_) if (from_ / "index.tsv").is_file() else ([], [])
        entries = {_image_file(entry.number): entry for entry in lines}
        pictures = set(_visible(from_, "clip_img/*/*/*.jpg"))
        for matting in sorted(_visible(from_, "matting/*/*/*.png")):
            try:
                pictures.add(picture_of(matting))
            except ReleaseError as error:
                yield Pair(Path(matting).stem, None, from_ / matting, str(error))
        for name in sorted(pictures | set(entries)):
            yield _find_pair(from_, name, entries.get(name))
        for number, problem in enumerate(problems, 1):
            yield Pair(f"index-{number}", None, None, f"index.tsv: {problem}")

    def find_problems(self, from_: Path, log: ReadLog | None = None) -> Iterator[str]:
        """See `figureground.layouts.Layout`."""
        try:
            entries = _index(from_)
        except ReleaseError as error:
            yield str(error)
            return
        expected = "".join(map(_line, sorted(entries, key=lambda entry: entry.sample_id)))
        if (from_ / "index.tsv").read_bytes() != expected.encode():
            yield "index.tsv: expected a line an image, sorted by sample id"
        often = Counter(name for entry in entries for name in (f"number {entry.number}", f"sample id {entry.sample_id}"))
        yield from (f"index.tsv: the {name} stands {count} times" for name, count in sorted(often.items()) if count > 1)
        yield from (problem for problem in map_ordered(lambda entry: _problem(from_, entry), entries) if problem)
        listed = {_image_file(entry.number) for entry in entries}
        there = {file.relative_to(from_).as_posix() for file in from_.glob("clip_img/*/*/*.jpg")}
        yield from (f"{name}: not in index.tsv" for name in sorted(there - listed))


def _visible(folder: Path, pattern: str) -> Iterator[str]:
    names = (file.relative_to(folder).as_posix() for file in folder.glob(pattern))
    return (name for name in names if not is_hidden(name))


def _number(at: int) -> str:
    return f"{at // _PER_GROUP:08d}-{at:08d}"


def _image_file(number: str) -> str:
    group, img = number.split("-")
    return f"clip_img/{group}/clip_{int(img) % _PER_GROUP // _PER_SUB:08d}/{number}.jpg"


def _line(entry: _Entry) -> str:
    return f"{entry.number}\t{entry.sample_id}\t{entry.split}\t{','.join(entry.scenes)}\n"


def _index(folder: Path) -> list[_Entry]:
    entries, problems = _read_index(folder)
    if problems:
        raise ReleaseError(f"index.tsv: {problems[0]}")
    return entries


def _read_index(folder: Path) -> tuple[list[_Entry], list[str]]:
    """Give the entries of an index, and what is wrong with its other lines."""
    try:
        content = documents.read_bytes(folder / "index.tsv")
    except (OSError, ValueError) as error:
        return [], [str(error)]
    lines = documents.decode_lines(content)
    problems = ["ends in the middle of a line"] if content and not content.endswith(b"\n") else []
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(_parse_line(line))
        except (ValueError, ReleaseError) as error:
            problems.append(f"line {number}: {error}")
    return entries, problems


def _parse_line(line: str | None) -> _Entry:
    row = [] if line is None else line.split("\t")
    if len(row) != 4 or row[2] not in SPLITS or not _NUMBER.fullmatch(row[0]) or not row[1]:
        actual = "bytes that are not UTF-8" if line is None else documents.abridge(line)
        raise ValueError(f"expected <group>-<img>, sample id, split and scenes with tabs between; found {actual}")
    scenes = tuple(filter(None, row[3].split(",")))
    for scene in scenes:
        samples.check_name(scene, "scene")
    return _Entry(row[0], row[1], row[2], scenes)


def _written(sample: Sample, waiting: Path) -> Sample:
    samples.check(sample)
    if any("," in scene for scene in sample.scenes):
        raise ReleaseError(f"{sample.sample_id}: a scene's name holds a comma; expected none")
    bgr = codecs.decode_bgr(sample.image)
    if bgr is None:
        raise ReleaseError(f"{sample.sample_id}: its JPEG cannot be decoded")
    waiting.mkdir(parents=True, exist_ok=True)
    (waiting / f"{sample.sample_id}.jpg").write_bytes(sample.image)
    bgra = np.dstack([bgr, masks.to_levels(sample.alpha)])
    (waiting / f"{sample.sample_id}.png").write_bytes(cv2.imencode(".png", bgra)[1].tobytes())
    return Sample(sample.sample_id, sample.split, sample.scenes, b"", np.zeros((1, 1), np.float32))


def _rgba(file: Path) -> Mask:
    try:
        bgra = codecs.decode_unchanged(file.read_bytes())
    except (OSError, cv2.error) as error:
        raise ReleaseError(f"{file.name}: missing or empty: {error}") from error
    if bgra is None or bgra.ndim != 3 or bgra.shape[2] != 4 or bgra.dtype != np.uint8:
        raise ReleaseError(f"{file.name}: expected an 8-bit RGBA PNG")
    return np.asarray(bgra, np.uint8)[:, :, [2, 1, 0, 3]]


def _find_pair(folder: Path, name: str, entry: _Entry | None) -> Pair:
    image_file = folder / name
    try:
        mask = folder / matting_of(name)
    except ReleaseError as error:
        return Pair(image_file.stem, None, image_file, str(error))
    missing = [f"no {what}" for what, file in (("picture", image_file), ("matting", mask)) if not file.is_file()]
    pair = Pair(image_file.stem, image_file, mask, ", ".join(missing), label=partial(_label, mask))
    return replace(pair, sample_id=entry.sample_id, split=entry.split, scenes=entry.scenes) if entry else pair


def _alpha(file: Path) -> Alpha:
    return masks.from_levels(np.ascontiguousarray(_rgba(file)[:, :, 3]))


def _label(file: Path, size: Size) -> Alpha:
    try:
        with PngImageFile(file) as image:
            refuse_other_size(image.size, size, file.name)
        return _alpha(file)
    except ReleaseError as error:
        raise ArrayError(str(error)) from error


def _problem(folder: Path, entry: _Entry) -> str:
    name = _image_file(entry.number)
    try:
        rgba, size = _rgba(folder / matting_of(name)), jpeg.size((folder / name).read_bytes())
    except (ReleaseError, ArrayError, OSError) as error:
        return f"{entry.sample_id}: {name} or its matting: {error}"
    if rgba.shape[1::-1] != size:
        return f"{matting_of(name)}: {rgba.shape[1]}x{rgba.shape[0]} pixels, its image {size[0]}x{size[1]}; expected one size"
    return ""
