"""sample: the same frames and bytes every time, and facts about what the video turned out to be."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from figureground import progress, tables
from figureground.catalog import Catalog, SampleRecipe, load
from figureground.errors import SourceError, StoreError
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.types import Source, TableRef
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample

ROOT = Path(__file__).parents[3]
VIDEOS = ROOT / "../shared/data/videos"
needs_videos = pytest.mark.skipif(not VIDEOS.is_dir(), reason="no ../shared/data")


def write_clip(path: Path, frames: int = 60) -> Path:
    """Two seconds of a square that moves over noise."""
    grain = np.random.default_rng(7).integers(0, 80, (96, 128, 3), np.uint8)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(frames):
            image = grain.copy()
            image[20:60, number : number + 30] = 250, 40, 10
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture
def park(catalog: Catalog) -> Source:
    write_clip(catalog.folder / "park.mp4")
    return catalog.source("park")


def taken(store: Store, ref: TableRef) -> list[str]:
    return list(tables.read(store, ref).rows["frame_id"])


def snapshot(folder: Path) -> dict[str, tuple[int, int, str]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and ".locks" not in path.parts]
    return {str(path): (path.stat().st_ino, path.stat().st_mtime_ns, sha256(path.read_bytes())) for path in files}


def stepping(catalog: Catalog, **steps: float) -> Catalog:
    return catalog.model_copy(update={"recipe": catalog.recipe.model_copy(update={"sample": SampleRecipe(**steps)})})


def test_frames_are_jpegs_of_their_moments(catalog: Catalog, park: Source) -> None:
    store = Store(catalog.storage_root)
    frames = tables.read(store, sample.fn(park, fetch.fn(park, catalog), catalog))

    assert list(frames.rows["frame_id"]) == ["park-000000", "park-000015", "park-000030", "park-000045"]
    assert list(frames.rows["seconds"]) == pytest.approx([0, 0.5, 1, 1.5])
    assert frames.facts == {
        "promised": 60, "decoded": 60, "truncated": False, "corrupt": 0, "smeared": 0,
        "seconds": 2.0, "fps": 30.0, "codec": "h264",
    }  # fmt: skip
    for row in frames.rows.to_dict("records"):
        assert row["file"] == f"frames/park/{row['frame_id']}.jpg"
        image = cv2.imread(str(store.path(row["file"])))
        assert image.shape == (row["height"], row["width"], 3) == (96, 128, 3)
        blue, green, red = image[40, row["index"] + 15]
        assert (red > 220, green < 80, blue < 50) == (True, True, True)


def test_a_second_run_writes_nothing(catalog: Catalog, park: Source) -> None:
    videos = fetch.fn(park, catalog)
    ref = sample.fn(park, videos, catalog)
    before = snapshot(catalog.folder)

    assert sample.fn(park, videos, catalog) == ref
    assert snapshot(catalog.folder) == before


def test_other_steps_take_other_frames(catalog: Catalog, park: Source) -> None:
    store, videos = Store(catalog.storage_root), fetch.fn(park, catalog)

    assert taken(store, sample.fn(park, videos, stepping(catalog, every_frames=40))) == ["park-000000", "park-000040"]
    assert len(taken(store, sample.fn(park, videos, stepping(catalog, every_seconds=0.25)))) == 8


def test_a_lost_frame_is_made_again(catalog: Catalog, park: Source) -> None:
    store, videos = Store(catalog.storage_root), fetch.fn(park, catalog)
    ref = sample.fn(park, videos, catalog)
    lost = store.path("frames/park/park-000030.jpg")
    content = lost.read_bytes()
    lost.unlink()

    assert sample.fn(park, videos, catalog) == ref
    assert lost.read_bytes() == content


def test_an_interrupted_run_ends_in_the_same_bytes(catalog: Catalog, park: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    videos = fetch.fn(park, catalog)
    whole = sample.fn(park, videos, catalog)
    expected = {name: digest for name, (_, _, digest) in snapshot(catalog.folder).items()}
    store, write = Store(catalog.storage_root), Store.write
    for name in [*store.names("frames"), whole.file]:
        store.path(name).unlink()

    def dies(self: Store, name: str, content: bytes) -> str:
        if "000030" in name:
            raise KeyboardInterrupt
        return write(self, name, content)

    monkeypatch.setattr(Store, "write", dies)
    with pytest.raises(KeyboardInterrupt):
        sample.fn(park, videos, catalog)
    monkeypatch.setattr(Store, "write", write)
    assert tables.find(store, "frames", "park") is None

    assert sample.fn(park, videos, catalog) == whole
    assert {name: digest for name, (_, _, digest) in snapshot(catalog.folder).items()} == expected


def test_a_cut_video_gives_its_frames_and_says_so(catalog: Catalog, park: Source) -> None:
    clip = catalog.folder / "park.mp4"
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size * 6 // 10])
    frames = tables.read(Store(catalog.storage_root), sample.fn(park, fetch.fn(park, catalog), catalog))

    assert frames.facts["truncated"]
    assert frames.facts["promised"] == 60 > frames.facts["decoded"] > 1
    assert len(frames.rows) >= 1


def album(catalog: Catalog) -> Source:
    """Five files of a folder: a good photo lying on its side, a good one, and three that are none."""
    folder = catalog.folder / "album"
    folder.mkdir()
    pixels = np.random.default_rng(1).integers(0, 255, (60, 40, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112], exif[0x8825] = 6, {1: "N", 2: (52.0, 31.0, 12.0)}
    Image.fromarray(pixels).save(folder / "Zürich 1.jpg", quality=95, exif=exif)
    Image.fromarray(pixels).save(folder / "b.png")
    (folder / "a.jpg").write_text("not a picture")
    (folder / "a.txt").write_text("it takes part in nothing")
    (folder / "cut.jpg").write_bytes((folder / "Zürich 1.jpg").read_bytes()[:900])
    (folder / "empty.jpg").write_bytes(b"")
    return replace(catalog.source("park"), kind="images", path="album")


def test_every_photo_is_a_row_and_a_refused_file_has_its_reason(catalog: Catalog) -> None:
    source, store = album(catalog), Store(catalog.storage_root)
    ref = sample.fn(source, fetch.fn(source, catalog), catalog)
    frames = tables.read(store, ref)
    rows = {row["frame_id"]: row for row in frames.rows.to_dict("records")}

    assert list(rows) == ["park-zurich-1", "park-a", "park-b", "park-cut", "park-empty"]
    assert [row["index"] for row in rows.values()] == [0, 1, 2, 3, 4]
    assert {row["seconds"] for row in rows.values()} == {0.0}
    assert frames.facts == {"pictures": 5, "unreadable": 3}
    assert rows["park-zurich-1"]["original"] == "album/Zürich 1.jpg"
    assert (rows["park-zurich-1"]["width"], rows["park-zurich-1"]["height"]) == (60, 40)
    with Image.open(store.path(rows["park-zurich-1"]["file"])) as stored:
        assert stored.getexif() == {}
    assert (rows["park-b"]["width"], rows["park-b"]["height"], rows["park-b"]["reason"]) == (40, 60, "")
    assert rows["park-a"]["reason"].startswith("videos/park/a.jpg: not a photo that can be read")
    assert rows["park-cut"]["reason"].startswith("videos/park/cut.jpg: a damaged or cut-off photo")
    assert rows["park-empty"]["reason"].startswith("album/empty.jpg: the file is empty")
    assert all(bool(row["file"]) != bool(row["reason"]) for row in rows.values())

    before = snapshot(catalog.folder)
    assert sample.fn(source, fetch.fn(source, catalog), stepping(catalog, every_frames=9)) == ref
    assert snapshot(catalog.folder) == before


def test_photos_of_which_none_can_be_read_are_rows_and_an_error_each_time(catalog: Catalog) -> None:
    source = album(catalog)
    for name in ("Zürich 1.jpg", "b.png"):
        (catalog.folder / "album" / name).unlink()
    for _ in range(2):
        with pytest.raises(SourceError, match=r"source park: .*videos/park/a\.jpg: .*none of 3 pictures can be read"):
            sample.fn(source, fetch.fn(source, catalog), catalog)
    assert tables.find(Store(catalog.storage_root), "frames", "park").rows == 3


def test_a_video_that_cannot_be_read_is_a_row_and_an_error_each_time(catalog: Catalog) -> None:
    (catalog.folder / "park.mp4").write_bytes(b"<html>please log in</html>")
    park, store = catalog.source("park"), Store(catalog.storage_root)
    for _ in range(2):
        with pytest.raises(SourceError, match=r"source park: .*videos/park/park\.mp4: not a video"):
            sample.fn(park, fetch.fn(park, catalog), catalog)
    [row] = tables.read(store, tables.find(store, "frames", "park")).rows.to_dict("records")
    assert row["reason"].startswith("videos/park/park.mp4: not a video FFmpeg can open")
    assert (row["frame_id"], row["original"], row["file"]) == ("park-000000", "park.mp4", "")


def test_a_video_damaged_after_the_fetch_is_refused(catalog: Catalog, park: Source) -> None:
    videos = fetch.fn(park, catalog)
    Store(catalog.storage_root).path("videos/park/park.mp4").write_bytes(b"something else")

    with pytest.raises(StoreError, match=r"videos/park/park\.mp4 in .* is damaged"):
        sample.fn(park, videos, catalog)


def test_what_is_no_video_names_source_and_file(catalog: Catalog) -> None:
    (catalog.folder / "park.mp4").write_bytes(b"<html>please log in</html>")
    park = catalog.source("park")

    with pytest.raises(SourceError, match=r"videos/park/park\.mp4: not a video"):
        sample.fn(park, fetch.fn(park, catalog), catalog)


def test_a_storage_that_is_not_a_folder(catalog: Catalog, park: Source) -> None:
    elsewhere = catalog.model_copy(update={"storage": "memory://sample-test"})
    ref = sample.fn(park, fetch.fn(park, elsewhere), elsewhere)

    here = sample.fn(park, fetch.fn(park, catalog), catalog)
    names = tables.read(Store(catalog.storage_root), here).rows["file"]
    assert tables.read(Store("memory://sample-test"), ref).rows.equals(tables.read(Store(catalog.storage_root), here).rows)
    assert all(Store("memory://sample-test").exists(name) for name in names)


def test_progress_is_reported(catalog: Catalog, park: Source) -> None:
    heard: list[tuple[str, str, int, int]] = []
    stop = progress.subscribe(lambda *told: heard.append(told))
    try:
        sample.fn(park, fetch.fn(park, catalog), catalog)
    finally:
        stop()

    told = [one for one in heard if one[0] == "sample"]
    assert told[0] == ("sample", "park", 0, 60)
    assert told[-1] == ("sample", "park", 60, 60)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from figureground import catalog, progress
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample
def kill(stage, source, done, total):
    if stage == "sample" and done >= 30:
        time.sleep(0.5)  # the frames before are written meanwhile, by other threads
        os.kill(os.getpid(), signal.SIGKILL)
progress.subscribe(kill)
read = catalog.load(Path(sys.argv[1]))
sample.fn(read.source("park"), fetch.fn(read.source("park"), read), read)
"""


@pytest.mark.faults
def test_a_killed_run_is_continued_to_the_same_bytes(catalog: Catalog, park: Source) -> None:
    text = (ROOT / "data_catalog.yaml").read_text().split("sources:")[0] + "sources:\n  park: {path: park.mp4, license: MIT}\n"
    file = catalog.folder / "data_catalog.yaml"
    file.write_text(text)
    command = [sys.executable, "-c", KILLED, str(file)]
    died = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False)
    store = Store(catalog.storage_root)

    assert died.returncode == -signal.SIGKILL
    assert tables.find(store, "frames", "park") is None
    left = {name: store.read(name) for name in store.names("frames")}
    frames = sample.fn(park, fetch.fn(park, load(file)), load(file))
    store.remove_temporary_files()

    assert 1 <= len(left) < 4 == frames.rows
    assert store.names("frames") == sorted(tables.read(store, frames).rows["file"])
    assert {name: store.read(name) for name in left} == left
    assert not list(catalog.folder.rglob(".tmp-*"))


@needs_videos
def test_the_phone_clip_is_upright_and_trimmed_without_being_truncated(catalog: Catalog) -> None:
    path = VIDEOS.resolve() / "phone_portrait_header_lies.mov"
    phone = Source("phone", "video", str(path), "", "research", (), "auto")
    frames = tables.read(Store(catalog.storage_root), sample.fn(phone, fetch.fn(phone, catalog), catalog))

    assert {(row.width, row.height) for row in frames.rows.itertuples()} == {(360, 640)}
    assert (frames.facts["promised"], frames.facts["decoded"], frames.facts["truncated"]) == (41, 28, False)
