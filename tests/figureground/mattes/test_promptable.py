"""What is asked of SAM 2's two networks, and what is taken of their output; the networks themselves are replaced."""

from typing import Any

import numpy as np
import pytest

from figureground.inference import backends
from figureground.mattes import promptable
from figureground.mattes.promptable import Prompt
from figureground.types import Box, Weights

WEIGHTS = Weights("sam.onnx", "0" * 64)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Inputs of each call; the decoder's second mask has the highest expected IoU."""
    calls: list[dict[str, Any]] = []

    def run_named(_: Weights, inputs: dict[str, Any], **__: object) -> dict[str, Any]:
        calls.append(dict(inputs))
        if "image" in inputs:
            return {"image_embed": inputs["image"][:, :, :64, :64]}
        logits = np.stack([np.full((256, 256), value, np.float32) for value in (7, -9, 3, 5)])[None]
        return {"masks": logits, "iou_predictions": np.array([[0.2, 0.9, 0.4]], np.float32)}

    monkeypatch.setattr(backends, "run_named", run_named)
    return calls


def test_an_image_is_seen_as_a_normalised_square(asked: list[dict[str, Any]]) -> None:
    embedding = promptable.encode(WEIGHTS, np.full((30, 20, 3), (124, 116, 104), np.uint8))
    image = asked[0]["image"]
    assert (image.shape, image.dtype, image.flags.c_contiguous) == ((1, 3, 1024, 1024), np.float32, True)
    assert np.abs(image).max() < 0.02
    assert (embedding.height, embedding.width, list(embedding.planes)) == (30, 20, ["image_embed"])


def test_points_are_given_in_the_square_and_the_best_mask_is_taken(asked: list[dict[str, Any]]) -> None:
    embedding = promptable.encode(WEIGHTS, np.zeros((512, 256, 3), np.uint8))
    answer = promptable.segment(WEIGHTS, embedding, Prompt(Box(64, 128, 192, 256), [(10, 20)], [(30, 40)]))
    assert asked[1]["point_coords"].tolist() == [[[256, 256], [768, 512], [40, 40], [120, 80]]]
    assert asked[1]["point_labels"].tolist() == [[2, 3, 1, 0]]
    assert asked[1]["has_mask_input"].tolist() == [0]
    assert answer.expected_iou == pytest.approx(0.9)
    assert np.allclose(answer.probabilities, 1 / (1 + np.exp(-3)))  # the last three masks belong to the expected IoUs
    assert answer.at_size(512, 256).shape == (512, 256)


@pytest.mark.parametrize("size", [(300, 600), (100, 50), (256, 256)])
def test_a_rough_mask_is_given_as_bounded_logits(asked: list[dict[str, Any]], size: tuple[int, int]) -> None:
    embedding = promptable.encode(WEIGHTS, np.zeros((512, 256, 3), np.uint8))
    mask = np.zeros(size, np.float32)
    mask[: size[0] // 2] = 1
    mask[:, -size[1] // 4 :] = 0.6
    promptable.segment(WEIGHTS, embedding, Prompt(mask=mask))
    logits = asked[1]["mask_input"]
    assert (logits.shape, logits.dtype, asked[1]["has_mask_input"].tolist()) == ((1, 1, 256, 256), np.float32, [1])
    assert logits[0, 0, 10, 10] == 10 and logits[0, 0, 250, 10] == -10
    assert logits[0, 0, 10, 250] == pytest.approx(2, abs=0.01)
    assert asked[1]["point_coords"].shape == (1, 0, 2)
