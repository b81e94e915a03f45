"""A checkpoint as networks for other engines: ONNX, OpenVINO in 32 and in 8 bits, TFLite; each held against torch."""

import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from figureground.errors import AssetError
from figureground.inference import backends
from figureground.training import exported_model, quantisation
from figureground.training.exported_model import About
from figureground.types import Image

FORMATS = ("onnx", "openvino", "openvino-int8", "tflite")
FILES = {
    "onnx": "model.onnx", "openvino": "openvino/model.xml", "openvino-int8": "openvino-int8/model.xml",
    "tflite": "model.tflite",
}  # fmt: skip
IOU_AT_LEAST = 0.995
LITERT = "FIGUREGROUND_LITERT"
"""The environment's variable that names the folder of `make litert`."""
_OPSET = 18
_ROUNDS = 12

Answers = list[NDArray[np.float32]]
"""One a picture: shape (channels, side, side); of soft alpha one channel, else a probability a class."""


class Answering(nn.Module):  # type: ignore[misc]  # torch's types are not read here
    """A network that ends as its exports do: in ``alpha``, followed by ``probabilities`` where it knows several classes."""

    def __init__(self, network: nn.Module, classes: int) -> None:
        super().__init__()
        self.network, self.classes = network, classes

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """See `figureground.training.exported_model`."""
        logits = self.network(image)
        if self.classes == 1:
            return torch.sigmoid(logits)
        probabilities = torch.softmax(logits, 1)
        return 1 - probabilities[:, :1], probabilities


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well an export keeps to torch on pictures, and how long it takes.

    ``iou`` is the IoU of each class (of soft alpha: of the person at one half) over all pictures together, the background left
    out, the lowest of them; ``worst`` that of the picture where it is lowest; ``difference`` the greatest between two
    probabilities; ``milliseconds`` the median of single pictures, one after the other.
    """

    pictures: int
    iou: float
    worst: float
    difference: float
    milliseconds: float


def agreement(expected: Answers, actual: Answers, milliseconds: float) -> Agreement:
    """Hold an export's answers against torch's.

    >>> one = np.zeros((1, 4, 4), np.float32); one[0, :2] = 1
    >>> half = one.copy(); half[0, 1] = 0.4
    >>> agreement([one, one], [one, half], 2.0)
    Agreement(pictures=2, iou=0.75, worst=0.5, difference=0.6, milliseconds=2.0)
    """
    rows = [_shared(reference, exported) for reference, exported in zip(expected, actual, strict=True)]
    both = np.sum([row[0] for row in rows], 0), np.sum([row[1] for row in rows], 0)
    worst = min(_lowest(*row) for row in rows)
    difference = max(float(np.abs(reference - exported).max()) for reference, exported in zip(expected, actual, strict=True))
    return Agreement(len(rows), _lowest(*both), worst, round(difference, 6), milliseconds)


def tell_anything(predictions: Answers) -> bool:
    """Tell whether any answer gives any pixel to anything but the background: without that two networks always agree."""
    return any(bool(_shared(prediction, prediction)[1].any()) for prediction in predictions)


def _shared(first: NDArray[np.float32], second: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count, for each class but the background, the pixels that both give it and that either does."""
    first_masks = [first[0] >= 0.5] if len(first) == 1 else [first.argmax(0) == number for number in range(1, len(first))]
    second_masks = [second[0] >= 0.5] if len(second) == 1 else [second.argmax(0) == number for number in range(1, len(second))]
    pairs = list(zip(first_masks, second_masks, strict=True))
    return np.array([(a & b).sum() for a, b in pairs]), np.array([(a | b).sum() for a, b in pairs])


def _lowest(shared: NDArray[np.int64], either: NDArray[np.int64]) -> float:
    """Give the lowest IoU of the classes that are there, 1 when none is."""
    there = either > 0
    return float((shared[there] / either[there]).min()) if there.any() else 1.0


def by_torch(network: nn.Module, squares: Sequence[Image]) -> tuple[Answers, float]:
    """Ask torch itself, and time it.

    Parameters
    ----------
    network
        An `Answering`.
    squares
        Letterboxed pictures, (side, side, 3) uint8.

    Returns
    -------
    tuple
        The answers, and the median of single pictures in milliseconds.
    """

    def predict(pixels: NDArray[np.float32]) -> list[NDArray[Any]]:
        with torch.inference_mode():
            outputs = network(torch.from_numpy(pixels))
        return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]

    return asked(predict, squares)


def asked(predict: backends.RunNetwork, squares: Sequence[Image]) -> tuple[Answers, float]:
    """Ask for every picture alone and time it: as `by_torch`."""
    predictions = [predict(exported_model.make_batch([square]))[-1][0] for square in squares]
    seconds = []
    for number in range(_ROUNDS):
        pixels = exported_model.make_batch([squares[number % len(squares)]])
        begun = time.perf_counter()
        predict(pixels)
        seconds.append(time.perf_counter() - begun)
    return predictions, float(np.median(seconds) * 1000)


def write_onnx(network: nn.Module, about: About, file: Path) -> None:
    """Write one ONNX file, whole by itself, that says what it is; any number of pictures at a time."""
    import onnx

    several = len(about.names) > 1
    names = [exported_model.ALPHA, *([exported_model.PROBABILITIES] if several else [])]
    example = torch.zeros(2, 3, about.side, about.side)
    with _quiet():
        program = torch.onnx.export(
            network.eval(), (example,), dynamo=True, opset_version=_OPSET,
            input_names=[exported_model.IMAGE], output_names=names,
            dynamic_shapes=({0: torch.export.Dim("pictures", min=1)},), verbose=False,
        )  # fmt: skip
    model = program.model_proto
    for entry in (*model.graph.node, *model.graph.value_info, model.graph):
        entry.ClearField("metadata_props")  # stack traces, with this machine's paths
        entry.ClearField("doc_string")
    onnx.helper.set_model_props(model, {exported_model.KEY: exported_model.render(about)})
    onnx.checker.check_model(model, full_check=True)
    file.write_bytes(model.SerializeToString(deterministic=True))


def write_openvino(onnx_file: Path, file: Path) -> None:
    """Write what OpenVINO makes of the ONNX file, in 32 bits: an ``.xml`` with its ``.bin``."""
    import openvino

    file.parent.mkdir(parents=True, exist_ok=True)
    openvino.save_model(openvino.Core().read_model(str(onnx_file)), str(file), compress_to_fp16=False)


def write_int8(
    onnx_file: Path, file: Path, calibration_images: Sequence[Image], check_images: Sequence[Image], expected: Answers
) -> str:
    """Write an OpenVINO network whose convolutions multiply in 8 bits.

    Activations are scaled by what they are on a release's own pictures. Where the whole network in 8 bits would not keep to
    torch, the layers that harm most stay in 32 bits, see `figureground.training.quantisation`.

    Parameters
    ----------
    onnx_file
        As `write_onnx` made it.
    file
        The ``.xml`` to write.
    calibration_images
        Images from which the scales are computed.
    check_images, expected
        Pictures that decide, and what torch says of them.

    Returns
    -------
    str
        ``all layers in 8 bits``, or how many are.

    Raises
    ------
    AssetError
        When it does not keep to torch as long as one layer is in 8 bits.
    """
    import openvino

    def ready(square: Image) -> NDArray[np.float32]:
        return exported_model.make_batch([square])

    def predictions(network: Any) -> Answers:
        return [np.asarray(list(network(ready(square)).values())[-1][0]) for square in check_images]

    def off(network: Any) -> float:
        pairs = zip(expected, predictions(network), strict=True)
        return float(np.mean([np.square(reference - prediction).mean() for reference, prediction in pairs]))

    def good(network: Any) -> bool:
        return agreement(expected, predictions(network), 0.0).iou >= IOU_AT_LEAST

    def read() -> Any:
        return openvino.Core().read_model(str(onnx_file))

    file.parent.mkdir(parents=True, exist_ok=True)
    with _quiet():
        quantised = quantisation.quantised(read, calibration_images, ready, off, good)
    openvino.save_model(quantised.model, str(file), compress_to_fp16=False)
    return (
        "all layers in 8 bits"
        if quantised.whole
        else f"{quantised.layers - quantised.kept} of {quantised.layers} layers with weights in 8 bits"
    )


def litert_folder() -> Path | None:
    """Find the folder of `make litert`, which holds TFLite's converter and interpreter; None when it is not there."""
    configured = os.environ.get(LITERT)
    folder = Path(configured) if configured else Path(sys.prefix).parent / ".litert"
    return folder if (folder / "litert_torch").is_dir() else None


def write_tflite(checkpoint: Path, about: About, file: Path, check: Sequence[Image]) -> tuple[Answers, float]:
    """Write a TFLite file, float32, channels last: a process of its own, with `make litert`'s packages; and ask it.

    Parameters
    ----------
    checkpoint
        The checkpoint's folder.
    about
        Its side counts.
    file
        To write.
    check
        Pictures to ask it.

    Returns
    -------
    tuple
        As `by_torch` gives it.

    Raises
    ------
    AssetError
        When `make litert` has not been run, or the converter refuses.
    """
    folder = litert_folder()
    if folder is None:
        raise AssetError(f"no TFLite converter here: `make litert` installs one, or ${LITERT} names its folder")
    with tempfile.TemporaryDirectory(prefix="figureground-") as scratch:
        input_file, result_file = Path(scratch) / "squares.npy", Path(scratch) / "answers.npz"
        np.save(input_file, np.stack(check))
        command = [
            sys.executable,
            "-m",
            "figureground.training.tflite",
            *map(str, (checkpoint, about.side, file, input_file, result_file)),
        ]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), str(folder)])}
        completed = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
        if completed.returncode or not result_file.is_file():
            problem = (completed.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise AssetError(f"{checkpoint} cannot be converted to TFLite: {problem[:400]}")
        with np.load(result_file) as content:
            return list(content["answers"]), float(np.median(content["seconds"]) * 1000)


def as_json(checks: dict[str, Any]) -> bytes:
    """Give what ``export.json`` holds: keys sorted."""
    return (json.dumps(checks, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what exporters warn of from those who cannot act on it; nncf reports on stdout, onnxscript logs."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)

