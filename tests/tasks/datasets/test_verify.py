"""Looking at releases: whatever is changed is noticed and named, all of it at once."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground.catalog import Catalog
from figureground.datasets import manifest
from figureground.errors import ReleaseError
from figureground.storage import hashing
from tasks.datasets.release import release
from tasks.datasets.verify import diff, diff_page, verify

Make = Callable[..., Catalog]
TWO = {"park": ["keep", "keep", "keep"], "walk": ["keep", "keep"]}
SPLITS = {"park": "train", "walk": "val"}
CATALOGS: list[Catalog] = []
PICTURE, MASK = "img_dir/train/park-000000-00.jpg", "ann_dir/train/park-000000-00.png"


@pytest.fixture(scope="module")
def untouched(labelled: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    catalog = labelled(tmp_path_factory.mktemp("storage"), TWO, SPLITS)
    CATALOGS.append(catalog)
    return Path(release.fn([catalog.source(name) for name in TWO], catalog, "demo", "20261130").folder)


@pytest.fixture
def folder(untouched: Path, tmp_path: Path) -> Path:
    return shutil.copytree(untouched, tmp_path / untouched.name)


def problems(folder: Path) -> str:
    """Give what is said of a folder: the same when the storage it was cut from knows pictures by their hashes."""
    said = []
    for known in (None, *CATALOGS):
        with pytest.raises(ReleaseError) as caught:
            verify(folder, known)
        said.append(str(caught.value))
    assert len(set(said)) == 1
    return said[0]


def reseal(folder: Path) -> None:
    """Write a manifest that agrees with the folder: a release that was built wrongly, rather than changed later."""
    held = manifest.parse((folder / manifest.FILE).read_bytes())
    found = hashing.hash_folder(folder)
    found.pop(manifest.FILE)
    (folder / manifest.FILE).write_bytes(manifest.to_bytes(manifest.seal(held, found)))


def test_a_good_release_is_given_with_its_counts(folder: Path) -> None:
    found = verify(folder)
    assert found.counts == {"train": 3, "val": 2}
    assert found.digest == json.loads((folder / "manifest.json").read_bytes())["digest"]


def test_a_copy_elsewhere_verifies_too(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy" / folder.name)
    assert verify(copy).digest == verify(folder).digest


@pytest.mark.parametrize("name", [PICTURE, MASK, "split_dir/walk.txt", "manifest.json"])
@pytest.mark.parametrize("at", [0.0, 0.31, 0.62, 0.999])
@pytest.mark.parametrize("bit", [0, 5])
def test_a_flipped_bit_is_noticed_and_its_file_named(folder: Path, name: str, at: float, bit: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[int(at * len(content))] ^= 1 << bit
    (folder / name).write_bytes(content)
    assert f"\n  {name}: altered" in problems(folder)


def test_every_byte_of_the_manifest_counts(folder: Path) -> None:
    content = (folder / "manifest.json").read_bytes()
    for at in range(0, len(content), 7):
        changed = bytearray(content)
        changed[at] ^= 4
        assert manifest.check_seal(bytes(changed)).startswith("manifest.json: altered"), at
    assert manifest.check_seal(content) == ""


@pytest.mark.parametrize("changed", [b" ", b"\n"])
def test_a_manifest_written_otherwise_is_altered(folder: Path, changed: bytes) -> None:
    with (folder / "manifest.json").open("ab") as file:
        file.write(changed)
    assert "manifest.json: altered: not the bytes its content is written as" in problems(folder)


@pytest.mark.parametrize("name", [PICTURE, MASK, "split_dir/outdoor.txt"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert f"{name}: missing" in problems(folder)


@pytest.mark.parametrize("name", ["img_dir/val/new.jpg", "notes.txt", ".hidden", "split_dir/new.txt", "deep/er/x.png"])
def test_an_extra_file_is_named(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(b"?")
    assert f"{name}: extra" in problems(folder)


def test_mask_values_other_than_0_and_1_are_named(folder: Path) -> None:
    mask = cv2.imread(str(folder / MASK), cv2.IMREAD_UNCHANGED)
    mask[3, 4] = 2
    cv2.imwrite(str(folder / MASK), mask)
    reseal(folder)
    assert f"{MASK}: holds the value 2; expected only 0 (background) and 1 (person)" in problems(folder)


def test_a_mask_of_another_size_is_named(folder: Path) -> None:
    cv2.imwrite(str(folder / MASK), np.zeros((32, 23), np.uint8))
    reseal(folder)
    assert f"{MASK}: 23x32 pixels, its image 24x32" in problems(folder)


@pytest.mark.parametrize("mask", [np.zeros((32, 24, 3), np.uint8), np.zeros((32, 24), np.uint16)])
def test_a_mask_of_another_kind_is_named(folder: Path, mask: np.ndarray) -> None:
    cv2.imwrite(str(folder / MASK), mask)
    reseal(folder)
    assert f"{MASK}: {mask.dtype} of shape {mask.shape}; expected 8 bits and one channel" in problems(folder)


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_train_picture_copied_into_a_held_out_split_is_named(folder: Path, split: str) -> None:
    copy = f"img_dir/{split}/new.jpg"
    (folder / copy).parent.mkdir(exist_ok=True)
    shutil.copy(folder / PICTURE, folder / copy)
    said = problems(folder)
    assert f"{copy}: extra" in said
    shared = f"the same image is in two splits: {' and '.join(sorted([PICTURE, copy]))}"
    assert shared in said
    reseal(folder)
    assert shared in problems(folder)


@pytest.mark.parametrize("change", ["recompressed", "mirrored", "brighter"])
def test_a_train_picture_that_was_changed_a_little_and_put_into_val_is_named(folder: Path, change: str) -> None:
    picture = cv2.imread(str(folder / PICTURE))
    changed = {
        "recompressed": picture,
        "mirrored": picture[:, ::-1],
        "brighter": np.clip(picture * 1.1 + 5, 0, 255).astype(np.uint8),
    }[change]
    cv2.imwrite(str(folder / "img_dir/val/new.jpg"), changed, [cv2.IMWRITE_JPEG_QUALITY, 70])
    reseal(folder)
    assert f"nearly the same image is in two splits: {PICTURE} and img_dir/val/new.jpg (similarity 0.9" in problems(folder)


def test_a_certificate_that_claims_too_little_is_named(folder: Path) -> None:
    held = json.loads((folder / "certificate.json").read_bytes())
    true, held["pairs"][0]["similarity"] = held["pairs"][0]["similarity"], 0.1
    (folder / "certificate.json").write_text(json.dumps(held))
    reseal(folder)
    assert f"certificate.json: claims 0.1 for the closest of train and val; the files give {true}" in problems(folder)
    (folder / "certificate.json").unlink()
    reseal(folder)
    assert "certificate.json: No such file" in problems(folder)


def test_a_source_in_two_splits_is_named(folder: Path) -> None:
    held = json.loads((folder / "manifest.json").read_bytes())
    held["samples"]["walk-000000-00"]["source"] = "park"
    (folder / "manifest.json").write_text(json.dumps(held))
    reseal(folder)
    assert "source park is shared between train (park-000000-00) and val (walk-000000-00)" in problems(folder)


def test_the_same_video_under_two_names_is_named(folder: Path) -> None:
    held = json.loads((folder / "manifest.json").read_bytes())
    held["sources"]["walk"]["sha256"] = held["sources"]["park"]["sha256"]
    (folder / "manifest.json").write_text(json.dumps(held))
    reseal(folder)
    assert "the same video is in two splits: train (source park) and val (source walk)" in problems(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nobody\n", "split_dir/walk.txt: names 'nobody', which is no image"),
        (b"walk-000015-00\nwalk-000000-00\n", "sorted"),
        (b"walk-000000-00\r\nwalk-000015-00\r\n", "LF"),
        (b"walk-000000-00\nwalk-000015-00", "LF"),
        (b"walk-000000-00\nwalk-000000-00\n", "each once"),
    ],
)
def test_an_invalid_list_of_a_layout_is_named(folder: Path, content: bytes, said: str) -> None:
    (folder / "split_dir/walk.txt").write_bytes(content)
    reseal(folder)
    assert said in problems(folder)


def test_a_picture_without_its_mask_is_named(folder: Path) -> None:
    (folder / MASK).unlink()
    reseal(folder)
    assert f"{PICTURE}: no mask {MASK}" in problems(folder)


def test_a_sample_whose_files_are_gone_is_named(folder: Path) -> None:
    (folder / MASK).unlink()
    (folder / PICTURE).unlink()
    (folder / "split_dir/park.txt").write_bytes(b"park-000015-00\npark-000030-00\n")
    reseal(folder)
    assert "sample park-000000-00: no file holds its image" in problems(folder)


def test_all_problems_are_reported_at_once(folder: Path) -> None:
    (folder / MASK).write_bytes(b"no picture")
    (folder / PICTURE).unlink()
    (folder / "extra.txt").write_text("")
    said = problems(folder)
    assert [name in said for name in (f"{MASK}: altered", f"{PICTURE}: missing", "extra.txt: extra")] == [True] * 3


def test_a_folder_without_manifest_is_no_release(tmp_path: Path) -> None:
    assert "manifest.json" in problems(tmp_path)
    assert "manifest.json" in problems(tmp_path / "nowhere")


def test_an_unknown_layout_is_reported(folder: Path) -> None:
    held = json.loads((folder / "manifest.json").read_bytes())
    held["layouts"] = {"papyrus": "."}
    (folder / "manifest.json").write_text(json.dumps(held))
    reseal(folder)
    assert "manifest.json: figureground.layouts has no 'papyrus'" in problems(folder)


@pytest.mark.slow
def test_diff_names_what_came_went_and_was_drawn_again(labelled: Make, tmp_path: Path) -> None:
    old = labelled(tmp_path / "old", {"park": ["keep", "keep", "blurred"], "walk": ["keep"]}, SPLITS)
    new = labelled(tmp_path / "new", {"park": ["blurred", "keep", "keep"], "walk": ["keep"]}, SPLITS, seeds={"walk": 77})
    before, after = (
        Path(release.fn([catalog.source(name) for name in ("park", "walk")], catalog, "x", "20261130").folder)
        for catalog in (old, new)
    )
    found = diff(before, after)
    assert found == {
        "added": ("park-000030-00",),
        "dropped": ("park-000000-00",),
        "re-annotated": ("walk-000000-00",),
        "re-cropped": ("walk-000000-00",),
        "moved": (),
        "relisted": (),
    }
    assert not any(diff(before, before).values())
    page = diff_page(before, after)
    for word, stems in found.items():
        assert f"<h2>{word}: {len(stems)}</h2>" in page
    assert page.count('src="data:image/') == 4 and 'alt="park-000030-00"' in page


def test_diff_refuses_an_altered_manifest(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    with (copy / "manifest.json").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ReleaseError, match=r"manifest\.json: altered"):
        diff(folder, copy)
