"""An opened network as a function of arrays, whatever runs it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from figureground.errors import ArrayError
from figureground.types import Weights

Precision: TypeAlias = Literal["exact", "fast"]
"""``exact`` computes in 32 bits. ``fast`` lets processors that can do so multiply in bfloat16, at half the time or less."""

Device: TypeAlias = Literal["auto", "cpu"]
"""``auto`` takes CUDA where there is a device and the network can run on it, ``cpu`` never does."""

Shape: TypeAlias = tuple[int | None, ...]
"""An input's shape; None is a size that may differ from call to call."""


@dataclass(frozen=True, eq=False)
class Network:
    """One opened network; several threads may use ``call`` at once.

    ``inputs`` and ``outputs`` are in the network's own order. ``class_names`` is () when the network's file names none.
    """

    inputs: Mapping[str, Shape]
    outputs: tuple[str, ...]
    call: Callable[[Mapping[str, NDArray[Any]]], list[NDArray[Any]]]
    class_names: tuple[str, ...] = ()


def check_batch(weights: Weights, batch: NDArray[np.float32], expected: Shape) -> None:
    """Raise when a batch is not what a network with one input takes.

    Raises
    ------
    ArrayError
        When dtype or shape differ, or when the batch does not divide into the network's own.
    """
    sizes = expected[1:]
    fits = batch.ndim == len(expected) and all(
        size is None or size == actual for size, actual in zip(sizes, batch.shape[1:], strict=True)
    )
    if not fits or batch.dtype != np.float32 or len(batch) == 0:
        shape = ", ".join("any" if size is None else str(size) for size in sizes)
        raise ArrayError(f"{weights.name} takes float32 of shape (n >= 1, {shape}); found {batch.dtype} {batch.shape}")
    if expected[0] and len(batch) % expected[0]:
        raise ArrayError(f"{weights.name} takes batches of {expected[0]}; found {len(batch)} items")
