"""Values that are computed once and kept as long as the object that holds the memo: a crop, or a process."""

import threading
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

_T = TypeVar("_T")


class Memo:
    """Computes the value of each key once, behind a lock, so that several threads may ask for it.

    Computations run one at a time. A computation may ask the same memo for another key. A copy or a pickled memo is empty.

    Parameters
    ----------
    only_last
        Whether the value of a key goes when another key's is computed.

    Examples
    --------
    >>> memo = Memo()
    >>> memo.get("area", lambda: 6), memo.get("area", lambda: 7), len(memo)
    (6, 6, 1)
    """

    __slots__ = ("_lock", "_only_last", "_unreachable", "_values")

    def __init__(self, *, only_last: bool = False) -> None:
        self._lock, self._only_last = threading.RLock(), only_last
        self._values: dict[Hashable, Any] = {}
        self._unreachable: list[dict[Hashable, Any]] = []

    def __len__(self) -> int:
        return len(self._values)

    def __reduce__(self) -> "tuple[Callable[[], Memo], tuple[()]]":
        return partial(Memo, only_last=self._only_last), ()

    def get(self, key: Hashable, compute: Callable[[], _T]) -> _T:
        """Give the value of a key; the first call computes it, and an exception there is raised and not kept.

        Parameters
        ----------
        key
            Names the value and everything that it depends on. One key always has values of one type.
        compute
            Gives the value.
        """
        with self._lock:
            if key not in self._values:
                computed = compute()
                if self._only_last:
                    self._values.clear()
                self._values[key] = computed
            value: _T = self._values[key]
            return value

    def restart(self) -> None:
        """Begin empty in a forked child, where the lock may be held for ever and threads of the values do not run.

        The old values are kept out of reach, not freed: freeing a network waits for its threads.
        """
        self._unreachable.append(self._values)
        self._lock, self._values = threading.RLock(), {}
