"""How a manifest is written and sealed, and how a change of it, or of a file it lists, is detected.

``manifest.json`` is canonical JSON: keys sorted, one record a line, so the same content is always the same bytes. Its
``digest`` is the sha256 of all other lines, so any changed byte is detected. It holds neither the release's name nor its
date nor any folder of the machine: the same storage gives the same digest on another day and on another machine.

``composition.json`` of synthetic images (`figureground.synthesis.composition_manifest`) carries the same seal over another
text: both documents list their files by `FileHashes`, hold the digest of all else, and are checked with `compare_files`.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from figureground import documents
from figureground.datasets.manifest.records import FILE, AnnotationRecord, FileRecord, Manifest, SourceRecord

FileHashes: TypeAlias = Mapping[str, tuple[str, int]]
"""File name in the folder to sha256 and size in bytes, without the sealed document itself."""

_NO_DIGEST = "0" * 64


class FileRecords(Mapping[str, FileRecord]):
    """File hashes as records, each of which is made when it is read: a hundred thousand would take much memory."""

    def __init__(self, hashes: FileHashes) -> None:
        self.hashes = hashes

    def __getitem__(self, name: str) -> FileRecord:
        sha256, size = self.hashes[name]
        return FileRecord(sha256=sha256, bytes=size)

    def __iter__(self) -> Iterator[str]:
        return iter(self.hashes)

    def __len__(self) -> int:
        return len(self.hashes)


def compute_digest(chunks: Iterable[bytes | memoryview]) -> str:
    """Give the sha256 of a document's bytes without its digest, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for chunk in chunks:
        digest.update(chunk)
    return digest.hexdigest()


def without_digest(content: Mapping[str, Any]) -> dict[str, Any]:
    """Give all fields of a document that its digest is computed from."""
    return {key: value for key, value in content.items() if key != "digest"}


def seal(manifest: Manifest, files: FileHashes) -> Manifest:
    """Give the manifest with its files and its digest."""
    filled = _with_files(manifest, files)
    return filled.model_copy(update={"digest": _digest_of(dict(filled))})


def to_bytes(manifest: Manifest) -> bytes:
    """Give the bytes of ``manifest.json``."""
    return b"".join(_lines(dict(manifest)))


def write(manifest: Manifest, files: FileHashes, file: Path) -> Manifest:
    """Seal a manifest and write it line by line, so that its text is never in memory.

    Returns
    -------
    Manifest
        What `seal` gives; the file holds what `to_bytes` gives for it.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    filled, digest, digest_position = _with_files(manifest, files), hashlib.sha256(), 0
    with file.open("wb") as opened:
        for line in _lines({**dict(filled), "digest": _NO_DIGEST}):
            if line == _NO_DIGEST_LINE:
                digest_position = opened.tell() + line.index(_NO_DIGEST.encode())
            else:
                digest.update(line)
            opened.write(line)
        opened.seek(digest_position)
        opened.write(digest.hexdigest().encode())
    return filled.model_copy(update={"digest": digest.hexdigest()})


def check_seal(content: bytes) -> str:
    """Say how ``manifest.json`` differs from what was sealed; "" when it does not.

    Parameters
    ----------
    content
        The file's bytes.
    """
    if _has_valid_digest_line(content):
        return ""
    try:
        parsed = documents.parse_json(content)
        is_canonical = isinstance(parsed, dict) and b"".join(_lines(parsed)) == content
        is_sealed = isinstance(parsed, dict) and parsed.get("digest") == _digest_of(parsed)
    except ValueError as error:
        return f"{FILE}: altered: {error}"
    if not is_sealed or is_canonical:
        return f"{FILE}: altered: its content does not give the digest it holds"
    return f"{FILE}: altered: not the bytes its content is written as"


def compare_files(expected: FileHashes, actual: FileHashes) -> list[str]:
    """Name every file that is altered, missing or extra.

    Parameters
    ----------
    expected
        What the folder should hold.
    actual
        What it holds.
    """
    if expected == actual:
        return []
    altered = [
        f"{name}: altered: expected {size} bytes with sha256 {sha256}, "
        f"found {actual[name][1]} bytes with sha256 {actual[name][0]}"
        for name, (sha256, size) in sorted(expected.items())
        if name in actual and (sha256, size) != actual[name]
    ]
    missing = [f"{name}: missing" for name in sorted(expected) if name not in actual]
    extra = [f"{name}: extra: the manifest does not list it" for name in sorted(actual) if name not in expected]
    return altered + missing + extra


def file_hashes(manifest: Manifest) -> FileHashes:
    """Give the hash and size of each file that a manifest lists."""
    if isinstance(manifest.files, FileRecords):
        return manifest.files.hashes
    return {name: (record.sha256, record.bytes) for name, record in manifest.files.items()}


def find_missing_images(manifest: Manifest, files: FileHashes) -> list[str]:
    """Name every sample whose image is in no file: for layouts that keep images byte for byte."""
    hashes = {sha256 for _, (sha256, _) in files.items()}
    return sorted(
        f"sample {sample_id}: no file holds its image (sha256 {sample.sha256})"
        for sample_id, sample in manifest.samples.items()
        if sample.sha256 not in hashes
    )


def _with_files(manifest: Manifest, files: FileHashes) -> Manifest:
    return manifest.model_copy(update={"files": FileRecords(files), "digest": ""})


def _digest_of(content: Mapping[str, Any]) -> str:
    return compute_digest(_lines(without_digest(content)))


def _has_valid_digest_line(content: bytes) -> bool:
    """Tell whether the bytes without the digest's line give the digest, which only sealed bytes do."""
    start = content.find(b'\n"digest": "') + 1
    end = content.find(b"\n", start) + 1
    line = content[start:end]
    digest = compute_digest([memoryview(content)[:start], memoryview(content)[end:]])
    return start > 0 and line == f'"digest": {to_json(digest)},\n'.encode()


def _lines(content: Mapping[str, Any]) -> Iterator[bytes]:
    """Give canonical JSON line by line: keys sorted, UTF-8, one record of an inner mapping a line."""
    yield b"{\n"
    last = max(content, default="")
    for key, value in sorted(content.items()):
        inner = _to_dict(value) if is_dataclass(value) else value
        end = "\n" if key == last else ",\n"
        if isinstance(inner, Mapping) and inner:
            yield f"{to_json(key)}: {{\n".encode()
            yield from _inner_lines(inner)
            yield f"}}{end}".encode()
        else:
            yield f"{to_json(key)}: {to_json(dict(inner) if isinstance(inner, Mapping) else inner)}{end}".encode()
    yield b"}\n"


def _inner_lines(content: Mapping[str, Any]) -> Iterator[bytes]:
    last = max(content, default="")
    for key in sorted(content):
        yield (f" {to_json(key)}: {to_json(content[key])}" + ("\n" if key == last else ",\n")).encode()


_OPTIONAL_KEYS: dict[type, tuple[str, ...]] = {AnnotationRecord: ("parts", "second"), SourceRecord: ("attribution",)}
"""Fields that are left out when they are None, so that older releases keep their digests."""


def _to_dict(record: Any) -> dict[str, Any]:
    if not is_dataclass(record) or isinstance(record, type):
        raise TypeError(f"{type(record).__name__} cannot be written to a manifest")
    optional = _OPTIONAL_KEYS.get(type(record), ())
    values = {name: getattr(record, name) for name in _field_names(type(record))}
    return {name: value for name, value in values.items() if name not in optional or value is not None}


@cache
def _field_names(record_class: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(record_class))


to_json = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_to_dict
).encode

_NO_DIGEST_LINE = f'"digest": {to_json(_NO_DIGEST)},\n'.encode()
