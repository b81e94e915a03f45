"""What is scored: a checkpoint, a remover, or a folder of predictions, each asked in the same way.

An answer has the picture's own size: an alpha (float32) where one class is asked for, else class ids (uint8).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground import documents
from figureground.datasets import samples
from figureground.errors import ArrayError, LabelError
from figureground.imaging import codecs, masks
from figureground.mattes.remover import Remover as RemoverPlugin
from figureground.training import checkpoints
from figureground.training.checkpoints import Card
from figureground.training.letterbox import letterbox_image
from figureground.training.sample_cache import TrainingSample
from figureground.types import Alpha, Box, Keypoints, Mask, PersonCrop

_TOGETHER = 8


class Predictor(Protocol):
    """Whoever says what is person."""

    def predict(self, examples: Sequence[TrainingSample], classes: int) -> list[Mask | Alpha]:
        """Give one answer a picture.

        Raises
        ------
        ArrayError
            When it knows fewer classes than are asked for.
        """


def predict_all(
    model: Predictor, examples: Iterable[TrainingSample], classes: int
) -> Iterator[tuple[TrainingSample, Mask | Alpha]]:
    """Ask for every picture, a few at a time, and give each with its answer."""
    coming = iter(examples)
    while batch := list(islice(coming, _TOGETHER)):
        yield from zip(batch, model.predict(batch, classes), strict=True)


class Checkpoint:
    """What `figureground train` left.

    Parameters
    ----------
    folder
        Of the checkpoint.
    device
        ``auto`` takes a GPU where there is one.

    Raises
    ------
    AssetError
        See `figureground.training.checkpoints.load`.
    """

    def __init__(self, folder: Path, device: Literal["auto", "cpu", "cuda"] = "auto") -> None:
        from figureground.training.loop import Machine

        module, self.card = checkpoints.load(folder)
        self._device = Machine.select(device).device
        self._module = module.to(self._device)
        self._squashed = bool(self.card.training.get("squashed"))  # it was taught pictures whose aspect was not kept

    def predict(self, examples: Sequence[TrainingSample], classes: int) -> list[Mask | Alpha]:
        """See `Predictor`."""
        side, stretch = self.card.side, self.card.letterbox.stretch
        squares = [letterbox_image(sample.image, side, stretch=stretch, squashed=self._squashed) for sample in examples]
        result = self.probabilities(np.stack(squares))
        return [
            decide_classes(self._back(square, sample.image.shape[0], sample.image.shape[1]), self.card, classes)
            for sample, square in zip(examples, result, strict=True)
        ]

    def _back(self, square: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        if not self._squashed:
            return samples.unletterbox(square, height, width, self.card.letterbox.stretch)
        result: NDArray[np.float32] = cv2.resize(square, (width, height), interpolation=cv2.INTER_LINEAR)
        return result.reshape(height, width, square.shape[2])

    def probabilities(self, squares: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Ask the network itself: (n, side, side, 3) bytes → (n, side, side, classes), 0 to 1."""
        import torch

        from figureground.training.loop import compute_probabilities

        with torch.inference_mode():
            pixels = torch.from_numpy(squares).to(self._device).permute(0, 3, 1, 2).float().div(255)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            result: NDArray[np.float32] = compute_probabilities(self._module(pixels)).permute(0, 2, 3, 1).cpu().numpy()
        return result


def decide_classes(probabilities: NDArray[np.float32], card: Card, classes: int) -> Mask | Alpha:
    """Turn what a network gave into an answer of so many classes.

    Parameters
    ----------
    probabilities
        Shape (h, w, classes of the card), 0 to 1.
    card
        The network's.
    classes
        1 for an alpha: of several classes one minus the background's. 2 from an alpha is cut at one half.

    Raises
    ------
    ArrayError
        When the network knows fewer classes.
    """
    if classes == card.classes > 1:
        return np.asarray(probabilities.argmax(2), np.uint8)
    if classes > 2:
        raise ArrayError(f"a network of {card.classes} classes cannot be asked for {classes}")
    person = probabilities[:, :, 0] if card.soft else 1 - probabilities[:, :, 0]
    alpha: Alpha = np.clip(person, 0, 1).astype(np.float32)
    return alpha if classes == 1 else masks.to_mask(alpha)


class Predictions:
    """A folder with one PNG a picture, called as its stem: class ids, or an 8-bit alpha.

    Parameters
    ----------
    folder
        PNGs may lie in folders below it, as a release's own masks do.

    Raises
    ------
    LabelError
        When it holds none.
    """

    def __init__(self, folder: Path) -> None:
        self._files: dict[str, list[Path]] = {}
        for file in documents.list_regular_files(folder, (".png",)):
            self._files.setdefault(file.stem, []).append(file)
        if not self._files:
            raise LabelError(f"{folder} holds no PNG; expected one a picture, called <stem>.png, of the picture's size")

    def predict(self, examples: Sequence[TrainingSample], classes: int) -> list[Mask | Alpha]:
        """See `Predictor`."""
        return [self._read_prediction(sample, classes) for sample in examples]

    def _read_prediction(self, example: TrainingSample, classes: int) -> Mask | Alpha:
        files = self._files.get(example.stem, [])
        if len(files) != 1:
            result = ", ".join(map(str, files[:2])) or "none"
            raise LabelError(f"expected one prediction {example.stem}.png, found {result}")
        levels: Any = codecs.decode_unchanged(files[0].read_bytes())
        if levels is None or levels.ndim != 2 or levels.dtype != np.uint8 or levels.shape != example.image.shape[:2]:
            result = "no picture" if levels is None else f"{levels.dtype} of shape {levels.shape}"
            raise LabelError(f"{files[0]}: {result}; expected 8 bits, one channel and the shape {example.image.shape[:2]}")
        if classes == 1:
            return masks.from_levels(levels)
        if classes == 2 and levels.max() > 1:
            return np.asarray(levels >= 128, np.uint8)
        return np.asarray(levels, np.uint8)


class FoundPerson(NamedTuple):
    """The person that an image is about."""

    box: Box
    score: float
    keypoints: Keypoints
    others: tuple[Box, ...]
    """The boxes of the other people."""


@dataclass(frozen=True, slots=True, eq=False)
class Remover:
    """A remover of the catalog, which is shown each picture as a crop of its own.

    ``find`` gives the person meant, or None where there is nobody.
    """

    plugin: RemoverPlugin
    find: Callable[[TrainingSample], FoundPerson | None]

    def predict(self, examples: Sequence[TrainingSample], classes: int) -> list[Mask | Alpha]:
        """See `Predictor`."""
        if classes > 2:
            raise ArrayError(f"a remover gives an alpha; it cannot be asked for {classes} classes")
        alphas = self.plugin.estimate_alphas([self._crop(sample) for sample in examples])
        return [alpha if classes == 1 else masks.to_mask(alpha) for alpha in alphas]

    def _crop(self, sample: TrainingSample) -> PersonCrop:
        height, width = sample.image.shape[:2]
        whole = Box(0, 0, width, height)
        person = self.find(sample) or FoundPerson(sample.person or whole, 1.0, _NO_JOINTS, ())
        return PersonCrop(
            sample.stem,
            sample.stem,
            sample.source,
            whole,
            person.box,
            person.score,
            person.keypoints,
            person.others,
            width,
            height,
            sample.image,
            scenes=sample.scenes,
        )


_NO_JOINTS: Keypoints = np.zeros((0, 3), np.float32)
