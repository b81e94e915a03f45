"""Our brush codec beside Label Studio's own, in turn, on soft and hard masks: ``python benchmarks/brush_rle.py``.

Prints the median seconds of each and their ratio. The bytes are compared first: a fast codec that differs is worth nothing.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from label_studio_sdk.converter import brush

from figureground.annotation import brush_rle

ROUNDS = 7
SIDE = 1000


def disc(softness: float) -> np.ndarray:
    """Draw a disc whose rim is so many pixels wide."""
    y, x = np.mgrid[:SIDE, :SIDE]
    return (np.clip((0.4 * SIDE - np.hypot(x - SIDE / 2, y - SIDE / 2)) / softness + 0.5, 0, 1) * 255).astype(np.uint8)


def in_turn(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Give the median seconds of both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):
        for operation, taken in zip((ours, theirs), times, strict=True):
            start = time.perf_counter()
            operation()
            taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def table() -> Iterator[str]:
    """Give the lines of a table."""
    yield "| mask of 1 MP | direction | ours | SDK | ratio |\n|---|---|---|---|---|"
    for kind, mask in (("soft", disc(150)), ("hard", disc(1e-9))):
        rle = brush.mask2rle(mask)
        assert brush_rle.encode(mask) == rle
        assert (brush_rle.decode(rle, SIDE, SIDE) == mask).all()
        for direction, ours, theirs in (
            ("encode", partial(brush_rle.encode, mask), partial(brush.mask2rle, mask)),
            ("decode", partial(brush_rle.decode, rle, SIDE, SIDE), partial(brush.decode_rle, rle)),
        ):
            mine, other = in_turn(ours, theirs)
            yield (f"| {kind} | {direction} | {1000 * mine:.0f} ms | {1000 * other:.0f} ms | {other / mine:.0f} × |")


def main() -> None:
    print("\n".join(table()))


if __name__ == "__main__":
    main()
