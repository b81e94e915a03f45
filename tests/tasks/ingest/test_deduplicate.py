"""tasks.ingest.deduplicate: near-duplicates are found in all sources, in whatever order they come."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.imaging import crops
from figureground.storage.store import Store
from figureground.tables import crop_rows
from figureground.types import Box, Frame, Person
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.judge import judge
from tasks.ingest.measure import measure

CHECKS = {"size": {"at_least": 20}, "duplicate": None}
NOWHERE = np.zeros((0, 3), np.float32)


def catalog_with(folder, sources=("park", "sky"), checks=CHECKS):
    named = {name: {"path": "a.mp4", "license": "MIT"} for name in sources}
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": checks, "remover": {"rembg": {}}}
    return Catalog.model_validate({"folder": folder, "storage": "data", "sources": named, "recipe": recipe})


def drawn(seed, blur=0.0):
    """A picture of a few patches of its own colours."""
    dice = np.random.default_rng(seed)
    image = cv2.resize(dice.integers(0, 255, (9, 7, 3), np.uint8), (112, 144), interpolation=cv2.INTER_NEAREST)
    image = np.clip(image + dice.normal(0, 12, image.shape), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), blur) if blur else image


def stored(store, source_id, pictures, narrow=(), tracks=None):
    """Write one crop a picture, one second apart; gives the crops table."""
    rows = []
    for number, image in enumerate(pictures):
        person = Person(Box(10, 10, 100, 130), 0.9, NOWHERE)
        frame = Frame(f"{source_id}-{number:06d}", source_id, number, number / 2, image)
        [crop] = crops.cut(frame, [person], margin=1.0)
        file = f"crops/{source_id}/{crop.crop_id}.jpg"
        row = crop_rows.from_crop(crop, file, store.write(file, crops.encode(crop.image)))
        row = replace(row, person_x0=45.0, person_x1=55.0) if number in narrow else row
        rows.append(replace(row, track=tracks[number] if tracks else number))
    return tables.write_rows(store, "crops", source_id, rows, fingerprint="crops")


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "data"))


def dropped(store, catalog, *sources):
    """Measure all, then compare and judge each; gives the dropped crops with their reasons."""
    found = {}
    for ref in [measure.fn(crops_of, catalog) for crops_of in sources]:
        rows = tables.read(store, judge.fn(deduplicate.fn(ref, catalog), catalog)).rows
        found |= {row["crop_id"]: row["reason"] for row in rows.to_dict("records") if not row["kept"]}
    return found


def test_of_two_copies_in_two_sources_the_one_with_more_detail_is_kept(tmp_path, store):
    park = stored(store, "park", [drawn(1), drawn(2, blur=1.2)])
    sky = stored(store, "sky", [drawn(3), drawn(2), drawn(1, blur=1.2)])
    catalog = catalog_with(tmp_path)
    assert dropped(store, catalog, park, sky) == {"park-000001-00": "duplicate", "sky-000002-00": "duplicate"}


@pytest.mark.slow
def test_the_scores_do_not_depend_on_the_order_of_the_sources(tmp_path):
    found = []
    for place, order in enumerate(itertools.permutations(("park", "sky", "yard"))):
        store = Store(str(tmp_path / f"{place}/data"))
        catalog = catalog_with(tmp_path / str(place), ("park", "sky", "yard"))
        for name in order:
            measure.fn(stored(store, name, [drawn(1, blur=len(name) / 4), drawn(ord(name[0]))]), catalog)
        refs = {name: tables.find(store, "measures", name) for name in order}
        found.append({name: deduplicate.fn(refs[name], catalog).sha256 for name in sorted(order)})
    assert all(one == found[0] for one in found)


def test_a_crop_that_is_too_small_does_not_beat_a_good_one(tmp_path, store):
    park = stored(store, "park", [drawn(1), drawn(1, blur=1.2)], narrow=[0])
    catalog = catalog_with(tmp_path)
    assert dropped(store, catalog, park) == {"park-000000-00": "size"}
    lenient = catalog_with(tmp_path, checks={"size": {"at_least": 1}, "duplicate": {"at_most": 0.7}})
    assert dropped(store, lenient, park) == {"park-000001-00": "duplicate"}, "moving a limit is enough: nothing is measured"


def test_one_person_every_half_second_is_one_candidate_of_two(tmp_path, store):
    pictures = [drawn(number) for number in range(4)]
    catalog = catalog_with(tmp_path)
    followed = dropped(store, catalog, stored(store, "park", pictures, tracks=[0, 0, 0, 0]))
    assert set(followed.values()) == {"duplicate"} and 1 <= len(followed) <= 2, "four in 1.5 s: two or three are kept"
    assert dropped(store, catalog, stored(store, "park", pictures)) == {}


def test_a_source_that_comes_or_is_forgotten_later_counts_from_then_on(tmp_path, store):
    catalog = catalog_with(tmp_path)
    park = stored(store, "park", [drawn(1, blur=1.2)])
    assert dropped(store, catalog, park) == {}
    sky = stored(store, "sky", [drawn(1)])
    assert dropped(store, catalog, sky, park) == {"park-000000-00": "duplicate"}
    assert dropped(store, catalog_with(tmp_path, ["park"]), park) == {}, "the catalog names it no more"
    store.path("tables/measures/sky.parquet").unlink()
    assert dropped(store, catalog, park) == {}


def test_a_second_run_writes_nothing_and_opens_no_picture(tmp_path, store, monkeypatch):
    catalog = catalog_with(tmp_path)
    ref = measure.fn(stored(store, "park", [drawn(1), drawn(1)]), catalog)
    first = deduplicate.fn(ref, catalog)
    before = store.path(first.file).stat()
    with monkeypatch.context() as patched:
        patched.setattr(crops, "decode", lambda *_: pytest.fail("a picture was decoded"))
        assert deduplicate.fn(ref, catalog) == first
    assert (store.path(first.file).stat().st_ino, store.path(first.file).stat().st_mtime_ns) == (
        before.st_ino,
        before.st_mtime_ns,
    )
    measure.fn(stored(store, "sky", [drawn(9)]), catalog)
    assert deduplicate.fn(ref, catalog) == first, "a stranger's arrival changes no score, so nothing after it is made again"


def test_without_such_a_check_scores_are_the_measures(tmp_path, store):
    catalog = catalog_with(tmp_path, checks={"size": {"at_least": 20}})
    ref = measure.fn(stored(store, "park", [drawn(1), drawn(1)]), catalog)
    scores = tables.read(store, deduplicate.fn(ref, catalog))
    assert list(scores.rows["value"]) == [90.0, 90.0] and scores.facts == tables.read(store, ref).facts
