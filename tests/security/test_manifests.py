"""What somebody may try with a manifest of their own: anybody can seal one, and `release --from` makes what it describes."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from figureground.datasets import certificate, manifest
from figureground.datasets.manifest import AnnotationRecord, FileRecord, Manifest, SampleRecord, SourceRecord
from figureground.errors import ReleaseError
from figureground.synthesis import composition_manifest
from tasks.datasets.release import rebuild
from tasks.datasets.verify import verify
from tasks.datasets.verify_composites import verify_composites

SAMPLE = SampleRecord(
    split="train", scenes=("street",), source="park", license="CC0-1.0", frame="park-000001", index=1, seconds=0.1,
    box=(0, 0, 8, 8), sha256="a" * 64, matte=None,
    annotation=AnnotationRecord(id=1, annotator="ann", origin="manual", sha256="b" * 64),
)  # fmt: skip


def sealed(**changes: Any) -> bytes:
    source = SourceRecord(path="park.mp4", sha256="c" * 64, license="CC0-1.0")
    fields: dict[str, Any] = {
        "layouts": {"mmseg_custom": "."}, "counts": {"train": 1}, "sources": {"park": source}, "samples": {"park-1": SAMPLE},
    }  # fmt: skip
    files = changes.pop("files", {})
    made = Manifest(**fields | changes)
    return manifest.to_bytes(manifest.seal(made, {name: (record.sha256, record.bytes) for name, record in files.items()}))


HOSTILE: dict[str, dict[str, Any]] = {
    "a layout above": {"layouts": {"mmseg_custom": "../../../escaped"}},
    "a layout elsewhere": {"layouts": {"mmseg_custom": "/tmp/escaped"}},
    "a layout in another's folder": {"layouts": {"mmseg_custom": ".", "coco": "certificate"}},
    "a layout that is a path": {"layouts": {"../coco": "../coco"}},
    "settings of another": {"settings": {"coco": {"shapes": "polygons"}}},
    "a source above": {"sources": {"../park": SourceRecord(path="", sha256="", license="")}},
    "a sample above": {"samples": {"../../../escaped": SAMPLE}},
    "an absolute sample": {"samples": {"/tmp/escaped": SAMPLE}},
    "a sample's source": {"samples": {"park-1": replace(SAMPLE, source="../../labels")}},
    "a scene above": {"samples": {"park-1": replace(SAMPLE, scenes=("../../../escaped",))}},
    "a scene with a control sign": {"samples": {"park-1": replace(SAMPLE, scenes=("a\nb",))}},
    "a hash that is a path": {"samples": {"park-1": replace(SAMPLE, sha256="../../x")}},
    "a label's hash": {
        "samples": {"park-1": replace(SAMPLE, annotation=replace(SAMPLE.annotation, sha256="../tables/labels/park.parquet"))}
    },
    "a file above": {"files": {"../escaped": FileRecord(sha256="a" * 64, bytes=1)}},
    "an absolute file": {"files": {"/etc/passwd": FileRecord(sha256="a" * 64, bytes=1)}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_leads_out_is_refused_before_anything_is_read(tmp_path: Path, make_catalog, name: str) -> None:
    file, catalog = tmp_path / "theirs/manifest.json", make_catalog(tmp_path, "http://127.0.0.1:9", "none")
    file.parent.mkdir()
    file.write_bytes(sealed(**HOSTILE[name]))
    assert manifest.check_seal(file.read_bytes()) == ""
    with pytest.raises(ReleaseError, match=r"manifest\.json: .*somebody else made this file"):
        rebuild.fn(file, catalog, "again", "20270101")
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*escaped*"))
    assert not list(tmp_path.parent.glob("escaped*"))
    with pytest.raises(ReleaseError, match="somebody else made this file"):
        verify(file.parent)


def test_the_same_manifest_without_a_hostile_name_is_read() -> None:
    assert manifest.parse(sealed()).samples["park-1"] == SAMPLE
    assert manifest.parse(sealed(layouts={"human_parsing": ".", "coco-2": "coco-2"})).layouts["coco-2"] == "coco-2"


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 200_000,
        b'{\n"a": ' + b"[" * 200_000 + b"\n}\n",
        b'{\n"samples": {\n [1]: 2\n}\n}\n',
        b'{\n"samples": {\n "a": ' + b'{"b":' * 100_000 + b"\n}\n}\n",
        json.dumps({"layouts": None}).encode(),
        b"\xff\xfe",
        b"",
    ],
)
def test_a_manifest_of_any_form_is_refused_by_name(tmp_path: Path, make_catalog, content: bytes) -> None:
    file = tmp_path / "manifest.json"
    file.write_bytes(content)
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        rebuild.fn(file, make_catalog(tmp_path, "http://127.0.0.1:9", "none"), "again", "20270101")
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        manifest.parse(content)
    with pytest.raises(ReleaseError, match=r"there/composition\.json: not readable"):
        composition_manifest.parse(content, "there")
    assert certificate.check(content, {})[0].startswith("certificate.json: not readable")


def test_files_of_a_composition_that_say_nothing_are_refused() -> None:
    for entry in (None, 7, [], {"sha256": 7, "bytes": 1}, {"sha256": "a"}):
        with pytest.raises(ReleaseError, match="not readable"):
            composition_manifest.parse(json.dumps({"files": {"a": entry}, "digest": ""}).encode(), "there")




@pytest.mark.parametrize("how", ["a link to a folder", "a link to a file", "a pipe", "a pipe as manifest"])
def test_a_release_with_links_or_pipes_is_refused_before_a_file_is_opened(tmp_path: Path, how: str) -> None:
    folder = tmp_path / "release"
    (folder / "img_dir").mkdir(parents=True)
    (folder / "manifest.json").write_bytes(sealed())
    if how.startswith("a link"):
        (folder / "img_dir/etc").symlink_to("/etc" if how == "a link to a folder" else "/etc/passwd")
    else:
        name = "manifest.json" if how == "a pipe as manifest" else "img_dir/etc"
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)
    expected = "is a link to /etc" if how.startswith("a link") else "is a pipe, socket or device"
    for check in (verify, verify_composites):
        with pytest.raises(ReleaseError, match=expected):
            check(folder)
