"""Other people's pairs: each published defect is noticed, and nothing is silently resized."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from figureground.datasets import pairs, samples
from figureground.errors import ArrayError

SHARED = Path(__file__).parents[3] / "../shared/data"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for stem in "abc":
        cv2.imwrite(str(tmp_path / f"images/{stem}.jpg"), np.full((20, 30, 3), 90, np.uint8))
        mask = np.zeros((20, 30), np.uint8)
        mask[5:15, 5:15] = 1
        cv2.imwrite(str(tmp_path / f"masks/{stem}.png"), mask)
    return tmp_path / "images", tmp_path / "masks"


def reasons(folders: tuple[Path, Path], allowed: set[int] | None = None) -> dict[str, str]:
    return {pair.sample_id: pair.reason for pair in pairs.examine(pairs.pair_by_name(*folders), allowed or {0, 1})}


def test_good_pairs_have_no_reason(folders: tuple[Path, Path]) -> None:
    assert reasons(folders) == {"a": "", "b": "", "c": ""}


def test_one_missing_mask_does_not_shift_the_other_pairs(folders: tuple[Path, Path]) -> None:
    (folders[1] / "a.png").unlink()
    (folders[0] / "c.jpg").unlink()
    found = pairs.pair_by_name(*folders)
    assert reasons(folders) == {"a": "no mask", "b": "", "c": "no picture"}
    both = [(pair.image_file, pair.mask_file) for pair in found]
    assert all(image is None or mask is None or image.stem == mask.stem for image, mask in both)


def test_two_pictures_of_one_stem_are_named(folders: tuple[Path, Path]) -> None:
    cv2.imwrite(str(folders[0] / "a.jpeg"), np.zeros((20, 30, 3), np.uint8))
    assert reasons(folders)["a"] == "2 files for one picture: a.jpeg, a.jpg"


def test_a_mask_of_another_size_is_refused(folders: tuple[Path, Path]) -> None:
    cv2.imwrite(str(folders[1] / "b.png"), np.zeros((20, 31), np.uint8))
    assert reasons(folders)["b"] == "b.png: 31x20 pixels, its image 30x20; expected one size, and none is resized"


def test_a_mask_saved_as_jpeg_is_refused(folders: tuple[Path, Path]) -> None:
    (folders[1] / "b.png").unlink()
    cv2.imwrite(str(folders[1] / "b.jpg"), np.zeros((20, 30), np.uint8))
    assert "lossy" in reasons(folders)["b"]


def test_ids_that_the_settings_do_not_list_are_refused(folders: tuple[Path, Path]) -> None:
    mask = np.zeros((20, 30), np.uint8)
    mask[0, :6] = 255
    cv2.imwrite(str(folders[1] / "b.png"), mask)
    assert reasons(folders)["b"] == "b.png: 1 % of it has the ids 255; expected only 0 to 1"
    assert reasons(folders, {0, 255})["b"] == ""


def test_a_mask_with_colours_is_refused(folders: tuple[Path, Path]) -> None:
    cv2.imwrite(str(folders[1] / "b.png"), np.zeros((20, 30, 3), np.uint8))
    assert "expected 8 bits and one channel" in reasons(folders)["b"]


def test_a_picture_turned_by_its_tag_is_refused(folders: tuple[Path, Path]) -> None:
    turned = Image.Exif()
    turned[274] = 6
    Image.new("RGB", (30, 20)).save(folders[0] / "b.jpg", exif=turned)
    assert reasons(folders)["b"] == "b.jpg: rotated by its EXIF tag (6); rotate its pixels and remove the tag"


def test_letterboxing_a_label_invents_no_id_and_a_picture_gets_its_grey() -> None:
    ids = np.random.default_rng(1).integers(0, 10, (90, 60)).astype(np.uint8) * 20
    boxed = samples.letterbox(ids, 64, 0, label=True)
    assert boxed.shape == (64, 64) and set(np.unique(boxed)) <= set(np.unique(ids))
    assert not boxed[:, :10].any() and not boxed[:, 54:].any() and boxed[:, 11:53].any(axis=1).all()
    picture = samples.letterbox(np.zeros((90, 60, 3), np.uint8), 64, 128, label=False)
    assert (picture[:, :10] == 128).all() and not picture[:, 11:53].any()


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data")
def test_the_dirty_pairs_are_refused_as_masks_of_0_and_1(tmp_path: Path) -> None:
    """Their sizes agree, unlike what is said of them; their masks hold 0 and 255, which would make an IoU of 0."""
    found = pairs.pair_by_name(SHARED / "dirty_pairs/images", SHARED / "dirty_pairs/masks")
    assert len(found) == 40 and all(pair.reason == "" for pair in found)
    assert all("has the ids 255; expected only 0 to 1" in pair.reason for pair in pairs.examine(found, {0, 1}))
    assert all(pair.reason == "" for pair in pairs.examine(found, {0, 255}))


def test_a_mask_with_specks_and_pinholes_is_no_drawn_one() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[50:150, 50:150] = 1
    pairs.check_drawn(mask, 12, "a.png")
    mask[60:70:5, 60:90:10] = 0
    mask[10:20:5, 10] = 1
    with pytest.raises(ArrayError, match=r"a.png: 8 specks and pinholes, 1\d for each 1000 pixels of border; expected"):
        pairs.check_drawn(mask, 12, "a.png")
    pairs.check_drawn(mask, 30, "a.png")


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data")
@pytest.mark.parametrize("masks", ["pennfudan/PedMasks/*.png", "davis/*/masks/*0.png"])
def test_masks_that_people_drew_are_taken(masks: str) -> None:
    refused = []
    files = sorted(SHARED.glob(masks))
    for file in files:
        try:
            pairs.check_drawn((cv2.imread(str(file), cv2.IMREAD_UNCHANGED) > 0).astype(np.uint8), 12, file.name)
        except ArrayError as error:
            refused.append(str(error))
    assert len(files) >= 30 and len(refused) <= 1, refused  # a bicycle with its spokes
