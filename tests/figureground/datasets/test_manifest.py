"""The manifest: its bytes, its seal, and what can be told from it."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground.datasets import manifest
from figureground.datasets.manifest import AnnotationRecord, Manifest, MatteRecord, SampleRecord, SourceRecord
from figureground.errors import ReleaseError

A, B, C = (letter * 64 for letter in "abc")
FOUND = {"img_dir/train/a.jpg": (A, 10), "img_dir/val/b.jpg": (B, 11), "split_dir/park.txt": (C, 2)}


def sample(source: str = "park", split: str = "train", sha256: str = A, annotation: int = 1, **other: object) -> SampleRecord:
    return SampleRecord(
        **{
            "split": split,
            "scenes": ("park",),
            "source": source,
            "license": "MIT",
            "frame": f"{source}-000001",
            "index": 1,
            "seconds": 0.1,
            "box": (0, 1, 20, 31),
            "sha256": sha256,
            "matte": MatteRecord(remover="rembg", sha256=C),
            "annotation": AnnotationRecord(id=annotation, annotator="änna", origin="manual", sha256=C),
            **other,
        }
    )


def source(sha256: str) -> SourceRecord:
    return SourceRecord(path="clips/x.mp4", sha256=sha256, license="MIT")


def sealed(samples: dict[str, SampleRecord] | None = None, videos: dict[str, str] | None = None) -> Manifest:
    samples = samples or {"a": sample(), "b": sample("walk", "val", B)}
    videos = videos or {"park": A, "walk": B, "unused": C}
    built = manifest.build({"mmseg_custom": {}}, {name: source(sha256) for name, sha256 in videos.items()}, samples)
    return manifest.seal(built, FOUND)


def test_bytes_come_back_and_are_canonical() -> None:
    content = manifest.to_bytes(sealed())
    again = manifest.parse(content)
    assert again == sealed()
    assert manifest.to_bytes(again) == content
    assert manifest.check_seal(content) == ""
    assert "änna" in content.decode()
    assert content.endswith(b"}\n")


def test_one_record_stands_on_one_line() -> None:
    lines = manifest.to_bytes(sealed()).decode().splitlines()
    assert sum(line.startswith(' "a": {') or line.startswith(' "b": {') for line in lines) == 2
    assert ' "img_dir/train/a.jpg": {"bytes":10,"sha256":"' + A + '"},' in lines


def test_only_sources_with_samples_are_kept_and_splits_counted() -> None:
    assert sorted(sealed().sources) == ["park", "walk"]
    assert sealed().counts == {"train": 1, "val": 1}


def test_digest_covers_everything_but_not_the_order() -> None:
    samples = {"a": sample(), "b": sample("walk", "val", B)}
    digests = {
        sealed().digest,
        sealed({**samples, "a": sample(annotation=2)}).digest,
        sealed(videos={"park": C, "walk": B}).digest,
        manifest.seal(sealed(), {**FOUND, "x": (A, 1)}).digest,
        manifest.seal(sealed().model_copy(update={"code": "9"}), FOUND).digest,
    }
    assert len(digests) == 5
    assert sealed(dict(reversed(samples.items()))).digest == sealed().digest


@given(st.data())
def test_any_flipped_bit_is_noticed(data: st.DataObject) -> None:
    content = bytearray(manifest.to_bytes(sealed()))
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert manifest.check_seal(bytes(content)).startswith("manifest.json: altered")


NONE = [b"", b"{", b"[]", b"\xff", b"null", b'{"digest": NaN}', b'{"a": "\\ud800"}', b'{"digest": ""}']


@pytest.mark.parametrize("content", NONE)
def test_what_is_no_manifest_is_altered_and_not_parsed(content: bytes) -> None:
    assert manifest.check_seal(content).startswith("manifest.json: altered")
    with pytest.raises(ReleaseError, match=r"manifest\.json"):
        manifest.parse(content)


def test_a_key_given_twice_is_altered() -> None:
    content = manifest.to_bytes(sealed())
    assert manifest.check_seal(content.replace(b'"code"', b'"code": "0", "code"', 1)).startswith("manifest.json: altered")


@pytest.mark.parametrize("field", ["counts", "layouts", "samples", "sources"])
def test_a_missing_field_is_named(field: str) -> None:
    held = json.loads(manifest.to_bytes(sealed()))
    del held[field]
    with pytest.raises(ReleaseError, match=field):
        manifest.parse(json.dumps(held).encode())


def test_a_newer_format_is_refused() -> None:
    held = json.loads(manifest.to_bytes(sealed()))
    with pytest.raises(ReleaseError, match=r"another version of figureground: format"):
        manifest.parse(json.dumps({**held, "format": 2}).encode())


def compare_files(plan: Manifest, found: manifest.FileHashes) -> list[str]:
    return manifest.compare_files(manifest.file_hashes(plan), found)


def test_altered_missing_and_extra_files_are_named() -> None:
    found = {"img_dir/train/a.jpg": (B, 10), "split_dir/park.txt": (C, 2), "new": (A, 1)}
    named = [problem.split(":")[:2] for problem in compare_files(sealed(), found)]
    assert named == [["img_dir/train/a.jpg", " altered"], ["img_dir/val/b.jpg", " missing"], ["new", " extra"]]
    assert compare_files(sealed(), FOUND) == []


def test_a_wrong_size_alone_is_an_alteration() -> None:
    assert "img_dir/train/a.jpg: altered" in compare_files(sealed(), {**FOUND, "img_dir/train/a.jpg": (A, 9)})[0]


def test_nothing_leaks_when_splits_share_nothing() -> None:
    assert manifest.find_leaks(sealed(), FOUND) == []
    alike = {**FOUND, "ann_dir/train/a.png": (C, 1), "ann_dir/val/b.png": (C, 1), "img_dir/train/twin.jpg": (A, 10)}
    assert manifest.find_leaks(sealed(), alike) == [], "equal masks, and twins within a split, are no leak"


def test_a_shared_source_video_or_picture_leaks() -> None:
    shared = sealed({"a": sample(), "b": sample("park", "val", B)})
    assert manifest.find_leaks(shared, FOUND) == ["source park is shared between train (a) and val (b)"]
    twins = sealed(videos={"park": A, "walk": A})
    assert manifest.find_leaks(twins, FOUND) == ["the same video is in two splits: train (source park) and val (source walk)"]
    copied = {**FOUND, "img_dir/val/copy.jpg": (A, 10)}
    leak = ["the same image is in two splits: img_dir/train/a.jpg and img_dir/val/copy.jpg"]
    assert manifest.find_leaks(sealed(), copied) == leak


def test_difference_sorts_stems_by_what_happened() -> None:
    old = sealed({name: sample() for name in ("same", "dropped", "redrawn", "recut", "moved", "listed")})
    new = sealed(
        {
            "same": sample(),
            "added": sample(),
            "redrawn": sample(annotation=2),
            "recut": sample(sha256=B),
            "moved": sample(split="val"),
            "listed": sample(scenes=("x",)),
        }
    )
    assert manifest.compare_samples(old, new) == {
        "added": ("added",),
        "dropped": ("dropped",),
        "re-annotated": ("redrawn",),
        "re-cropped": ("recut",),
        "moved": ("moved",),
        "relisted": ("listed",),
    }
    assert not any(manifest.compare_samples(old, old).values())


def test_summary_says_what_differs_in_lines() -> None:
    old, many = sealed(), sealed({name: sample() for name in "abcdefgh"})
    assert manifest.describe_changes(old, old) == []
    assert manifest.describe_changes(old, many)[0] == "added: 6 (c, d, e, f, g, …)"
    newer = sealed().model_copy(update={"code": "9.9"})
    assert manifest.describe_changes(old, newer) == [f'code: "{old.code}" there, "9.9" now']
    retold = sealed({"a": sample(index=2), "b": sample("walk", "val", B)})
    assert manifest.describe_changes(old, retold) == ["where samples come from: a"]


def test_it_is_written_as_it_is_sealed(tmp_path: Path) -> None:
    plan = sealed()
    written = manifest.write(plan.model_copy(update={"digest": "old"}), FOUND, tmp_path / "manifest.json")
    assert written == plan and (tmp_path / "manifest.json").read_bytes() == manifest.to_bytes(plan)


def test_a_manifest_that_is_not_canonical_is_read_all_the_same() -> None:
    plan = sealed()
    assert manifest.parse(json.dumps(json.loads(manifest.to_bytes(plan)), indent=3).encode()) == plan
