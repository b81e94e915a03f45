"""Locks for machines that share nothing but an object store: an object that only one can create, and that runs out.

A lease is made with a put that fails when the object is there (``If-None-Match: *``), and is taken over, once it has run
out, with a put that fails when somebody else changed it since it was read (``If-Match``). Who holds it writes anew long
before that. A process that dies holds it until then (on its own machine it is
known to be dead at once), so nothing waits for ever and nobody has to clear up.
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

from figureground.errors import FiguregroundError, StoreError, TransientError
from figureground.storage.processes import Process
from figureground.storage.store import Store

_log = logging.getLogger(__name__)

LEASE_SECONDS = 60.0
"""A lease lasts so long without being renewed; it is renewed every third of it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a lock: a machine's process, by a word that nobody else has, until when in seconds since 1970."""

    host: str
    process: str
    word: str
    until: float

    @property
    def over(self) -> bool:
        """Whether it ran out, or its process on this machine is dead."""
        process = Process.parse(self.process)
        dead = self.host == platform.node() and process is not None and not process.alive
        return dead or self.until < time.time()

    def __str__(self) -> str:
        left = max(0.0, self.until - time.time())
        return f"process {self.process.partition('@')[0]} on {self.host} holds it for another {left:.0f} s"


@contextmanager
def hold_lease(store: Store, name: str, *, seconds: float = LEASE_SECONDS) -> Iterator[None]:
    """Hold a lock on an object store while the block lasts.

    Parameters
    ----------
    store
        A storage on s3://. A local folder has better locks, see `figureground.storage.locks`: there this does nothing.
    name
        The lock's name in the storage, for example ``leases/park``.
    seconds
        How long the lease lasts when its holder is silent; machines' clocks must agree to a fraction of it.

    Raises
    ------
    TransientError
        When somebody else holds it; the message says who and until when.
    StoreError
        When the storage knows no conditional writes.
    """
    if store.local_only:
        yield
        return
    lock = _Lock(store, name, seconds)
    lock.take()
    done = threading.Event()
    keeper = threading.Thread(target=lock.keep, args=(done,), daemon=True)
    keeper.start()
    try:
        yield
    finally:
        done.set()
        keeper.join()
        lock.give_back()


class _Lock:
    """One lease, and the object's version that is ours."""

    def __init__(self, store: Store, name: str, seconds: float) -> None:
        self._store, self._name, self._seconds = store, name, seconds
        self._word, self._tag = uuid.uuid4().hex, ""

    def take(self) -> None:
        """Create the object, or take it over when it has run out."""
        if self._put(if_none_match="*"):
            self._prove()
            return
        found = self._read()
        if found and found[0].over and self._put(if_match=found[1]):
            return
        who = found[0] if found else "it changes hands now"
        raise TransientError(f"{self._store.place(self._name)} is locked: {who}. Wait for it or end it, then run again")

    def keep(self, done: threading.Event) -> None:
        """Renew the lease until told to stop."""
        while not done.wait(self._seconds / 3):
            try:
                if not self._put(if_match=self._tag):
                    _log.error("%s was taken over: this process was silent for too long", self._name)
                    return
            except FiguregroundError as error:
                _log.warning("%s could not be renewed: %s", self._name, error)

    def give_back(self) -> None:
        """Remove the object if it still is ours."""
        found = self._read()
        if found and found[0].word == self._word:
            self._store.remove(self._name)

    def _prove(self) -> None:
        """Refuse a server that lets two create one object: it would let two write at once."""
        if self._put(if_none_match="*", again=True):
            raise StoreError(
                f"{self._store.root} knows no conditional writes (If-None-Match), so two machines could write at once; "
                "use a server that does, or a shared folder"
            )

    def _put(self, *, if_none_match: str = "", if_match: str = "", again: bool = False) -> bool:
        """Write under a condition and tell whether it held; an answer that was lost is looked up."""
        lease = Lease(platform.node(), str(Process.own()), self._word, time.time() + self._seconds)
        content = json.dumps(asdict(lease)).encode()
        tag = self._store.put_if(self._name, content, if_none_match=if_none_match, if_match=if_match)
        if not tag and not again and (found := self._read()) and found[0].word == self._word:
            tag = found[1]
        self._tag = tag or self._tag
        return bool(tag)

    def _read(self) -> tuple[Lease, str] | None:
        """Give the lease and its version. Were it changed between, a write on this version would be refused: that is safe."""
        tag = self._store.tag(self._name)
        try:
            return (Lease(**json.loads(self._store.read(self._name))), tag) if tag else None
        except (StoreError, ValueError, TypeError):
            return None
