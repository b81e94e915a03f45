"""Locks for machines that share nothing but an object store: an object that only one process can create, and that expires.

A lease is created with a put that fails when the object exists (``If-None-Match: *``). Once it has expired, it is taken over
with a put that fails when the object changed since it was read (``If-Match``). The holder renews it long before it expires.
The lease of a dead process expires (on its own machine the process is known to be dead at once), so no run waits for ever
and nothing has to be cleaned up by hand.
"""

import json
import logging
import platform
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from figureground import documents
from figureground.errors import FiguregroundError, StoreError, TransientError
from figureground.storage.processes import Process
from figureground.storage.store import Store

_log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""How long a lease lasts without being renewed; it is renewed every third of that."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The holder of a lock: a process of a machine, its random word, and until when it holds it, in seconds since 1970."""

    host: str
    process: str
    word: str
    until: float

    @property
    def expired(self) -> bool:
        """Whether its time is over, or its process on this machine is dead."""
        process = Process.parse(self.process)
        dead = self.host == platform.node() and process is not None and not process.alive
        return dead or self.until < time.time()

    def __str__(self) -> str:
        left = max(0.0, self.until - time.time())
        return f"process {self.process.partition('@')[0]} on {self.host} holds it for another {left:.0f} s"


@contextmanager
def hold_lease(store: Store, name: str, *, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold a lock on an object store during the block.

    Parameters
    ----------
    store
        A storage on s3://. For a local folder this does nothing: it has better locks, see `figureground.storage.locks`.
    name
        The lock's name in the storage, for example ``leases/park``.
    seconds
        How long the lease lasts without being renewed; the machines' clocks must agree to a fraction of it.

    Raises
    ------
    TransientError
        When another process holds it; the message names it and says until when.
    StoreError
        When the storage has no conditional writes.
    """
    if store.local_only:
        yield
        return
    lock = _Lock(store, name, seconds)
    lock.acquire()
    finished = threading.Event()
    renewer = threading.Thread(target=lock.renew_until, args=(finished,), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        finished.set()
        renewer.join()
        lock.release()


class _Lock:
    """A lease, and the version (ETag) of the object as this process wrote it."""

    def __init__(self, store: Store, name: str, seconds: float) -> None:
        self._store, self._name, self._seconds = store, name, seconds
        self._word, self._version = uuid.uuid4().hex, ""

    def acquire(self) -> None:
        """Create the object, or take it over when it has expired."""
        if self._put(if_none_match="*"):
            self._check_conditional_writes()
            return
        lease, version = self._read() or (None, "")
        if lease and lease.expired and self._put(if_match=version):
            return
        holder = lease or "another process takes it at this moment"
        raise TransientError(f"{self._store.location(self._name)} is locked: {holder}. Wait for it or end it, then run again")

    def renew_until(self, finished: threading.Event) -> None:
        """Renew the lease until the event is set."""
        while not finished.wait(self._seconds / 3):
            try:
                if not self._put(if_match=self._version):
                    _log.error("%s was taken over: this process did not renew it in time", self._name)
                    return
            except FiguregroundError as error:
                _log.warning("%s could not be renewed: %s", self._name, error)

    def release(self) -> None:
        """Remove the object if this process still holds it."""
        lease, _ = self._read() or (None, "")
        if lease and lease.word == self._word:
            self._store.remove(self._name)

    def _check_conditional_writes(self) -> None:
        """Refuse a server that creates an existing object again: it would let two processes write at once."""
        if self._put(if_none_match="*", again=True):
            raise StoreError(
                f"{self._store.root} knows no conditional writes (If-None-Match), so two machines could write at once; "
                "use a server that does, or a shared folder"
            )

    def _put(self, *, if_none_match: str = "", if_match: str = "", again: bool = False) -> bool:
        """Write under a condition and tell whether it held; when the reply was lost, the object is read."""
        lease = Lease(platform.node(), str(Process.own()), self._word, time.time() + self._seconds)
        content = json.dumps(asdict(lease)).encode()
        version = self._store.write_if(self._name, content, if_none_match=if_none_match, if_match=if_match)
        if not version and not again and (held := self._read()) and held[0].word == self._word:
            version = held[1]
        self._version = version or self._version
        return bool(version)

    def _read(self) -> tuple[Lease, str] | None:
        """Read the lease and its version. If it changes between both requests, a write on this version fails: that is safe."""
        version = self._store.find_version(self._name)
        try:
            return (Lease(**documents.parse_json(self._store.read(self._name))), version) if version else None
        except (StoreError, ValueError, TypeError):
            return None
