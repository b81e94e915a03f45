"""tasks.ingest.matte: kept crops in, mattes out, with a stand-in for the remover."""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import pytest

from figureground import progress, tables
from figureground.catalog import Catalog
from figureground.errors import ArrayError, StoreError
from figureground.imaging import crops as cutting
from figureground.imaging import masks
from figureground.storage.store import Store
from tasks.ingest.matte import matte

ASKED: list[str] = []


@dataclass(frozen=True)
class Halves:
    """A remover that calls the left part person, and can be made to fail."""

    VERSION = 1

    share: float = 0.5
    fails_at: str = ""

    def estimate_alphas(self, crops):
        ASKED.extend(crop.crop_id for crop in crops)
        if self.fails_at in [crop.crop_id for crop in crops]:
            raise KeyboardInterrupt
        return [self._alpha(*crop.image.shape[:2]) for crop in crops]

    def _alpha(self, height, width):
        alpha = np.zeros((height, width), np.float32)
        alpha[:, : int(width * self.share)] = 0.75
        return alpha


@pytest.fixture(autouse=True)
def nothing_asked_yet():
    ASKED.clear()


@pytest.fixture
def catalog(tmp_path):
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    return Catalog.model_validate({"folder": tmp_path, "storage": "data", "sources": {}, "recipe": recipe})


@pytest.fixture
def use(monkeypatch):
    return lambda remover: monkeypatch.setattr(Catalog, "remover", lambda self: remover)


@pytest.fixture
def store(catalog):
    return Store(catalog.storage_root)


def row_of(store, number, seed):
    height, width = 40 + number, 30
    image = np.random.default_rng(seed).integers(0, 255, (height, width, 3), np.uint8)
    crop_id = f"park-{number:06d}-00"
    file = f"crops/park/{crop_id}.jpg"
    sides = {"x0": 0, "y0": 0, "x1": width, "y1": height}
    return {
        "crop_id": crop_id,
        "frame_id": crop_id[:-3],
        "source_id": "park",
        **sides,
        **{f"person_{side}": float(value) for side, value in sides.items()},
        "score": 0.9,
        "keypoints": [],
        "others": [],
        "face": [],
        "face_score": float("nan"),
        "seconds": 0.0,
        "track": 0,
        "frame_width": width,
        "frame_height": height,
        "width": width,
        "height": height,
        "file": file,
        "sha256": store.write(file, cutting.encode(image)),
    }


def cropped(store, count=20, seed=0):
    rows = [row_of(store, number, seed + number) for number in range(count)]
    return tables.write(store, "crops", "park", pd.DataFrame(rows), fingerprint=f"crops {count} {seed}")


def judged(store, crops, refused=()):
    rows = [
        {"crop_id": crop, "kept": number not in refused, "reason": "size" if number in refused else ""}
        for number, crop in enumerate(tables.read(store, crops).rows["crop_id"])
    ]
    return tables.write(store, "verdicts", "park", pd.DataFrame(rows), fingerprint=str(refused))


def snapshot(store):
    return {name: store.path(name).stat().st_mtime_ns for name in store.names("mattes")}, contents(store)


def contents(store):
    return {name: store.read(name) for name in store.names("mattes")}


def test_every_kept_crop_gets_an_8_bit_png_of_its_own_size(store, catalog, use):
    use(Halves())
    crops = cropped(store)
    ref = matte.fn(crops, judged(store, crops, refused=(1, 19)), catalog)
    rows = tables.read(store, ref).rows
    kept = [f"park-{number:06d}-00" for number in range(20) if number not in (1, 19)]
    assert list(rows["crop_id"]) == kept == sorted(ASKED)
    assert store.names("mattes") == [f"mattes/park/{crop}.png" for crop in kept] == list(rows["file"])
    assert set(rows["remover"]) == {"test_matte"}
    levels = cv2.imread(str(store.path("mattes/park/park-000003-00.png")), cv2.IMREAD_UNCHANGED)
    assert (levels.shape, levels.dtype) == ((43, 30), np.uint8)
    assert (levels[:, :15] == 191).all()
    assert (levels[:, 15:] == 0).all()
    assert all(store.verifies(file, digest) for file, digest in zip(rows["file"], rows["sha256"], strict=True))


def test_a_second_run_writes_nothing_and_asks_nothing(store, catalog, use):
    use(Halves())
    crops = cropped(store)
    verdicts = judged(store, crops)
    first = matte.fn(crops, verdicts, catalog)
    before = snapshot(store)
    ASKED.clear()
    assert matte.fn(crops, verdicts, catalog) == first
    assert snapshot(store) == before
    assert not ASKED


def test_moving_a_limit_back_and_forth_runs_the_remover_once_a_crop(store, catalog, use):
    use(Halves())
    crops = cropped(store)
    strict = matte.fn(crops, judged(store, crops, refused=range(10)), catalog)
    assert len(ASKED) == 10
    loose = matte.fn(crops, judged(store, crops, refused=(0,)), catalog)
    assert len(ASKED) == 19
    assert matte.fn(crops, judged(store, crops, refused=range(10)), catalog) == strict
    assert matte.fn(crops, judged(store, crops, refused=(0,)), catalog) == loose
    assert len(ASKED) == 19


def test_the_table_does_not_depend_on_the_order_of_runs(store, catalog, use, tmp_path):
    use(Halves())
    crops = cropped(store)
    matte.fn(crops, judged(store, crops), catalog)
    roundabout = matte.fn(crops, judged(store, crops, refused=(4,)), catalog)
    other = Catalog.model_validate({**catalog.model_dump(), "storage": "other"})
    fresh = Store(other.storage_root)
    crops = cropped(fresh)
    assert matte.fn(crops, judged(fresh, crops, refused=(4,)), other) == roundabout


def test_other_settings_or_another_picture_are_made_anew(store, catalog, use):
    use(Halves())
    crops = cropped(store, count=5)
    first = matte.fn(crops, judged(store, crops), catalog)
    use(Halves(share=0.9))
    second = matte.fn(crops, judged(store, crops), catalog)
    assert len(ASKED) == 10
    assert first.sha256 != second.sha256
    crops = cropped(store, count=5, seed=4)  # all but crop 0 of another picture than before
    matte.fn(crops, judged(store, crops), catalog)
    assert len(ASKED) == 15


@pytest.mark.parametrize("harm", [lambda content: content[:-20], lambda content: b"", None])
def test_a_damaged_or_missing_matte_is_made_again_and_only_that(store, catalog, use, harm):
    use(Halves())
    crops = cropped(store)
    verdicts = judged(store, crops)
    first = matte.fn(crops, verdicts, catalog)
    path = store.path("mattes/park/park-000007-00.png")
    content = path.read_bytes()
    path.write_bytes(harm(content)) if harm else path.unlink()
    ASKED.clear()
    assert matte.fn(crops, verdicts, catalog) == first
    assert ASKED == ["park-000007-00"]
    assert path.read_bytes() == content


def test_killed_halfway_it_goes_on_where_it_was_and_ends_with_the_same_bytes(store, catalog, use, tmp_path):
    crops = cropped(store)
    verdicts = judged(store, crops)

    @dataclass(frozen=True)
    class Killed(Halves):
        VERSION = 1

        def estimate_alphas(self, crops):
            if any(crop.crop_id == "park-000017-00" for crop in crops) and not (tmp_path / "killed").exists():
                (tmp_path / "killed").touch()
                raise KeyboardInterrupt
            return super().estimate_alphas(crops)

    use(Killed())
    with pytest.raises(KeyboardInterrupt):
        matte.fn(crops, verdicts, catalog)
    made = len(store.names("mattes"))
    assert 0 < made < 20
    assert tables.find(store, "mattes", "park") is None
    ASKED.clear()
    ref = matte.fn(crops, verdicts, catalog)
    assert len(ASKED) == 20 - made
    again = Catalog.model_validate({**catalog.model_dump(), "storage": "other"})
    fresh = Store(again.storage_root)
    crops = cropped(fresh)
    assert matte.fn(crops, judged(fresh, crops), again) == ref
    assert contents(fresh) == contents(store)


def test_no_kept_crops_give_an_empty_table_and_ask_nothing(store, catalog, use):
    use(Halves())
    crops = cropped(store, count=3)
    assert matte.fn(crops, judged(store, crops, refused=range(3)), catalog).rows == 0
    none = tables.write(store, "crops", "park", pd.DataFrame(), fingerprint="none")
    assert matte.fn(none, judged(store, none), catalog).rows == 0
    assert not ASKED


def test_a_missing_or_altered_crop_is_named(store, catalog, use):
    use(Halves())
    crops = cropped(store, count=3)
    store.path("crops/park/park-000001-00.jpg").write_bytes(b"other bytes")
    with pytest.raises(StoreError, match=r"crops/park/park-000001-00\.jpg .* is damaged"):
        matte.fn(crops, judged(store, crops), catalog)


def test_a_matte_of_another_size_is_refused(store, catalog, use):
    @dataclass(frozen=True)
    class Small:
        VERSION = 1

        def estimate_alphas(self, crops):
            return [np.zeros((3, 3), np.float32) for _ in crops]

    use(Small())
    crops = cropped(store, count=1)
    with pytest.raises(ArrayError, match=r"park-000000-00: expected the crop's size \(40, 30\), found \(3, 3\)"):
        matte.fn(crops, judged(store, crops), catalog)


def test_progress_counts_every_kept_crop(store, catalog, use):
    use(Halves())
    heard = []
    quiet = progress.subscribe(lambda *told: heard.append(told))
    crops = cropped(store)
    matte.fn(crops, judged(store, crops, refused=(0,)), catalog)
    quiet()
    assert heard[-1] == ("matte", "park", 19, 19)


def test_the_mark_of_a_matte_depends_on_its_crop(store, catalog, use):
    use(Halves())
    crops = cropped(store, count=3)
    matte.fn(crops, judged(store, crops), catalog)
    assert len({masks.read_mark(store.read(name)) for name in store.names("mattes")}) == 3


@dataclass(frozen=True)
class Sure(Halves):
    """A remover that says how sure it is."""

    VERSION = 1

    def estimate_with_confidence(self, crops):
        return [(alpha, len(alpha) / 100) for alpha in self.estimate_alphas(crops)]


def test_the_removers_own_score_stands_in_the_table_and_survives_the_tables_loss(store, catalog, use):
    use(Sure())
    crops = cropped(store, count=3)
    verdicts = judged(store, crops)
    first = matte.fn(crops, verdicts, catalog)
    assert list(tables.read(store, first).rows["score"]) == [0.4, 0.41, 0.42]
    store.path(first.file).unlink()
    ASKED.clear()
    assert matte.fn(crops, verdicts, catalog) == first
    assert not ASKED


def test_a_remover_without_a_score_is_judged_by_its_matte(store, catalog, use):
    use(Halves())
    crops = cropped(store, count=1)
    (score,) = tables.read(store, matte.fn(crops, judged(store, crops), catalog)).rows["score"]
    assert score == pytest.approx(1 - 0.25 / 0.75, abs=1e-4)


@dataclass(frozen=True)
class Remembering(Halves):
    """A remover whose answer depends on how many crops came before in the same call."""

    VERSION = 1

    recurrent = True

    def estimate_alphas(self, crops):
        return [alpha * np.float32(1 - number / 20) for number, alpha in enumerate(super().estimate_alphas(crops))]


def test_a_remover_that_is_recurrent_makes_a_group_whole_or_not_at_all(store, catalog, use):
    use(Remembering())
    crops = cropped(store, count=20)
    verdicts = judged(store, crops)
    first = matte.fn(crops, verdicts, catalog)
    before = contents(store)
    for number in (3, 17):
        store.path(f"mattes/park/park-{number:06d}-00.png").unlink()
    ASKED.clear()
    assert matte.fn(crops, verdicts, catalog) == first
    assert contents(store) == before
    assert [f"park-{number:06d}-00" for number in (*range(8), *range(16, 20))] == sorted(ASKED)
