"""Pages, feeds and prefixes: what is new is taken once, what is not taken says why, half a download is carried on."""

import gc
import importlib.util
import json
import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.sources import transfer
from figureground.clients.sources.host_allowlist import HostError
from figureground.clients.sources.identity import expand
from figureground.errors import FiguregroundError, SourceError, TransientError
from figureground.storage import downloads
from figureground.storage.store import Store
from figureground.types import TableRef
from tasks.datasets.forget import forget
from tasks.ingest.discover import describe_refusals, discover
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),  # yt-dlp's and aiobotocore's own
]

CC_BY = "https://creativecommons.org/licenses/by/4.0/"


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    """Collect what yt-dlp leaves open of a stream that was refused half-way: here, where that is expected."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def clip_server() -> Any:
    spec = importlib.util.spec_from_file_location("clip_server", Path(__file__).parents[2] / "clip_server.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    sys.modules["clip_server"] = module
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Three short films, each another noise."""
    made = []
    for seed in range(3):
        path = tmp_path_factory.mktemp("clips") / "clip.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt, stream.time_base = 160, 120, "yuv420p", Fraction(1, 10)
            for noise in np.random.default_rng(seed).integers(0, 255, (12, 120, 160, 3), dtype=np.uint8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
            container.mux(stream.encode())
        made.append(path.read_bytes())
    return made


@pytest.fixture
def site(clip_server: Any, clips: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    with clip_server.serving() as found:
        for name, content in zip(("one", "two", "three"), clips, strict=True):
            found.files[f"/clips/{name}.mp4"] = content
        found.files["/feed.xml"] = found.feed("/clips/one.mp4", "/clips/two.mp4", "/clips/three.mp4")
        yield found


class Walks:
    """A catalog with one page as its source, gone through as the nightly ingest does."""

    def __init__(self, made: Catalog, path: str, **entry: Any) -> None:
        content = made.model_dump(exclude={"folder", "local"}) | {"folder": made.folder, "allow_hosts": ["127.0.0.1"]}
        content["recipe"]["sample"] = {"every_frames": 4}
        self.content = content | {"sources": {"walks": {"kind": "web", "path": path, "license": "CC0-1.0"} | entry}}

    @property
    def catalog(self) -> Catalog:
        return Catalog.model_validate(self.content)

    @property
    def entry(self) -> dict[str, Any]:
        return self.content["sources"]["walks"]

    @property
    def store(self) -> Store:
        return Store(self.catalog.storage_root)

    def look(self) -> dict[str, str]:
        """Source id to why it is not taken."""
        ref = discover.fn(self.catalog.source("walks"), self.catalog)
        return {row["source_id"]: row["reason"] for row in tables.read(self.store, ref).rows.to_dict("records")}

    def fetch(self) -> list[TableRef]:
        return [fetch.fn(one, self.catalog) for one in expand(self.catalog.source("walks"), self.catalog)]

    def rows(self) -> list[dict[str, Any]]:
        return [tables.read(self.store, ref).rows.to_dict("records")[0] for ref in self.fetch()]


@pytest.fixture
def walks(tmp_path: Path, make_catalog: Callable[..., Catalog]) -> Callable[..., Walks]:
    return lambda path, **entry: Walks(make_catalog(tmp_path), path, **entry)


def names(found: dict[str, str]) -> list[str]:
    return sorted(name.rsplit("-", 1)[0] for name in found)


# --- pages and feeds ---


def test_a_feed_becomes_sources_that_are_fetched_once(site: Any, walks: Callable[..., Walks], clips: list[bytes]) -> None:
    here = walks(site.url + "/feed.xml")
    found = here.look()
    assert names(found) == ["walks-one", "walks-three", "walks-two"] and set(found.values()) == {""}
    rows = here.rows()

    assert sorted(here.store.read(row["file"], row["sha256"]) for row in rows) == sorted(clips)
    one = next(row for row in rows if row["source_id"].startswith("walks-one"))
    assert one == {
        "source_id": one["source_id"], "path": f"{site.url}/clips/one.mp4", "license": "CC0-1.0",
        "file": f"videos/{one['source_id']}/{one['source_id'].removeprefix('walks-')}.mp4", "sha256": one["sha256"],
        "title": "clip /clips/one.mp4", "uploader": "", "page": f"{site.url}/clips/one.mp4", "uploaded": one["uploaded"],
        "site": "Generic", "clip_id": f"127.0.0.1:{site.port}/clips/one.mp4",
    }  # fmt: skip
    source = next(one for one in expand(here.catalog.source("walks"), here.catalog) if one.source_id.startswith("walks-one"))
    assert source.kind == "video"
    assert sample.fn(source, tables.find(here.store, "videos", source.source_id), here.catalog).rows == 3

    site.asked.clear()
    assert here.look() == found
    here.fetch()
    assert [path for _, path, _ in site.asked] == ["/feed.xml"]  # the list itself, and nothing else


def test_only_what_is_new_on_the_list_is_asked_for(site: Any, walks: Callable[..., Walks]) -> None:
    site.files["/feed.xml"] = site.feed("/clips/one.mp4")
    here = walks(site.url + "/feed.xml")
    first = here.look()
    here.fetch()
    site.files["/feed.xml"] = site.feed("/clips/two.mp4", "/clips/one.mp4")
    site.asked.clear()
    second = here.look()
    here.fetch()
    assert names(second) == ["walks-one", "walks-two"] and first.items() <= second.items()
    assert {path for _, path, _ in site.asked} == {"/feed.xml", "/clips/two.mp4"}

    site.files["/feed.xml"] = site.feed("/clips/three.mp4")
    assert names(here.look()) == ["walks-one", "walks-three", "walks-two"]  # what was fetched stays a source


def test_what_was_dropped_or_lost_is_not_fetched_again(site: Any, walks: Callable[..., Walks]) -> None:
    here = walks(site.url + "/feed.xml")
    here.look()
    before = here.fetch()
    shutil.rmtree(here.catalog.folder / "data/videos")
    damaged = here.catalog.folder / f"data/{before[0].file}"
    damaged.write_bytes(damaged.read_bytes()[:100])
    shutil.rmtree(here.catalog.folder / "data/tables/listings")
    site.asked.clear()

    assert set(here.look().values()) == {""}
    assert here.fetch() == before  # the table is made again from the archive
    assert [path for _, path, _ in site.asked] == ["/feed.xml"]


def test_a_kill_between_table_and_archive_costs_no_download(site: Any, walks: Callable[..., Walks]) -> None:
    here = walks(site.url + "/feed.xml")
    here.look()
    before = here.fetch()
    shutil.rmtree(here.catalog.folder / "data/downloads")
    site.asked.clear()
    assert here.fetch() == before
    assert not site.asked
    assert len(downloads.list_names(here.store)) == 3


def test_a_forgotten_clip_is_not_fetched_again(site: Any, walks: Callable[..., Walks]) -> None:
    here = walks(site.url + "/feed.xml")
    gone = sorted(here.look())[0]
    here.fetch()
    forget(gone, here.catalog)
    found = here.look()
    assert found[gone] == "forgotten: it was fetched once, then removed"
    assert gone not in [ref.source_id for ref in here.fetch()]
    kept = [json.loads(file.read_text()) for file in (here.catalog.folder / "data/downloads").iterdir()]
    assert [one["source_id"] for one in kept if one["row"] is None] == [gone]


def test_the_same_clip_in_two_sources_is_fetched_once(site: Any, walks: Callable[..., Walks]) -> None:
    here = walks(site.url + "/feed.xml")
    here.look()
    here.fetch()
    here.content["sources"]["again"] = here.entry | {"path": site.url + "/clips/one.mp4"}
    ref = discover.fn(here.catalog.source("again"), here.catalog)
    [row] = tables.read(here.store, ref).rows.to_dict("records")
    assert row["reason"].startswith("twice: it is the source walks-one-")
    assert expand(here.catalog.source("again"), here.catalog) == []


def test_a_page_with_several_clips_and_signed_addresses(site: Any, walks: Callable[..., Walks], clips: list[bytes]) -> None:
    page = site.page("/clips/one.mp4?sig=s3cret1", "/clips/two.mp4?sig=s3cret1", license=CC_BY)
    site.files["/page.html"] = page
    here = walks(site.url.replace("//", "//me:s3cret0@") + "/page.html?token=s3cret0", license="", licenses=["CC-BY-4.0"])
    found = here.look()
    assert names(found) == ["walks-one", "walks-two"] and set(found.values()) == {""}
    site.files["/page.html"] = page.replace(b"s3cret1", b"s3cret2")  # signed anew
    assert here.look() == found
    rows = here.rows()

    assert [row["license"] for row in rows] == ["CC-BY-4.0"] * 2
    assert sorted(here.store.read(row["file"], row["sha256"]) for row in rows) == sorted(clips[:2])
    assert {path for _, path, _ in site.asked if "/clips/" in path} >= {"/clips/one.mp4?sig=s3cret2"}
    for file in (here.catalog.folder / "data").rglob("*"):
        assert not file.is_file() or b"s3cret" not in file.read_bytes()


def test_a_feed_of_pages_is_walked(site: Any, walks: Callable[..., Walks], clips: list[bytes]) -> None:
    site.files["/a.html"] = site.page("/clips/one.mp4", license=CC_BY)
    site.files["/b.html"] = site.page("/clips/two.mp4")
    site.files["/pages.xml"] = site.feed("/a.html", "/b.html")
    here = walks(site.url + "/pages.xml", license="", licenses=["CC-BY-4.0", "CC0-1.0"])
    found = here.look()
    assert sorted(found.values()) == ["", "licence: unknown; allowed: CC-BY-4.0, CC0-1.0"]
    [row] = here.rows()
    assert (row["license"], row["page"], row["title"]) == ("CC-BY-4.0", f"{site.url}/a.html", "clip /a.html")
    assert here.store.read(row["file"], row["sha256"]) == clips[0]


def test_a_name_that_reads_like_another_sources_is_not_given(site: Any, walks: Callable[..., Walks]) -> None:
    site.files["/clips/2-x.mp4"] = site.files["/clips/one.mp4"]
    site.files["/feed.xml"] = site.feed("/clips/2-x.mp4")
    here = walks(site.url + "/feed.xml")
    here.content["sources"]["walks-2"] = {"path": "b.mp4", "license": "MIT"}
    [name] = here.look()
    assert here.catalog.entry_of(name) == "walks"
    assert here.rows()[0]["source_id"] == name


# --- limits ---


def test_each_limit_refuses_and_says_so(
    site: Any, walks: Callable[..., Walks], caplog: pytest.LogCaptureFixture, clips: list[bytes]
) -> None:
    here = walks(site.url + "/feed.xml", limits={"videos_at_most": 2})
    with caplog.at_level(logging.WARNING):
        found = here.look()
    assert sorted(found.values()) == ["", "", "number: 2 are taken; videos_at_most: 2"]
    assert "/clips/three.mp4 is not taken: number: 2 are taken" in caplog.text
    ref = discover.fn(here.catalog.source("walks"), here.catalog)
    assert describe_refusals(ref, here.catalog) == "1 of 3 are not taken (number 1); tables/listings/walks.parquet says why"
    assert not site.asked_for("/clips/three.mp4")
    here.entry["limits"] = {"videos_at_most": 3}
    assert set(here.look().values()) == {""}

    here.entry["limits"] = {"bytes_at_most": len(clips[0]) - 1}
    site.files["/single.xml"] = site.feed("/clips/one.mp4")
    here.entry["path"] = site.url + "/single.xml"
    shutil.rmtree(here.catalog.folder / "data")
    [reason] = here.look().values()
    assert "/clips/one.mp4: too big: expected at most" in reason
    assert here.fetch() == []


def test_a_rate_is_kept(site: Any, walks: Callable[..., Walks], monkeypatch: pytest.MonkeyPatch) -> None:
    import yt_dlp.downloader.common as common

    slept: list[float] = []
    monkeypatch.setattr(common.time, "sleep", slept.append)
    site.files["/feed.xml"] = site.feed("/clips/one.mp4")
    here = walks(site.url + "/feed.xml", limits={"bytes_per_second_at_most": 20_000})
    here.look()
    here.fetch()
    assert sum(slept) > 0


def test_a_download_of_unknown_size_stops_at_the_limit(site: Any, walks: Callable[..., Walks]) -> None:
    site.files["/clips/one.mp4"] += b"\0" * 30_000_000
    site.unsized.add("/clips/one.mp4")
    site.files["/feed.xml"] = site.feed("/clips/one.mp4")
    here = walks(site.url + "/feed.xml", limits={"bytes_at_most": 1_000_000})
    assert set(here.look().values()) == {""}  # nobody said how big it is
    with pytest.raises(SourceError, match=r"/clips/one\.mp4: too big: expected at most 1000000 bytes"):
        here.fetch()
    assert site.sent["/clips/one.mp4"] < 20_000_000
    assert not [path for path in (here.catalog.folder / "cache").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert not (here.catalog.folder / "data/tables/videos").exists()


def test_a_page_that_never_ends_is_cut(site: Any, walks: Callable[..., Walks]) -> None:
    site.files["/page.html"] = site.page("/clips/one.mp4") + b"<!--" + b"x" * 60_000_000
    site.unsized.add("/page.html")
    with pytest.raises(SourceError, match=r"/page\.html: too big: expected at most 33554432"):
        walks(site.url + "/page.html").look()


@pytest.mark.parametrize("path", ["/feed.xml", "/clips/one.mp4"])
def test_a_very_slow_site_is_given_up(
    site: Any, walks: Callable[..., Walks], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    here = walks(site.url + "/feed.xml")
    site.files["/feed.xml"] = site.feed("/clips/one.mp4")
    if path != "/feed.xml":
        here.look()
    monkeypatch.setattr(transfer, "PATIENCE_SECONDS", 0.3)
    site.dripping.add(path)
    begun = time.monotonic()
    with pytest.raises(TransientError, match="broke off or does not answer now"):
        here.look() if path == "/feed.xml" else here.fetch()
    assert time.monotonic() - begun < 60


def test_licences(site: Any, walks: Callable[..., Walks]) -> None:
    nc = "https://creativecommons.org/licenses/by-nc/4.0/"
    site.files["/a.html"] = site.page("/clips/one.mp4", license=nc)
    here = walks(site.url + "/a.html", licenses=["CC-BY-4.0"])
    assert list(here.look().values()) == ["licence: CC-BY-NC-4.0; allowed: CC-BY-4.0, CC0-1.0"]  # what a page states counts
    assert here.fetch() == []
    site.asked.clear()
    here.entry["licenses"] = ["CC-BY-4.0", "cc-by-nc-4.0"]
    assert list(here.look().values()) == [""]
    assert [row["license"] for row in here.rows()] == ["CC-BY-NC-4.0"]


# --- faults ---


def test_a_cut_connection_is_carried_on_with_the_rest_only(site: Any, walks: Callable[..., Walks], clips: list[bytes]) -> None:
    site.files["/feed.xml"] = site.feed("/clips/one.mp4")
    here = walks(site.url + "/feed.xml")
    here.look()
    half = len(clips[0]) // 2
    site.cut_after["/clips/one.mp4"], site.spared = half, 1  # its page is looked at first
    with pytest.raises(TransientError, match=r"broke off or does not answer now .*503"):
        here.fetch()
    assert not (here.catalog.folder / "data/videos").exists()
    site.cut_after.clear(), site.statuses.clear(), site.asked.clear(), site.sent.clear()

    [row] = here.rows()
    assert here.store.read(row["file"], row["sha256"]) == clips[0]
    assert site.asked_for("/clips/one.mp4")[-1] == f"bytes={half}-"
    assert not list((here.catalog.folder / "cache/unfinished").glob("*/"))


def test_half_of_a_clip_that_was_replaced_is_dropped(site: Any, walks: Callable[..., Walks], clips: list[bytes]) -> None:
    site.files["/feed.xml"] = site.feed("/clips/one.mp4")
    here = walks(site.url + "/feed.xml")
    here.look()
    site.cut_after["/clips/one.mp4"], site.spared = len(clips[0]) // 2, 1
    with pytest.raises(TransientError):
        here.fetch()
    site.cut_after.clear(), site.statuses.clear()
    site.files["/clips/one.mp4"] = clips[1]
    [row] = here.rows()
    assert here.store.read(row["file"], row["sha256"]) == clips[1]


@pytest.mark.parametrize("path", ["/moved.mp4", "/moved.xml"])
def test_a_redirect_to_a_private_host_is_refused(site: Any, walks: Callable[..., Walks], path: str) -> None:
    site.redirects[path] = f"http://localhost:{site.port}/clips/one.mp4"
    with pytest.raises(HostError, match=r"localhost .*is not a public host"):
        walks(site.url + path).look()
    site.files["/feed.xml"] = site.feed(path, "/clips/two.mp4")
    here = walks(site.url + "/feed.xml")
    reasons = sorted(here.look().values())
    assert reasons[0] == "" and "is not a public host" in reasons[1]  # the others go on
    assert not site.asked_for("/clips/one.mp4")
    assert len(here.fetch()) == 1


def test_names_that_mean_this_machine_are_refused(site: Any, walks: Callable[..., Walks]) -> None:
    for host in ("localhost", "2130706433", "0x7f000001", "[::1]"):
        with pytest.raises(HostError, match=r"is not a public host.*allow_hosts"):
            walks(f"http://{host}:{site.port}/feed.xml").look()
    assert not site.asked


@pytest.mark.parametrize("where", ["file:///etc/passwd", "ftp://127.0.0.1/a.mp4"])
def test_nothing_but_the_web_is_asked(site: Any, walks: Callable[..., Walks], where: str) -> None:
    site.files["/feed.xml"] = site.feed("/clips/one.mp4").replace(f"{site.url}/clips/one.mp4".encode(), where.encode())
    found = walks(site.url + "/feed.xml").look()
    assert all("cannot be had" in reason for reason in found.values())


def stream(clips_at: str) -> bytes:
    return (
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{clips_at}/0.ts\n#EXTINF:1,\n{clips_at}/1.ts\n#EXT-X-ENDLIST\n".encode()
    )


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory, clips: list[bytes]) -> list[bytes]:
    """The first film in two pieces, as a stream has them."""
    folder = tmp_path_factory.mktemp("segments")
    (folder / "clip.mp4").write_bytes(clips[0])
    with av.open(str(folder / "clip.mp4")) as film, av.open(str(folder / "whole.ts"), "w") as whole:
        track = whole.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = track
                whole.mux(packet)
    content = (folder / "whole.ts").read_bytes()
    half = len(content) // 2 // 188 * 188
    return [content[:half], content[half:]]


def test_a_stream_in_pieces_needs_no_other_program(site: Any, walks: Callable[..., Walks], segments: list[bytes]) -> None:
    site.files |= {"/live.m3u8": stream("/hls"), "/hls/0.ts": segments[0], "/hls/1.ts": segments[1]}
    here = walks(site.url + "/live.m3u8")
    assert set(here.look().values()) == {""}
    [row] = here.rows()
    assert here.store.read(row["file"], row["sha256"]) == b"".join(segments)
    [source] = expand(here.catalog.source("walks"), here.catalog)
    assert sample.fn(source, tables.find(here.store, "videos", source.source_id), here.catalog).rows == 3


def test_pieces_on_a_private_host_are_refused_and_all_pieces_count(
    site: Any, walks: Callable[..., Walks], segments: list[bytes]
) -> None:
    site.files |= {
        "/live.m3u8": stream(f"http://localhost:{site.port}/hls"),
        "/hls/0.ts": segments[0],
        "/hls/1.ts": segments[1],
    }
    here = walks(site.url + "/live.m3u8")
    here.look()
    with pytest.raises(HostError, match=r"/hls/0\.ts: localhost "):
        here.fetch()
    assert not site.asked_for("/hls/0.ts")
    site.files["/live.m3u8"] = stream("/hls")
    here.entry["limits"] = {"bytes_at_most": len(segments[0]) + len(segments[1]) // 2}
    with pytest.raises(SourceError, match=r"too big: expected at most"):
        here.fetch()


def test_a_proxy_does_not_open_private_hosts(site: Any, walks: Callable[..., Walks], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", site.url)
    for host in ("169.254.169.254", "localhost"):
        with pytest.raises(HostError, match=r"is not a public host"):
            walks(f"http://{host}/feed.xml").look()
    assert not site.asked
    with pytest.raises(SourceError, match="404"):
        walks("http://only-the-proxy-knows.invalid/feed.xml").look()
    assert [path for _, path, _ in site.asked] == ["http://only-the-proxy-knows.invalid/feed.xml"]


def test_a_password_is_not_taken_along_to_another_host(site: Any, walks: Callable[..., Walks]) -> None:
    site.redirects["/moved.xml"] = f"http://localhost:{site.port}/feed.xml"
    here = walks(site.url.replace("//", "//me:s3cret@") + "/moved.xml")
    here.content["allow_hosts"] = ["127.0.0.1", "localhost"]
    here.look()
    assert site.passwords["/moved.xml"] and not site.passwords["/feed.xml"]


def test_a_site_that_does_not_answer_now(site: Any, walks: Callable[..., Walks]) -> None:
    here = walks(site.url + "/feed.xml")
    site.statuses["/feed.xml"] = 503
    with pytest.raises(TransientError, match=r"/feed\.xml: it broke off or does not answer now .*503.*run again"):
        here.look()
    site.statuses["/feed.xml"] = 404
    with pytest.raises(SourceError, match=r"/feed\.xml: cannot be had .*404"):
        here.look()
    site.statuses.clear()
    site.statuses["/clips/two.mp4"] = 503
    assert sum(reason.startswith("later: ") for reason in here.look().values()) == 1
    site.statuses.clear()
    assert set(here.look().values()) == {""}  # asked again, as nobody had looked at it


def test_a_hostile_title_or_name_leads_to_no_other_folder(site: Any, walks: Callable[..., Walks]) -> None:
    path = "/clips/..%2f..%2f..%2fetc%2fpasswd%00.mp4"
    site.files[path] = site.files["/clips/one.mp4"]
    feed = site.feed(path).replace(b"<title>clip", b"<title>&lt;script&gt;../../\x0bx")
    site.files["/feed.xml"] = feed.replace(b"\x0b", b" ")
    here = walks(site.url + "/feed.xml")
    [name] = here.look()
    [row] = here.rows()
    assert row["file"] == f"videos/{name}/{name.removeprefix('walks-')}.mp4"
    inside = {file.relative_to(here.catalog.folder).parts[0] for file in here.catalog.folder.rglob("*")}
    assert inside == {"data", "cache"}


# --- prefixes ---


@pytest.fixture
def bucket(bucket_server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    import s3fs

    for name, value in bucket_server.environment.items():
        if name != "AWS_ENDPOINT_URL":
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("FIGUREGROUND_CACHE", str(tmp_path / "cache"))
    bucket_server.behave(0)
    files = s3fs.S3FileSystem(endpoint_url=bucket_server.address, use_listings_cache=False, skip_instance_cache=True)
    if files.exists("bucket/clips"):
        files.rm("bucket/clips", recursive=True)
    yield files
    bucket_server.behave(0)


@pytest.fixture
def below(bucket: Any, bucket_server: Any, walks: Callable[..., Walks]) -> Walks:
    options = {"endpoint_url": bucket_server.address}
    return walks("s3://bucket/clips/", kind="video", storage_options=options)


def test_a_prefix_is_one_source_a_video_and_only_new_objects_are_fetched(bucket: Any, below: Walks, bucket_server: Any) -> None:
    bucket.pipe({"bucket/clips/day 1/A.mp4": b"a" * 9, "bucket/clips/b.MOV": b"b" * 9, "bucket/clips/notes.txt": b"n"})
    found = below.look()
    assert {name for name, reason in found.items() if not reason} == {"walks-day-1-a", "walks-b"}
    assert found["walks-notes"].startswith("ending: no video's")
    rows = below.rows()
    assert [(row["path"], row["license"]) for row in rows] == [
        ("s3://bucket/clips/b.MOV", "CC0-1.0"), ("s3://bucket/clips/day 1/A.mp4", "CC0-1.0"),
    ]  # fmt: skip
    assert below.store.read("videos/walks-day-1-a/A.mp4", rows[1]["sha256"]) == b"a" * 9

    bucket.pipe("bucket/clips/c.mp4", b"c" * 9)
    bucket_server.behave(0)
    before = below.look()
    below.fetch()
    asked = bucket_server.counts()
    assert asked == {"GET ": 1, "HEAD clips c.mp4": 2, "GET clips c.mp4": 1}  # the list, and the one that is new
    bucket.pipe("bucket/clips/b.MOV", b"B" * 11)  # replaced: new under the old name
    assert below.look() == before
    assert below.store.read("videos/walks-b/b.MOV", below.rows()[0]["sha256"]) == b"B" * 11
    bucket.rm("bucket/clips/c.mp4")
    assert below.look() == before  # what was fetched stays a source


def test_busy_storages_are_asked_again_and_half_an_object_is_carried_on(
    bucket: Any, below: Walks, bucket_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from figureground.clients.sources import object_storage

    content = np.random.default_rng(0).bytes(1_000_000)
    bucket.pipe("bucket/clips/long.mp4", content)
    below.look()
    monkeypatch.setattr(object_storage, "_BLOCK", 100_000)
    real, reads = object_storage.keep_pace, []

    def vanish(*given: Any) -> None:
        reads.append(given)
        if len(reads) == 4:
            bucket_server.behave(1.0)  # from now on nothing but 503
        real(*given)

    monkeypatch.setattr(object_storage, "keep_pace", vanish)
    with pytest.raises(TransientError, match=r"s3://bucket/clips/long\.mp4: the storage does not answer now"):
        below.fetch()
    bucket_server.behave(0.2, seed=3)
    [row] = below.rows()
    assert below.store.read(row["file"], row["sha256"]) == content
    assert len(reads) == 10  # four, then the six that were missing


@pytest.mark.parametrize(
    ("limits", "reason"),
    [({"bytes_at_most": 5}, "size: 9 bytes; bytes_at_most: 5"), ({"videos_at_most": 1}, "number: 1 are taken")],
)
def test_limits_of_a_prefix(bucket: Any, below: Walks, limits: dict[str, int], reason: str) -> None:
    bucket.pipe({"bucket/clips/a.mp4": b"a" * 5, "bucket/clips/b.mp4": b"b" * 9})
    below.entry["limits"] = limits
    found = below.look()
    assert found["walks-a"] == "" and found["walks-b"].startswith(reason)


def test_object_keys_cannot_lead_out_of_the_folder(bucket: Any, below: Walks) -> None:
    bucket.pipe(
        {
            "bucket/clips/x/..%2f..%2fy.mp4": b"hidden, as its name begins with a dot",
            "bucket/clips/x/y%2f..%2f..%2f..%2fz.mp4": b"a",
            "bucket/clips/-rf ~.mp4": b"b",
            "bucket/clips/A.mp4": b"c",
            "bucket/clips/a.mov": b"d",
        }
    )
    found = below.look()
    assert len(found) == 4 and set(found.values()) == {""}
    for row in below.rows():
        assert below.store.path(row["file"]).resolve().is_relative_to(below.catalog.folder / "data/videos")


def test_a_prefix_that_is_not_there_is_named(bucket: Any, below: Walks, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"s3://bucket/clips/: nothing lies there"):
        below.look()
    below.entry["path"] = "s3://no-such-bucket/clips/"
    with pytest.raises(FiguregroundError, match=r"s3://no-such-bucket/clips/: "):
        below.look()
