"""What a training leaves: a folder with weights and a card that says what learnt them, verified before anything is opened.

::

    weights.safetensors    the weights, numbers only: opening it runs no code
    model.json             the card: network, classes, input, what it learnt from, how, and how well; canonical JSON, sealed

A folder appears whole or not at all. The card's ``digest`` is the hash of all the rest of it, and the card has the weights'
hash, so a bit changed anywhere is noticed.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from figureground import __version__, extras, plugins
from figureground.errors import AssetError
from figureground.storage import atomic, hashing

if TYPE_CHECKING:  # it takes seconds to import
    from torch import nn

CARD, WEIGHTS = "model.json", "weights.safetensors"


class _Exact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), validate_by_name=True)


class TrainedOn(_Exact):
    """The release that taught it: its folder's name, its digest, the layout that was read, and pictures by split."""

    release: str
    digest: str
    layout: str
    pictures: dict[str, int]
    licenses: tuple[str, ...] = ()
    """Of the sources it learnt from, sorted."""


class Letterbox(_Exact):
    """How a picture becomes the network's square, see `figureground.datasets.samples.letterbox`.

    What is laid around either, and by how much the short side may be drawn out.
    """

    image: Literal[128] = 128
    label: Literal[0] = 0
    stretch: float = Field(default=1.0, ge=1)


class Point(_Exact):
    """One look at the validation pictures: after so many steps and pictures, the loss since the last look, and the score."""

    step: int
    pictures: int
    loss: float
    score: float


class Card(_Exact):
    """What a checkpoint says of itself."""

    format: Literal[1] = 1
    network: str
    settings: dict[str, Any] = {}
    classes: int = Field(ge=1, le=255)
    """Channels of the logits; 1 is soft alpha."""
    names: tuple[str, ...]
    """Of the classes: ``classes`` of them, background first; of soft alpha just ``person``."""
    side: int = Field(ge=32, multiple_of=32)
    """Of the square it was taught with, pixels."""
    letterbox: Letterbox = Letterbox()
    trained_on: TrainedOn = Field(validation_alias="learnt", serialization_alias="learnt")
    training: dict[str, Any] = {}
    """Seed, batch, learning rate and the like."""
    metrics: dict[str, float] = {}
    """Of the validation pictures, at the network's own size."""
    curve: tuple[Point, ...] = ()
    code: str = __version__
    versions: dict[str, str] = {}
    """Of the libraries that trained it."""
    weights: str = ""
    """The sha256 of ``weights.safetensors``."""
    digest: str = ""

    @property
    def soft(self) -> bool:
        """Whether it gives soft alpha rather than classes."""
        return self.classes == 1


def canonical(card: Card) -> bytes:
    """Give the bytes of ``model.json``: keys sorted, indented by one."""
    content = card.model_dump(mode="json", by_alias=True)
    if content["letterbox"]["stretch"] == 1:
        del content["letterbox"]["stretch"]  # cards from before there was one have none, and keep their digest
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False, indent=1)
    return f"{text}\n".encode()


def digest(card: Card) -> str:
    """Hash everything of a card but the digest itself."""
    return hashlib.sha256(canonical(card.model_copy(update={"digest": ""}))).hexdigest()


def write(folder: Path, card: Card, weights: Mapping[str, Any], extra: Mapping[str, bytes] | None = None) -> Card:
    """Write a checkpoint's folder, whole or not at all.

    Parameters
    ----------
    folder
        Its place; nothing may be there yet.
    card
        Without the weights' hash and the digest.
    weights
        A module's ``state_dict()``: name to tensor.
    extra
        Further files by name, such as a picture of the curve.

    Returns
    -------
    Card
        As it was written, sealed.

    Raises
    ------
    AssetError
        When the folder exists, or cannot be written.
    """
    extras.require("train", "a checkpoint")
    from safetensors.torch import save

    if folder.exists():
        raise AssetError(f"{folder} exists and is never changed; move it away or choose another --into")
    bench = folder.parent / f".tmp-{folder.name}-{os.getpid()}"
    try:
        content = save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
        sealed = card.model_copy(update={"weights": hashing.sha256(content)})
        sealed = sealed.model_copy(update={"digest": digest(sealed)})
        bench.mkdir(parents=True)
        for name, data in {**(extra or {}), WEIGHTS: content, CARD: canonical(sealed)}.items():
            (bench / name).write_bytes(data)
        atomic.flush_folder(bench)
        bench.rename(folder)
        atomic.flush(folder.parent)
    except OSError as error:
        raise AssetError(f"cannot write {folder}: {error}; free some space or change its permissions") from error
    finally:
        shutil.rmtree(bench, ignore_errors=True)
    return sealed


def read(folder: Path) -> Card:
    """Read and verify a checkpoint's card; torch is not imported for it.

    Raises
    ------
    AssetError
        When there is none, it is damaged, or the weights are not the ones it names.
    """
    file = folder / CARD
    if not file.is_file():
        raise AssetError(f"{folder} is no checkpoint: it has no {CARD}; `figureground train` makes one")
    try:
        card = Card.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise AssetError(f"{file}: damaged or of another version of figureground: {where}: {first['msg']}") from error
    if card.digest != digest(card):
        raise AssetError(f"{file}: altered: its content does not give the digest it holds; train again")
    weights = folder / WEIGHTS
    result = hashing.sha256_file(weights) if weights.is_file() else "no file"
    if result != card.weights:
        raise AssetError(f"{weights}: expected sha256 {card.weights}, found {result}; train again")
    return card


def load(folder: Path) -> tuple["nn.Module", Card]:
    """Give a checkpoint's network, ready to be asked, and its card.

    Returns
    -------
    tuple
        The network in evaluation mode on the CPU, see `figureground.networks` for what it takes and gives; and the card.

    Raises
    ------
    AssetError
        See `read`; or when the weights do not fit the network that the card names.
    """
    extras.require("train", "a checkpoint")
    from safetensors.torch import load_file

    card = read(folder)
    module = plugins.build("networks", card.network, card.settings).build(card.classes)
    try:
        module.load_state_dict(load_file(folder / WEIGHTS))
    except RuntimeError as error:
        problem = " ".join(str(error).split())[:300]
        raise AssetError(f"{folder / WEIGHTS} does not fit networks.{card.network} with {card.settings}: {problem}") from error
    result: nn.Module = module.eval()
    return result, card
