"""Processes of this machine, identified by number and start time: the system reuses a number, never both.

On Linux they are read from /proc, elsewhere by psutil; why not everywhere is written in decision 0006.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this machine; ``started`` is in clock ticks since boot, or in seconds since 1970 where there is no /proc."""

    pid: int
    started: str

    @classmethod
    def own(cls) -> Self:
        """Give the process this code runs in."""
        return cls(os.getpid(), start_time(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse what `str` wrote; None when it is something else.

        >>> Process.parse("12@99")
        Process(pid=12, started='99')
        >>> Process.parse("no process")
        """
        pid, _, started = text.partition("@")
        return cls(int(pid), started) if pid.isdigit() and started else None

    @property
    def alive(self) -> bool:
        """Whether it still runs: there is a process of this number, and it started when this one did."""
        return bool(self.started) and start_time(self.pid) == self.started

    def __str__(self) -> str:
        return f"{self.pid}@{self.started}"


def start_time(pid: int) -> str:
    """Give when a process started, "" when there is no process of that number or it is a zombie."""
    if (_PROC / "self/stat").exists():
        try:
            state, *fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except (OSError, ValueError):
            return ""
        return "" if state == "Z" else fields[18]
    import psutil  # its import would make `figureground status` slower

    try:
        process = psutil.Process(pid)
        return "" if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return ""


def find_by_environment(name: str) -> Iterator[tuple[Process, str, list[str]]]:
    """Find this user's processes whose environment has a variable.

    Yields
    ------
    tuple
        The process, the variable's value and its command line.
    """
    import psutil  # see `start_time`

    for process in psutil.process_iter():
        try:
            value, command = process.environ().get(name), process.cmdline()
        except (psutil.Error, OSError):
            continue  # it ended meanwhile, or belongs to another user
        if value is not None and (started := start_time(process.pid)):
            yield Process(process.pid, started), value, command
