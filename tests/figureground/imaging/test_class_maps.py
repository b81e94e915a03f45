"""Remaps of parts: the published tables id by id, and real label maps counted class by class."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import plugins
from figureground.errors import ArrayError, ReleaseError
from figureground.imaging import class_maps
from figureground.types import Sample

SHARED = Path(__file__).parents[3] / "../shared/data"
EVERY = np.arange(18, dtype=np.uint8)[None]


def test_18_to_2_and_5_are_the_published_tables() -> None:
    assert class_maps.remap(EVERY, class_maps.TO_TWO).tolist() == [[0, *[1] * 15, 0, 1]]
    assert class_maps.remap(EVERY, class_maps.TO_FIVE).tolist() == [[0, 1, 1, 1, 2, 4, 4, 4, 4, 4, 4, 1, 4, 4, 3, 3, 0, 1]]


def test_an_id_that_is_no_class_is_refused() -> None:
    with pytest.raises(ArrayError, match="holds the ids 18, 255; expected ids 0 to 17"):
        class_maps.remap(np.array([[0, 18, 255]], np.uint8), class_maps.TO_TWO)


def test_a_class_without_a_place_is_refused() -> None:
    with pytest.raises(ArrayError, match=r"class glove \(id 3\)"):
        class_maps.table(class_maps.CIHP, class_maps.ATR, {})


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared/data")
@pytest.mark.parametrize("classes", [18, 5, 2])
def test_cihp_is_exported_with_every_pixel_in_its_class(tmp_path: Path, classes: int) -> None:
    layout = plugins.build("layouts", "human_parsing", {"classes": classes})
    originals, items = {}, []
    for file in sorted((SHARED / "cihp/labels").glob("*.png")):
        ids = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        originals[file.stem] = ids
        atr = class_maps.remap(ids, class_maps.CIHP_TO_ATR)
        alpha = class_maps.remap(atr, class_maps.TO_TWO).astype(np.float32)
        items.append(Sample(file.stem, "train", (), (SHARED / f"cihp/images/{file.stem}.jpg").read_bytes(), alpha, atr))
    layout.write(items, tmp_path)
    assert list(layout.find_problems(tmp_path)) == []
    goal = np.array([[class_maps.FROM_ATR[classes][class_maps.CIHP_TO_ATR[old]] for old in range(20)]]).ravel()
    for stem, ids in originals.items():
        written = cv2.imread(str(tmp_path / f"labels/{stem}.png"), cv2.IMREAD_UNCHANGED)
        before = np.bincount(ids.ravel(), minlength=20)
        expected = [int(before[goal == new].sum()) for new in range(classes)]
        assert np.bincount(written.ravel(), minlength=classes).tolist() == expected
    found = list(layout.read(tmp_path))
    assert [sample.sample_id for sample in found] == sorted(originals)
    assert all(bool((one.alpha == other.alpha).all()) for one, other in zip(found, items, strict=True))


def test_parts_that_nobody_drew_cannot_be_written(tmp_path: Path) -> None:
    picture = bytes(cv2.imencode(".jpg", np.zeros((4, 3, 3), np.uint8))[1])
    with pytest.raises(ReleaseError, match="a: it has no class map"):
        plugins.build("layouts", "human_parsing", {"classes": 5}).write(
            [Sample("a", "train", (), picture, np.ones((4, 3), np.float32))], tmp_path
        )
