"""A dataset that others labelled becomes a source: its labels as they are, what cannot be trusted named."""

import json
import shutil
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools.coco import COCO

from figureground import plugins, tables
from figureground.annotation.label_interface import KEEP
from figureground.catalog import Catalog, load
from figureground.clients.sources.identity import expand
from figureground.errors import CatalogError, PluginError, ReleaseError, SourceError
from figureground.imaging import class_maps, masks
from figureground.layouts import importable
from figureground.storage.store import Store
from figureground.types import Sample
from tasks.datasets.explain import explain
from tasks.datasets.release import release
from tasks.datasets.summarise import summarise
from tasks.datasets.verify import verify
from tasks.ingest.import_dataset import import_dataset

SHARED = Path(__file__).parents[3] / "../shared/data"
SIZE = 90, 60


def picture(seed: int) -> bytes:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 6, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(coarse, SIZE[::-1], interpolation=cv2.INTER_CUBIC))[1].tobytes()


def ids(seed: int) -> np.ndarray:
    drawn = np.zeros(SIZE, np.uint8)
    drawn[10 + seed : 70, 20:40] = 4  # upper clothes
    drawn[10 + seed : 30, 25:35] = 11  # face
    drawn[60:80, 40:55] = 16  # bag
    return drawn


def sample(seed: int, split: str, scenes: tuple[str, ...] = ()) -> Sample:
    parts = ids(seed)
    alpha = class_maps.remap(parts, class_maps.TO_TWO).astype(np.float32)
    return Sample(f"old{seed}", split, scenes, picture(seed), alpha, parts)  # type: ignore[arg-type]


def catalog(folder: Path, **sources: dict) -> Catalog:
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    releases = {"layouts": ["mmseg_custom", "aisegment"], "val": 0.4}
    entries = {name: {"kind": "layout", "license": "CC-BY-4.0", **entry} for name, entry in sources.items()}
    return Catalog.model_validate(
        {"folder": folder, "storage": "data", "sources": entries, "recipe": recipe, "releases": releases}
    )


def adopted(settings: Catalog, name: str) -> dict[str, tables.Table]:
    store = Store(settings.storage_root)
    for source in expand(settings.source(name), settings):
        import_dataset.fn(source, settings)
    refs = [tables.find(store, stage, source.source_id) for stage in ("frames", "crops", "labels")]
    return {ref.stage: tables.read(store, ref) for ref in refs if ref}


IMPORTABLE = importable()


@pytest.mark.parametrize("layout", IMPORTABLE)
def test_what_a_layout_writes_comes_back_as_a_source_for_each_of_its_splits(tmp_path: Path, layout: str) -> None:
    samples = [sample(1, "train", ("park",)), sample(2, "train"), sample(3, "val")]
    plugins.build("layouts", layout, {}).write(samples, tmp_path / "old")
    settings = catalog(tmp_path, old={"path": "old", "layout": {layout: {}}})
    sources = expand(settings.source("old"), settings)
    assert [(source.source_id, source.split) for source in sources] == [("old-train", "train"), ("old-val", "val")]
    store = Store(settings.storage_root)
    for source in sources:
        labels = tables.read(store, import_dataset.fn(source, settings)).rows.set_index("crop_id")
        crops = tables.read(store, tables.find(store, "crops", source.source_id)).rows.set_index("crop_id")
        for one in (one for one in samples if one.split == source.split):
            row = labels.loc[f"{source.source_id}-{one.sample_id}-00"]
            assert np.array_equal(masks.from_png(store.read(row["file"], row["sha256"])) >= 0.5, one.alpha >= 0.5)
            assert (row["verdict"], row["origin"], tuple(row["scenes"])) == (KEEP, "imported", one.scenes)
            assert store.read(crops.loc[row.name, "file"]) == one.image


def test_a_release_joins_old_datasets_and_verifies(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(1, "train"), sample(2, "train")], tmp_path / "old")
    plugins.build("layouts", "coco", {}).write([sample(3, "train"), sample(4, "train")], tmp_path / "older")
    settings = catalog(
        tmp_path,
        old={"path": "old", "layout": {"mmseg_custom": {}}, "scenes": ["park"]},
        older={"path": "older", "layout": {"coco": {}}, "scenes": ["lab"], "split": "val"},
    )
    sources = [source for name in settings.sources for source in expand(settings.source(name), settings)]
    for source in sources:
        import_dataset.fn(source, settings)
    made = release.fn(sources, settings, "joined", "20261121")
    assert verify(Path(made.folder)).counts == made.counts
    assert {split: made.counts[split] for split in ("train", "val")} == {"train": 2, "val": 2}
    assert "imported" in (Path(made.folder) / "manifest.json").read_text()


def test_the_second_time_nothing_is_written_and_a_changed_mask_is_noticed(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(1, "train"), sample(2, "train")], tmp_path / "old")
    settings = catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}})
    (source,) = expand(settings.source("old"), settings)
    first = import_dataset.fn(source, settings)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "data").rglob("*")}
    assert import_dataset.fn(source, settings) == first
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "data").rglob("*")} == before
    mask = tmp_path / "old/ann_dir/train/old1.png"
    cv2.imwrite(str(mask), (sample(5, "train").alpha > 0).astype(np.uint8))
    assert import_dataset.fn(source, settings) != first


def test_one_bad_pair_is_a_frame_with_a_reason_and_the_others_go_on(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(n, "train") for n in range(1, 6)], tmp_path / "old")
    masks_ = tmp_path / "old/ann_dir/train"
    (masks_ / "old1.png").unlink()
    cv2.imwrite(str(masks_ / "old2.png"), np.zeros((9, 6), np.uint8))
    cv2.imwrite(str(masks_ / "old3.png"), np.zeros(SIZE, np.uint8))
    (tmp_path / "old/img_dir/train/old4.jpg").write_bytes(b"no picture")
    found = adopted(catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}}), "old")
    reasons = dict(zip(found["frames"].rows["frame_id"], found["frames"].rows["reason"], strict=True))
    assert reasons["old-train-old1"] == "old1: no mask"
    assert reasons["old-train-old2"] == "old2: old2.png: 6x9 pixels, its image 60x90; expected one size, and none is resized"
    assert reasons["old-train-old3"] == "old3: its label has no person"
    assert "no JPEG" in reasons["old-train-old4"]
    assert reasons["old-train-old5"] == ""
    settings = catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}})
    told = summarise("old-train", settings)
    assert (told.frames, told.crops, len(told.why)) == (1, 1, 4)
    assert told.refused == {"no partner": 1, "another size": 1, "no person": 1, "unreadable": 1}
    assert list(found["labels"].rows["crop_id"]) == ["old-train-old5-00"]


def test_a_dataset_none_of_which_can_be_taken_is_refused(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(1, "train")], tmp_path / "old")
    settings = catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}})
    mask = tmp_path / "old/ann_dir/train/old1.png"
    cv2.imwrite(str(mask), cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) * 255)
    with pytest.raises(
        SourceError, match=r"none of 1 pictures in old can be taken: old1: .* has the ids 255; expected only 0 to 1"
    ):
        adopted(settings, "old")
    announced = catalog(
        tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}, "classes": {0: "background", 255: "person"}}
    )
    assert len(adopted(announced, "old")["labels"].rows) == 1


def test_no_folder_is_named(tmp_path: Path) -> None:
    settings = catalog(tmp_path, old={"path": "nowhere", "layout": {"coco": {}}})
    with pytest.raises(SourceError, match=r"source old: expected nowhere to be a folder with a dataset"):
        expand(settings.source("old"), settings)


def test_metadata_of_images_is_removed(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(1, "train")], tmp_path / "old")
    file = tmp_path / "old/img_dir/train/old1.jpg"
    tags = Pillow.Exif()
    tags[271] = "a camera"
    Pillow.open(file).save(file, exif=tags, quality=95)
    settings = catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}})
    row = adopted(settings, "old")["crops"].rows.iloc[0]
    assert b"a camera" in file.read_bytes()
    assert b"a camera" not in Store(settings.storage_root).read(row["file"])


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"layout": {"cutouts": {}}}, "layout cutouts: its datasets cannot become a source; those of aisegment, coco, "),
        ({"layout": {"coco": {}}, "classes": {0: "background", 1: "dog"}}, r"class dog \(id 1\) has no place"),
        ({"layout": {"coco": {}}, "remap": {"cat": "person"}}, "remap: there is no class cat; there are: background, person"),
        ({}, "kind: layout needs to know which"),
    ],
)
def test_invalid_settings_are_refused_when_the_catalog_is_read(tmp_path: Path, entry: dict, said: str) -> None:
    import yaml

    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {"weights": "y.pt"}}, "checks": {}}
    recipe["remover"] = {"rembg": {"model": "u2netp.onnx"}}
    assets = {name: {"sha256": "0" * 64, "license": "x", "path": "x"} for name in ("y.pt", "u2netp.onnx")}
    sources = {"old": {"kind": "layout", "path": "old", "license": "x", **entry}}
    file = tmp_path / "data_catalog.yaml"
    file.write_text(yaml.safe_dump({"sources": sources, "assets": assets, "recipe": recipe}, sort_keys=False))
    with pytest.raises((CatalogError, PluginError), match=said) as caught:
        load(file)
    assert f"{file}:" in str(caught.value)


def test_parts_are_released_in_every_set_of_classes_as_polygons_and_in_squares(tmp_path: Path) -> None:
    old = plugins.build("layouts", "human_parsing", {"classes": 18})
    old.write([sample(1, "train"), sample(2, "train"), sample(3, "val")], tmp_path / "old")
    settings = catalog(tmp_path, old={"path": "old", "layout": {"human_parsing": {"classes": 18}}, "classes": "atr"})
    layouts = (
        "mmseg_custom",
        "human_parsing",
        {"human_parsing": {"classes": 5}},
        {"human_parsing": {"letterbox": 64, "classes": 2}},
    )
    recipe = settings.releases.model_copy(update={"layouts": (*layouts, {"coco": {"shapes": "polygons"}})})
    settings = settings.model_copy(update={"releases": recipe})
    sources = expand(settings.source("old"), settings)
    for source in sources:
        import_dataset.fn(source, settings)
    folder = Path(release.fn(sources, settings, "parts", "20261121").folder)
    verify(folder)
    whole, five, two = (folder / name for name in ("human_parsing", "human_parsing-2", "human_parsing-3"))
    drawn = cv2.imread(str(whole / "labels/old-train-old1-00.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(drawn, ids(1))
    assert np.array_equal(
        cv2.imread(str(five / "labels/old-train-old1-00.png"), -1), class_maps.remap(ids(1), class_maps.TO_FIVE)
    )
    boxed = cv2.imread(str(two / "labels/old-train-old1-00.png"), -1)
    assert boxed.shape == (64, 64) and set(np.unique(boxed)) == {0, 1}
    assert cv2.imread(str(two / "images/old-train-old1-00.jpg"))[0, 0].tolist() == [128, 128, 128]
    held = json.loads((folder / "manifest.json").read_bytes())
    assert held["settings"]["human_parsing-3"] == {"classes": 2, "letterbox": 64}
    coco = COCO(str(folder / "coco/annotations/train.json"))
    polygon = coco.annToMask(coco.loadAnns(coco.getAnnIds(1))[0])
    truth = sample(1, "train").alpha.astype(np.uint8)
    assert (polygon & truth).sum() / (polygon | truth).sum() > 0.99


def test_more_classes_than_all_samples_have_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(1, "train"), sample(2, "val")], tmp_path / "old")
    settings = catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}})
    recipe = settings.releases.model_copy(update={"layouts": ("mmseg_custom", {"human_parsing": {"classes": 5}})})
    settings = settings.model_copy(update={"releases": recipe})
    sources = expand(settings.source("old"), settings)
    for source in sources:
        import_dataset.fn(source, settings)
    with pytest.raises(ReleaseError, match=r"human_parsing asks for 5 classes; old-train-old1-00 of source old-train has 2"):
        release.fn(sources, settings, "five", "20261121")
    assert not (tmp_path / "data/releases").exists()


# --- real ones


def real(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip("no ../shared/data")
    return SHARED / name


@pytest.mark.slow
def test_cihp_and_ccp_come_in_are_remapped_and_go_out_with_every_pixel_counted(tmp_path: Path) -> None:
    from scipy.io import loadmat

    cihp, ccp = real("cihp"), real("ccp")
    few = tmp_path / "ccp"
    (few / "photos").mkdir(parents=True)
    (few / "labels").mkdir()
    for file in sorted((ccp / "photos").iterdir())[:6]:
        shutil.copy(file, few / "photos")
        shutil.copy(ccp / f"annotations/pixel-level/{file.stem}.mat", few / "labels")
    settings = catalog(
        tmp_path,
        cihp={"path": str(cihp), "layout": {"human_parsing": {}}, "classes": "cihp"},
        ccp={"path": "ccp", "layout": {"human_parsing": {"pictures": "photos"}}, "classes": "ccp", "remap": {"purse": "scarf"}},
    )
    store = Store(settings.storage_root)
    for name, files in (("cihp", sorted((cihp / "labels").iterdir())), ("ccp", sorted((few / "labels").iterdir()))):
        labels = adopted(settings, name)["labels"].rows
        assert len(labels) == len(files)
        found, old = Counter(), Counter()
        for row, file in zip(labels.to_dict("records"), files, strict=True):
            drawn = cv2.imdecode(np.frombuffer(store.read(row["parts"]), np.uint8), cv2.IMREAD_UNCHANGED)
            found += Counter(dict(zip(*(one.tolist() for one in np.unique(drawn, return_counts=True)), strict=True)))
            before = loadmat(file)["groundtruth"] if file.suffix == ".mat" else cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            old += Counter(dict(zip(*(one.tolist() for one in np.unique(before, return_counts=True)), strict=True)))
        names, aliases = class_maps.PUBLISHED[name]
        aliases = {**aliases, **({"purse": "scarf"} if name == "ccp" else {})}
        expected: Counter[int] = Counter()
        for number, count in old.items():
            expected[class_maps.ATR.index(aliases.get(names[number], names[number]))] += count
        assert found == expected
        for classes, table in ((5, class_maps.TO_FIVE), (2, class_maps.TO_TWO)):
            samples = []
            for row in labels.to_dict("records"):
                crop = f"crops/{name}/{row['crop_id']}.jpg"
                parts = cv2.imdecode(np.frombuffer(store.read(row["parts"]), np.uint8), cv2.IMREAD_UNCHANGED)
                alpha = masks.from_png(store.read(row["file"]))
                samples.append(Sample(row["crop_id"], "train", (), store.read(crop), alpha, parts))
            layout = plugins.build("layouts", "human_parsing", {"classes": classes})
            layout.write(samples, tmp_path / f"{name}{classes}")
            assert not list(layout.find_problems(tmp_path / f"{name}{classes}"))
            written: Counter[int] = Counter()
            for file in (tmp_path / f"{name}{classes}/labels").iterdir():
                drawn = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
                written += Counter(dict(zip(*(one.tolist() for one in np.unique(drawn, return_counts=True)), strict=True)))
            merged: Counter[int] = Counter()
            for number, count in expected.items():
                merged[int(table[number])] += count
            assert written == merged


def test_dirty_pairs_are_refused_with_reasons(tmp_path: Path) -> None:
    entry = {"path": str(real("dirty_pairs")), "layout": {"human_parsing": {"labels": "masks"}}}
    settings = catalog(tmp_path, dirty=entry)
    with pytest.raises(SourceError, match="none of 40 pictures"):
        adopted(settings, "dirty")
    store = Store(settings.storage_root)
    frames = tables.read(store, tables.find(store, "frames", "dirty")).rows
    assert len(frames) == 40 and all(frames["reason"])


def test_dirty_pairs_whose_ids_are_announced_are_taken_as_they_are_or_refused_for_their_specks(tmp_path: Path) -> None:
    """Half of them show that a remover cut them; what is taken has its own size and pixels."""
    old = real("dirty_pairs")
    entry = {"path": str(old), "layout": {"human_parsing": {"labels": "masks"}}, "classes": {0: "background", 255: "person"}}
    settings = catalog(tmp_path, dirty=entry)
    found, store = adopted(settings, "dirty"), Store(settings.storage_root)
    refused = [row for row in found["frames"].rows.to_dict("records") if row["reason"]]
    assert len(refused) >= 15 and all("it seems cut by a program" in row["reason"] for row in refused)
    labels = found["labels"].rows.set_index("crop_id")
    assert len(labels) + len(refused) == 40
    for row in found["crops"].rows.to_dict("records"):
        stem = row["crop_id"].removeprefix("dirty-").removesuffix("-00")
        mask = cv2.imread(str(old / f"masks/{stem}.png"), cv2.IMREAD_UNCHANGED)
        label = masks.from_png(store.read(labels.loc[row["crop_id"], "file"]))
        assert (row["height"], row["width"]) == mask.shape and np.array_equal(label, mask / np.float32(255))


def test_explain_of_an_imported_image_begins_with_its_own_file(tmp_path: Path) -> None:
    plugins.build("layouts", "mmseg_custom", {}).write([sample(1, "train"), sample(2, "train")], tmp_path / "old")
    settings = catalog(tmp_path, old={"path": "old", "layout": {"mmseg_custom": {}}})
    adopted(settings, "old")
    told = explain("old-train-old2-00", settings)
    assert [line.subject for line in told][:3] == ["video", "frame", "crop"]
    assert "old/img_dir/train/old2.jpg" in told[0].text
    assert "keep as it came with its dataset, annotation" in next(line.text for line in told if line.subject == "label")
