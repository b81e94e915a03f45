"""Whatever library logs it, no record holds a secret or what a terminal obeys; warnings are collected while a run lasts."""

import io
import logging
from collections.abc import Iterator

import pytest

from flows.scheduling.log_records import collect_warnings, format_traceback, make_records_safe

ODD = "clip\x1b]0;owned\x07\x9b2J\u202egpj.mp4"
SHOWN = "clip\\x1b]0;owned\\x07\\x9b2J\\u202egpj.mp4"
ADDRESS = "https://me:s3cret-a@example.org/a.mp4?X-Amz-Signature=s3cret-b"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Give what a plain handler writes of a library's logger, with the factory of safe records."""
    factory, stream = logging.getLogRecordFactory(), io.StringIO()
    handler, logger = logging.StreamHandler(stream), logging.getLogger("urllib3.test")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    make_records_safe()
    yield stream
    logging.setLogRecordFactory(factory)
    logger.removeHandler(handler)


@pytest.mark.parametrize("logged", [(f"GET {ADDRESS}",), ("GET %s", ADDRESS), ("%(url)s", {"url": ADDRESS})])
def test_a_library_that_logs_an_address_logs_no_secret(log: io.StringIO, logged: tuple[object, ...]) -> None:
    logging.getLogger("urllib3.test").debug(*logged)
    assert "https://example.org/a.mp4" in log.getvalue() and "s3cret" not in log.getvalue()


def test_names_with_escapes_are_shown_and_not_obeyed(log: io.StringIO) -> None:
    logging.getLogger("urllib3.test").warning("%s is damaged", ODD)
    assert log.getvalue() == f"{SHOWN} is damaged\n"


def test_a_traceback_and_a_stack_are_as_safe_as_the_message(log: io.StringIO) -> None:
    try:
        raise OSError(f"{ODD} from {ADDRESS}")
    except OSError as error:
        logging.getLogger("urllib3.test").warning("no file", exc_info=True, stack_info=True)
        written = format_traceback(error)
    assert "s3cret" not in written and "\x1b" not in written and SHOWN in written
    assert f"OSError: {SHOWN} from https://example.org/a.mp4" in log.getvalue()
    assert "s3cret" not in log.getvalue() and "\x1b" not in log.getvalue()


def test_a_call_that_cannot_be_formatted_is_said_so(log: io.StringIO) -> None:
    logging.getLogger("urllib3.test").warning("%d files", "many")
    assert "cannot be formatted (TypeError)" in log.getvalue()


def test_warnings_of_figureground_are_collected_once_each_and_up_to_a_number() -> None:
    with collect_warnings() as warnings:
        for number in (0, 0, *range(120)):
            logging.getLogger("tasks.datasets.release").warning("source %d moved from val to train", number)
        logging.getLogger("figureground.storage").info("nothing to warn of")
        logging.getLogger("PIL").warning("of another library")
    logging.getLogger("tasks.datasets.release").warning("after the run")
    assert warnings.texts[:2] == ("source 0 moved from val to train", "source 1 moved from val to train")
    assert len(warnings.texts) == 101 and warnings.texts[-1] == "20 more warnings"
