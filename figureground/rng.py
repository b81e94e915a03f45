"""Random numbers: each random choice has its own stream, so that any of them can be repeated alone."""

import hashlib

import numpy as np


def derive_seed(seed: int, *purpose: object) -> int:
    """Give the seed of one random choice, 0 to 2⁶⁴ − 1: it depends only on the arguments.

    Parameters
    ----------
    seed
        The user's.
    *purpose
        What is chosen, such as a sample's number; numbers and words.

    Examples
    --------
    >>> derive_seed(1, "sample", 7) == derive_seed(1, "sample", 7) != derive_seed(1, "sample", 8)
    True
    """
    text = "\n".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def make_generator(seed: int, *purpose: object) -> np.random.Generator:
    """Give the random number generator of one random choice, see `derive_seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *purpose)))


def shuffle_indices(count: int, seed: int, *purpose: object) -> list[int]:
    """Give the numbers from 0 to `count` − 1 in random order.

    >>> sorted(shuffle_indices(5, 1, "backgrounds")), shuffle_indices(5, 1, "a") == shuffle_indices(5, 1, "a")
    ([0, 1, 2, 3, 4], True)
    """
    return [int(index) for index in make_generator(seed, *purpose).permutation(count)]
