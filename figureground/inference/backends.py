"""Runs a network: the one place that knows OpenVINO, onnxruntime, devices, threads and precision.

On a CPU networks run in OpenVINO: u2netp takes two thirds of onnxruntime's time there. Where onnxruntime has its CUDA
provider and there is a device, ONNX files run on it. One compiled network lives per process for each weights and
precision. It is made on first use, behind a lock, and its weights are verified before they are opened; a ``.pt`` file is
converted once, see `figureground.inference.conversion`.

A processor's cores work on different pictures rather than on one together: `lanes` calls at once take a tenth less time
than one after the other, and what is done to a picture before and after the network keeps no core waiting.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError, AssetError
from figureground.inference import conversion
from figureground.memo import Memo
from figureground.storage import assets
from figureground.types import Weights

logger = logging.getLogger(__name__)

Precision: TypeAlias = Literal["exact", "fast"]
"""``exact`` computes in 32 bits. ``fast`` lets processors that can do so multiply in bfloat16, at half the time or less."""

Device: TypeAlias = Literal["auto", "cpu"]
"""``auto`` takes CUDA where there is a device and the network can run on it, ``cpu`` never does."""

_SHAPES_KEPT = 300
"""OpenVINO keeps what it prepared for a layer and an input's shape, 5000 of them unless told: crops of all sizes took 2.7 GB
after 120 and went on growing. 300 stay level at 1.1 GB for a fifth more processor time, 1000 reach 1.8 GB for none."""

_Place: TypeAlias = Literal["cuda", "cpu"]
_Shape: TypeAlias = tuple[int | None, ...]
_CLASSES = conversion.CLASSES
_Arrays: TypeAlias = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class _Network:
    """One opened network; ``call`` may be used from several threads at once."""

    inputs: Mapping[str, _Shape]
    outputs: tuple[str, ...]
    call: Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
    classes: tuple[str, ...] = ()


_networks = Memo()
"""The networks this process has opened; they are opened one at a time."""

_runtime = Memo()
"""OpenVINO itself, once it may be called from several threads; see `_openvino`."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_networks.restart)
    os.register_at_fork(after_in_child=_runtime.restart)


def usable_cores() -> int:
    """Count the cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


LANES = "FIGUREGROUND_LANES"
"""The environment's variable for a process that has a machine's cores for itself only in part."""


def lanes() -> int:
    """Count the calls that networks answer at the same time: whoever has many pictures calls from so many threads.

    As many as there are cores, at most 8; ``$FIGUREGROUND_LANES`` of them when that is less.
    """
    return min(8, _own_cores())


def _own_cores() -> int:
    """Count the cores that are this process's share: a network's threads beyond them would be in others' way."""
    told = os.environ.get(LANES, "")
    return min(usable_cores(), int(told)) if told.isdigit() and int(told) else usable_cores()


def run(
    weights: Weights,
    batch: NDArray[np.float32],
    *,
    outputs: int = 1,
    precision: Precision = "exact",
    device: Device = "auto",
) -> list[NDArray[Any]]:
    """Run a network with one input on a batch.

    A network exported for a fixed batch of 1 (as u2netp is) gets the batch one item at a time: on a CPU that costs
    nothing, u2netp with its batch set to 4 took the same time per picture.

    Parameters
    ----------
    weights
        An ONNX or ultralytics ``.pt`` file in the cache; verified when it is opened.
    batch
        Shape (n, ...), float32, C order: the network's input as its exporter defined it, one item a row; n >= 1.
    outputs
        How many of the network's outputs to give, in its own order.
    precision
        See `Precision`.
    device
        See `Device`. A ``.pt`` file runs on the CPU either way.

    Returns
    -------
    list of ndarray
        Each of shape (n, ...).

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or are not a network that can be opened.
    ArrayError
        When the batch is not what the network takes.
    """
    network = _network(weights, device, precision)
    key, expected = next(iter(network.inputs.items()))
    _check_batch(weights, batch, expected)
    step = expected[0] or len(batch)
    parts = [network.call({key: batch[start : start + step]})[:outputs] for start in range(0, len(batch), step)]
    return [np.concatenate(column) if len(column) > 1 else column[0] for column in zip(*parts, strict=True)]


def run_named(
    weights: Weights,
    inputs: Mapping[str, NDArray[Any]],
    *,
    precision: Precision = "exact",
    device: Device = "auto",
) -> _Arrays:
    """Run a network with several named inputs once.

    Parameters
    ----------
    weights, precision, device
        As `run` takes them.
    inputs
        Each of the network's inputs by its name, C order, as its exporter defined it.

    Returns
    -------
    dict
        Each of the network's outputs by its name.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or are not a network that can be opened.
    ArrayError
        When an input is missing or unknown.
    """
    network = _network(weights, device, precision)
    if set(inputs) != set(network.inputs):
        raise ArrayError(f"{weights.name} takes the inputs {', '.join(network.inputs)}; found {', '.join(inputs)}")
    return dict(zip(network.outputs, network.call(inputs), strict=True))


def run_inner(
    weights: Weights, batch: NDArray[np.float32], layers: Sequence[str], *, precision: Precision = "exact"
) -> list[NDArray[Any]]:
    """Run a network with one input only as far as some of its inner layers, on the CPU.

    Parameters
    ----------
    weights, batch, precision
        As `run` takes them.
    layers
        The layers' names in the network as OpenVINO reads it. What no named layer needs is not computed.

    Returns
    -------
    list of ndarray
        What each layer gives, in the order of `layers`.

    Raises
    ------
    AssetError
        As `run`, and when the network has no layer of that name.
    ArrayError
        When the batch is not what the network takes.
    """
    network = _network(weights, "cpu", precision, tuple(layers))
    key, expected = next(iter(network.inputs.items()))
    _check_batch(weights, batch, expected)
    return network.call({key: batch})


Engine: TypeAlias = Literal["openvino", "onnxruntime"]
Ask: TypeAlias = Callable[[NDArray[np.float32]], list[NDArray[Any]]]


def opened(file: Path, engine: Engine = "openvino") -> Ask:
    """Open a network that is no asset, such as one that was just exported, on the CPU with all cores for each call.

    Parameters
    ----------
    file
        An ``.onnx`` file; OpenVINO opens an ``.xml`` with its ``.bin`` too. Nothing verifies it, and it is not kept.
    engine
        Who runs it.

    Returns
    -------
    callable
        Takes the one input, float32, and gives the outputs in the network's own order.

    Raises
    ------
    AssetError
        When it is not a network that can be opened.
    """
    weights = Weights(file.name, "")
    if engine == "onnxruntime":
        network = _open_onnxruntime(weights, file, ["CPUExecutionProvider"])
    else:
        network = _open_openvino(weights, file, "exact", (), {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1})
    key = next(iter(network.inputs))
    return lambda batch: network.call({key: batch})


def classes(weights: Weights, *, precision: Precision = "exact") -> tuple[str, ...]:
    """List the classes a converted ``.pt`` network knows, in its own order; () when its file names none.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or are not a network that can be opened.
    """
    return _network(weights, "cpu", precision).classes


def _network(weights: Weights, device: Device, precision: Precision, layers: tuple[str, ...] = ()) -> _Network:
    place = _place(weights, device)
    return _networks.get((weights.sha256, place, precision, layers), lambda: _open(weights, place, precision, layers))


def _place(weights: Weights, device: Device) -> _Place:
    """Choose where a network runs: a converted ``.pt`` file is OpenVINO's, anything else CUDA's where that is wanted."""
    return "cuda" if device == "auto" and not weights.name.endswith(".pt") and _has_cuda() else "cpu"


def _open(weights: Weights, place: _Place, precision: Precision, layers: tuple[str, ...]) -> _Network:
    if weights.name.endswith(".pt"):
        return _open_openvino(weights, conversion.converted(weights), precision, layers)
    path = assets.locate(weights)
    return _open_cuda(weights, path) if place == "cuda" else _open_openvino(weights, path, precision, layers)


@cache
def _has_cuda() -> bool:
    """Tell whether onnxruntime could use a GPU; it is imported only where the system shows one."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def _open_cuda(weights: Weights, path: Path) -> _Network:
    return _open_onnxruntime(weights, path, ["CUDAExecutionProvider", "CPUExecutionProvider"])


def _open_onnxruntime(weights: Weights, path: Path, providers: list[str]) -> _Network:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's errors share no base class but this one
        raise AssetError(f"{weights.name} ({path}) is not a network onnxruntime can open: {error}") from error
    if providers[0] not in session.get_providers():
        logger.warning("%s runs on the CPU: onnxruntime has CUDA but could not use the device", weights.name)
    shapes = {one.name: tuple(side if isinstance(side, int) else None for side in one.shape) for one in session.get_inputs()}
    names = tuple(one.name for one in session.get_outputs())
    return _Network(shapes, names, lambda inputs: list(session.run(None, dict(inputs))))


def _openvino() -> Any:
    """Give OpenVINO, after one thread has run a network of one layer in it."""
    return _runtime.get("openvino", _initialised)


def _initialised() -> Any:
    """Run a network of one layer in OpenVINO.

    Its Python binding looks NumPy's types up on the first call and keeps them in a C++ static. Whoever is at that waits for
    Python's lock, and a second thread that has the lock waits for the static: two first calls at once never end.
    """
    import openvino

    layer = openvino.opset13.parameter([1], np.float32)
    once = openvino.Core().compile_model(openvino.Model([openvino.opset13.abs(layer)], [layer]), "CPU")
    answers = once.create_infer_request().infer({0: np.zeros(1, np.float32)}, share_inputs=True)
    np.array(answers[0])
    return openvino


def _open_openvino(
    weights: Weights, path: Path, precision: Precision, layers: tuple[str, ...], others: Mapping[str, Any] | None = None
) -> _Network:
    openvino = _openvino()
    settings = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": lanes(),
        "INFERENCE_NUM_THREADS": _own_cores(),
        "CPU_RUNTIME_CACHE_CAPACITY": _SHAPES_KEPT,
        **({"INFERENCE_PRECISION_HINT": "f32"} if precision == "exact" else {}),
        **(others or {}),
    }
    try:
        core = openvino.Core()
        model = _as_far_as(core.read_model(str(path)), layers, weights) if layers else core.read_model(str(path))
        compiled = core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[-1:]
        raise AssetError(f"{weights.name} ({path}) is not a network OpenVINO can open: {''.join(said)}") from error
    shapes = {port.any_name: tuple(_side(side) for side in port.partial_shape) for port in compiled.inputs}
    outputs = tuple(port.any_name if port.names else str(number) for number, port in enumerate(compiled.outputs))
    return _Network(shapes, outputs, _Requests(compiled), _classes(model))


def _as_far_as(model: Any, layers: tuple[str, ...], weights: Weights) -> Any:
    """Cut a network off behind some layers."""
    import openvino

    found = {layer.get_friendly_name(): layer for layer in model.get_ops()}
    if missing := [name for name in layers if name not in found]:
        raise AssetError(f"{weights.name} has no layer {missing[0]}: name another network, or leave out what needs this layer")
    return openvino.Model([found[name].output(0) for name in layers], model.get_parameters())


def _side(side: Any) -> int | None:
    return int(side.get_length()) if side.is_static else None


def _classes(model: Any) -> tuple[str, ...]:
    """Read what `figureground.inference.conversion` wrote into the network beside its layers."""
    return tuple(model.get_rt_info(_CLASSES).astype(str).split(",")) if model.has_rt_info(_CLASSES) else ()


@dataclass
class _Requests:
    """An OpenVINO request serves one call at a time: each call takes a free one or makes one."""

    compiled: Any
    free: list[Any] = field(default_factory=list)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        request = self.free.pop() if self.free else self.compiled.create_infer_request()  # list.pop is atomic
        answers = request.infer(dict(inputs), share_inputs=True)
        kept = [np.array(answers[number]) for number in range(len(self.compiled.outputs))]  # the request's memory is reused
        self.free.append(request)
        return kept


def _check_batch(weights: Weights, batch: NDArray[np.float32], expected: _Shape) -> None:
    sizes = expected[1:]
    fits = batch.ndim == len(expected) and all(
        size is None or size == found for size, found in zip(sizes, batch.shape[1:], strict=True)
    )
    if not fits or batch.dtype != np.float32 or len(batch) == 0:
        words = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ArrayError(f"{weights.name} takes float32 of shape (n >= 1, {words}); found {batch.dtype} {batch.shape}")
    if expected[0] and len(batch) % expected[0]:
        raise ArrayError(f"{weights.name} takes batches of {expected[0]}; found {len(batch)} items")
