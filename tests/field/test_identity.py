"""What lies beside a file never changes its id: inputs that real users met, with a healthy source beside each."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from figureground import ids, tables
from figureground.catalog import Catalog, LimitsEntry
from figureground.clients.sources import identity, local_files
from figureground.clients.sources.identity import describe_refused_files, expand, expand_and_remember
from figureground.errors import SourceError, StoreError
from figureground.imaging import masks
from figureground.storage.store import Store
from figureground.tables import FrameRow, GivenIdRow, VideoRow, given_ids
from figureground.types import Source, TableRef
from flows.ingest import expand_sources
from tasks.ingest.fetch import fetch
from tasks.ingest.import_dataset import import_dataset
from tasks.ingest.sample import sample

HEIGHT, WIDTH = 90, 60
MakeCatalog = Callable[..., Catalog]


def figure(shade: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a figure whose place tells images apart: an image and its mask of 0 and 1."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(mask, (20 + shade // 10, 45), (14, 34), 0, 0, 360, 1, -1)
    noise = np.random.default_rng(shade).integers(0, 25, (HEIGHT, WIDTH, 3), np.uint8)
    return np.where(mask[..., None] == 1, shade, 205).astype(np.uint8) + noise, mask


def lay(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def lay_photo(path: Path, shade: int) -> None:
    lay(path, cv2.imencode(".jpg", figure(shade)[0])[1].tobytes())


def lay_mask(path: Path, shade: int) -> None:
    lay(path, cv2.imencode(".png", figure(shade)[1])[1].tobytes())


def lay_clips(folder: Path, *names: str) -> None:
    for name in names:
        lay(folder / name, os.fsencode(f"a clip {name}"))


@pytest.fixture
def catalog_of(tmp_path: Path, make_catalog: MakeCatalog) -> Callable[..., Catalog]:
    """Make a catalog of entries, to which a healthy album belongs that every run must finish."""
    made = make_catalog(tmp_path)
    park = made.sources["park"].model_copy(update={"limits": LimitsEntry(seconds_untouched_at_least=0)})
    lay_photo(tmp_path / "healthy/good.jpg", 90)

    def make(**entries: dict[str, Any]) -> Catalog:
        all_entries = {**entries, "healthy": {"kind": "images", "path": "healthy"}}
        return made.model_copy(update={"sources": {name: park.model_copy(update=entry) for name, entry in all_entries.items()}})

    return make


def take_photos(catalog: Catalog, name: str) -> tuple[TableRef, dict[str, str]]:
    """Fetch and sample photos: the frames table, and each frame's id by its file."""
    source = catalog.source(name)
    ref = sample.fn(source, fetch.fn(source, catalog), catalog)
    rows = tables.read_rows(Store(catalog.storage_root), ref, FrameRow)
    return ref, {row.original: row.frame_id for row in rows if not row.reason}


def assert_healthy(catalog: Catalog) -> None:
    assert take_photos(catalog, "healthy")[1] == {"healthy/good.jpg": "healthy-good"}


# --- photos -----------------------------------------------------------------------------------------------------------


def lay_neighbours(album: Path) -> None:
    lay(album / "IMG_0001.MOV", b"\0" * 64)
    lay(album / "IMG_0002.AAE", b"<plist/>")
    lay(album / "._IMG_0003.JPG", b"\0\5\x16\7")
    lay(album / "Thumbs.db", b"\xd0\xcf\x11\xe0")
    lay(album / "IMG_0001", b"no ending and no picture")
    lay(album / "__MACOSX/IMG_0001.JPG", b"\0\5\x16\7")


@pytest.mark.parametrize("path", ["album", "album/*", "album/**/*"])
def test_files_that_are_no_pictures_get_no_id(catalog_of: Callable[..., Catalog], path: str) -> None:
    catalog = catalog_of(trip={"kind": "images", "path": path})
    for number in (1, 2, 3):
        lay_photo(catalog.folder / f"album/IMG_000{number}.JPG", 25 * number)
    before = take_photos(catalog, "trip")
    assert before[1] == {f"album/IMG_000{number}.JPG": f"trip-img-000{number}" for number in (1, 2, 3)}
    lay_neighbours(catalog.folder / "album")

    assert take_photos(catalog, "trip") == before
    assert_healthy(catalog)


def test_a_photo_laid_beside_or_taken_away_changes_no_id(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(trip={"kind": "images", "path": "album"})
    album = catalog.folder / "album"
    lay_photo(album / "IMG_1.JPG", 30)
    assert take_photos(catalog, "trip")[1] == {"album/IMG_1.JPG": "trip-img-1"}
    lay(album / "IMG_1.png", cv2.imencode(".png", figure(60)[0])[1].tobytes())
    both = take_photos(catalog, "trip")[1]
    assert both["album/IMG_1.JPG"] == "trip-img-1"
    content = (album / "IMG_1.JPG").read_bytes()
    (album / "IMG_1.JPG").unlink()
    assert take_photos(catalog, "trip")[1] == {"album/IMG_1.png": both["album/IMG_1.png"]}
    lay(album / "IMG_1.JPG", content)
    assert take_photos(catalog, "trip")[1] == both
    (album / "IMG_1.JPG").rename(album / "img_1.jpg")
    assert take_photos(catalog, "trip")[1]["album/img_1.jpg"] == "trip-img-1", "only the case of its name changed"


@pytest.mark.parametrize("absolute", [False, True])
def test_a_storage_of_the_older_rule_keeps_its_ids_and_its_frames(catalog_of: Callable[..., Catalog], absolute: bool) -> None:
    folder = catalog_of().folder
    catalog = catalog_of(trip={"kind": "images", "path": str(folder / "album") if absolute else "album"})
    store, album = Store(catalog.storage_root), folder / "album"
    for number in (1, 2):
        lay_photo(album / f"IMG_000{number}.JPG", 25 * number)
    source = catalog.source("trip")
    older = {"IMG_0001.JPG": "trip-img-0001-59d1c2a4", "IMG_0002.JPG": "trip-img-0002"}  # a .MOV lay beside the first one
    given_ids.write(store, "trip", older)
    frames = sample.fn(source, fetch.fn(source, catalog), catalog)
    store.remove(tables.name(GivenIdRow.stage, "trip"))
    lay_neighbours(album)
    lay_photo(album / "IMG_0003.JPG", 75)
    (album / "IMG_0003.JPG").rename(folder / "later.jpg")

    assert sample.fn(source, fetch.fn(source, catalog), catalog) == frames
    (folder / "later.jpg").rename(album / "IMG_0003.JPG")
    found = take_photos(catalog, "trip")[1]
    assert sorted(found.values()) == ["trip-img-0001-59d1c2a4", "trip-img-0002", "trip-img-0003"]
    assert_healthy(catalog)


def test_a_damaged_table_of_ids_is_no_missing_one(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(trip={"kind": "images", "path": "album"})
    lay_photo(catalog.folder / "album/1.jpg", 30)
    take_photos(catalog, "trip")
    table = catalog.folder / "data/tables/ids/trip.parquet"
    content = table.read_bytes()
    table.write_bytes(content[:-20])
    with pytest.raises(StoreError, match=r"tables/ids/trip\.parquet .*damaged"):
        take_photos(catalog, "trip")
    table.unlink()
    assert take_photos(catalog, "trip")[1] == {"album/1.jpg": "trip-1"}
    assert table.read_bytes() == content
    assert_healthy(catalog)


# --- watched folders --------------------------------------------------------------------------------------------------


def remember(catalog: Catalog, name: str) -> dict[str, str]:
    return {Path(one.path).name: one.source_id for one in expand_and_remember(catalog.source(name), catalog)}


def test_hidden_files_and_files_of_equal_names_stop_no_watched_folder(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(inbox={"path": "in"})
    lay_clips(catalog.folder / "in", "clip.mp4", "other.mp4", "GX010042.MP4")
    before = remember(catalog, "inbox")
    assert before == {"clip.mp4": "inbox-clip", "other.mp4": "inbox-other", "GX010042.MP4": "inbox-gx010042"}
    lay_clips(catalog.folder / "in", "._clip.mp4", "GX010042.mov", ".clip.mov", "GX010042.THM", "clip.srt")
    after = remember(catalog, "inbox")
    twin = after.pop("GX010042.mov")
    assert after == before and twin.startswith("inbox-gx010042-")
    (catalog.folder / "in/GX010042.MP4").unlink()
    assert remember(catalog, "inbox")["GX010042.mov"] == twin
    assert_healthy(catalog)


def test_files_of_equal_names_are_two_sources_whatever_their_order(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(inbox={"path": "in/**/*"})
    lay_clips(catalog.folder / "in", "GX010042.MP4", "GX010042.mov", "a/clip.mp4", "b/clip.mp4", "notes.txt", "a/.hidden.mp4")
    found = [one.source_id for one in expand(catalog.source("inbox"), catalog)]
    assert len(set(found)) == 4 and all(name.startswith(("inbox-gx010042-", "inbox-clip-")) for name in found)


def test_clips_of_a_storage_of_the_older_rule_keep_their_ids(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(inbox={"path": "in"})
    store = Store(catalog.storage_root)
    lay_clips(catalog.folder / "in", "GX010042.MP4")
    [source] = expand(catalog.source("inbox"), catalog)
    older = fetch.fn(source, catalog)
    lay_clips(catalog.folder / "in", "GX010042.mov")
    assert tables.sources(store, GivenIdRow.stage) == []
    sources = expand(catalog.source("inbox"), catalog)
    kept = next(one for one in sources if one.path.endswith(".MP4"))
    assert kept == source and fetch.fn(kept, catalog) == older
    assert len({one.source_id for one in sources}) == 2


def test_a_name_that_is_not_utf8_gives_a_readable_id_that_stays(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(inbox={"path": "in"})
    lay_clips(catalog.folder / "in", "clip.mp4", os.fsdecode(b"b\xe9b\xe9.mp4"))
    before = remember(catalog, "inbox")
    assert set(before.values()) == {"inbox-clip", "inbox-b-b-8fe27bc8"}
    lay_clips(catalog.folder / "in", "b-b.mp4", os.fsdecode(b"b\xffb\xe9.mp4"))
    assert remember(catalog, "inbox").items() > before.items()


# --- datasets ---------------------------------------------------------------------------------------------------------


def ring(mask: np.ndarray) -> list[list[float]]:
    lines = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    return [line.reshape(-1).astype(float).tolist() for line in lines]


def lay_coco(folder: Path, names: list[str]) -> None:
    images, annotations = [], []
    for number, name in enumerate(names, 1):
        lay_photo(folder / "images" / name, 60 * number)
        images.append({"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT})
        shape = {"segmentation": ring(figure(60 * number)[1]), "area": 1, "bbox": [0, 0, 1, 1], "iscrowd": 0}
        annotations.append({"id": number, "image_id": number, "category_id": 1, **shape})
    held = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    lay(folder / "annotations/instances_train.json", json.dumps(held).encode())
    lay(folder / "annotations/._instances_train.json", b"\0\5\x16\7")


def lay_lists(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names, 1):
        lay_photo(folder / f"images/{name}.jpg", 60 * number)
        lay_mask(folder / f"labels/{name}.png", 60 * number)
    lay(folder / "train.txt", "".join(f"images/{name}.jpg labels/{name}.png\n" for name in names).encode())


def lay_mmseg(folder: Path, names: list[str]) -> None:
    for number, name in enumerate(names, 1):
        lay_photo(folder / f"img_dir/{name}.jpg", 60 * number)
        lay_mask(folder / f"ann_dir/{name}.png", 60 * number)
        lay(folder / f"img_dir/{Path(name).parent}/._{Path(name).name}.jpg", b"\0\5\x16\7")


DATASETS: dict[str, tuple[Callable[[Path, list[str]], None], list[str], list[str]]] = {
    "coco": (lay_coco, ["a/1.jpg", "b/1.jpg"], ["set-a-1", "set-b-1"]),
    "human_parsing": (lay_lists, ["vidA/0001", "vidB/0001"], ["set-vida-0001", "set-vidb-0001"]),
    "mmseg_custom": (lay_mmseg, ["train/0001", "val/0001"], ["set-train-0001", "set-val-0001"]),
}


def read_imported(catalog: Catalog, name: str = "set") -> dict[str, float]:
    """Import a dataset, and give by frame how well each label fits its own image: 1 when every dark pixel is person."""
    store, fits = Store(catalog.storage_root), {}
    for source in expand(catalog.source(name), catalog):
        labels = {row.crop_id: row for row in tables.read_rows(store, import_dataset.fn(source, catalog), tables.LabelRow)}
        crops = tables.find(store, "crops", source.source_id)
        assert crops
        for row in tables.read_rows(store, crops, tables.CropRow):
            image = cv2.imdecode(np.frombuffer(store.read(row.file), np.uint8), cv2.IMREAD_GRAYSCALE)
            label = masks.from_png(store.read(labels[row.crop_id].file)) >= 0.5
            fits[row.frame_id] = float(((image < 190) == label).mean())
    return fits


@pytest.mark.parametrize("layout", DATASETS)
def test_two_images_of_one_name_are_two_ids_each_with_its_own_label(catalog_of: Callable[..., Catalog], layout: str) -> None:
    lay_dataset, names, frame_ids = DATASETS[layout]
    entry = {"kind": "layout", "path": "set", "layout": {layout: {}}, "split": "train"}
    catalog = catalog_of(set=entry, lone=entry | {"path": "lone"})
    lay_dataset(catalog.folder / "set", names)
    lay_dataset(catalog.folder / "lone", names[:1])
    fits = read_imported(catalog)
    split = "" if layout == "mmseg_custom" else "train-"
    assert sorted(fits) == [frame_id.replace("set-", f"set-{split}") for frame_id in frame_ids]
    assert min(fits.values()) > 0.97
    assert len(read_imported(catalog, "lone")) == 1
    assert_healthy(catalog)


@pytest.mark.parametrize("layout", DATASETS)
def test_a_dataset_that_was_imported_by_the_older_rule_keeps_its_ids(catalog_of: Callable[..., Catalog], layout: str) -> None:
    lay_dataset, names, _ = DATASETS[layout]
    catalog = catalog_of(set={"kind": "layout", "path": "set", "layout": {layout: {}}, "split": "train"})
    lay_dataset(catalog.folder / "set", names)
    store, [source] = Store(catalog.storage_root), expand(catalog.source("set"), catalog)
    import_dataset.fn(source, catalog)
    frames = tables.find(store, "frames", "set")
    assert frames
    rows = tables.read_rows(store, frames, FrameRow)
    older = [replace(row, frame_id="set-1") if place == 0 else replace(row, frame_id="set-2") for place, row in enumerate(rows)]
    tables.write_rows(store, "frames", "set", older, fingerprint="")
    store.remove(tables.name(GivenIdRow.stage, "set"))
    assert sorted(read_imported(catalog)) == ["set-1", "set-2"]

    overwritten = [replace(row, frame_id="set-1") for row in rows]  # what the older rule did with two images of one name
    tables.write_rows(store, "frames", "set", overwritten, fingerprint="")
    store.remove(tables.name(GivenIdRow.stage, "set"))
    fits = read_imported(catalog)
    assert len(fits) == 2 and "set-1" not in fits and min(fits.values()) > 0.97


def test_an_image_that_is_listed_twice_is_used_once_and_named(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(set={"kind": "layout", "path": "set", "layout": {"human_parsing": {}}, "split": "train"})
    lay_lists(catalog.folder / "set", ["a", "b", "a"])
    assert sorted(read_imported(catalog)) == ["set-train-a", "set-train-b"]
    frames = tables.find(Store(catalog.storage_root), "frames", "set")
    assert frames
    reasons = [row.reason for row in tables.read_rows(Store(catalog.storage_root), frames, FrameRow) if row.reason]
    assert reasons == ["a: images/a.jpg is listed 2 times; one entry is used"]


# --- ids over the catalog ---------------------------------------------------------------------------------------------


def test_two_sources_that_would_give_one_id_are_named_and_all_else_is_taken(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(a={"path": "a"}, **{"a-b": {"path": "b"}})
    lay_clips(catalog.folder / "a", "b-c.mp4", "free.mp4")
    lay_clips(catalog.folder / "b", "c.mp4", "d.mp4")
    sources, refused = expand_sources(catalog, None, remember=True)
    assert sorted(one.source_id for one in sources) == ["a-b-c", "a-b-d", "a-free", "healthy"]
    reason = "a/b-c.mp4 would be called a-b-c, as a frame of the source a-b would; rename the file or one of the sources"
    assert [(outcome.source_id, outcome.error) for outcome in refused] == [("a", f"source a: {reason}")]
    assert describe_refused_files(catalog.source("a-b"), catalog) == ""


def test_what_had_an_id_before_keeps_it_and_the_newcomer_is_named(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(a={"path": "a"})
    lay_clips(catalog.folder / "a", "b-c.mp4")
    lay_clips(catalog.folder / "b", "c.mp4", "d.mp4")
    assert remember(catalog, "a") == {"b-c.mp4": "a-b-c"}
    later = catalog_of(a={"path": "a"}, **{"a-b": {"path": "b"}, "a-b-c": {"path": "b/c.mp4"}})
    sources, refused = expand_sources(later, None, remember=True)
    assert sorted(one.source_id for one in sources) == ["a-b-c", "a-b-d", "healthy"]
    assert {outcome.source_id for outcome in refused} == {"a-b", "a-b-c"}
    assert all("would be called a-b-c, as b-c.mp4 of the source a is; rename" in outcome.error for outcome in refused)
    assert_healthy(later)


def test_a_dataset_never_takes_the_id_of_another_sources_frame(catalog_of: Callable[..., Catalog]) -> None:
    entry = {"kind": "layout", "path": "set", "layout": {"mmseg_custom": {}}, "split": "auto"}
    catalog = catalog_of(set=entry, **{"set-train-x": {"kind": "images", "path": "x"}})
    lay_mmseg(catalog.folder / "set", ["train/x-1", "train/good"])
    assert sorted(read_imported(catalog)) == ["set-train-good"]
    frames = tables.find(Store(catalog.storage_root), "frames", "set-train")
    assert frames
    [reason] = [row.reason for row in tables.read_rows(Store(catalog.storage_root), frames, FrameRow) if row.reason]
    assert "would be called set-train-x-1, as a frame of the source set-train-x would" in reason


def test_a_refused_photo_is_a_row_with_the_reason_and_the_others_are_taken(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(trip={"kind": "images", "path": "album"}, **{"trip-2": {"kind": "images", "path": "x"}})
    lay_photo(catalog.folder / "album/2-x.jpg", 30)
    lay_photo(catalog.folder / "album/good.jpg", 60)
    ref, found = take_photos(catalog, "trip")
    assert found == {"album/good.jpg": "trip-good"}
    [reason] = [row.reason for row in tables.read_rows(Store(catalog.storage_root), ref, FrameRow) if row.reason]
    assert "album/2-x.jpg would be called trip-2-x, as a frame of the source trip-2 would; rename" in reason


def test_sources_that_differ_only_in_case_are_named_unless_both_are_stored(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(street={"kind": "images", "path": "one"})
    lay_photo(catalog.folder / "one/1.jpg", 30)
    lay_photo(catalog.folder / "two/2.jpg", 60)
    take_photos(catalog, "street")
    both = catalog_of(street={"kind": "images", "path": "one"}, Street={"kind": "images", "path": "two"})
    with pytest.raises(SourceError, match=r"source Street: its name and street, another source .*differ only in upper"):
        expand(both.source("Street"), both)
    assert expand(both.source("street"), both) == [both.source("street")]
    store, row = Store(both.storage_root), VideoRow(source_id="Street", path="two", license="", file="", sha256="")
    tables.write_rows(store, "videos", "Street", [row], fingerprint="")
    assert expand(both.source("Street"), both) == [both.source("Street")], "a storage of Linux that has both keeps both"


def test_a_source_of_photos_leaves_its_ids_to_no_run_that_only_looks(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(inbox={"path": "in"})
    lay_clips(catalog.folder / "in", "clip.mp4")
    expand(catalog.source("inbox"), catalog)
    assert not (catalog.folder / "data").exists()
    assert identity.name_files(catalog.source("inbox"), [catalog.folder / "in/clip.mp4"], catalog).refused == {}
    assert not (catalog.folder / "data").exists()
    assert local_files.list_videos(catalog.source("inbox"), catalog) == [catalog.folder / "in/clip.mp4"]
    assert ids.is_hidden(".clip.mp4")


def test_a_source_is_the_same_whichever_run_expands_it(catalog_of: Callable[..., Catalog]) -> None:
    catalog = catalog_of(inbox={"path": "in"})
    lay_clips(catalog.folder / "in", "a.mp4", "A.mov")
    found: list[list[Source]] = [expand(catalog.source("inbox"), catalog)]
    found.append(expand_and_remember(catalog.source("inbox"), catalog))
    found.append(expand(catalog.source("inbox"), catalog))
    assert found[0] == found[1] == found[2]
