"""What was sent and not heard of.

A server may still do what it was sent after the sender has timed out, was killed, or has looked and found nothing there. So
the keys of what is being created are written down before, and stand there until the server has said that it is done. Who
finds any looks once more after so long that a request that nobody hears is taken for dead.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from figureground.errors import StoreError


class Doubts:
    """The doubtful keys of one source; a killed process leaves them to the next.

    Parameters
    ----------
    path
        The file they stand in while there are any.
    seconds
        How long a request may still be done after it was sent.

    Raises
    ------
    StoreError
        When the file cannot be read or written.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self.keys: set[str] = set()
        self._since = 0.0
        with self._translated():
            if path.exists():
                self._since = path.stat().st_mtime
                self.keys = set(_read(path))

    @contextmanager
    def over(self, keys: Iterable[str]) -> Iterator[None]:
        """Doubt keys while they are created, and for as long as nobody has said that they are."""
        before, since = frozenset(self.keys), self._since
        self.keys |= set(keys)
        self._write(time.time())
        yield
        self.keys = set(before)
        self._write(since)

    def left(self) -> float:
        """Say how many seconds to wait before looking again settles it."""
        return max(0.0, self._since + self._seconds - time.time()) if self.keys else 0.0

    def clear(self) -> None:
        """Take it as settled."""
        self.keys = set()
        self._write(0.0)

    def _write(self, since: float) -> None:
        self._since = since
        with self._translated():
            if self.keys:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text(json.dumps(sorted(self.keys)), encoding="utf-8")
                os.utime(self._path, (since, since))
            else:
                self._path.unlink(missing_ok=True)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot keep {self._path}: {error}; make the storage writable, then run again") from error


def _read(path: Path) -> list[str]:
    """Read the keys; of a file that a kill cut short none, which a look at the server makes good."""
    try:
        return [str(key) for key in json.loads(path.read_text(encoding="utf-8"))]
    except ValueError:
        return ["?"]
