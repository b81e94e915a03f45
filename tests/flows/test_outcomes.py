"""The last net: whatever a source raises is its outcome."""

import logging
import pickle
from dataclasses import replace
from typing import Any

import pytest
from prefect.states import Completed, Crashed, Failed

from figureground.catalog import Catalog
from figureground.errors import FiguregroundError, ShortageError, SourceError
from flows import judge
from flows.outcomes import Outcome, describe_error, find_first_failure, try_source
from tasks import retried_task


class Future:
    """A task that is done."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def wait(self) -> None:
        """It is."""


def raise_in_place(error: BaseException) -> Any:
    raise error


FOREIGN = [
    ValueError("invalid literal for int() with base 10: '21o1'"),
    UnicodeDecodeError("utf-8", b"\xe9", 0, 1, "invalid continuation byte"),
    KeyError("segmentation"),
    TypeError("'NoneType' object is not iterable"),
    SystemError("returned NULL without setting an exception"),
    RecursionError("maximum recursion depth exceeded"),
    ZeroDivisionError("division by zero"),
    AssertionError(),
]


@pytest.mark.parametrize("error", FOREIGN, ids=lambda error: type(error).__name__)
def test_a_foreign_error_is_the_sources_outcome_and_called_a_defect(error: Exception) -> None:
    nothing, [outcome] = try_source("park", lambda: raise_in_place(error))

    assert nothing is None and outcome.source_id == "park" and not outcome.left
    assert outcome.error.startswith(f"defect: {type(error).__name__}")
    assert "report" in outcome.error and "--verbose" in outcome.error and "flows" in outcome.error
    state = Failed(data=error)
    assert find_first_failure([Future(Completed(data=1)), Future(state)]).startswith(f"defect: {type(error).__name__}")
    assert find_first_failure([Future(Crashed(data=error))]).startswith(f"defect: {type(error).__name__}")


def test_our_errors_keep_their_message() -> None:
    assert try_source("park", lambda: raise_in_place(SourceError("park.mp4: damaged"))) == (
        None, [Outcome("park", "park.mp4: damaged")],
    )  # fmt: skip
    assert find_first_failure([Future(Failed(data=FiguregroundError("no")))]) == "no"
    assert find_first_failure([Future(Completed(data=1))]) == ""


def test_a_shortage_is_reported_as_such() -> None:
    assert "lacks memory" in describe_error(MemoryError())
    assert "defect" not in describe_error(MemoryError())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit])
def test_an_interruption_stops_the_run(stop: type[BaseException]) -> None:
    with pytest.raises(stop):
        try_source("park", lambda: raise_in_place(stop()))


def test_the_traceback_is_logged_for_verbose(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        try_source("park", lambda: raise_in_place(KeyError("width")))
    assert "Traceback" not in caplog.text
    with caplog.at_level(logging.INFO):
        try_source("park", lambda: raise_in_place(KeyError("width")))
    assert "Traceback" in caplog.text and "raise_in_place" in caplog.text


def test_judge_goes_on_after_a_source_that_fails(monkeypatch: pytest.MonkeyPatch, catalog: Catalog) -> None:
    park = catalog.source("park")
    sources = [replace(park, source_id=name) for name in ("bad", "good", "new")]
    monkeypatch.setattr(judge, "expand_sources", lambda *_: (sources, [Outcome("gone", "there is no such file")]))

    def rejudge_source(source_id: str, _: Catalog) -> bool:
        return raise_in_place(KeyError("width")) if source_id == "bad" else source_id == "good"

    monkeypatch.setattr(judge, "_rejudge_source", rejudge_source)
    gone, bad, good = judge.rejudge(catalog, None)

    assert gone.error == "there is no such file" and bad.error.startswith("defect: KeyError")
    assert good == Outcome("good", "")


def test_a_stage_without_memory_raises_what_is_retried() -> None:
    @retried_task
    def crop() -> None:
        raise MemoryError

    with pytest.raises(ShortageError, match="the stage crop: this machine lacks memory") as caught:
        crop.fn()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # a worker of a cluster sends it
