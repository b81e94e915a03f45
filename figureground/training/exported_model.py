"""An exported network: what its ONNX file says of itself, and how a picture goes in and its alpha comes out.

The file is whole by itself: the input ``image`` takes float32 (n, 3, side, side), RGB, 0 to 1, a picture letterboxed as
`figureground.datasets.samples.letterbox` does it on grey 128 with the file's own ``stretch``; the output ``alpha`` gives
float32 (n, 1, side, side), 0 to 1, which of several classes is one minus the background's probability; of several classes
``probabilities`` follows, (n, classes, side, side).
"""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from figureground.datasets import samples
from figureground.errors import AssetError
from figureground.inference import backends
from figureground.inference.network import Device
from figureground.storage import assets
from figureground.training.checkpoints import Card
from figureground.types import Alpha, Image, Weights

IMAGE, ALPHA, PROBABILITIES = "image", "alpha", "probabilities"
KEY = "figureground"
"""Under this name an ONNX file carries, as JSON, what `About` has."""


class About(BaseModel):
    """What an exported network says of itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    network: str
    side: int = Field(ge=32, multiple_of=32)
    """Of the square it takes, pixels."""
    stretch: float = Field(default=1.0, ge=1)
    """By how much a picture's short side may be drawn out to fill it."""
    names: tuple[str, ...]
    """Of the classes, background first; of soft alpha just ``person``."""
    release: str
    digest: str
    """Of the release it learnt from."""
    licenses: tuple[str, ...] = ()
    """Of the sources it learnt from."""
    checkpoint: str
    """The digest of the checkpoint it was made of."""

    @classmethod
    def of(cls, card: Card, side: int | None = None) -> Self:
        """Say it of a checkpoint's network, which takes another square when a side is given."""
        return cls(
            network=card.network,
            side=side or card.side,
            stretch=card.letterbox.stretch,
            names=card.names,
            release=card.trained_on.release,
            digest=card.trained_on.digest,
            licenses=card.trained_on.licenses,
            checkpoint=card.digest,
        )


def read(file: Path) -> About:
    """Read what an exported network says of itself.

    Parameters
    ----------
    file
        An ``.onnx`` file.

    Raises
    ------
    AssetError
        When it is no ONNX file, or not one that `figureground export-model` made.
    """
    import onnx

    try:
        text = {sample.key: sample.value for sample in onnx.load(str(file), load_external_data=False).metadata_props}
    except Exception as error:  # protobuf's errors share no base class but this one
        raise AssetError(f"{file} is no ONNX file; expected one of `figureground export-model`") from error
    if KEY not in text:
        raise AssetError(f"{file} does not say what it takes; expected model.onnx of `figureground export-model`")
    try:
        return About.model_validate_json(text[KEY])
    except ValidationError as error:
        first = error.errors()[0]
        raise AssetError(f"{file} says of itself what this version does not know: {first['loc']}: {first['msg']}") from error


@cache
def read_about(weights: Weights) -> About:
    """Read what an asset says of itself; verified first, and read once a process."""
    return read(assets.locate(weights))


def render(text: About) -> str:
    """Give what the file carries: JSON, keys sorted."""
    return json.dumps(text.model_dump(mode="json"), sort_keys=True)


def make_batch(squares: Sequence[Image]) -> NDArray[np.float32]:
    """Make what the network takes of letterboxed squares: (n, side, side, 3) bytes → (n, 3, side, side) float32, 0 to 1."""
    return np.ascontiguousarray(np.stack(squares).transpose(0, 3, 1, 2), np.float32) / np.float32(255)


def letterbox(image: Image, about: About) -> Image:
    """Fit a picture into the network's square."""
    return samples.letterbox(image, about.side, samples.GREY, label=False, stretch=about.stretch)


def predict_alpha(weights: Weights, image: Image, device: Device = "auto") -> Alpha:
    """Ask the network for one picture.

    Parameters
    ----------
    weights
        The catalog's asset: ``model.onnx`` as `figureground export-model` makes it.
    image
        Shape (h, w, 3), RGB uint8.
    device
        See `figureground.inference.network.Device`.

    Returns
    -------
    ndarray
        Shape (h, w), float32, 0 to 1.

    Raises
    ------
    AssetError
        When the weights are not in the cache, not the pinned ones, or no such network.
    """
    text = read_about(weights)
    result = backends.run(weights, make_batch([letterbox(image, text)]), device=device)[0]
    return undo_letterbox(result[0, 0], image, text)


def undo_letterbox(answer: NDArray[np.float32], image: Image, about: About) -> Alpha:
    """Bring a square alpha back to its picture's size."""
    return np.clip(samples.unletterbox(answer, image.shape[0], image.shape[1], about.stretch), 0, 1)
