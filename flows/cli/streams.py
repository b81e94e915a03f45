"""Standard streams that never stop the work: a closed pipe, a full disk and a terminal without Unicode only lose output.

Python's own streams raise where they are written to. Progress is printed from the threads of the stages, so a pipe that closes
(`figureground ingest | head -1`) would end a source, and the exit code would speak of the pipe and not of the work.
"""

import errno
import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

_LAST_STANDARD_FILE = 2


class TolerantStream(io.TextIOBase):
    """A text stream that loses what cannot be written, instead of raising.

    Characters that the terminal's encoding lacks are written as escapes. It has no ``buffer``: what writes around it would
    raise again.

    Parameters
    ----------
    stream
        The stream to write to.
    report
        Called once with the reason when output is lost; not when the reader of a pipe has ended, which is no failure.
    """

    def __init__(self, stream: TextIO, report: Callable[[str], None] = lambda _: None) -> None:
        self._stream, self._report, self._lost = stream, report, False
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The encoding of the stream below."""
        return self._stream.encoding or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """How characters are written that the encoding lacks."""
        return "backslashreplace"

    def write(self, text: str) -> int:
        """Write a text, or lose it."""
        if not self._lost:
            try:
                self._stream.write(text)
            except (OSError, ValueError) as error:  # ValueError: the file is closed
                self._lose(error)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered, or lose it."""
        if not self._lost:
            try:
                self._stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def isatty(self) -> bool:
        """Whether a terminal reads the stream."""
        try:
            return not self._lost and self._stream.isatty()
        except ValueError:
            return False

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def fileno(self) -> int:
        """Give the number of the file below."""
        return self._stream.fileno()

    def _lose(self, error: OSError | ValueError) -> None:
        """Lead the file to the null device: Python flushes what is still buffered when it ends."""
        self._lost = True
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
        except (OSError, ValueError):
            pass  # there is no file behind it, so nothing is left to flush
        if getattr(error, "errno", None) != errno.EPIPE:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            self._report(f"cannot write to standard output ({reason}): the rest of it is lost, the work goes on")


def make_streams_tolerant() -> None:
    """Replace ``sys.stdout`` and ``sys.stderr`` by streams that never raise; once, however often this is called."""
    _open_missing_files()
    if not isinstance(sys.stderr, TolerantStream):
        sys.stderr = TolerantStream(sys.stderr or _open_null())
    if not isinstance(sys.stdout, TolerantStream):
        sys.stdout = TolerantStream(sys.stdout or _open_null(), _print_error)


def _open_null() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")


def _open_missing_files() -> None:
    """Open the null device for a standard file that the caller closed (``>&-``).

    The next file that is opened would take its number, and whatever a child process prints would end in that file.
    """
    for number in range(_LAST_STANDARD_FILE + 1):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            else:
                os.set_inheritable(null, True)


def _print_error(text: str) -> None:
    sys.stderr.write(f"{text}\n")
