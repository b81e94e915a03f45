"""Files that OpenVINO cannot read, as OpenVINO networks: converted once, kept in the cache, opened quickly from then on.

These are ultralytics' ``.pt`` and ONNX Runtime's ``.ort`` files. Conversion needs torch or ONNX Runtime, 1 GB of memory and
half a minute; running the result needs neither. So it is a process of its own
(``python -m figureground.inference.conversion FILE FILE.xml``), started when the cache has no network for a file's sha256.

Of a ``.pt`` file the network is the exporter's: it takes letterboxed RGB in 0..1, shape (n, 3, h, w) with h and w multiples
of 32, and gives the head's predictions before any non-maximum suppression. Of an ``.ort`` file it is the file's own.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

from figureground.errors import AssetError
from figureground.storage import assets
from figureground.storage.atomic import write_file
from figureground.types import Weights

VERSION = 1
"""Raised by hand when the conversion gives other networks: older ones in the cache are then not used."""

_CLASS_NAMES = "figureground_classes"
"""The key under which a converted network carries its class names, separated by commas."""


def find_or_convert(weights: Weights) -> Path:
    """Give the OpenVINO network of a .pt or .ort file, converting it when the cache has none.

    Several processes may ask at once: one converts, the others wait. A .pt file is a pickle and is opened only after its
    hash matched, by torch's ``weights_only`` reader.

    Parameters
    ----------
    weights
        A ``.pt`` file of ultralytics or an ``.ort`` file of ONNX Runtime in the cache.

    Returns
    -------
    Path
        The ``.xml`` file; its ``.bin`` lies beside it.

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or cannot be converted.
    """
    source = assets.locate(weights)
    folder = assets.cache_folder() / "networks" / f"{weights.sha256}-{_openvino_version()}-{VERSION}"
    network = folder / f"{source.stem}.xml"
    if network.is_file():
        return network
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        if not network.is_file():
            _convert(source, network)
    return network


def _openvino_version() -> str:
    from importlib.metadata import version

    return version("openvino")


def read_class_names(model: Any) -> tuple[str, ...]:
    """Read the class names that the conversion wrote into an OpenVINO model beside its layers; () when there are none."""
    return tuple(model.get_rt_info(_CLASS_NAMES).astype(str).split(",")) if model.has_rt_info(_CLASS_NAMES) else ()


def _convert(source: Path, network: Path) -> None:
    """Convert in a temporary folder beside the network; the .xml is moved last, so that its presence means all is there."""
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=network.parent) as folder:
        converted = Path(folder) / network.name
        command = [sys.executable, "-m", "figureground.inference.conversion", str(source), str(converted)]
        process = subprocess.run(command, capture_output=True, text=True, env=_quiet_environment(), check=False)
        if process.returncode or not converted.is_file():
            reason = (process.stderr.strip().splitlines() or ["the process gave no reason"])[-1]
            raise AssetError(f"{source.name} ({source}) cannot be converted to an OpenVINO network: {reason}")
        converted.with_suffix(".bin").replace(network.with_suffix(".bin"))
        write_file(network, converted.read_bytes())


def _quiet_environment() -> dict[str, str]:
    """Give an environment without ultralytics' network calls, installs and files in the user's home."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "YOLO_OFFLINE": "true",
        "YOLO_AUTOINSTALL": "false",
        "YOLO_VERBOSE": "false",
        "YOLO_CONFIG_DIR": str(assets.cache_folder() / "ultralytics"),
        "ULTRALYTICS_SAFE_LOAD": "true",  # torch's weights_only, with ultralytics' list of known classes
    }


def main(source: str, network: str) -> None:
    """Convert one file; `find_or_convert` runs this in a process of its own.

    Parameters
    ----------
    source
        A verified ``.pt`` or ``.ort`` file.
    network
        The ``.xml`` to write, with its ``.bin`` beside it.
    """
    import openvino

    converted = _read_ort(source, f"{network}.onnx") if source.endswith(".ort") else _convert_pt(source)
    openvino.save_model(converted, network, compress_to_fp16=False)


def _read_ort(source: str, scratch: str) -> Any:
    """Let ONNX Runtime write its own format as plain ONNX, which OpenVINO reads."""
    import onnxruntime
    import openvino

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.load_model_format", "ORT")
    options.add_session_config_entry("session.save_model_format", "ONNX")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL  # else it writes operators of its own
    options.optimized_model_filepath, options.log_severity_level = scratch, 3
    onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return openvino.Core().read_model(scratch)


def _convert_pt(source: str) -> Any:
    import openvino

    model, names = _load(source)
    converted = openvino.convert_model(model, example_input=_example(), input=[openvino.PartialShape([-1, 3, -1, -1])])
    converted.set_rt_info(",".join(names[number] for number in sorted(names)), _CLASS_NAMES)
    return converted


def _load(source: str) -> tuple[Any, dict[int, str]]:
    """Give the network as ultralytics' own exporter prepares it, and its classes."""
    from ultralytics import YOLO

    yolo = YOLO(source)
    model = yolo.model.float().eval().fuse()
    head = model.model[-1]
    head.export, head.format, head.dynamic = True, "openvino", True
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model, {int(number): str(name) for number, name in model.names.items()}


def _example() -> Any:
    import torch

    return torch.zeros(1, 3, 384, 640)


if __name__ == "__main__":
    main(*sys.argv[1:])
