"""Files that OpenVINO cannot read are converted once."""

from pathlib import Path

import numpy as np
import pytest

from figureground.errors import AssetError
from figureground.inference import backends, conversion
from figureground.storage import assets
from figureground.storage.hashing import sha256_file
from figureground.types import Weights


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Weights:
    """A network in ONNX Runtime's own format whose output is an inner layer's output too, in an empty cache."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper

    shape = [1, 2]
    nodes = [helper.make_node("Abs", ["x"], ["inner"]), helper.make_node("Neg", ["inner"], ["twice"])]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("x", "inner", "twice")]
    graph = helper.make_graph(nodes, "small", ports[:1], ports[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "small.onnx")
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.save_model_format", "ORT")
    options.optimized_model_filepath = str(tmp_path / "small.ort")
    onnxruntime.InferenceSession(str(tmp_path / "small.onnx"), options, providers=["CPUExecutionProvider"])
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    weights = Weights("small.ort", sha256_file(tmp_path / "small.ort"))
    assets.path_in_cache(weights).parent.mkdir(parents=True)
    (tmp_path / "small.ort").rename(assets.path_in_cache(weights))
    return weights


@pytest.mark.slow
def test_a_file_of_onnx_runtime_is_converted_once_and_keeps_its_names(cached: Weights) -> None:
    outputs = backends.run_named(cached, {"x": np.array([[-3, 4]], np.float32)})
    assert {name: values.tolist() for name, values in outputs.items()} == {"inner": [[3, 4]], "twice": [[-3, -4]]}
    network = conversion.find_or_convert(cached)
    assert network.suffix == ".xml" and network.with_suffix(".bin").is_file()
    written = network.stat().st_mtime_ns
    assert conversion.find_or_convert(cached).stat().st_mtime_ns == written
    assert sorted(file.name for file in network.parent.iterdir() if not file.name.startswith(".")) == ["small.bin", "small.xml"]


@pytest.mark.slow
def test_a_file_that_is_none_of_onnx_runtime_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path))
    (tmp_path / "junk").write_bytes(b"no network")
    weights = Weights("junk.ort", sha256_file(tmp_path / "junk"))
    assets.path_in_cache(weights).parent.mkdir(parents=True)
    (tmp_path / "junk").rename(assets.path_in_cache(weights))
    with pytest.raises(AssetError, match=r"junk\.ort .* cannot be converted to an OpenVINO network: "):
        conversion.find_or_convert(weights)
