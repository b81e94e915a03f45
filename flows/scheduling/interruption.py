"""Ends a command within seconds after Ctrl-C, SIGTERM or a closed terminal, with its run recorded as stopped.

The first signal raises `Interrupted` in the main thread, so that most of a command is left in order. A stage that computes in
another thread cannot be interrupted and may take minutes. So the process ends `GRACE_SECONDS` after the signal, or at the
second one, whatever it is doing: what was unfinished is recorded, child processes are ended, and the system frees the locks.
That is as safe as a power failure, see `figureground.storage.atomic`: no file is ever visible half written.
"""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from figureground.errors import FiguregroundError

GRACE_SECONDS = 2.0
_RECORD_SECONDS = 1.0
_CHILD_SECONDS = 1.0

STOPPING = "stopping: what is finished is kept, and the same command continues with the rest (Ctrl-C again ends at once)"
STOPPED = "stopped"

_log = logging.getLogger(__name__)


class Interrupted(SystemExit):
    """A signal ends the command; the exit code is that of a shell, 128 and the signal's number."""


class _State:
    """What the signal handlers of this process know: they take no arguments of ours."""

    def __init__(self) -> None:
        self.enabled = False
        self.signal = 0
        self.end = threading.Event()
        self.records: list[Callable[[], None]] = []
        self.recorder: threading.Thread | None = None
        self.lock = threading.RLock()


_state = _State()


def handled_signals() -> list[signal.Signals]:
    """List the signals that end a command. A hang-up that the caller ignores (`nohup`) stays ignored."""
    hangup = getattr(signal, "SIGHUP", None)
    ignored = hangup is None or signal.getsignal(hangup) is signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([] if ignored or hangup is None else [hangup])]


@contextmanager
def end_on_signals() -> Iterator[None]:
    """End the process in order, and within seconds, when a signal comes during the block.

    Outside the main thread, where Python takes no signals, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in handled_signals()}
    _state.enabled = True
    take_signals_back()
    try:
        yield
    finally:
        _state.enabled = False
        if not _state.signal:  # else the process is ending, and a second signal ends it at once
            for number, handler in before.items():
                signal.signal(number, handler)


def take_signals_back() -> None:
    """Handle the signals again during `end_on_signals`: Prefect handles SIGTERM itself from the start of each flow."""
    if _state.enabled and threading.current_thread() is threading.main_thread():
        for number in handled_signals():
            signal.signal(number, _handle)


@contextmanager
def recorded_when_stopped(record: Callable[[], None]) -> Iterator[None]:
    """Have a function called before the process ends during the block without leaving it.

    Parameters
    ----------
    record
        Writes down what was unfinished. It may be called from another thread, while the block is running.
    """
    _state.records.append(record)
    try:
        yield
    finally:
        _state.records.remove(record)


def _handle(number: int, _frame: FrameType | None) -> None:
    if _state.signal:
        _state.end.set()
        return
    _state.signal = number
    _say(STOPPING)
    _start_recorder()
    threading.Thread(target=_end_after_grace, name="end of the process", daemon=True).start()
    raise Interrupted(128 + number)


def _say(text: str) -> None:
    """Write to the terminal: a signal handler may have interrupted a print, so the streams are not used."""
    with suppress(OSError):
        os.write(2, f"{text}\n".encode())


def _end_after_grace() -> None:
    _state.end.wait(GRACE_SECONDS)
    end_process()


def end_process() -> NoReturn:
    """End the process that a signal has stopped, without the interpreter's own end, which waits for the stages' threads."""
    _start_recorder().join(_RECORD_SECONDS)
    _end_children()
    _say(STOPPED)
    os._exit(128 + _state.signal)


def _start_recorder() -> threading.Thread:
    """Record the stop from the moment of the signal on: on a busy machine that takes longer than the last second."""
    with _state.lock:
        if _state.recorder is None:
            _state.recorder = threading.Thread(target=record_stops, name="record of the stop", daemon=True)
            _state.recorder.start()
        return _state.recorder


def record_stops() -> None:
    """Call what was given to `recorded_when_stopped`. A failure is only logged: the process ends now."""
    for record in reversed(list(_state.records)):
        try:
            record()
        except (FiguregroundError, OSError) as error:
            _log.error("the stop is not recorded: %s", error)


def _end_children() -> None:
    """End the processes that this one started: Prefect's server, workers of a cluster, loaders of a training."""
    import psutil

    children = psutil.Process().children(recursive=True)
    for child in children:
        with suppress(psutil.Error):
            child.terminate()
    until = time.monotonic() + _CHILD_SECONDS
    for child in children:
        with suppress(psutil.Error):
            child.wait(max(0.0, until - time.monotonic()))
    for child in children:
        with suppress(psutil.Error):
            child.kill()
