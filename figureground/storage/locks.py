"""Who works on which source: locks that a dead process does not hold, and beside each a note who, since when and how far.

There are two kinds. ``make`` is held by who writes a source's frames, crops and mattes or gives them to Label Studio;
``answers`` by who writes its labels, so that a pull does not wait all night for an ingest. The kernel frees the lock of a
process that ends, however it ends. The notes are for people (`figureground status`): nothing is decided by them.
"""

import json
import logging
import platform
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from figureground.errors import StoreError
from figureground.storage.processes import Process

if TYPE_CHECKING:
    from filelock import FileLock

Kind = Literal["make", "answers"]
KINDS: tuple[Kind, ...] = ("make", "answers")
_EVERY_SECONDS = 1.0
_SILENT_SECONDS = 600.0

_log = logging.getLogger(__name__)


def format_now() -> str:
    """Give the time, UTC, to the second.

    >>> len(format_now())
    20
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class LockNote:
    """Who works on a source. ``done`` of ``total`` is how far the stage is, ``total`` 0 when nobody knows."""

    flow: str
    host: str
    process: str
    since: str
    stage: str = ""
    done: int = 0
    total: int = 0
    updated: str = ""
    prefect_run: str = ""

    @classmethod
    def own(cls, flow: str) -> Self:
        """Give the note of this process."""
        return cls(flow, platform.node(), str(Process.own()), format_now(), updated=format_now())

    @property
    def alive(self) -> bool:
        """Whether who wrote it still works: its process runs, or on another machine it wrote within ten minutes."""
        if self.host != platform.node():
            updated = datetime.fromisoformat(self.updated)
            return (datetime.now(UTC) - updated).total_seconds() < _SILENT_SECONDS
        process = Process.parse(self.process)
        return process is not None and process.alive

    def __str__(self) -> str:
        return f"{self.flow} (process {self.process.partition('@')[0]} on {self.host}) since {self.since}"


def read_note(path: Path) -> LockNote | None:
    """Read a note; None when there is none, or half of one after the power went."""
    try:
        return LockNote(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_note(path: Path, content: dict[str, Any]) -> None:
    """Replace a note as a whole. It is not flushed to disk: after a power failure nobody is running anyway.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    beside = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps(content), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise _cannot(path, error) from error


class HeldLocks:
    """The locks that one run has taken; it tells its notes how far it is.

    Parameters
    ----------
    folder
        Where the locks lie, see `figureground.catalog.schema.Catalog.locks_folder`.
    kind
        Which kind.
    flow
        What people call the run.
    """

    def __init__(self, folder: Path, kind: Kind, flow: str) -> None:
        self._folder, self._notes = folder / kind, LockNote.own(flow)
        self._held: dict[str, FileLock] = {}
        self._told: dict[str, tuple[float, str]] = {}
        self._writing = threading.Lock()

    def take(self, source_id: str) -> LockNote | None:
        """Take a source's lock.

        Returns
        -------
        Note or None
            None when it was taken; else who has it.

        Raises
        ------
        StoreError
            When the folder cannot be written to.
        """
        from filelock import FileLock, Timeout  # asyncio comes with it, which `figureground status` does not need

        lock = FileLock(self._folder / f"{source_id}.lock", thread_local=False)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=0)
        except Timeout:
            return read_note(self._note(source_id)) or LockNote("another run", "this machine", "?@?", "a moment ago")
        except OSError as error:
            raise _cannot(self._folder, error) from error
        self._held[source_id] = lock
        write_note(self._note(source_id), asdict(self._notes))
        return None

    def tell(self, stage: str, source_id: str, done: int, total: int) -> None:
        """Note how far a source is, at most once a second and whenever its stage changes; a `progress.Listener`."""
        with self._writing:
            last, before = self._told.get(source_id, (0.0, ""))
            if source_id not in self._held or (stage == before and time.monotonic() - last < _EVERY_SECONDS):
                return
            self._told[source_id] = (time.monotonic(), stage)
            far = replace(self._notes, stage=stage, done=done, total=total, updated=format_now())
            try:
                write_note(self._note(source_id), asdict(far))
            except StoreError as error:
                _log.warning("%s", error)  # the work itself will say that the disk is full

    def release(self, source_id: str) -> None:
        """Give a lock back."""
        with self._writing:
            lock = self._held.pop(source_id)
            with suppress(OSError):
                self._note(source_id).unlink(missing_ok=True)
            lock.release()

    def release_all(self) -> None:
        """Give all locks back."""
        for source_id in list(self._held):
            self.release(source_id)

    def _note(self, source_id: str) -> Path:
        return self._folder / f"{source_id}.json"


@contextmanager
def hold_locks(
    folder: Path, kind: Kind, flow: str, source_ids: Sequence[str]
) -> Iterator[tuple[HeldLocks, dict[str, LockNote]]]:
    """Hold the locks of sources while the block lasts, and tell which ones somebody else has.

    Yields
    ------
    tuple
        The holding, and source to note of those that were not to be had.
    """
    from figureground.progress import subscribe

    with ExitStack() as stack:
        holding = HeldLocks(folder, kind, flow)
        stack.callback(holding.release_all)
        taken = {name: note for name in source_ids if (note := holding.take(name))}
        stack.callback(subscribe(holding.tell))
        yield holding, taken


def read_notes(folder: Path, kind: Kind) -> dict[str, LockNote]:
    """Tell who works on what now; notes that dead processes left are passed over."""
    found = {path.stem: read_note(path) for path in sorted((folder / kind).glob("*.json"))}
    return {name: note for name, note in found.items() if note and note.alive}


def remove_stale_notes(folder: Path) -> list[str]:
    """Remove the notes that dead processes of this machine left, and name them. Their locks are free already."""
    removed = []
    for kind in KINDS:
        for path in sorted((folder / kind).glob("*.json")):
            note = read_note(path)
            if note is None or (note.host == platform.node() and not note.alive):
                path.unlink(missing_ok=True)
                removed.append(f"{kind}/{path.name}")
        for path in sorted((folder / kind).glob("*.json.new")):
            if not path.with_suffix("").exists():
                path.unlink(missing_ok=True)
                removed.append(f"{kind}/{path.name}")
    return removed


def _cannot(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror}. Free some space, change its permissions, or set another `storage:` in the "
        "catalog (`local:` when it is behind an address), then run again"
    )
