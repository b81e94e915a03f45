"""Tasks that were sent to be created and whose reply was not received.

A server may still execute a request after the sender has timed out, was killed, or has looked and found nothing. So the keys
of tasks are written to a file before they are created, and stay there until the server has confirmed. When a run finds
any, it looks once more, after so long that a request without a reply is not executed any more.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from figureground.errors import StoreError


class PendingCreates:
    """The unconfirmed keys of one source; a killed process leaves them to the next.

    Parameters
    ----------
    path
        The file that holds them while there are any.
    seconds
        For so long after it was sent, a request may still be executed.

    Raises
    ------
    StoreError
        When the file cannot be read or written.
    """

    def __init__(self, path: Path, seconds: float) -> None:
        self._path, self._seconds = path, seconds
        self.keys: set[str] = set()
        self._since = 0.0
        with self._translating():
            if path.exists():
                self._since = path.stat().st_mtime
                self.keys = set(_read(path))

    @contextmanager
    def creating(self, keys: Iterable[str]) -> Iterator[None]:
        """Record keys while the block creates them; they stay recorded when the block fails."""
        before, since = frozenset(self.keys), self._since
        self.keys |= set(keys)
        self._write(time.time())
        yield
        self.keys = set(before)
        self._write(since)

    def seconds_left(self) -> float:
        """Compute how many seconds to wait until looking again is conclusive."""
        return max(0.0, self._since + self._seconds - time.time()) if self.keys else 0.0

    def clear(self) -> None:
        """Forget all keys: they were looked up again."""
        self.keys = set()
        self._write(0.0)

    def _write(self, since: float) -> None:
        self._since = since
        with self._translating():
            if self.keys:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text(json.dumps(sorted(self.keys)), encoding="utf-8")
                os.utime(self._path, (since, since))
            else:
                self._path.unlink(missing_ok=True)

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error}; make the storage writable, then run again") from error


def _read(path: Path) -> list[str]:
    """Read the keys; a file that a kill cut short counts as one unknown key, so that the next run looks again."""
    try:
        return [str(key) for key in json.loads(path.read_text(encoding="utf-8"))]
    except ValueError:
        return ["?"]
