"""Every layout gives pictures with truth, and each picture's source."""

import cv2
import numpy as np
import pytest

from figureground import layouts
from figureground.errors import ReleaseError
from figureground.imaging import class_maps
from figureground.training import sample_cache
from figureground.types import Sample


def samples(parts=False):
    for at, split in enumerate(("train", "train", "val", "test")):
        random = np.random.default_rng(at)
        ids = random.integers(0, 18, (20, 16)).astype(np.uint8)
        alpha = (ids > 0).astype(np.float32) if parts else random.random((20, 16), np.float32)
        image = bytes(cv2.imencode(".jpg", random.integers(0, 255, (20, 16, 3), np.uint8))[1])
        yield Sample(f"park{at % 2}-{at:06d}-00", split, ("park",), image, alpha, ids if parts else None)


def laid(folder, layout, settings=None, parts=False):
    layouts.build(layout, settings or {}).write(samples(parts), folder)
    return folder


@pytest.mark.parametrize("layout", ["mmseg_custom", "human_parsing", "im_gt"])
def test_a_folder_in_a_layout_is_read_as_person_and_background(layout, tmp_path):
    opened = sample_cache.open_release(laid(tmp_path / "r", layout), 2)
    found, expected = list(opened.examples()), list(samples())
    assert (opened.layout, opened.name, len(opened.digest)) == (layout, "r", 64)
    assert [(one.stem, one.split, one.source) for one in found] == [
        (sample.sample_id, sample.split, sample.sample_id.split("-")[0]) for sample in expected
    ]
    for one, sample in zip(found, expected, strict=True):
        assert one.truth.dtype == np.uint8 and np.mean(one.truth == (sample.alpha >= 0.5)) > 0.98
    assert [one.split for one in opened.examples("val", "test")] == ["val", "test"]
    assert opened.places() == {("park0", "train"): 1, ("park1", "train"): 1, ("park0", "val"): 1, ("park1", "test"): 1}


def test_soft_alpha_stays_soft(tmp_path):
    found = list(sample_cache.open_release(laid(tmp_path / "r", "im_gt"), 1).examples())
    for one, sample in zip(found, samples(), strict=True):
        assert one.truth.dtype == np.float32 and np.abs(one.truth - sample.alpha).max() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("classes", [5, 18])
def test_five_classes_come_from_five_and_from_eighteen(classes, tmp_path):
    folder = laid(tmp_path / "r", "human_parsing", {"classes": classes}, parts=True)
    for one, sample in zip(sample_cache.open_release(folder, 5).examples(), samples(parts=True), strict=True):
        assert np.array_equal(one.truth, class_maps.remap(sample.parts, class_maps.FROM_ATR[5]))


def test_what_it_was_is_in_its_digest(tmp_path):
    folder = laid(tmp_path / "r", "im_gt")
    before = sample_cache.open_release(folder, 1).digest
    assert before == sample_cache.open_release(folder, 1).digest
    (folder / "scenes/park.txt").write_text("")
    assert before != sample_cache.open_release(folder, 1).digest


def test_a_layout_without_the_classes_says_which_layouts_have_them(tmp_path):
    with pytest.raises(ReleaseError, match="cannot teach 5 classes: it has the layouts mmseg_custom; cut it with"):
        sample_cache.open_release(laid(tmp_path / "r", "mmseg_custom"), 5)
    with pytest.raises(ReleaseError, match="found 3"):
        sample_cache.open_release(tmp_path / "r", 3)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ReleaseError, match=r"is no release: it has neither manifest\.json"):
        sample_cache.open_release(tmp_path / "empty", 2)
    with pytest.raises(ReleaseError, match="is no folder"):
        sample_cache.open_release(tmp_path / "nothing", 2)


def test_an_altered_manifest_is_refused(tmp_path):
    folder = laid(tmp_path / "r", "mmseg_custom")
    (folder / "manifest.json").write_text('{"digest": "0"}')
    with pytest.raises(ReleaseError, match="altered"):
        sample_cache.open_release(folder, 2)
