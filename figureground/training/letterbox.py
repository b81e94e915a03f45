"""A release's pictures as squares of one size in one file: decoded once, read by any number of processes, as large as the disk.

A network sees each picture many times; decoding a JPEG and fitting it costs more than everything else on the way to it.
"""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from figureground.datasets import samples
from figureground.errors import ReleaseError
from figureground.imaging import masks
from figureground.training.sample_cache import TrainingSample
from figureground.types import Image, Mask

_LIST = "list.json"


class Square(NamedTuple):
    """A picture and its truth: class ids, or of one class the alpha's levels (0 to 255); (side, side, 3) and (side, side)."""

    image: Image
    truth: Mask


class LetterboxedSamples:
    """Squares on disk.

    Parameters
    ----------
    folder
        Where `made` put them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        text = json.loads((folder / _LIST).read_bytes())
        self.stems: tuple[str, ...] = tuple(text["stems"])
        self.side: int = text["side"]
        self._files: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self.stems)

    def __getitem__(self, at: int) -> Square:
        image, truth = (self._opened(name)[at] for name in ("images", "truths"))
        return Square(np.array(image), np.array(truth))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": {}}  # each process opens them itself

    def _opened(self, name: str) -> NDArray[np.uint8]:
        if name not in self._files:
            self._files[name] = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        result: NDArray[np.uint8] = self._files[name]
        return result

    @classmethod
    def create(
        cls,
        folder: Path,
        examples: Iterable[TrainingSample],
        count: int,
        side: int,
        *,
        stretch: float = 1.0,
        squashed: bool = False,
    ) -> Self:
        """Fit pictures into squares and keep them in a folder; one that is complete already is opened as it is.

        Parameters
        ----------
        folder
            Its place.
        examples
            At most `count` of them.
        count
            How many there may be, which decides how large the files are made.
        side
            Of the squares, pixels.
        stretch
            See `figureground.datasets.samples.letterbox`.
        squashed
            Resize both sides to the square's whatever the aspect: as others do, to compare with.

        Raises
        ------
        ReleaseError
            When there are more than `count`.
        """
        if (folder / _LIST).is_file():
            return cls(folder)
        folder.mkdir(parents=True, exist_ok=True)
        shapes = {"images": (max(count, 1), side, side, 3), "truths": (max(count, 1), side, side)}
        kept = {
            name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)  # type: ignore[no-untyped-call]
            for name, shape in shapes.items()
        }
        stems = []
        for at, example in enumerate(examples):
            if at >= count:
                raise ReleaseError(f"expected {count} pictures for {folder}, found more: the release changed underneath")
            kept["images"][at], kept["truths"][at] = letterbox_sample(example, side, stretch=stretch, squashed=squashed)
            stems.append(example.stem)
        for name in kept:
            kept[name].flush()
        temporary = folder / f".tmp-{os.getpid()}"
        temporary.write_text(json.dumps({"stems": stems, "side": side}))
        temporary.rename(folder / _LIST)
        return cls(folder)


def letterbox_sample(example: TrainingSample, side: int, *, stretch: float = 1.0, squashed: bool = False) -> Square:
    """Fit a picture and its truth into a square, see `figureground.datasets.samples.letterbox`."""
    soft = example.truth.dtype == np.float32
    truth: Mask = masks.to_levels(example.truth) if soft else example.truth  # type: ignore[arg-type, assignment]
    image = letterbox_image(example.image, side, stretch=stretch, squashed=squashed)
    if squashed:
        how = cv2.INTER_LINEAR if soft else cv2.INTER_NEAREST_EXACT
        return Square(image, cv2.resize(truth, (side, side), interpolation=how))
    return Square(image, samples.letterbox(truth, side, 0, label=not soft, stretch=stretch))


def letterbox_image(image: Image, side: int, *, stretch: float = 1.0, squashed: bool = False) -> Image:
    """Fit a picture alone into a square, as a network is shown it: (side, side, 3)."""
    if squashed:
        return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR))
    return samples.letterbox(image, side, samples.GREY, label=False, stretch=stretch)
