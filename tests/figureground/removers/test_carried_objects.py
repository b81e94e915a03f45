"""The rule for what is carried and ridden, on real pictures with the real weights: see docs/mattes.md."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from figureground import catalog, plugins
from figureground.imaging import crops, geometry, mask_metrics, masks
from figureground.types import Box, Frame

ROOT = Path(__file__).parents[3]
DAVIS = ROOT / "../shared/data/davis"

pytestmark = [pytest.mark.weights, pytest.mark.skipif(not DAVIS.exists(), reason="no ../shared/data")]


def matted(sequence, stem, ridden):
    """Give the IoU with the annotation, which counts what is carried and ridden, and the matte."""
    from figureground.clients.sources.fetching import fetch_asset

    whole = catalog.load(ROOT / "data_catalog.yaml")
    settings = {"matting": "rvm_mobilenetv3_fp32", "instances": "yolo26n-seg", "ridden": ridden}
    remover = plugins.build("removers", "person", settings, {name: whole.asset(name).weights for name in whole.assets})
    for weights in (*plugins.weights(remover), *plugins.weights(whole.detector())):
        fetch_asset(whole.asset(weights.name))
    image = cv2.cvtColor(cv2.imread(str(DAVIS / sequence / f"images/{stem}.jpg")), cv2.COLOR_BGR2RGB)
    truth = cv2.imread(str(DAVIS / sequence / f"masks/{stem}.png"), 0) > 127
    box = Box(*map(float, cv2.boundingRect(truth.astype(np.uint8))))
    box = Box(box.x0, box.y0, box.x0 + box.x1, box.y0 + box.y1)
    frame = Frame(f"{sequence}-0", sequence, 0, 0.0, image)
    found = crops.cut(frame, whole.detector().find([image])[0], whole.recipe.crop.margin)
    crop = max(found, key=lambda one: geometry.iou(one.box, box))
    (alpha,) = remover.estimate_alphas([crop])
    part = truth[int(crop.box.y0) : int(crop.box.y1), int(crop.box.x0) : int(crop.box.x1)]
    return mask_metrics.iou(masks.to_mask(alpha), part.astype(np.uint8))


def test_a_bicycle_that_is_ridden_comes_along_unless_told_otherwise():
    with_it, without = matted("bmx-trees", "00040", True), matted("bmx-trees", "00040", False)
    assert with_it > without + 0.05


def test_a_worn_backpack_comes_along():
    assert matted("hike", "00000", False) > 0.9
