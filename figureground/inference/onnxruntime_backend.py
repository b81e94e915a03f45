"""Networks in ONNX Runtime: on a CUDA device, and on the CPU for comparison with OpenVINO."""

import logging
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from figureground.errors import AssetError
from figureground.inference.network import Network
from figureground.types import Weights

logger = logging.getLogger(__name__)

CPU = ("CPUExecutionProvider",)
CUDA = ("CUDAExecutionProvider", "CPUExecutionProvider")


@cache
def has_cuda() -> bool:
    """Tell whether ONNX Runtime could use a GPU; it is imported only where the system shows one."""
    if not Path("/dev/nvidiactl").exists():
        return False
    import onnxruntime

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def open_network(weights: Weights, path: Path, providers: Sequence[str]) -> Network:
    """Open an ONNX file.

    Parameters
    ----------
    weights
        Names the file in messages.
    path
        The ``.onnx`` file, verified by the caller.
    providers
        `CPU` or `CUDA`. Where the device cannot be used the network runs on the CPU, and a warning says so.

    Raises
    ------
    AssetError
        When the file is not a network that can be opened.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's errors share no base class but this one
        raise AssetError(f"{weights.name} ({path}) is not a network onnxruntime can open: {error}") from error
    if providers[0] not in session.get_providers():
        logger.warning("%s runs on the CPU: onnxruntime has CUDA but could not use the device", weights.name)
    shapes = {port.name: tuple(size if isinstance(size, int) else None for size in port.shape) for port in session.get_inputs()}
    names = tuple(port.name for port in session.get_outputs())
    return Network(shapes, names, lambda inputs: list(session.run(None, dict(inputs))))
