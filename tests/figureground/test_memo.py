"""A memo computes each value once, and a copy of what holds it begins anew."""

import copy
import dataclasses
import pickle
import threading

import numpy as np
import pytest

from figureground.memo import Memo
from figureground.types import Box, PersonCrop


def test_threads_that_ask_at_once_share_one_computation():
    memo, calls, gate = Memo(), [], threading.Barrier(8)

    def ask():
        gate.wait()
        assert memo.get("key", lambda: calls.append(1) or "value") == "value"

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    assert calls == [1]


def test_an_exception_is_raised_and_not_kept():
    memo = Memo()
    with pytest.raises(ZeroDivisionError):
        memo.get("key", lambda: 1 / 0)
    assert memo.get("key", lambda: 2) == 2


def test_a_value_may_need_another_of_the_same_memo():
    memo = Memo()
    assert memo.get("outer", lambda: memo.get("inner", lambda: 3) + 1) == 4


def test_a_memo_of_the_last_value_forgets_the_one_before():
    memo, calls = Memo(only_last=True), []
    for key in ("a", "a", "b", "b", "a"):
        assert memo.get(key, lambda key=key: calls.append(key) or key) == key
        assert len(memo) == 1
    assert calls == ["a", "b", "a"]
    with pytest.raises(ZeroDivisionError):
        memo.get("c", lambda: 1 / 0)
    assert memo.get("a", lambda: 1 / 0) == "a"
    assert len(pickle.loads(pickle.dumps(memo))) == 0


def test_a_restart_frees_a_lock_that_another_thread_holds():
    memo = Memo()
    memo.get("key", lambda: 1)
    thread = threading.Thread(target=memo._lock.acquire)
    thread.start()
    thread.join()
    memo.restart()
    assert len(memo) == 0 and memo.get("key", lambda: 2) == 2


def test_changed_and_pickled_crops_have_an_empty_memo():
    box, image = Box(0, 0, 4, 4), np.zeros((4, 4, 3), np.uint8)
    crop = PersonCrop("a", "a", "a", box, box, 0.9, np.zeros((0, 3), np.float32), (), 4, 4, image)
    crop.memo.get("key", lambda: 1)
    changed, pickled = dataclasses.replace(crop, image=image + 1), pickle.loads(pickle.dumps(crop))
    assert (len(crop.memo), len(changed.memo), len(pickled.memo), len(copy.deepcopy(crop).memo)) == (1, 0, 0, 0)
