"""What every layout promises. A new file in figureground/layouts is tested here with no other edit."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground import plugins
from figureground.datasets.splits import SPLITS
from figureground.errors import PluginError, ReleaseError
from figureground.imaging import jpeg, masks
from figureground.layouts import Layout, build
from figureground.storage.hashing import sha256
from figureground.types import Sample
from tests.contracts.goldens import GoldenCheck, thumbnail

NAMES = plugins.names("layouts")
SLOW = {"cutouts"}  # its colours are compiled on first use, for most of a minute
layouts = pytest.mark.parametrize(
    "layout",
    [pytest.param(plugins.build("layouts", name, {}), id=name, marks=[pytest.mark.slow] * (name in SLOW)) for name in NAMES],
)

STEMS = st.from_regex(r"[a-z][a-z0-9_]{0,6}(-[0-9]{2,6}){0,2}", fullmatch=True)
SCENES = st.frozensets(st.sampled_from(["park", "indoor", "室内", "v1.0", "train", "with space"]), max_size=3)


@st.composite
def samples(draw: st.DrawFn) -> list[Sample]:
    stems = draw(st.lists(STEMS, unique_by=str.lower, max_size=6))
    return [draw(_sample(stem)) for stem in stems]


@st.composite
def _sample(draw: st.DrawFn, stem: str) -> Sample:
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    alpha = draw(st.sampled_from([np.zeros, np.ones, lambda shape: random.random(shape)]))((height, width))
    return sample(stem, draw(st.sampled_from(SPLITS)), tuple(sorted(draw(SCENES))), alpha.astype(np.float32))


def sample(stem: str, split: str = "train", scenes: tuple[str, ...] = (), alpha: np.ndarray | None = None) -> Sample:
    alpha = np.ones((6, 5), np.float32) if alpha is None else alpha
    pixels = np.random.default_rng(len(stem)).integers(0, 256, (*alpha.shape, 3), dtype=np.uint8)
    return Sample(stem, split, scenes, bytes(cv2.imencode(".jpg", pixels)[1]), alpha)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def same(one: Sample, other: Sample) -> bool:
    return (one.sample_id, one.split, one.scenes) == (other.sample_id, other.split, other.scenes)


def overlap(one: Sample, other: Sample) -> float:
    a, b = one.alpha >= 0.5, other.alpha >= 0.5
    return float((a & b).sum() / max(1, (a | b).sum()))


Y, X = np.mgrid[:90, :60]
DISC = np.hypot(X - 28, Y - 40)
SHAPES = {
    "disc": DISC < 20,
    "ring": (DISC < 24) & (DISC > 9),
    "two parts": (DISC < 12) | (np.hypot(X - 45, Y - 75) < 9),
    "cut by the edge": DISC < 35,
    "ring with an island": ((DISC < 25) & (DISC > 14)) | (DISC < 6),
    "all": DISC < 1000,
    "a pixel": DISC == 0,
}


@layouts
@settings(max_examples=20, deadline=None)
@given(items=samples())
def test_what_is_written_is_read_back(layout: Layout, items: Sequence[Sample]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        layout.write(iter(items), Path(folder))
        found = list(layout.read(Path(folder)))
    expected = sorted(items, key=lambda item: (SPLITS.index(item.split), item.sample_id))
    assert [item.sample_id for item in found] == [item.sample_id for item in expected]
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    for one, other in zip(found, expected, strict=True):
        assert (one.alpha.dtype, one.alpha.shape) == (np.float32, other.alpha.shape)
        assert one.image == other.image or not layout.verbatim
        assert jpeg.size(one.image) == jpeg.size(other.image)
        assert overlap(one, other) == 1 or not layout.exact or not (other.alpha >= 0.5).any()
        assert (one.alpha >= 0.5).any() == (other.alpha >= 0.5).any()


@layouts
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_come_back(layout: Layout, tmp_path: Path, shape: str) -> None:
    item = sample("a", alpha=SHAPES[shape].astype(np.float32))
    layout.write([item], tmp_path)
    (found,) = layout.read(tmp_path)
    assert overlap(item, found) >= (1 if layout.exact else 0.97)


@pytest.mark.slow
@layouts
@settings(max_examples=15, deadline=None)
@given(items=samples())
def test_the_order_does_not_matter_and_nothing_is_wrong(layout: Layout, items: Sequence[Sample]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        layout.write(items, Path(one))
        layout.write(items[::-1], Path(other))
        assert tree(Path(one)) == tree(Path(other))
        assert list(layout.find_problems(Path(one))) == []


@pytest.mark.slow
@layouts
@settings(max_examples=15, deadline=None)
@given(items=samples())
def test_a_label_that_is_still_encoded_gives_the_same_files(layout: Layout, items: Sequence[Sample]) -> None:
    items = [replace(item, label=masks.from_png(masks.to_png(item.alpha))) for item in items]
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, tempfile.TemporaryDirectory() as third:
        layout.write(items, Path(one))
        layout.write([replace(item, label=masks.Stored(masks.to_label(item.alpha))) for item in items], Path(other))
        layout.write([replace(item, label=masks.Stored(masks.to_png(item.alpha))) for item in items], Path(third))
        assert tree(Path(one)) == tree(Path(other)) == tree(Path(third))


@layouts
def test_a_stem_given_twice_is_refused(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="two samples have the id a"):
        layout.write([sample("a"), sample("b"), sample("a", "val")], tmp_path)


@layouts
@pytest.mark.parametrize("name", ["", "../a", "/a", ".a", "a/b", "a\nb", "a\\b", "a.", "a "])
def test_a_name_that_is_no_file_name_is_refused(layout: Layout, tmp_path: Path, name: str) -> None:
    with pytest.raises(ReleaseError, match="cannot be a file's name"):
        layout.write([sample(name)], tmp_path / "deep" / "stem")
    with pytest.raises(ReleaseError, match="cannot be a file's name"):
        layout.write([sample("a", scenes=(name,))], tmp_path / "deep" / "scene")
    assert list(tmp_path.rglob("*.jpg")) == []


@layouts
def test_a_label_of_another_size_is_refused(layout: Layout, tmp_path: Path) -> None:
    wrong = Sample("a", "train", (), sample("a").image, np.ones((5, 6), np.float32))
    with pytest.raises(ReleaseError, match=r"a: the label has the shape \(5, 6\), its image \(6, 5\)"):
        layout.write([wrong], tmp_path)


@layouts
def test_a_picture_that_is_none_is_refused(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"a: .*JPEG"):
        layout.write([Sample("a", "train", (), b"text", np.ones((5, 6), np.float32))], tmp_path)


@layouts
def test_a_lost_file_is_a_problem_that_names_it(layout: Layout, tmp_path: Path) -> None:
    """Whatever holds a picture or its label: when it is gone, the layout says so."""
    layout.write([sample("a", scenes=("park",)), sample("b", scenes=("park",)), sample("c", "val")], tmp_path)
    for file in [*tmp_path.rglob("a.*"), *tmp_path.rglob("data.*")]:
        content = file.read_bytes()
        file.unlink()
        assert any(re.search(r"\ba\b|data", problem) for problem in layout.find_problems(tmp_path)), file
        file.write_bytes(content)
    assert list(layout.find_problems(tmp_path)) == []


@layouts
def test_a_damaged_label_is_a_problem(layout: Layout, tmp_path: Path) -> None:
    layout.write([sample("a"), sample("b", "val")], tmp_path)
    for file in [file for file in sorted(tmp_path.rglob("*")) if file.is_file() and file.suffix not in (".jpg", ".yaml")]:
        content = file.read_bytes()
        file.write_bytes(content[: len(content) // 2])
        assert list(layout.find_problems(tmp_path)), file
        file.write_bytes(content)


@layouts
def test_an_empty_release_is_read_as_empty(layout: Layout, tmp_path: Path) -> None:
    layout.write([], tmp_path)
    assert list(layout.read(tmp_path)) == []


@layouts
def test_samples_are_taken_a_few_at_a_time(layout: Layout, tmp_path: Path) -> None:
    """Memory stays flat: the first files are written before the last samples are asked for."""
    seen = []

    def items():
        for number in range(200):
            yield sample(f"s{number:03d}")
        seen.append(len(list(tmp_path.rglob("*.*"))))

    layout.write(items(), tmp_path)
    assert seen[-1] > 100


@pytest.mark.parametrize("side", [8, 8193, True, "512", 512.0, None])
def test_a_letterbox_that_is_no_side_is_refused_in_one_sentence(side: object) -> None:
    with pytest.raises(PluginError) as refused:
        build("coco", {"letterbox": side})
    assert str(refused.value) == f"layout coco: letterbox: expected a side of 16 to 8192 pixels; found {side!r}"
    assert refused.value.where == ("coco", "letterbox")


@layouts
def test_its_output_is_that_of_its_version(layout: Layout, tmp_path: Path, golden: GoldenCheck) -> None:
    """Images are compared by their pixels, other files by their bytes; resampled colours within a fiftieth."""
    soft = np.clip(1.2 - DISC / 25, 0, 1).astype(np.float32)
    parts = np.where(DISC < 20, 1 + (Y > 40).astype(np.uint8), 0).astype(np.uint8)
    items = [sample("park-000001-00", "train", ("park",), soft), sample("walk-000002-00", "val", (), soft[:60])]
    layout.write([replace(items[0], parts=parts), items[1]], tmp_path)
    files = {name: _summary(name, content) for name, content in sorted(tree(tmp_path).items())}
    golden(plugins.identity(layout)["plugin"], type(layout).VERSION, files, tolerance=0.02)


def _summary(name: str, content: bytes) -> Any:
    if Path(name).suffix not in {".jpg", ".png"}:
        return sha256(content)
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return {"shape": list(pixels.shape), "pixels": thumbnail(pixels, 4)}
