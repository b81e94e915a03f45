"""Locks on an object store, with a server that speaks S3: one holder at a time, and never for ever."""

import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from figureground.errors import StoreError, TransientError
from figureground.storage import leases
from figureground.storage.leases import hold_lease
from figureground.storage.store import StorageAddress, Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),  # aiobotocore's own
]


@pytest.fixture
def store(bucket_server, monkeypatch, request) -> Store:
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket_server.behave(0)
    return Store(StorageAddress(f"s3://bucket/leases/{request.node.name}"))


def test_a_second_process_learns_the_holder_and_until_when_and_gets_the_lease_after_it(store: Store) -> None:
    with hold_lease(store, "leases/make"):
        message = r"leases/make is locked: process \d+ on .* for another [0-9]+ s"
        with pytest.raises(TransientError, match=message), hold_lease(store, "leases/make"):
            pass
        with hold_lease(store, "leases/labels"):
            pass
    with hold_lease(store, "leases/make"):
        assert store.names("leases") == ["leases/make"]
    assert store.names("leases") == []


def test_a_lease_is_renewed_while_it_is_held(store: Store) -> None:
    with hold_lease(store, "leases/make", seconds=3.0):
        time.sleep(5)
        with pytest.raises(TransientError, match="is locked"), hold_lease(store, "leases/make"):
            pass


def test_the_lease_of_a_dead_process_expires(store: Store) -> None:
    dead = {"host": "another machine", "process": "1@1", "word": "x", "until": time.time() + 2}
    store.write("leases/make", json.dumps(dead).encode())
    with pytest.raises(TransientError, match="process 1 on another machine"), hold_lease(store, "leases/make"):
        pass
    time.sleep(2.1)
    with hold_lease(store, "leases/make"):
        pass


def test_the_lease_of_a_process_killed_on_this_machine_is_free_at_once(store: Store) -> None:
    imports = "import os; from figureground.storage.store import Store; from figureground.storage.leases import hold_lease; "
    code = imports + f"held = hold_lease(Store({store.root!r}), 'leases/make'); held.__enter__(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[3], check=False).returncode == 9
    assert store.exists("leases/make")
    with hold_lease(store, "leases/make"):
        pass


def test_only_one_of_many_processes_at_the_same_time_gets_the_lease(store: Store) -> None:
    dead = {"host": "another machine", "process": "1@1", "word": "x", "until": 0.0}
    for name in ("leases/new", "leases/left"):
        if name == "leases/left":
            store.write(name, json.dumps(dead).encode())

        def try_to_hold(_: int, name: str = name) -> bool:
            try:
                with hold_lease(Store(store.root), name):
                    time.sleep(4)
                    return True
            except TransientError:
                return False

        with ThreadPoolExecutor(6) as pool:
            assert sum(pool.map(try_to_hold, range(6))) == 1


def test_a_lease_works_on_a_busy_server(store: Store, bucket_server) -> None:
    bucket_server.behave(0.3, seed=1)
    for _ in range(5):
        with (
            hold_lease(store, "leases/make"),
            pytest.raises(TransientError, match="is locked"),
            hold_lease(store, "leases/make"),
        ):
            pass


def test_a_server_without_conditional_writes_is_refused(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(Store, "write_if", lambda self, name, content, **_: self.write(name, content))
    with pytest.raises(StoreError, match="knows no conditional writes"), hold_lease(store, "leases/make"):
        pass


def test_a_local_folder_needs_no_lease(tmp_path) -> None:
    with hold_lease(Store(str(tmp_path)), "leases/make"):
        assert not list(tmp_path.iterdir())
    assert leases.LEASE_SECONDS >= 30
