"""Locks on sources, which the system frees when their process ends, and beside each a note: which run, since when, how far.

There are two kinds. A run that writes a source's frames, crops and mattes or sends them to Label Studio holds ``make``; one
that writes its labels holds ``labels``, so that a pull does not wait all night for an ingest. The notes are for people
(`figureground status`): nothing is decided by them.

Above both stands the lock of the whole storage, `hold_storage`: every command that writes shares it with the others, and one
that deletes a source has it alone. What is forgotten can then not be written again by a run that began before.
"""

import fcntl
import json
import logging
import os
import platform
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from figureground import documents
from figureground.errors import StoreError
from figureground.storage.processes import Process

if TYPE_CHECKING:
    from filelock import FileLock

Kind = Literal["make", "labels"]
KINDS: tuple[Kind, ...] = ("make", "labels")
_WRITE_EVERY_SECONDS = 1.0
_SILENT_AT_MOST_SECONDS = 600.0
_STORAGE = "storage"
_WAIT_SECONDS = 60.0
_POLL_SECONDS = 0.05

_log = logging.getLogger(__name__)


def format_now() -> str:
    """Format the present time, UTC, to the second.

    >>> len(format_now())
    20
    """
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class LockNote:
    """The run that processes a source. Its stage has done ``done`` of ``total``, which is 0 when it is unknown."""

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
        """Give a note of this process."""
        return cls(flow, platform.node(), str(Process.own()), format_now(), updated=format_now())

    @property
    def alive(self) -> bool:
        """Whether its run still runs: its process does, or on another machine it was updated within ten minutes."""
        if self.host != platform.node():
            if not self.updated:
                return False
            updated = datetime.fromisoformat(self.updated)
            return (datetime.now(UTC) - updated).total_seconds() < _SILENT_AT_MOST_SECONDS
        process = Process.parse(self.process)
        return process is not None and process.alive

    def __str__(self) -> str:
        return f"{self.flow} (process {self.process.partition('@')[0]} on {self.host}) since {self.since}"


def read_note(path: Path) -> LockNote | None:
    """Read a note; None when there is none, an incomplete one after a power failure, or something else."""
    try:
        note = LockNote(**documents.parse_json(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return note if _has_valid_types(note) else None


def _has_valid_types(note: LockNote) -> bool:
    try:
        if datetime.fromisoformat(note.updated or note.since).tzinfo is None:
            return False
    except (ValueError, TypeError):
        return False
    texts = (note.flow, note.host, note.process, note.since, note.stage, note.updated, note.prefect_run)
    return all(isinstance(text, str) for text in texts) and isinstance(note.done, int) and isinstance(note.total, int)


def list_notes(folder: Path) -> list[Path]:
    """List the files that may be notes: hidden files, as other systems lay them beside copies, and folders are none."""
    return [path for path in sorted(folder.glob("*.json")) if not path.name.startswith(".") and path.is_file()]


def write_note(path: Path, content: dict[str, Any]) -> None:
    """Replace a note as a whole. It is not flushed to the disk: after a power failure no run is running.

    Raises
    ------
    StoreError
        When it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise _write_error(path, error) from error


class HeldLocks:
    """The locks that a run holds; it writes its progress into their notes.

    Parameters
    ----------
    folder
        The folder of the locks: ``.locks`` in the storage.
    kind
        The kind of lock.
    flow
        The run's name for people.
    """

    def __init__(self, folder: Path, kind: Kind, flow: str) -> None:
        self._folder, self._note = folder / kind, LockNote.own(flow)
        self._held: dict[str, FileLock] = {}
        self._written: dict[str, tuple[float, str]] = {}
        self._write_lock = threading.Lock()

    def acquire(self, source_id: str) -> LockNote | None:
        """Take a source's lock.

        Returns
        -------
        LockNote or None
            None when it was taken; else the note of the run that holds it.

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
            return read_note(self._note_path(source_id)) or LockNote("another run", "this machine", "?@?", "a moment ago")
        except OSError as error:
            raise _write_error(self._folder, error) from error
        self._held[source_id] = lock
        write_note(self._note_path(source_id), asdict(self._note))
        return None

    def write_progress(self, stage: str, source_id: str, done: int, total: int) -> None:
        """Write a source's progress, at most once a second and whenever its stage changes; a `progress.Listener`."""
        with self._write_lock:
            last, last_stage = self._written.get(source_id, (0.0, ""))
            if source_id not in self._held or (stage == last_stage and time.monotonic() - last < _WRITE_EVERY_SECONDS):
                return
            self._written[source_id] = (time.monotonic(), stage)
            note = replace(self._note, stage=stage, done=done, total=total, updated=format_now())
            try:
                write_note(self._note_path(source_id), asdict(note))
            except StoreError as error:
                _log.warning("%s", error)  # the stage itself will fail when the disk is full

    def release(self, source_id: str) -> None:
        """Release a source's lock and remove its note."""
        with self._write_lock:
            lock = self._held.pop(source_id)
            with suppress(OSError):
                self._note_path(source_id).unlink(missing_ok=True)
            lock.release()

    def release_all(self) -> None:
        """Release all locks."""
        for source_id in list(self._held):
            self.release(source_id)

    def _note_path(self, source_id: str) -> Path:
        return self._folder / f"{source_id}.json"


@contextmanager
def hold_locks(
    folder: Path, kind: Kind, flow: str, source_ids: Sequence[str]
) -> Iterator[tuple[HeldLocks, dict[str, LockNote]]]:
    """Hold the locks of sources during the block, except those that another run holds.

    Yields
    ------
    tuple
        The locks that are held, and the notes of the other runs by source.
    """
    from figureground.progress import subscribe

    with ExitStack() as stack:
        locks = HeldLocks(folder, kind, flow)
        stack.callback(locks.release_all)
        busy = {source_id: note for source_id in source_ids if (note := locks.acquire(source_id))}
        stack.callback(subscribe(locks.write_progress))
        yield locks, busy


def read_notes(folder: Path, kind: Kind) -> dict[str, LockNote]:
    """Read the notes of running runs by source; those that dead processes left are skipped."""
    notes = {path.stem: read_note(path) for path in list_notes(folder / kind)}
    return {source_id: note for source_id, note in notes.items() if note and note.alive}


def remove_stale_notes(folder: Path) -> list[str]:
    """Remove the notes that dead processes of this machine left, and name them. Their locks are already free."""
    removed = []
    for kind in KINDS:
        for path in list_notes(folder / kind):
            note = read_note(path)
            if note is None or (note.host == platform.node() and not note.alive):
                path.unlink(missing_ok=True)
                removed.append(f"{kind}/{path.name}")
        for path in sorted((folder / kind).glob("*.json.new")):
            if not path.with_suffix("").exists():
                path.unlink(missing_ok=True)
                removed.append(f"{kind}/{path.name}")
    return removed


@contextmanager
def hold_storage(folder: Path, flow: str, *, alone: bool = False, wait: bool = True) -> Iterator[None]:
    """Share the storage with the other commands that write to it, or have it alone, during the block.

    Whoever wants it alone is refused while any other command writes. A command that begins while another one has it alone
    waits for it: deleting takes seconds.

    Parameters
    ----------
    folder
        The folder of the locks: ``.locks`` in the storage.
    flow
        The command's name for people.
    alone
        No other command may write during the block.
    wait
        Wait while another command has it alone.

    Raises
    ------
    StoreError
        When another command writes, or has the storage alone and is not waited for or takes longer than a minute; or the folder
        cannot be written to.
    """
    notes = folder / _STORAGE
    try:
        notes.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder / f"{_STORAGE}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise _write_error(folder, error) from error
    try:
        _lock_storage(handle, notes, alone, 0.0 if alone or not wait else _WAIT_SECONDS)
        note = notes / f"{uuid.uuid4().hex}.json"
        write_note(note, asdict(LockNote.own(flow)))
        try:
            yield
        finally:
            with suppress(OSError):
                note.unlink(missing_ok=True)
    finally:
        os.close(handle)


def _lock_storage(handle: int, notes: Path, alone: bool, seconds: float) -> None:
    until = time.monotonic() + seconds
    while not _try_lock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH):
        if time.monotonic() >= until:
            holders = "; ".join(map(str, _read_holders(notes))) or "another run"
            stop = " or stop it with Ctrl-C (what is finished is kept)" if alone else ""
            raise StoreError(f"the storage is in use by {holders}. Wait until it ends{stop}, then run again")
        time.sleep(_POLL_SECONDS)


def _try_lock(handle: int, mode: int) -> bool:
    try:
        fcntl.flock(handle, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holders(notes: Path) -> list[LockNote]:
    """Read the notes of the commands that hold the storage, and remove those that dead processes of this machine left."""
    holders = []
    for path in sorted(notes.glob("*.json")):
        note = read_note(path)
        if note is not None and note.alive:
            holders.append(note)
        elif note is not None and note.host == platform.node():
            path.unlink(missing_ok=True)
    return sorted(holders, key=lambda note: note.since)


def _write_error(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error.strerror}. Free some space, change its permissions, or set another `storage:` in the "
        "catalog (`local:` when it is behind an address), then run again"
    )
