"""Networks in OpenVINO, on the CPU: u2netp takes two thirds of ONNX Runtime's time there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground.errors import AssetError
from figureground.inference import conversion, cores
from figureground.inference.network import Network, Precision
from figureground.memo import Memo
from figureground.types import Weights

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
"""OpenVINO's setting for ``exact``: without it a processor that has bfloat16 uses it, and another gives other results."""

_WITHOUT_BFLOAT16 = frozenset({"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2"})
"""Values of ``ONEDNN_MAX_CPU_ISA`` that exclude bfloat16; OpenVINO asks the processor itself and would still choose it."""

PREPARED_SHAPES_AT_MOST = 300
"""OpenVINO keeps what it prepared for a layer and an input's shape, 5000 of them by default: crops of all sizes took 2.7 GB
after 120 and went on growing. 300 stay level at 1.1 GB for a fifth more processor time, 1000 reach 1.8 GB and save no time."""

_runtime = Memo()
"""OpenVINO's module, once several threads may call it."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_runtime.restart)


def open_network(
    weights: Weights,
    path: Path,
    precision: Precision = "exact",
    layers: tuple[str, ...] = (),
    settings: Mapping[str, Any] | None = None,
) -> Network:
    """Open a network's file.

    Parameters
    ----------
    weights
        Names the file in messages.
    path
        An ``.onnx`` file, or an ``.xml`` with its ``.bin`` beside it, verified by the caller.
    precision
        See `figureground.inference.network.Precision`.
    layers
        Inner layers whose values are the outputs, by their names in OpenVINO; () means the network's own outputs.
    settings
        OpenVINO's settings that differ from ours: by default as many calls run at once as `cores.parallel_calls` says.

    Raises
    ------
    AssetError
        When the file is not a network that can be opened, or has no layer of that name.
    """
    openvino = _openvino()
    hints = {
        "PERFORMANCE_HINT": "THROUGHPUT",
        "NUM_STREAMS": cores.parallel_calls(),
        "INFERENCE_NUM_THREADS": cores.process_cores(),
        "CPU_RUNTIME_CACHE_CAPACITY": PREPARED_SHAPES_AT_MOST,
        **(EXACT if precision == "exact" or _lacks_bfloat16() else {}),
        **(settings or {}),
    }
    try:
        core = openvino.Core()
        model = _cut_behind(core.read_model(str(path)), layers, weights) if layers else core.read_model(str(path))
        compiled = core.compile_model(model, "CPU", hints)
    except RuntimeError as error:
        reason = "".join(str(error).strip().splitlines()[-1:])
        raise AssetError(f"{weights.name} ({path}) is not a network OpenVINO can open: {reason}") from error
    shapes = {port.any_name: tuple(_size(size) for size in port.partial_shape) for port in compiled.inputs}
    # the model's own names: compiled, an output may carry an inner layer's name too
    outputs = tuple(port.any_name if port.names else str(number) for number, port in enumerate(model.outputs))
    return Network(shapes, outputs, _Requests(compiled), conversion.read_class_names(model))


def _openvino() -> Any:
    """Give OpenVINO's module, after one thread has run a network of one layer in it."""
    return _runtime.get("module", _initialise)


def _initialise() -> Any:
    """Import OpenVINO and run a network of one layer.

    OpenVINO's Python binding looks up NumPy's types on the first call and keeps them in a C++ static. The thread that does so
    waits for Python's lock, and a second thread that has the lock waits for the static: two first calls at once never end.
    """
    import openvino

    layer = openvino.opset13.parameter([1], np.float32)
    compiled = openvino.Core().compile_model(openvino.Model([openvino.opset13.abs(layer)], [layer]), "CPU")
    results = compiled.create_infer_request().infer({0: np.zeros(1, np.float32)}, share_inputs=True)
    np.array(results[0])
    return openvino


def _lacks_bfloat16() -> bool:
    return os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper() in _WITHOUT_BFLOAT16


def _cut_behind(model: Any, layers: tuple[str, ...], weights: Weights) -> Any:
    """Make inner layers the outputs of a network."""
    by_name = {layer.get_friendly_name(): layer for layer in model.get_ops()}
    if missing := [name for name in layers if name not in by_name]:
        raise AssetError(f"{weights.name} has no layer {missing[0]}: name another network, or leave out what needs this layer")
    return _openvino().Model([by_name[name].output(0) for name in layers], model.get_parameters())


def _size(dimension: Any) -> int | None:
    return int(dimension.get_length()) if dimension.is_static else None


@dataclass
class _Requests:
    """Calls a compiled network: an OpenVINO request serves one call at a time, so each call takes a free one or makes one."""

    compiled: Any
    free: list[Any] = field(default_factory=list)

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        try:
            request = self.free.pop()
        except IndexError:  # asking before whether there is one leaves time for another thread to take it
            request = self.compiled.create_infer_request()
        results = request.infer(dict(inputs), share_inputs=True)
        outputs = [np.array(results[number]) for number in range(len(self.compiled.outputs))]  # the request reuses its memory
        self.free.append(request)
        return outputs
