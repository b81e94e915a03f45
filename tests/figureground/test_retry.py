"""One retry loop: which errors are repeated, how often, and what is raised at the end."""

import logging
import time
from collections.abc import Callable

import pytest

from figureground.retry import retry

log = logging.getLogger(__name__).warning


def failing(*errors: Exception) -> Callable[[], str]:
    """Give a call that raises these errors, then succeeds."""
    left = iter(errors)

    def call() -> str:
        if (error := next(left, None)) is not None:
            raise error
        return "done"

    return call


def is_timeout(error: Exception) -> bool:
    return isinstance(error, TimeoutError)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


def test_a_temporary_error_is_retried_after_each_pause(slept: list[float], caplog: pytest.LogCaptureFixture) -> None:
    call = failing(TimeoutError("busy"), TimeoutError("still busy"))
    assert retry(call, (1.0, 4.0), should_retry=is_timeout, log=log) == "done"
    assert slept == [1.0, 4.0]
    assert caplog.messages == ["busy; trying again in 1 s", "still busy; trying again in 4 s"]


def test_the_last_error_is_raised_when_no_pause_is_left(slept: list[float]) -> None:
    with pytest.raises(TimeoutError, match="second"):
        retry(failing(TimeoutError("first"), TimeoutError("second")), (1.0,), should_retry=is_timeout, log=log)
    assert slept == [1.0]


def test_any_other_error_is_raised_at_once(slept: list[float]) -> None:
    with pytest.raises(ValueError, match="wrong"):
        retry(failing(ValueError("wrong")), (1.0,), should_retry=is_timeout, log=log)
    assert slept == []


def test_jitter_only_lengthens_a_pause(slept: list[float]) -> None:
    retry(failing(*[TimeoutError()] * 50), [2.0] * 50, should_retry=is_timeout, log=log, jitter=0.5)
    assert all(2.0 <= seconds <= 3.0 for seconds in slept)
    assert len(set(slept)) > 1
