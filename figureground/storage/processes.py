"""Which process is meant: its number is used again, its number with the moment it began is not."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process of this machine; ``began`` is in clock ticks since boot, or as ps says it where there is no /proc."""

    pid: int
    began: str

    @classmethod
    def own(cls) -> Self:
        """Give the process this runs in."""
        return cls(os.getpid(), start_time(os.getpid()))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read what `str` wrote; None when it is something else.

        >>> Process.parse("12@99")
        Process(pid=12, began='99')
        >>> Process.parse("nobody")
        """
        pid, _, moment = text.partition("@")
        return cls(int(pid), moment) if pid.isdigit() and moment else None

    @property
    def alive(self) -> bool:
        """Whether it still runs: there is such a number, and it began when this one did."""
        return bool(self.began) and start_time(self.pid) == self.began

    def __str__(self) -> str:
        return f"{self.pid}@{self.began}"


def start_time(pid: int) -> str:
    """Give when a process began, "" when there is none of that number or only its remains."""
    if (_PROC / "self/stat").exists():
        try:
            state, *rest = (_PROC / str(pid) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except (OSError, ValueError):
            return ""
        return "" if state == "Z" else rest[18]
    told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    state, _, moment = told.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else "_".join(moment.split())


def find_by_environment(name: str) -> Iterator[tuple[Process, str, list[str]]]:
    """Find this user's processes whose environment has a variable.

    Yields
    ------
    tuple
        The process, the variable's value and its command line. Nothing where there is no /proc.
    """
    mark = f"{name}=".encode()
    for folder in sorted(_PROC.glob("[0-9]*")) if sys.platform == "linux" else ():
        try:
            environment = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue  # gone meanwhile, or somebody else's
        value = next((entry.removeprefix(mark) for entry in environment if entry.startswith(mark)), None)
        if value is not None and (moment := start_time(int(folder.name))):
            yield Process(int(folder.name), moment), value.decode(errors="replace"), command
