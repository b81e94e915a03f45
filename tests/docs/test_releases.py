"""docs/releases.md: its code loads a release, its tables name every field."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import plugins
from figureground.datasets import manifest
from figureground.types import Sample

PAGE = (Path(__file__).parents[2] / "docs/releases.md").read_text(encoding="utf-8")
NAME = "CustomSeg_Person_20261130_community"
ELSEWHERE = re.compile("from mmseg|from datasets|ultralytics")
"""Other people's readers, which this environment does not have or would train for hours."""
BLOCKS = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if not ELSEWHERE.search(block)]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    picture = bytes(cv2.imencode(".jpg", np.zeros((8, 6, 3), np.uint8))[1])
    alpha = np.pad(np.ones((4, 2), np.float32), 2)
    stems = {"train": "park-000120-00", "val": "walk-000000-00"}
    items = [Sample(stem, split, ("park",), picture, alpha) for split, stem in stems.items()]
    for layout in plugins.names("layouts"):
        plugins.build("layouts", layout, {}).write(items, tmp_path / NAME / ("" if layout == "mmseg_custom" else layout))
    monkeypatch.chdir(tmp_path)
    return tmp_path / NAME


def ran(block: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(compile(block, "docs/releases.md", "exec"), names)
    return names


@pytest.mark.slow
def test_every_block_of_code_runs(release: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = [ran(block) for block in BLOCKS]
    with_opencv, with_figureground, one_scene, with_pairs, with_mattings, with_coco, with_cutout = found
    assert (with_pairs["image"].shape, with_pairs["label"].sum()) == ((8, 6, 3), 8)
    assert with_mattings["alpha"].sum() == 8
    assert [mask.sum() for mask in with_coco["masks"]] == [8]
    assert (with_opencv["image"].shape, with_opencv["mask"].shape) == ((8, 6, 3), (8, 6))
    assert set(np.unique(with_opencv["mask"])) == {0, 1}
    assert with_figureground["sample"].sample_id == "walk-000000-00"
    assert "park-000120-00 train ('park',)" in capsys.readouterr().out
    assert [path.stem for path in one_scene["pictures"]] == ["walk-000000-00"]
    assert with_cutout["before_orange"][0, 0].tolist() == [60, 200, 255]
    assert with_cutout["before_orange"][3, 3].tolist() == [0, 0, 0]


@pytest.mark.parametrize("layout", plugins.names("layouts"))
def test_every_layout_is_told(layout: str) -> None:
    assert f"| `{layout}` |" in PAGE


@pytest.mark.parametrize("record", [manifest.Manifest, manifest.SourceRecord, manifest.SampleRecord, manifest.FileRecord,
                                    manifest.MatteRecord, manifest.AnnotationRecord])  # fmt: skip
def test_every_field_of_the_manifest_is_told(record: type) -> None:
    told = set(re.findall(r"`([^`\n]+)`", PAGE[PAGE.index("## manifest.json") :]))
    fields = manifest.Manifest.model_fields if record is manifest.Manifest else record.__dataclass_fields__
    assert set(fields) <= told


def test_every_word_of_a_difference_is_told() -> None:
    empty = manifest.build({}, {}, {})
    assert set(manifest.compare_samples(empty, empty)) <= set(re.findall(r"`([^`\n]+)`", PAGE))
