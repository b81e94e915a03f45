"""Reading ``manifest.json``: line by line when it is canonical, as a whole otherwise."""

import io
import json
from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from figureground.datasets.manifest.constraints import find_unsafe_names
from figureground.datasets.manifest.records import FILE, FOLDER_PREFIX, FileRecord, Manifest, SampleRecord
from figureground.datasets.manifest.sealing import FileRecords
from figureground.datasets.splits import Split
from figureground.errors import ReleaseError
from figureground.storage.hashing import FileIndex

_decoder = json.JSONDecoder()
_FILE, _SAMPLE = TypeAdapter(FileRecord), TypeAdapter(SampleRecord)


def parse(content: bytes) -> Manifest:
    """Read ``manifest.json``. Whether it is unaltered is checked by `figureground.datasets.manifest.sealing.check_seal`.

    Raises
    ------
    ReleaseError
        When it is no JSON, lacks a field, or a name in it would lead out of a release's folder.
    """
    try:
        parsed = _parse_lines(content) or Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the whole file"
        raise ReleaseError(f"{FILE}: damaged, or of another version of figureground: {key}: {first['msg']}") from error
    if unsafe := next(find_unsafe_names(parsed), ""):
        raise ReleaseError(f"{FILE}: {unsafe}. No release has that: somebody else made this file")
    return parsed


def read_released_splits(folder: Path) -> Iterator[tuple[str, Split]]:
    """Give each source that a release in a folder holds, with each split it is in; damaged manifests are left out."""
    for file in sorted(folder.glob(f"{FOLDER_PREFIX}*/{FILE}")):
        try:
            yield from {(sample.source, sample.split) for sample in parse(file.read_bytes()).samples.values()}
        except ReleaseError:
            continue  # `figureground verify` names what is wrong with it


class _Samples(Mapping[str, SampleRecord]):
    """Samples as lines of JSON: a record is made when it is read, since it takes twice the memory of its line."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._text, self._ends = bytearray(), array("q", [0])

    def add(self, sample_id: str, text: str) -> None:
        """Validate a sample's JSON and keep it; when a sample id is repeated, the later one is kept."""
        content = text.encode()
        _SAMPLE.validate_json(content)
        self._numbers[sample_id] = len(self._ends) - 1
        self._text += content
        self._ends.append(len(self._text))

    def __getitem__(self, sample_id: str) -> SampleRecord:
        number = self._numbers[sample_id]
        return _SAMPLE.validate_json(self._text[self._ends[number] : self._ends[number + 1]])

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)


def _parse_lines(content: bytes) -> Manifest | None:
    """Read canonical bytes a record at a time, which needs a tenth of the memory; None when they are not canonical."""
    fields: dict[str, Any] = {}
    samples, files, section = _Samples(), [], ""
    try:
        for line in io.BytesIO(content):
            text = line.decode()
            if text[0] == " ":
                key, start = _read_key(text, 1)
                value = text[start:].rstrip(",\n")
                if section == "samples":
                    samples.add(key, value)
                elif section == "files":
                    record = _FILE.validate_json(value)
                    files.append((key, (record.sha256, record.bytes)))
                else:
                    fields[section][key] = json.loads(value)
            elif text.endswith(": {\n"):
                section, _ = _read_key(text, 0)
                fields[section] = {}
            elif text[0] not in "{}":
                key, start = _read_key(text, 0)
                fields[key] = json.loads(text[start:].rstrip(",\n"))
        manifest = Manifest.model_validate(fields)
        return manifest.model_copy(update={"samples": samples, "files": FileRecords(FileIndex(files))})
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # parse reads the whole file then, and names what is wrong with it


def _read_key(text: str, start: int) -> tuple[str, int]:
    """Read a key that begins at `start`; also give where its value begins."""
    key, end = _decoder.raw_decode(text, start)
    if text[end : end + 2] != ": ":
        raise ValueError("a key without value")
    return key, end + 2
