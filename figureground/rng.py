"""One stream of chance for each thing that is drawn, so that any of them can be drawn again alone."""

import hashlib

import numpy as np


def number(seed: int, *of: object) -> int:
    """Give the seed of one thing, 0 to 2⁶⁴ − 1: it depends on nothing but the arguments.

    Parameters
    ----------
    seed
        The user's.
    *of
        What is drawn, such as a picture's number; numbers and words.

    Examples
    --------
    >>> number(1, "picture", 7) == number(1, "picture", 7) != number(1, "picture", 8)
    True
    """
    text = "\n".join([str(seed), *map(str, of)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def generator(seed: int, *of: object) -> np.random.Generator:
    """Give the stream of chance of one thing, see `number`."""
    return np.random.Generator(np.random.PCG64(number(seed, *of)))


def order(count: int, seed: int, *of: object) -> list[int]:
    """Shuffle the numbers below a count.

    >>> sorted(order(5, 1, "backgrounds")), order(5, 1, "a") == order(5, 1, "a")
    ([0, 1, 2, 3, 4], True)
    """
    return [int(one) for one in generator(seed, *of).permutation(count)]
