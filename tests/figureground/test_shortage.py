"""What is a lack of memory, threads, open files or disk, and what is not."""

import errno
import os
from pathlib import Path

import cv2
import pytest
from av.error import err_check

from figureground import shortage
from figureground.errors import FullStorageError, ShortageError, SourceError, StoreError, TransientError
from figureground.shortage import find_shortage, refuse_short_memory, translate_shortage
from figureground.storage.atomic import write_error


def ffmpeg_error(number: int) -> Exception:
    with pytest.raises(MemoryError) as caught:
        err_check(-number)
    return caught.value


def wrapped(cause: Exception) -> Exception:
    error = SourceError("a.mp4: damaged")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "lacking"),
    [
        (MemoryError(), "memory"),
        (ffmpeg_error(errno.ENOMEM), "memory"),
        (cv2.error("OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 9 bytes"), "memory"),
        (RuntimeError("std::bad_alloc"), "memory"),
        (RuntimeError("can't start new thread"), "threads or processes"),
        (OSError(errno.EAGAIN, "Resource temporarily unavailable"), "threads or processes"),
        (OSError(errno.EMFILE, "Too many open files"), "open files"),
        (OSError(errno.ENFILE, "Too many open files in system"), "open files"),
        (OSError(errno.ENOSPC, "No space left on device"), "room on the disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "room on the disk"),
        (wrapped(MemoryError()), "memory"),
        (ImportError("a.so: cannot allocate memory in static TLS block"), ""),
        (ValueError("out of memory"), ""),
        (OSError(errno.ENOENT, "No such file or directory"), ""),
        (KeyError("width"), ""),
    ],
    ids=str,
)
def test_shortages_are_distinguished_from_other_errors(error: Exception, lacking: str) -> None:
    assert find_shortage(error) == lacking


def test_errors_that_were_raised_from_each_other_are_looked_at_once() -> None:
    ours, wrapper = ValueError("ours"), KeyError("theirs")
    ours.__cause__, wrapper.__cause__ = wrapper, ours
    assert find_shortage(ours) == ""


def test_a_shortage_is_retried_and_says_that_the_input_is_not_at_fault() -> None:
    message = r"the stage crop: this machine lacks memory.*Nothing is noted about the input"
    with pytest.raises(TransientError, match=message), translate_shortage("the stage crop"):
        raise MemoryError


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError, match="width"), translate_shortage("the stage crop"):
        raise KeyError("width")


def test_a_decoder_that_wants_gigabytes_while_there_is_memory_was_given_a_damaged_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MemoryError), translate_shortage("a.mp4", 1 << 20):
        raise MemoryError
    monkeypatch.setattr(shortage, "has_memory", lambda needed_bytes: False)
    with pytest.raises(ShortageError, match=r"a\.mp4: this machine lacks memory"), translate_shortage("a.mp4", 1 << 20):
        raise MemoryError


def test_memory_is_asked_for_before_damage_is_believed() -> None:
    refuse_short_memory("a.mp4 cannot be decoded", 1 << 20)
    with pytest.raises(ShortageError, match=r"a\.mp4 cannot be decoded: this machine lacks memory \(\d+ MiB cannot be alloc"):
        refuse_short_memory("a.mp4 cannot be decoded", 1 << 60)


def test_a_full_disk_is_an_error_of_the_storage_and_a_shortage(tmp_path: Path) -> None:
    error = write_error(tmp_path / "a.txt", OSError(errno.ENOSPC, "No space left on device"))

    assert isinstance(error, FullStorageError) and isinstance(error, StoreError) and isinstance(error, ShortageError)
    assert "No space left on device" in str(error) and "free some space" in str(error)


def test_no_inodes_is_not_no_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(tmp_path)
    values = {name: getattr(real, name) for name in dir(real) if name.startswith("f_")}
    values |= {"f_favail": 0, "f_files": 9, "f_bavail": 99}
    monkeypatch.setattr(shortage.os, "statvfs", lambda path: type("Free", (), values))
    error = write_error(tmp_path / "a.txt", OSError(errno.ENOSPC, "No space left on device"))

    assert "lacks free inodes" in str(error) and "remove some files" in str(error)
    assert "free some space" not in str(error)
