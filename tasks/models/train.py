"""A release → a checkpoint: what a network learnt from it, in a folder of its own."""

import logging
import shutil
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from figureground import extras, plugins, progress, tables
from figureground.datasets.splits import SPLITS
from figureground.errors import AssetError
from figureground.imaging import class_maps
from figureground.reports import charts
from figureground.storage import atomic
from figureground.training import checkpoints, sample_cache
from figureground.training.checkpoints import Card, Learnt, Letterbox
from figureground.training.letterbox import Squares
from tasks import retried_task

if TYPE_CHECKING:  # it takes seconds to import
    from figureground.training.loop import Training

VERSION = 1
"""Raised by 1 when training gives other weights for the same release and settings."""

_log = logging.getLogger(__name__)
CURVE = "curve.svg"
CHOICE = "the last within a standard error of the best"
"""Which weights are kept: with another rule they are others."""


@retried_task
def train(
    release: Path, how: "Training", into: Path, device: Literal["auto", "cpu", "cuda"] = "auto", *, squashed: bool = False
) -> Card:
    """Teach a network what a release shows.

    A run that was killed carries on, and ends with the weights it would have had; a checkpoint that is there already, of the
    same release and settings, is left as it is.

    Parameters
    ----------
    release
        The folder of a release, a composition, or pictures in one of the layouts; see `figureground.training.sample_cache`.
    how
        All that decides the result.
    into
        The checkpoint's folder.
    device
        ``auto`` takes a GPU where there is one.
    squashed
        Resize pictures to the square without keeping their aspect: as others do, to compare with.

    Returns
    -------
    Card
        Of the checkpoint.

    Raises
    ------
    ReleaseError
        When the release cannot be read or has no such classes.
    AssetError
        When there is nothing to learn from, or `into` holds something else.
    StoreError
        When another run is teaching the same, or the disk refuses.
    """
    extras.require("train", "figureground train")
    from figureground.training import loop

    opened = sample_cache.opened(release, how.classes)
    decides = {"how": asdict(how), "squashed": squashed, "choice": CHOICE}
    versions = {f"networks.{how.network}": plugins.version("networks", how.network)}
    decides |= {"release": opened.digest, "layout": opened.layout}
    mark = tables.fingerprint("models", [], version=VERSION, plugin_versions=versions, **decides)
    if into.exists():
        return _held(into, mark)
    with atomic.build_folder(into, mark.digest) as bench:
        counts = dict.fromkeys(SPLITS, 0)
        for sample in opened.samples():
            counts[sample.split] += 1
        taught, watched = (
            Squares.made(bench / split, opened.examples(split), counts[split], how.side, stretch=how.stretch, squashed=squashed)
            for split in ("train", "val")
        )
        machine = loop.Machine.found(device)
        if not counts["val"]:
            _log.warning("%s has no pictures in its split val: the last weights are kept, nobody chose the best", opened.name)
        done = loop.teach(
            how, taught, watched, bench, machine, lambda step, steps: progress.report("train", into.name, step, steps)
        )
        learnt = Learnt(
            release=opened.name,
            digest=opened.digest,
            layout=opened.layout,
            pictures={split: count for split, count in counts.items() if count},
            licenses=opened.licenses,
        )
        last = done.chosen or done.curve[-1]
        own = ("network", "settings", "classes", "side", "stretch")  # what the card has elsewhere
        told = {key: value for key, value in asdict(how).items() if key not in own}
        card = Card(
            network=how.network,
            settings=how.settings,
            classes=how.classes,
            names=names_of(how.classes),
            side=how.side,
            letterbox=Letterbox(stretch=how.stretch),
            learnt=learnt,
            training=told | {"mark": mark.digest, "device": machine.device, "steps": how.steps, "squashed": squashed},
            metrics={"score": last.score, "loss": last.loss, "at_step": float(last.step)},
            curve=done.curve,
            versions={name: version(name) for name in _LIBRARIES},
        )
        curve = charts.curve([(point.pictures, point.loss, point.score) for point in done.curve], last.pictures)
        sealed = checkpoints.write(into, card, done.weights, {CURVE: curve.encode()})
        shutil.rmtree(bench)
    _log.info("%s: %.1f pictures a second learnt from, %.1f looked at", into, done.learnt_per_second, done.looked_per_second)
    return sealed


_LIBRARIES = ("torch", "torchvision", "segmentation-models-pytorch", "monai", "albumentations")


def names_of(classes: int) -> tuple[str, ...]:
    """Give the classes' names as a card has them."""
    return ("person",) if classes == 1 else tuple(class_maps.NAMES[classes])


def _held(into: Path, mark: tables.Fingerprint) -> Card:
    card = checkpoints.read(into)
    if not mark.matches(card.training.get("mark", "")):
        raise AssetError(
            f"{into} exists, learnt from {card.learnt.release} with other settings or versions, and is never changed; "
            "choose another --into, or move it away"
        )
    return card
