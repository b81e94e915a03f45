"""Runs a network: the one place that knows onnxruntime, sessions and threads.

One session lives per process for each weights and number of threads. It is made on first use, behind a lock, and its
weights are verified before they are opened. Threads do not spin while they wait: with nothing else running it makes no
difference, but beside one thread that writes PNGs u2netp took half as long again while spinning (two cores, two threads).
"""

import os
import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray

from figureground import assets
from figureground.errors import ArrayError, AssetError
from figureground.types import Weights

_sessions: dict[tuple[str, int], Any] = {}
_abandoned: list[Any] = []
_lock = threading.Lock()


def usable_cores() -> int:
    """Count the cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(weights: Weights, batch: NDArray[np.float32], *, outputs: int = 1, threads: int | None = None) -> list[NDArray[Any]]:
    """Run a network with one input on a batch, on the CPU.

    A network exported for a fixed batch of 1 (as u2netp is) gets the batch one item at a time: on a CPU that costs
    nothing, u2netp with its batch set to 4 took the same time per picture. Results do not depend on the threads.

    Parameters
    ----------
    weights
        An ONNX file in the cache; verified when it is opened.
    batch
        Shape (n, ...), float32, C order: the network's input as its exporter defined it, one item a row; n >= 1.
    outputs
        How many of the network's outputs to give, in its own order.
    threads
        Within one operator; None is every core this process may use.

    Returns
    -------
    list of ndarray
        Each of shape (n, ...).

    Raises
    ------
    AssetError
        When the weights are not in the cache, are not the pinned ones, or are not a network onnxruntime can open.
    ArrayError
        When the batch is not what the network takes.
    """
    session = _session(weights, threads or usable_cores())
    expected = session.get_inputs()[0].shape
    _check_batch(weights, batch, expected)
    step = expected[0] if isinstance(expected[0], int) else len(batch)
    names = [output.name for output in session.get_outputs()[:outputs]]
    key = session.get_inputs()[0].name
    parts = [session.run(names, {key: batch[start : start + step]}) for start in range(0, len(batch), step)]
    return [np.concatenate(column) if len(column) > 1 else column[0] for column in zip(*parts, strict=True)]


def _session(weights: Weights, threads: int) -> Any:
    with _lock:
        key = (weights.sha256, threads)
        if key not in _sessions:
            _sessions[key] = _open(weights, threads)
        return _sessions[key]


def _open(weights: Weights, threads: int) -> Any:
    path = assets.locate(weights)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors share no base class but this one
        raise AssetError(f"{weights.name} ({path}) is not a network onnxruntime can open: {error}") from error


def _check_batch(weights: Weights, batch: NDArray[np.float32], expected: list[int | str | None]) -> None:
    sizes = expected[1:]
    fits = batch.ndim == len(expected) and all(
        not isinstance(size, int) or size == found for size, found in zip(sizes, batch.shape[1:], strict=True)
    )
    if not fits or batch.dtype != np.float32 or len(batch) == 0:
        raise ArrayError(
            f"{weights.name} takes float32 of shape (n >= 1, {', '.join(map(str, sizes))}); found {batch.dtype} {batch.shape}"
        )
    if isinstance(expected[0], int) and len(batch) % expected[0]:
        raise ArrayError(f"{weights.name} takes batches of {expected[0]}; found {len(batch)} items")


def _forget() -> None:
    """Start anew in a forked child, where the lock may be held for ever and the sessions' threads do not run.

    The sessions are kept out of reach, not freed: freeing one waits for its threads.
    """
    global _lock, _sessions
    _abandoned.append(_sessions)
    _lock, _sessions = threading.Lock(), {}


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
