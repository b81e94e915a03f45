"""A storage on s3://, against a server that speaks S3 and is busy now and then."""

import contextlib
import os

import pytest

from figureground.errors import StoreError, TransientError
from figureground.storage import remote
from figureground.storage.hashing import sha256
from figureground.storage.store import StorageAddress, Store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),  # aiobotocore's own
]


@pytest.fixture
def server(bucket_server, monkeypatch):
    for name, value in bucket_server.environment.items():
        if name != "AWS_ENDPOINT_URL":
            monkeypatch.setenv(name, value)
    return bucket_server


@pytest.fixture
def store(server, monkeypatch, tmp_path) -> Store:
    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.02, 0.04, 0.08, 0.1, 0.1))
    server.behave(0)
    made = Store(StorageAddress("s3://bucket/some/prefix", {"endpoint_url": server.address}, str(tmp_path)))
    with contextlib.suppress(FileNotFoundError):
        made._fs.rm("bucket/some", recursive=True)
    server.behave(0)
    return made


def test_the_environment_alone_opens_it(store: Store, server, monkeypatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    store.write("a.txt", b"one")
    assert Store("s3://bucket/some/prefix").read("a.txt") == b"one"


def test_a_file_costs_two_requests_to_write_one_to_read_and_one_to_verify(store: Store, server) -> None:
    digest = store.write("crops/a.jpg", b"one" * 1000)
    assert server.counts() == {"HEAD some prefix": 1, "PUT some prefix": 1}
    assert store.read("crops/a.jpg", digest) == b"one" * 1000
    assert store.verifies("crops/a.jpg", digest)
    assert not store.verifies("crops/b.jpg", digest)
    assert server.counts() == {"HEAD some prefix": 3, "PUT some prefix": 1, "GET some prefix": 1}
    store.write("crops/a.jpg", b"one" * 1000)
    assert server.counts()["PUT some prefix"] == 1


def test_an_object_of_another_program_is_hashed_from_its_bytes(store: Store) -> None:
    digest = store.write("crops/a.jpg", b"one")
    store._fs.pipe_file("bucket/some/prefix/crops/a.jpg", b"two")
    assert not store.verifies("crops/a.jpg", digest)
    assert store.verifies("crops/a.jpg", sha256(b"two"))
    with pytest.raises(StoreError, match=r"crops/a\.jpg in s3://bucket/some/prefix is damaged: expected sha256 .*, found"):
        store.read("crops/a.jpg", digest)
    with pytest.raises(StoreError, match="is damaged"), store.local_file("crops/a.jpg", digest):
        pass


def test_files_of_another_machine_are_listed_at_once(store: Store, server) -> None:
    other = Store(StorageAddress("s3://bucket/some/prefix", {"endpoint_url": server.address, "default_fill_cache": False}))
    assert store.names("tables") == []
    other.write("tables/frames/a.parquet", b"a")
    assert store.names("tables") == ["tables/frames/a.parquet"]
    other.remove("tables/frames/a.parquet")
    assert store.names("tables") == []
    assert not store.exists("tables/frames/a.parquet")


def test_a_large_file_is_visible_whole_or_not_at_all(store: Store, tmp_path) -> None:
    content = os.urandom(12 << 20)
    with store.write_large("videos/a/clip.mp4") as temporary:
        temporary.write_bytes(content)
        assert store.names("videos") == []
    with store.local_file("videos/a/clip.mp4", sha256(content)) as path:
        assert path.read_bytes() == content
        kept = path
    assert not kept.exists()
    with contextlib.suppress(KeyboardInterrupt), store.write_large("videos/a/other.mp4") as temporary:
        temporary.write_bytes(b"half")
        raise KeyboardInterrupt
    assert store.names("videos") == ["videos/a/clip.mp4"]


def test_requests_to_a_busy_server_are_repeated(store: Store, server) -> None:
    server.behave(0.3, seed=3)
    contents = {f"crops/{number}.jpg": os.urandom(2000) for number in range(60)}
    hashes = {name: store.write(name, content) for name, content in contents.items()}
    assert all(store.read(name, hashes[name]) == content for name, content in contents.items())
    assert store.names("crops") == sorted(contents)
    counts = server.counts()
    assert sum(count for request, count in counts.items() if request.endswith("503")) > 30, counts


def test_a_server_that_stays_busy_gives_one_message_with_the_time_that_was_waited(store: Store, server) -> None:
    store.write("crops/a.jpg", b"one")
    server.behave(1.0)
    for request in (lambda: store.read("crops/a.jpg"), lambda: store.exists("crops/a.jpg"), lambda: store.names("crops")):
        with pytest.raises(TransientError, match=r"s3://bucket/some/prefix: .*(reduce|Unavailable).*tried 7 times"):
            request()
    with pytest.raises(TransientError, match=r"crops/b\.jpg in s3://.*nothing is half-written"):
        store.write("crops/b.jpg", b"two")
    assert sum(server.counts().values()) == 4 * 7
    server.behave(0)
    assert store.names("crops") == ["crops/a.jpg"]


def test_an_unreachable_server_is_a_temporary_error(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(remote, "PAUSES", (0.01,))
    away = Store(StorageAddress("s3://bucket/prefix", {"endpoint_url": "http://127.0.0.1:9"}))
    with pytest.raises(TransientError, match=r"cannot read a\.txt from s3://bucket/prefix"):
        away.read("a.txt")


def test_a_missing_bucket_is_reported_at_once(store: Store, server) -> None:
    nowhere = Store(StorageAddress("s3://no-such-bucket/prefix", {"endpoint_url": server.address}))
    with pytest.raises(StoreError, match=r"cannot write a\.txt to s3://no-such-bucket/prefix: .*bucket"):
        nowhere.write("a.txt", b"one")
    with pytest.raises(StoreError, match=r"a\.txt is missing"):
        nowhere.read("a.txt")


def test_releases_and_locks_are_on_this_machine_and_other_files_have_no_path(store: Store, tmp_path) -> None:
    assert store.path("releases/one") == tmp_path / "releases/one"
    assert store.path(".locks/push.lock") == tmp_path / ".locks/push.lock"
    with pytest.raises(StoreError, match="has no local path"):
        store.path("crops/a.jpg")
    assert store.location("reports/a.html") == "s3://bucket/some/prefix/reports/a.html"
