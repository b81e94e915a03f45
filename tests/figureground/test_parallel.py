"""Work in threads, in order, a few things at a time."""

import threading
from collections.abc import Iterator

import pytest

from figureground.parallel import ordered


def test_results_come_in_order_from_several_threads() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(number: int) -> int:
        both.wait()
        return number * number

    assert list(ordered(work, range(20), threads=2)) == [number * number for number in range(20)]


def test_things_are_taken_only_a_few_ahead() -> None:
    taken = 0

    def things() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken = number + 1
            yield number

    results = ordered(str, things(), threads=2)
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert taken <= 3 + 2 * 2
    results.close()


def test_what_the_work_raises_comes_at_its_things_turn() -> None:
    results = ordered(lambda number: 1 // number, [1, 0, 1], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_the_things_raise_is_not_swallowed() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        list(ordered(str, things(), threads=2))
