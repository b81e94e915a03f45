"""As many of a network's layers in 8 bits as let it answer as before: OpenVINO, by its own quantizer NNCF.

NNCF can also look for the layers that must stay in 32 bits (``quantize_with_accuracy_control``), but it ranks all of them anew
whenever keeping one did not help: on a MobileNetV3 it was still at work after 17 minutes. Here each layer that has weights is
put into 8 bits alone, once; as their errors add up, they are ranked by it, and how many to keep is found by halving. What has
no weights stays in 32 bits then: little is won by it, and a comparison in 8 bits (SegNet's poolings) harms all that follow. The
same network takes two minutes.

The result must not depend on the processor, neither on the one that exports nor on the one that runs the file. What is not in
8 bits is computed in 32 bits, never in bfloat16. Weights use half of the 8 bits' range: a processor without VNNI adds two
products of 8 bits in 16 bits, and with the whole range that sum is cut off.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from figureground.errors import AssetError
from figureground.inference import openvino_backend
from figureground.types import Image

_STEPS_TO_WEIGHTS = ("Multiply", "Subtract", "Convert")


class Quantised(NamedTuple):
    """OpenVINO's model; how many layers with weights it has, and how many of them stay in 32 bits.

    ``whole``: the operations without weights, sums and products of what layers gave, are in 8 bits too.
    """

    model: Any
    layers: int
    kept: int
    whole: bool


def quantised(
    read: Callable[[], Any],
    calibration_images: Sequence[Image],
    ready: Callable[[Image], NDArray[np.float32]],
    off: Callable[[Any], float],
    good: Callable[[Any], bool],
) -> Quantised:
    """Put a network's weights and activations into 8 bits.

    Parameters
    ----------
    read
        Gives the network in 32 bits, each time a new ``openvino.Model``.
    calibration_images
        Pictures by which to learn how large activations get.
    ready
        Makes of a picture what the network takes.
    off
        Says how far a compiled network's answers are from those wanted, 0 or more. The smallest difference counts.
    good
        Says whether a compiled network's answers are near enough.

    Raises
    ------
    AssetError
        When they never are, as long as one layer is in 8 bits.
    """
    os.environ.setdefault("NNCF_CI", "1")  # no word of it leaves this machine
    import nncf
    import openvino

    calibration_data = nncf.Dataset(list(calibration_images), ready)

    def without(names: Iterable[str] = (), types: Iterable[str] = ()) -> Any:
        left = nncf.IgnoredScope(names=list(names), types=sorted(types), validate=False)
        half_range = nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE)
        return nncf.quantize(
            read(), calibration_data, preset=nncf.QuantizationPreset.MIXED, subset_size=len(calibration_images),
            ignored_scope=left, advanced_parameters=half_range,
        )  # fmt: skip

    def compiled(model: Any) -> Any:
        return openvino.compile_model(model, "CPU", openvino_backend.EXACT)

    quantised_model = without()
    layers, others = _layers(quantised_model)
    if good(compiled(quantised_model)):
        return Quantised(quantised_model, len(layers), 0, True)
    weightless = set[str]()
    while others - weightless:  # sparing one kind may move its 8 bits on to another
        weightless |= others
        quantised_model = without(types=weightless)
        layers, others = _layers(quantised_model)
    if good(compiled(quantised_model)):
        return Quantised(quantised_model, len(layers), 0, False)
    alone = {name: off(compiled(_alone(read(), quantised_model, name))) for name in layers}
    worst = sorted(layers, key=lambda name: alone[name], reverse=True)
    quantised_model, kept = _keep_fewest(
        worst, quantised_model, lambda names: without(names, weightless), lambda model: good(compiled(model))
    )
    if kept == len(layers):
        raise AssetError(
            f"whichever of its {len(layers)} layers are in 8 bits, its answers change; leave openvino-int8 out with --format, "
            "or train longer: an unsure network changes with every bit"
        )
    return Quantised(quantised_model, len(layers), kept, False)


def _keep_fewest(
    worst: Sequence[str], model: Any, without: Callable[[Sequence[str]], Any], good: Callable[[Any], bool]
) -> tuple[Any, int]:
    """Halve for the fewest layers that have to stay in 32 bits; give the network and their number, all when none suffices."""
    too_few, enough = 0, len(worst)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        tried = without(worst[:middle])
        if good(tried):
            model, enough = tried, middle
        else:
            too_few = middle
    return model, enough


def _layers(model: Any) -> tuple[list[str], set[str]]:
    """Name the operations that have weights in 8 bits, and the types of others that take something in 8 bits."""
    layers, others = list[str](), set[str]()
    for operation in model.get_ordered_ops():
        taken = {_takes(port) for port in operation.inputs()}
        if "weights" in taken:
            layers.append(operation.get_friendly_name())
        elif "activations" in taken and operation.get_type_name() != "ShapeOf":
            others.add(operation.get_type_name())
    return layers, others


def _takes(port: Any) -> str:
    """Say whether an input takes ``activations`` or ``weights`` in 8 bits; empty: neither."""
    node = port.get_source_output().get_node()
    if node.get_type_name() == "FakeQuantize":
        return "activations"
    if node.get_type_name() != "Multiply":
        return ""
    while node.get_type_name() in _STEPS_TO_WEIGHTS:
        node = node.input_value(0).get_node()
    return "weights" if node.get_type_name() == "Constant" and node.get_element_type().get_type_name() == "i8" else ""


def _alone(model: Any, quantised_whole: Any, name: str) -> Any:
    """Put one layer of a network, and nothing else of it, into 8 bits as it is in another."""
    from openvino import opset13

    layer, other = (
        next(operation for operation in some.get_ops() if operation.get_friendly_name() == name)
        for some in (model, quantised_whole)
    )
    for port, wanted in zip(layer.inputs(), other.inputs(), strict=True):
        kind, source = _takes(wanted), wanted.get_source_output()
        if kind == "activations":
            scale = source.get_node()
            ends = [scale.input_value(number) for number in range(1, 5)]
            source = opset13.fake_quantize(port.get_source_output(), *ends, scale.get_attributes()["levels"]).output(0)
        if kind:
            port.replace_source_output(source)
    return model
