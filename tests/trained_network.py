"""A network trained in seconds to segment a drawn figure on noise, and the release it was trained on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from figureground import layouts, plugins
from figureground.datasets.splits import Split
from figureground.imaging import class_maps, crops
from figureground.training import checkpoints, sample_cache
from figureground.training.checkpoints import Card, Letterbox, TrainedOn
from figureground.training.letterbox import letterbox_sample
from figureground.types import Image, Mask, Sample

SETTINGS = {"encoder": "resnet18", "width": 4}
SIDE, STRETCH = 64, 4 / 3
FIGURE, GROUND = (230, 190, 160), (20, 70)
"""The figure's colour; the least and greatest level of the ground."""


def drawn(height: int, width: int, seed: int, at: tuple[float, float] | None = None) -> tuple[Image, Mask]:
    """Draw a light ellipse on a dark, noisy ground; give the picture and where the ellipse is (0 or 255)."""
    chance = np.random.default_rng(seed)
    image = chance.integers(*GROUND, (height, width, 3), np.uint8)
    x, y = at or chance.uniform(0.3, 0.7, 2)
    axes = (max(4, round(width * chance.uniform(0.15, 0.25))), max(4, round(height * chance.uniform(0.2, 0.33))))
    middle, mask = (round(width * x), round(height * y)), np.zeros((height, width), np.uint8)
    cv2.ellipse(image, middle, axes, 0, 0, 360, FIGURE, -1)
    cv2.ellipse(mask, middle, axes, 0, 0, 360, 255, -1)
    return image, mask


def release(folder: Path, classes: int, count: int = 16) -> sample_cache.OpenedRelease:
    """Draw a dataset, three quarters to train and the rest to validate, and open it."""
    return written(folder, classes, [drawn(96 + seed * 5 % 64, 96 + seed * 11 % 64, seed) for seed in range(count)])


def written(folder: Path, classes: int, pairs: Sequence[tuple[Image, Mask]]) -> sample_cache.OpenedRelease:
    """Write pictures with their masks (0 or 255) in a layout and open it; every fourth validates."""
    drawn_samples = []
    for number, (image, mask) in enumerate(pairs):
        split: Split = "val" if number % 4 == 3 else "train"
        parts = None if classes < 5 else _parts(mask)
        person = mask / np.float32(255)
        drawn_samples.append(Sample(f"drawn-{number:06d}-00", split, ("drawn",), crops.encode(image), person, parts))
    name = {1: "im_gt", 2: "mmseg_custom", 5: "human_parsing"}[classes]
    layouts.build(name, {"classes": 5} if classes == 5 else {}).write(iter(drawn_samples), folder)
    return sample_cache.open_release(folder, classes)


def _parts(mask: Mask) -> Mask:
    """Call the upper half of a figure its face and the lower its clothes, by their ids among 18."""
    face, clothes = class_maps.ATR.index("face"), class_maps.ATR.index("upper-clothes")
    rows = np.flatnonzero(mask.any(1))
    upper = np.arange(len(mask))[:, None] < (rows[0] + rows[-1]) / 2
    return np.where(mask > 0, np.where(upper, face, clothes), 0).astype(np.uint8)


def checkpoint(
    folder: Path,
    trained_on_release: sample_cache.OpenedRelease,
    side: int = SIDE,
    steps: int = 60,
    network_name: str = "unet",
    settings: Mapping[str, Any] = SETTINGS,
) -> Card:
    """Train a small network and write a checkpoint, as a training would."""
    classes = trained_on_release.classes
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # threads that wait for each other on a busy machine take ten times as long
    network = plugins.build("networks", network_name, dict(settings)).build(classes).train()
    shown = [letterbox_sample(sample, side, stretch=STRETCH) for sample in trained_on_release.examples("train")]
    pixels = torch.from_numpy(np.stack([sample.image for sample in shown])).permute(0, 3, 1, 2).float() / 255
    truths = torch.from_numpy(np.stack([sample.truth for sample in shown]))
    optimiser = torch.optim.AdamW(network.parameters(), 5e-3)
    for step in range(steps):
        batch = torch.arange(step * 6, step * 6 + 6) % len(pixels)
        logits, expected = network(pixels[batch]), truths[batch]
        if classes == 1:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], expected / 255.0)
        else:
            loss = torch.nn.functional.cross_entropy(logits, expected.long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    torch.set_num_threads(threads)
    counts = {split: sum(sample.split == split for sample in trained_on_release.samples()) for split in ("train", "val")}
    trained_on = TrainedOn(
        release=trained_on_release.name,
        digest=trained_on_release.digest,
        layout=trained_on_release.layout,
        pictures=counts,
        licenses=("CC0-1.0",),
    )
    names = ("person",) if classes == 1 else class_maps.NAMES[classes]
    card = Card(
        network=network_name, settings=dict(settings), classes=classes, names=names, side=side, trained_on=trained_on,
        letterbox=Letterbox(stretch=STRETCH),
    )  # fmt: skip
    return checkpoints.write(folder, card, network.state_dict())
