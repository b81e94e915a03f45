"""What every log record goes through, whichever library writes it: secrets are taken out, and no terminal obeys its text.

File names, titles and annotators' names come from outside, and other libraries log addresses with passwords and signatures.
A filter would have to be put on each handler of each library, so the records themselves are made safe, where they are created:
a terminal, a file and Prefect's pages get the same text.
"""

import logging
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from figureground.escaping import escape_terminal
from figureground.media.addresses import hide_secrets_in_text

OWN_LOGGERS = ("figureground", "tasks", "flows")
_KEPT_AT_MOST, _CHARACTERS_AT_MOST = 100, 2000
_ACCESS_LOGGER = "uvicorn.access"  # its formatter takes the arguments apart


def make_text_safe(text: str) -> str:
    r"""Take the secrets of addresses out of a text, and write what a terminal obeys as escapes.

    >>> make_text_safe("a\x1b[2J.mp4 from https://me:secret@example.org/a.mp4?sig=abc")
    'a\\x1b[2J.mp4 from https://example.org/a.mp4'
    """
    return escape_terminal(hide_secrets_in_text(text))


def format_traceback(error: BaseException) -> str:
    """Write the traceback of an error as a text that is safe to show."""
    return make_text_safe("".join(traceback.format_exception(error)).rstrip("\n"))


class _SafeRecord(logging.LogRecord):
    """A record whose message, traceback and stack are safe to show wherever they are written."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.name != _ACCESS_LOGGER:
            self.msg, self.args = make_text_safe(super().getMessage()), ()
        elif isinstance(self.args, tuple):
            self.args = tuple(make_text_safe(part) if isinstance(part, str) else part for part in self.args)
        if self.exc_info and self.exc_info[1] is not None:
            self.exc_text = format_traceback(self.exc_info[1])  # formatters write this instead of their own
        if self.stack_info:
            self.stack_info = make_text_safe(self.stack_info)


def _create_record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    try:
        return _SafeRecord(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - a broken log call of a library must not end the work it speaks of
        text = f"a message that cannot be formatted ({type(error).__name__})"
        name, level, file, line = args[:4]
        return logging.LogRecord(name, level, file, line, text, (), None)


def make_records_safe() -> None:
    """Make all log records of this process safe to show; however often it is called."""
    logging.setLogRecordFactory(_create_record)


class WarningCollector(logging.Handler):
    """Collects the warnings and errors that figureground logs: each text once, the first `_KEPT_AT_MOST` of them."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._texts: dict[str, None] = {}
        self._more = 0
        self._texts_lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message of a record."""
        with self._texts_lock:
            text = record.getMessage()[:_CHARACTERS_AT_MOST]
            if len(self._texts) < _KEPT_AT_MOST or text in self._texts:
                self._texts[text] = None
            else:
                self._more += 1

    @property
    def texts(self) -> tuple[str, ...]:
        """The messages, in their order."""
        with self._texts_lock:
            return (*self._texts, *([f"{self._more} more warnings"] if self._more else []))


@contextmanager
def collect_warnings() -> Iterator[WarningCollector]:
    """Collect the warnings that figureground logs during the block, in every thread."""
    collector = WarningCollector()
    loggers = [logging.getLogger(name) for name in OWN_LOGGERS]
    for logger in loggers:
        logger.addHandler(collector)
    try:
        yield collector
    finally:
        for logger in loggers:
            logger.removeHandler(collector)
