"""Runs networks: in OpenVINO on a CPU, in ONNX Runtime's CUDA provider where there is a device.

A process opens each network once for each precision, on first use and behind a lock, after the weights' hash is verified. A
``.pt`` or ``.ort`` file is converted once, see `figureground.inference.conversion`.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.inference import conversion, onnxruntime_backend, openvino_backend
from figureground.inference.network import Device, Network, Precision, check_batch
from figureground.memo import Memo
from figureground.storage import assets
from figureground.types import Weights

Engine: TypeAlias = Literal["openvino", "onnxruntime"]

RunNetwork: TypeAlias = Callable[[NDArray[np.float32]], list[NDArray[Any]]]
"""A network with one input as a function: the input, float32, to the outputs in the network's own order."""

_Place: TypeAlias = Literal["cuda", "cpu"]

_networks = Memo()
"""The networks this process has opened; they are opened one at a time."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_networks.restart)


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
    nothing, u2netp with its batch set to 4 took the same time per image.

    Parameters
    ----------
    weights
        An ONNX or ultralytics ``.pt`` file in the cache; verified when it is opened.
    batch
        Shape (n, ...), float32, C order: the network's input as its exporter defined it, one item a row; n >= 1.
    outputs
        How many of the network's outputs to give, in its own order.
    precision
        See `figureground.inference.network.Precision`.
    device
        See `figureground.inference.network.Device`. A ``.pt`` file runs on the CPU either way.

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
    name, expected = next(iter(network.inputs.items()))
    check_batch(weights, batch, expected)
    step = expected[0] or len(batch)
    parts = [network.call({name: batch[start : start + step]})[:outputs] for start in range(0, len(batch), step)]
    return [np.concatenate(column) if len(column) > 1 else column[0] for column in zip(*parts, strict=True)]


def run_named(
    weights: Weights,
    inputs: Mapping[str, NDArray[Any]],
    *,
    precision: Precision = "exact",
    device: Device = "auto",
) -> dict[str, NDArray[Any]]:
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


def run_layers(
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
        The values of each layer, in the order of `layers`.

    Raises
    ------
    AssetError
        As `run`, and when the network has no layer of that name.
    ArrayError
        When the batch is not what the network takes.
    """
    network = _network(weights, "cpu", precision, tuple(layers))
    name, expected = next(iter(network.inputs.items()))
    check_batch(weights, batch, expected)
    return network.call({name: batch})


def read_class_names(weights: Weights, *, precision: Precision = "exact") -> tuple[str, ...]:
    """List the classes that a converted ``.pt`` network knows, in its own order; () when its file names none.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or are not a network that can be opened.
    """
    return _network(weights, "cpu", precision).class_names


def open_file(file: Path, engine: Engine = "openvino") -> RunNetwork:
    """Open a network that is no asset, such as one that was just exported, on the CPU with all cores for each call.

    Parameters
    ----------
    file
        An ``.onnx`` file; OpenVINO opens an ``.xml`` with its ``.bin`` too. Its hash is not verified, and it is not kept.
    engine
        The library that runs it.

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
        network = onnxruntime_backend.open_network(weights, file, onnxruntime_backend.CPU)
    else:
        latency = {"PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        network = openvino_backend.open_network(weights, file, settings=latency)
    name = next(iter(network.inputs))
    return lambda batch: network.call({name: batch})


def _network(weights: Weights, device: Device, precision: Precision, layers: tuple[str, ...] = ()) -> Network:
    """Give the process's network for these weights; the first call opens it."""
    runs_on = _place(weights, device)
    return _networks.get((weights.sha256, runs_on, precision, layers), lambda: _open(weights, runs_on, precision, layers))


def _place(weights: Weights, device: Device) -> _Place:
    """Choose where a network runs: a ``.pt`` file in OpenVINO, any other on the CUDA device that is there and wanted."""
    return "cuda" if device == "auto" and not weights.name.endswith(".pt") and onnxruntime_backend.has_cuda() else "cpu"


def _open(weights: Weights, runs_on: _Place, precision: Precision, layers: tuple[str, ...]) -> Network:
    if weights.name.endswith((".pt", ".ort") if runs_on == "cpu" else ".pt"):
        return openvino_backend.open_network(weights, conversion.find_or_convert(weights), precision, layers)
    path = assets.locate(weights)
    if runs_on == "cuda":
        return onnxruntime_backend.open_network(weights, path, onnxruntime_backend.CUDA)
    return openvino_backend.open_network(weights, path, precision, layers)
