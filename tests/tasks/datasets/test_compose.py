"""Composing: bad input is refused with its reason and the rest goes on; the same bytes however it is done."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
import yaml

from figureground import catalog as catalogs
from figureground import layouts, plugins
from figureground.catalog import Catalog
from figureground.catalog import defaults as catalog_defaults
from figureground.errors import CatalogError, ReleaseError, SourceError
from figureground.synthesis.making import ImageMaker
from figureground.types import Box, Person, Release
from tasks.datasets.compose import compose, compose_again
from tasks.datasets.composite_report import write_composite_report
from tasks.datasets.filter_backgrounds import filter_backgrounds
from tasks.datasets.load_cutouts import load_cutouts
from tasks.datasets.verify_composites import verify_composites

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Reddish:
    """Takes a picture with a pure red corner for one with a person."""

    VERSION = 1

    score_at_least: float = 0.5

    def find(self, images: Any) -> list[list[Person]]:
        person = Person(Box(0, 0, 2, 2), 0.9, np.zeros((0, 3), np.float32))
        return [[person] if image[0, 0, 0] > 200 and image[0, 0, 1:].max() < 60 else [] for image in images]


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalog, "background_detector", lambda self: Reddish())


def person(seed: int, height: int = 220, width: int = 80, whole: bool = False) -> np.ndarray:
    """A body of its own texture, alone; ``whole`` keeps the alpha out."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    inside = np.hypot((x - width / 2) / (width / 2 - 6), (y - height / 2) / (height / 2 - 6)) < 1
    texture = cv2.resize(random.integers(0, 256, (9, 7, 3)).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    texture[~inside] = 0
    alpha = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 1) * inside
    return texture if whole else np.dstack([texture, np.rint(alpha * 255).astype(np.uint8)])


def scene(seed: int, width: int = 320, height: int = 240) -> np.ndarray:
    random = np.random.default_rng(seed)
    made = cv2.resize(random.integers(0, 190, (11, 13, 3)).astype(np.uint8), (width, height), interpolation=cv2.INTER_CUBIC)
    made[0, 0] = 0
    return made


def write(file: Path, picture: np.ndarray) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), picture)


def inputs(folder: Path) -> None:
    for at in range(4):
        write(folder / f"people/p{at}.png", person(at))
        write(folder / f"scenes/s{at}.jpg", scene(100 + at))


def catalog(folder: Path, **own: Any) -> Catalog:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    small = {"width": 128, "height": 96, "pictures": 12, "val": 0.25, "people_at_most": 2}
    still = {"augmentations": {"backgrounds": {}, "people": {}, "composites": {}}}
    content["compose"] = {"people": ["people"], "backgrounds": [{"path": "scenes"}], **small, **still, **own}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content))
    return catalogs.load(folder / "data_catalog.yaml", build_plugins=False)


def made(settings: Catalog, processes: int = 1) -> Release:
    people, backgrounds = load_cutouts.fn(settings), filter_backgrounds.fn({}, settings)
    found: Release = compose.fn(people, backgrounds, settings, processes)
    return found


def tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_pairs_are_made_verified_and_certified(tmp_path: Path) -> None:
    inputs(tmp_path)
    release = made(settings := catalog(tmp_path))
    folder = Path(release.folder)
    assert folder == tmp_path / "data/releases/SyntheticSeg_Person_synthetic"
    assert verify_composites(folder).counts == release.counts == {"train": 9, "val": 3}
    rows = pd.read_parquet(folder / "recipes.parquet")
    assert rows["picture_id"].tolist() == [f"{at:06d}" for at in range(12)]
    for kind, names in (("people", rows.explode("people")), ("background_id", rows)):
        shown = names.groupby("split")[kind].agg(set)
        assert not shown["train"] & shown["val"]
    for row in rows.to_dict("records"):
        image, truth = (cv2.imread(str(folder / row[name]), cv2.IMREAD_UNCHANGED) for name in ("image", "truth"))
        assert (image.shape, truth.shape, truth.dtype, truth.max()) == ((96, 128, 3), (96, 128), np.uint8, 255)
        assert len(row["boxes"]) == len(row["people"]) == len(json.loads(row["recipe"])["people"])
    several = rows[rows["people"].map(len) > 1]
    second = [folder / f"people/{one.split}/{one.picture_id}-1.png" for one in several.itertuples()]
    assert second and all(file.is_file() for file in second)
    page = write_composite_report.fn(*_tables(settings), release, settings)
    assert (tmp_path / "data" / page).read_text().count("<img") == 2


def _tables(settings: Catalog) -> list[Any]:
    return [load_cutouts.fn(settings), filter_backgrounds.fn({}, settings)]


@pytest.mark.slow
def test_a_second_run_writes_nothing_and_other_settings_another_note(tmp_path: Path, folder_snapshot: Any) -> None:
    inputs(tmp_path)
    made(catalog(tmp_path))
    before = folder_snapshot(tmp_path / "data")
    made(catalog(tmp_path))
    assert folder_snapshot(tmp_path / "data") == before
    with pytest.raises(ReleaseError, match=r"was made of other inputs, settings or versions.*choose another compose.note"):
        made(catalog(tmp_path, seed=2))
    assert made(catalog(tmp_path, seed=2, note="other")).name == "SyntheticSeg_Person_other"


@pytest.mark.slow
def test_one_and_two_processes_give_the_same_bytes(tmp_path: Path) -> None:
    default = {"augmentations": {}, "pictures": 24, "layouts": ["mmseg_custom", "coco"]}
    for name, processes in (("one", 1), ("two", 2)):
        inputs(tmp_path / name)
        made(catalog(tmp_path / name, **default), processes)
    one, two = (tree(tmp_path / name / "data/releases") for name in ("one", "two"))
    assert one.keys() == two.keys() and one == two


def test_a_picture_is_made_again_alone(tmp_path: Path) -> None:
    inputs(tmp_path)
    settings = catalog(tmp_path)
    folder = Path(made(settings).folder)
    files, differing = compose_again("000007", *_tables(settings), settings)
    assert not differing and {name: (folder / name).read_bytes() for name in files} == files
    (folder / "im/val/000007.jpg").write_bytes(b"damaged")
    assert compose_again("000007", *_tables(settings), settings)[1] == ["im/val/000007.jpg"]
    with pytest.raises(ReleaseError, match="no synthetic image '000099'"):
        compose_again("000099", *_tables(settings), settings)


@pytest.mark.slow
def test_a_killed_run_carries_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("whole", "killed"):
        inputs(tmp_path / name)
    made(catalog(tmp_path / "whole"))
    settings, count = catalog(tmp_path / "killed"), 0
    make = ImageMaker.make_in_folder

    def until(maker: ImageMaker, job: Any) -> Any:
        nonlocal count
        count += 1
        if count == 6:
            raise KeyboardInterrupt
        return make(maker, job)

    monkeypatch.setattr(ImageMaker, "make_in_folder", until)
    with pytest.raises(KeyboardInterrupt):
        made(settings)
    [bench] = (tmp_path / "killed/data/releases").glob(".tmp-*")
    kept = {path.name: path.stat().st_mtime_ns for path in bench.rglob("*.jpg")}
    assert len(kept) == 5
    monkeypatch.setattr(ImageMaker, "make_in_folder", make)
    folder = Path(made(settings).folder)
    assert {name: (next(folder.rglob(name))).stat().st_mtime_ns for name in kept} == kept
    assert tree(folder) == tree(tmp_path / "whole/data/releases/SyntheticSeg_Person_synthetic")


def test_bad_people_are_refused_with_reasons_and_the_rest_goes_on(tmp_path: Path) -> None:
    inputs(tmp_path)
    write(tmp_path / "people/rgb.png", person(9, whole=True))
    write(tmp_path / "people/empty.png", np.zeros((50, 40, 4), np.uint8))
    write(tmp_path / "people/wide.png", person(10, height=30, width=200))
    write(tmp_path / "people/headless.png", person(11)[110:])
    write(tmp_path / "people/tiny.png", person(12, height=24, width=18))
    (tmp_path / "people/broken.png").write_bytes(b"\x89PNG")
    release = made(catalog(tmp_path))
    rows = pd.read_parquet(tmp_path / "data/tables/people/synthetic.parquet").set_index("person_id")
    assert {name: reason.partition(":")[0] for name, reason in rows["reason"].items() if reason} == {
        "rgb": "no alpha",
        "empty": "empty alpha",
        "wide": "larger than the background",
        "headless": "cut off",
        "tiny": "too small",
        "broken": "not readable",
    }
    assert sum(release.counts.values()) == 12 and (rows["reason"] == "").sum() == 4


def test_bad_backgrounds_are_refused_with_reasons_and_the_rest_goes_on(tmp_path: Path) -> None:
    inputs(tmp_path)
    (tmp_path / "scenes/corrupt.jpg").write_bytes((tmp_path / "scenes/s0.jpg").read_bytes()[:300])
    (tmp_path / "scenes/none.jpg").write_bytes(b"")
    write(tmp_path / "scenes/small.jpg", scene(7, 60, 40))
    crowd = scene(8)
    crowd[:40, :40] = (0, 0, 255)
    write(tmp_path / "scenes/crowd.jpg", crowd)
    release = made(catalog(tmp_path))
    rows = pd.read_parquet(tmp_path / "data/tables/backgrounds/synthetic.parquet").set_index("background_id")
    assert {name: reason.partition(":")[0] for name, reason in rows["reason"].items() if reason} == {
        "corrupt": "not readable",
        "none": "not readable",
        "small": "too small",
        "crowd": "person",
    }
    assert rows.loc["crowd", "people"] == 1
    assert sum(release.counts.values()) == 12


def test_no_backgrounds_left_says_why(tmp_path: Path) -> None:
    inputs(tmp_path)
    for file in (tmp_path / "scenes").iterdir():
        crowd = scene(8)
        crowd[:40, :40] = (0, 0, 255)
        write(file, crowd)
    with pytest.raises(ReleaseError, match=r"train has no backgrounds: 9 of .* Of 4 backgrounds 4 were rejected \(4 person\)"):
        made(catalog(tmp_path))


def test_a_split_without_backgrounds_is_reported_and_the_other_is_made(tmp_path: Path) -> None:
    inputs(tmp_path)
    for at in (1, 2, 3):
        (tmp_path / f"scenes/s{at}.jpg").unlink()
    release = made(catalog(tmp_path))
    told = json.loads((Path(release.folder) / "composition.json").read_text())
    assert release.counts == {"train": 9}
    assert told["lacking"] == ["val has no backgrounds: 3 of its images cannot be made"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    inputs(tmp_path)
    with pytest.raises(SourceError, match=r"compose.people: .*nowhere is no folder with pictures"):
        load_cutouts.fn(catalog(tmp_path, people=["nowhere"]))
    with pytest.raises(SourceError, match=r"compose.backgrounds: .*nowhere is no folder with pictures"):
        filter_backgrounds.fn({}, catalog(tmp_path, backgrounds=[{"path": "nowhere"}]))
    with pytest.raises(CatalogError, match="the catalog has no `compose:`"):
        catalogs.load(ROOT / "data_catalog.yaml", build_plugins=False).composition()


@pytest.mark.parametrize(
    "layout",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "mmseg_custom")) for name in plugins.names("layouts")],
)
def test_every_layout_holds_the_pairs(tmp_path: Path, layout: str) -> None:
    inputs(tmp_path)
    folder = Path(made(catalog(tmp_path, layouts=[layout])).folder)
    plugin, own = layouts.build(layout, {}), layouts.build("im_gt", {})
    assert list(plugin.find_problems(folder / layout)) == []
    found = {sample.sample_id: sample for sample in plugin.read(folder / layout)}
    for sample in own.read(folder):
        other = found[sample.sample_id]
        both = (sample.alpha >= 0.5, other.alpha >= 0.5)
        assert sample.split == other.split
        assert (both[0] & both[1]).sum() >= (1 if plugin.exact else 0.85) * (both[0] | both[1]).sum()
    verify_composites(folder)


def test_recheck_names_what_was_done_to_a_folder(tmp_path: Path) -> None:
    inputs(tmp_path)
    folder = Path(made(catalog(tmp_path)).folder)
    (folder / "gt/train/000000.png").unlink()
    (folder / "im/train/000001.jpg").write_bytes(b"x")
    shutil.copy(folder / "im/train/000002.jpg", folder / "im/val/000002.jpg")
    with pytest.raises(ReleaseError) as refused:
        verify_composites(folder)
    said = str(refused.value)
    for problem in ("gt/train/000000.png: missing", "im/train/000001.jpg: altered", "im/val/000002.jpg: extra",
                    "im/train/000000.jpg: no alpha"):  # fmt: skip
        assert problem in said


def test_near_duplicates_are_never_in_two_splits(tmp_path: Path) -> None:
    """Every scene is there twice, recompressed under a name of its own: both go into one split."""
    inputs(tmp_path)
    for at in range(4):
        again_ = cv2.imread(str(tmp_path / f"scenes/s{at}.jpg"))
        cv2.imwrite(str(tmp_path / f"scenes/copy{at}.jpg"), again_[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    folder = Path(made(catalog(tmp_path)).folder)
    proof = json.loads((folder / "certificate.json").read_text())
    assert proof["sources_kept_together"] == [[f"copy{at}", f"s{at}"] for at in range(4)]
    assert all(row["similarity"] < 0.75 for row in proof["closest"])


@pytest.mark.slow
def test_real_pairs_are_mixed_in_byte_for_byte(tmp_path: Path, labelled: Any) -> None:
    from tasks.datasets.release import release as cut

    inputs(tmp_path)
    source = labelled(tmp_path / "real", {"park": ["keep"] * 3, "walk": ["keep"] * 2}, {"park": "train", "walk": "val"})
    real = cut.fn([source.source(name) for name in source.sources], source, "demo", "20261130")
    folder = Path(made(catalog(tmp_path, real=real.folder, real_share=0.25)).folder)
    rows = pd.read_parquet(folder / "recipes.parquet")
    mixed = rows[rows["seed"] == ""]
    assert 2 <= len(mixed) <= 3 and set(mixed["picture_id"].str.partition("-")[0] + mixed["split"]) <= {"parktrain", "walkval"}
    for row in mixed.itertuples():
        kept = Path(real.folder) / f"img_dir/{row.split}/{row.picture_id}.jpg"
        assert (folder / row.image).read_bytes() == kept.read_bytes()
    verify_composites(folder)


@pytest.mark.slow
def test_a_forgotten_source_is_reported_for_every_composition_that_has_it(tmp_path: Path, labelled: Any) -> None:
    from tasks.datasets.forget import forget

    labelled(tmp_path, {"park": ["keep"] * 2, "walk": ["keep"]}, {"park": "train", "walk": "val"})
    inputs(tmp_path)
    for at in (7, 8):
        write(tmp_path / f"people/park/p{at}.png", person(at))
    settings = catalog(tmp_path)
    name = made(settings).name
    kept = [tmp_path / f"data/cutouts/synthetic/park-p{at}.png" for at in (7, 8)]
    assert all(file.is_file() for file in kept)
    gone = forget("park", settings)
    assert gone.releases == {name: 2}
    assert not any(file.exists() for file in kept)
    shutil.rmtree(tmp_path / "people/park")
    again_ = made(catalog(tmp_path, note="after"))
    assert "park" not in (Path(again_.folder) / "certificate.json").read_text()
