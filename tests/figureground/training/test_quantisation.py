"""Three convolutions, the middle one of which 8 bits ruin: it alone stays in 32."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from figureground.errors import AssetError
from figureground.inference import openvino_backend
from figureground.training import quantisation
from figureground.types import Image

pytestmark = pytest.mark.slow  # importing the quantizer takes seconds
CHANCE = np.random.default_rng(5)
WEIGHTS = [CHANCE.normal(size=(8, channels, 3, 3)).astype(np.float32) / 9 for channels in (3, 8, 8)]
SHOWN = [CHANCE.integers(0, 256, (16, 16, 3), np.uint8) for _ in range(6)]


def chain() -> Any:
    """Build it; the second takes a channel a thousand times as large as the others, and weighs it as little."""
    import openvino
    from openvino import opset13

    scale = np.array([1000, *[1] * 7], np.float32)
    found = given = opset13.parameter([1, 3, 16, 16], np.float32, name="image")
    for number, weights in enumerate(WEIGHTS):
        if number == 1:
            found, weights = opset13.multiply(found, scale[:, None, None]), weights / scale[:, None, None]
        found = opset13.convolution(found, weights, [1, 1], [1, 1], [1, 1], [1, 1], name=f"layer{number}")
        found = opset13.relu(found)
    return openvino.Model([found], [given], "chain")


def ready(image: Image) -> NDArray[np.float32]:
    return np.float32(image.transpose(2, 0, 1)[None]) / 255


def answers(network: Any) -> list[NDArray[np.float32]]:
    return [np.array(network(ready(one))[0]) for one in SHOWN]


def off(network: Any) -> float:
    import openvino

    wanted = answers(openvino.compile_model(chain(), "CPU", openvino_backend.EXACT))
    return float(np.mean([np.square(one - other).mean() for one, other in zip(wanted, answers(network), strict=True)]))


def in_8_bits(model: Any) -> set[str]:
    return set(quantisation._layers(model)[0])


def test_all_are_in_8_bits_where_that_is_good_enough() -> None:
    made = quantisation.quantised(chain, SHOWN, ready, off, lambda network: True)
    assert (made.layers, made.kept, made.whole) == (3, 0, True)
    assert in_8_bits(made.model) == {"layer0", "layer1", "layer2"}


def test_the_layer_that_harms_stays_in_32_bits() -> None:
    errors: list[float] = []

    def good(network: Any) -> bool:
        errors.append(off(network))
        return errors[-1] < errors[0] / 20

    made = quantisation.quantised(chain, SHOWN, ready, off, good)
    assert (made.layers, made.kept, made.whole) == (3, 1, False)
    assert in_8_bits(made.model) == {"layer0", "layer2"}


def test_a_network_that_needs_32_bits_in_every_layer_is_refused() -> None:
    said = r"whichever of its \d+ layers are in 8 bits, its answers change; leave openvino-int8 out with --format"
    with pytest.raises(AssetError, match=said):
        quantisation.quantised(chain, SHOWN, ready, off, lambda network: off(network) == 0)


def test_what_stays_in_32_bits_is_judged_in_32_bits() -> None:
    precisions = set[str]()

    def good(network: Any) -> bool:
        precisions.add(network.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        return False

    with pytest.raises(AssetError):
        quantisation.quantised(chain, SHOWN, ready, off, good)
    assert precisions == {"f32"}, "a processor with bfloat16 would use it unless it is forbidden"


def wide() -> Any:
    """Build one convolution of 64 channels; its weights are as large as they can be and its input is bright."""
    import openvino
    from openvino import opset13

    given = opset13.parameter([1, 3, 16, 16], np.float32, name="image")
    ones, flat = np.ones((64, 3, 1, 1), np.float32), ([1, 1], [0, 0], [0, 0], [1, 1])
    bright = opset13.relu(opset13.convolution(given, ones, *flat, name="first"))
    signs = np.where(np.arange(8) % 2, -1, 1).astype(np.float32)[:, None, None, None]
    found = opset13.convolution(bright, signs * np.ones((8, 64, 3, 3), np.float32), *flat)
    return openvino.Model([found], [given], "wide")


SETS = ("SSE41", "AVX2", "AVX512_CORE", "ALL")
"""Instruction sets: the first three have no VNNI. A processor uses its best up to the named one."""
RUN = """
import sys
import numpy as np, openvino
network = openvino.compile_model(sys.argv[1], "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
np.save(sys.argv[3], np.stack([np.array(network(one)[0]) for one in np.load(sys.argv[2])]))
"""


def test_every_instruction_set_gives_the_same_result(tmp_path: Path) -> None:
    import openvino

    bright = [np.full((16, 16, 3), 255, np.uint8), *SHOWN]
    made = quantisation.quantised(wide, bright, ready, off, lambda network: True)
    openvino.save_model(made.model, str(tmp_path / "model.xml"), compress_to_fp16=False)
    np.save(tmp_path / "images.npy", np.stack([ready(one) for one in bright]))
    results = []
    for limit in SETS:
        command = [sys.executable, "-c", RUN, *(str(tmp_path / name) for name in ("model.xml", "images.npy", f"{limit}.npy"))]
        subprocess.run(command, check=True, env={**os.environ, "ONEDNN_MAX_CPU_ISA": limit})
        results.append(np.load(tmp_path / f"{limit}.npy"))
    size = np.abs(results[0]).max()
    for limit, result in zip(SETS, results, strict=True):
        assert np.abs(result - results[0]).max() < size / 100, f"{limit}: cut-off sums halve what this network gives"
