"""What is decided about a release before anything is written, with literals."""

from dataclasses import replace

import numpy as np
import pytest

from figureground.datasets import release_plan
from figureground.datasets.manifest import AnnotationRecord, ClassMapRecord, SampleRecord
from figureground.datasets.provenance import Pick
from figureground.datasets.release_plan import Contribution
from figureground.errors import ReleaseError


def pick(sample_id: str, source: str, classes: int = 0) -> Pick:
    class_map = ClassMapRecord(sha256="p", classes=classes) if classes else None
    annotation = AnnotationRecord(id=1, annotator="anna", origin="manual", sha256="l", parts=class_map)
    record = SampleRecord(
        split="train", scenes=(), source=source, license="MIT", frame="f", index=0, seconds=0, box=(0, 0, 1, 1), sha256="c",
        matte=None, annotation=annotation,
    )  # fmt: skip
    return Pick(sample_id, record, "c.jpg", "l.png")


def signature(seed: int) -> np.ndarray:
    signs = np.where(np.random.default_rng(seed).random(256) < 0.5, -1, 1).astype(np.int8)
    signs[0] = 0
    return signs


def test_a_layout_with_classes_gets_as_many_as_every_sample_has() -> None:
    picks = [pick("a", "park", 18), pick("b", "walk", 5)]
    settings = {"human_parsing": {}, "human_parsing-2": {"classes": 2}, "coco": {"shapes": "polygons"}}
    assert release_plan.resolve_layouts(settings, {"human_parsing", "human_parsing-2"}, picks) == {
        "human_parsing": {"classes": 5},
        "human_parsing-2": {"classes": 2},
        "coco": {"shapes": "polygons"},
    }
    assert release_plan.resolve_layouts({"human_parsing": {}}, {"human_parsing"}, [*picks, pick("c", "x")]) == {
        "human_parsing": {"classes": 2}
    }


def test_more_classes_than_a_sample_has_are_refused_with_its_name() -> None:
    with pytest.raises(ReleaseError, match=r"human_parsing asks for 18 classes; b of source walk has 5.*at most 5"):
        release_plan.resolve_layouts({"human_parsing": {"classes": 18}}, (), [pick("a", "park", 18), pick("b", "walk", 5)])


def test_two_sources_with_a_crop_of_one_id_are_refused() -> None:
    own = {name: Contribution([pick("a-0", name)], None, "") for name in ("a", "b")}
    with pytest.raises(ReleaseError, match="two sources have a crop of the same id"):
        release_plan.collect_picks(own)


def test_nothing_to_release_lists_what_each_source_has() -> None:
    own = {"a": Contribution([], None, "source a has not been pulled")}
    with pytest.raises(ReleaseError, match=r"nothing to release: source a has not been pulled\. Expected at least one label"):
        release_plan.collect_picks(own)
    with pytest.raises(ReleaseError, match="nothing to release: no source was given"):
        release_plan.collect_picks({})


def test_sources_with_one_video_or_similar_images_are_grouped() -> None:
    picks = [pick(name, name) for name in "abcd"]
    signatures = {"a": signature(1), "b": signature(1), "c": signature(3), "d": signature(4)}
    videos = {"a": "1", "b": "2", "c": "2", "d": "4"}
    assert release_plan.find_similar_sources(picks, signatures, videos) == [("a", "b", "c")]


def test_a_sample_is_moved_by_its_record_alone() -> None:
    before = pick("a", "park")
    assert release_plan.move_to(before, "train") is before
    assert release_plan.move_to(before, "val") == replace(before, record=replace(before.record, split="val"))
