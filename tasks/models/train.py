"""train: a release → a checkpoint in a folder of its own."""

import logging
import shutil
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from figureground import extras, plugins, progress, tables
from figureground.datasets.splits import SPLITS
from figureground.errors import AssetError
from figureground.imaging import class_maps
from figureground.reports import charts
from figureground.storage import atomic
from figureground.training import checkpoints, sample_cache
from figureground.training.checkpoints import Card, Letterbox, TrainedOn
from figureground.training.letterbox import LetterboxedSamples
from figureground.training.sample_cache import OpenedRelease
from tasks import retried_task

if TYPE_CHECKING:  # it takes seconds to import
    from figureground.training.loop import Machine, TrainingResult
    from figureground.training.settings import TrainingSettings

VERSION = 1
"""Raised by 1 when training gives other weights for the same release and settings."""

_log = logging.getLogger(__name__)
CURVE = "curve.svg"
CHOICE = "the last within a standard error of the best"
"""Which weights are kept: with another rule they are others."""


@retried_task
def train(
    release: Path,
    how: "TrainingSettings",
    into: Path,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    *,
    squashed: bool = False,
) -> Card:
    """Train a network on a release.

    A run that was killed continues, and ends with the weights it would have had. An existing checkpoint of the same release and
    settings is left as it is.

    Parameters
    ----------
    release
        The folder of a release, a composition, or pictures in one of the layouts; see `figureground.training.sample_cache`.
    how
        Everything that decides the result.
    into
        The checkpoint's folder.
    device
        ``auto`` takes a GPU if there is one.
    squashed
        Resize images to the square without keeping their aspect, as other recipes do: for comparison.

    Returns
    -------
    Card
        Of the checkpoint.

    Raises
    ------
    ReleaseError
        When the release cannot be read or has no such classes.
    AssetError
        When there is nothing to train on, or `into` holds something else.
    StoreError
        When another run trains the same, or the disk cannot be written.
    """
    extras.require("train", "figureground train")
    from figureground.training import loop

    opened = sample_cache.open_release(release, how.classes)
    decides = {"how": how.recorded(), "squashed": squashed, "choice": CHOICE}
    versions = {f"networks.{how.network}": plugins.version("networks", how.network)}
    decides |= {"release": opened.digest, "layout": opened.layout}
    mark = tables.fingerprint("models", [], version=VERSION, plugin_versions=versions, **decides)
    if into.exists():
        return _read_existing(into, mark)
    with atomic.build_folder(into, mark.digest) as build:
        machine = loop.Machine.select(device)
        result, counts = _train_in(build, opened, how, machine, into.name, squashed=squashed)
        trained_on = TrainedOn(
            release=opened.name,
            digest=opened.digest,
            layout=opened.layout,
            pictures={split: count for split, count in counts.items() if count},
            licenses=opened.licenses,
        )
        run = {"mark": mark.digest, "device": machine.device, "steps": how.steps, "squashed": squashed}
        card = _make_card(how, result, trained_on, run)
        kept = result.chosen or result.curve[-1]
        curve = charts.curve([(point.pictures, point.loss, point.score) for point in result.curve], kept.pictures)
        sealed = checkpoints.write(into, card, result.weights, {CURVE: curve.encode()})
        shutil.rmtree(build)
    speeds = result.learnt_per_second, result.looked_per_second
    _log.info("%s: %.1f images a second in training, %.1f in validation", into, *speeds)
    return sealed


def _train_in(
    build: Path, opened: OpenedRelease, how: "TrainingSettings", machine: "Machine", name: str, *, squashed: bool
) -> tuple["TrainingResult", Mapping[str, int]]:
    """Train in a build folder, and count the samples of each split."""
    from figureground.training import loop

    counts: Counter[str] = Counter(dict.fromkeys(SPLITS, 0))
    counts.update(sample.split for sample in opened.samples())
    train_samples, val_samples = (
        LetterboxedSamples.create(
            build / split, opened.examples(split), counts[split], how.side, stretch=how.stretch, squashed=squashed
        )
        for split in ("train", "val")
    )
    if not counts["val"]:
        _log.warning("%s has no images in its val split: the last weights are kept, none could be chosen", opened.name)

    def report(step: int, steps: int) -> None:
        progress.report("train", name, step, steps)

    return loop.train_network(how, train_samples, val_samples, build, machine, report), counts


def _make_card(how: "TrainingSettings", result: "TrainingResult", trained_on: TrainedOn, run: Mapping[str, Any]) -> Card:
    kept = result.chosen or result.curve[-1]
    on_card = ("network", "settings", "classes", "side", "stretch")  # keys that the card has itself
    settings = {key: value for key, value in how.recorded().items() if key not in on_card}
    return Card(
        network=how.network,
        settings=how.settings,
        classes=how.classes,
        names=class_names(how.classes),
        side=how.side,
        letterbox=Letterbox(stretch=how.stretch),
        trained_on=trained_on,
        training={**settings, **run},
        metrics={"score": kept.score, "loss": kept.loss, "at_step": float(kept.step)},
        curve=result.curve,
        versions={name: version(name) for name in _LIBRARIES},
    )


_LIBRARIES = ("torch", "torchvision", "segmentation-models-pytorch", "monai", "albumentations")


def class_names(classes: int) -> tuple[str, ...]:
    """Give the classes' names as a card has them."""
    return ("person",) if classes == 1 else tuple(class_maps.NAMES[classes])


def _read_existing(into: Path, mark: tables.Fingerprint) -> Card:
    card = checkpoints.read(into)
    if not mark.matches(card.training.get("mark", "")):
        raise AssetError(
            f"{into} exists, was trained on {card.trained_on.release} with other settings or versions, and is never changed; "
            "choose another --into, or move it away"
        )
    return card
