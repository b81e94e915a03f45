"""The benchmark's figures are the ones the reference scorer gives: same crops, same masks, same numbers."""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground.imaging import masks
from figureground.types import Box

ROOT = Path(__file__).parents[3]
SCORER = ROOT / "../shared/bench/score_mattes.py"

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not SCORER.exists(), reason="no ../shared/bench")]


def loaded(name, path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def blob(rng, height, width):
    noise = cv2.GaussianBlur(rng.random((height, width)).astype(np.float32), (0, 0), 6)
    return np.clip((noise - noise.mean()) / noise.std() / 2 + 0.5, 0, 1).astype(np.float32)


def test_both_scorers_agree(tmp_path, monkeypatch):
    theirs = loaded("score_mattes", SCORER, monkeypatch)
    ours = loaded("mattes_benchmark", ROOT / "benchmarks/mattes.py", monkeypatch)
    rng, truths, boxes, made = np.random.default_rng(3), [], [], []
    (tmp_path / "hike").mkdir()
    for index in range(0, 48, ours.EVERY):
        truth = np.zeros((120, 160), np.uint8)
        x, y = (int(v) for v in rng.integers(0, 60, 2))
        truth[y : y + 60, x : x + 60] = 255 * (blob(rng, 60, 60) > 0.5)
        cv2.imwrite(str(tmp_path / f"hike/{index:05d}.png"), truth)
        truths += [truth > 127] * ours.EVERY
        for number, slip in enumerate((8, 30)):  # two crops a frame; in some frames neither fits well enough
            box = Box(max(0, x - slip), max(0, y - slip), min(160, x + 70), min(120, y + 60 - 3 * (index // 2 % 16)))
            if box.y1 - box.y0 < 8:
                continue
            alpha = blob(rng, int(box.y1 - box.y0), int(box.x1 - box.x0))
            file = tmp_path / f"{index}-{number}.png"
            file.write_bytes(masks.to_png(alpha))
            boxes.append([str(file), index, *(int(v) for v in (box.x0, box.y0, box.x1, box.y1))])
            made.append((index, box, masks.from_png(file.read_bytes()), 0.5))
    assert {row[1] for row in boxes} == set(range(0, 48, ours.EVERY))  # theirs looks only at frames that have a crop
    expected = theirs.main(tmp_path, {"hike": boxes})
    rows = list(ours._scored("hike", truths, iter(made)))
    found = [row for row in rows if row]
    assert 0 < expected["missed"] == rows.count(None) < len(rows)
    assert len(found) == expected["n"]
    assert ours._mean(found, "iou") == pytest.approx(expected["miou"], abs=6e-5)
    assert ours._worst(found) == pytest.approx(expected["worst_tenth"], abs=6e-5)
    assert ours._mean(found, "boundary_f") == pytest.approx(expected["boundary_f"], abs=6e-5)
