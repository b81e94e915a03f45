"""A function in threads: results in order, a few items at a time."""

import threading
from collections.abc import Iterator

import pytest

from figureground.parallel import map_ordered


def test_results_come_in_order_from_several_threads() -> None:
    both = threading.Barrier(2, timeout=10)

    def square(number: int) -> int:
        both.wait()
        return number * number

    assert list(map_ordered(square, range(20), threads=2)) == [number * number for number in range(20)]


def test_items_are_taken_only_a_few_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1000):
            taken = number + 1
            yield number

    results = map_ordered(str, items(), threads=2)
    assert [next(results) for _ in range(3)] == ["0", "1", "2"]
    assert taken <= 3 + 2 * 2
    results.close()


def test_an_error_of_the_function_is_raised_at_the_turn_of_its_item() -> None:
    results = map_ordered(lambda number: 1 // number, [1, 0, 1], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_an_error_of_the_items_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise KeyError("gone")

    with pytest.raises(KeyError, match="gone"):
        list(map_ordered(str, items(), threads=2))


def test_two_chained_functions_run_in_one_thread_per_item() -> None:
    made = map_ordered(lambda number: (number, threading.get_ident()), range(30), threads=3, batch_size=4)
    both = list(map_ordered(lambda pair: (*pair, threading.get_ident()), made))
    assert [number for number, _, _ in both] == list(range(30))
    assert all(maker == worker != threading.get_ident() for _, maker, worker in both)


def test_results_that_have_started_are_taken_as_they_are() -> None:
    made = map_ordered(str, range(5), threads=2)
    assert next(made) == "0"
    assert list(map_ordered(len, made, threads=2)) == [1, 1, 1, 1]


def test_an_error_inside_a_batch_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        list(map_ordered(lambda number: 1 // number, [1, 1, 0, 1, 1], threads=2, batch_size=3))
