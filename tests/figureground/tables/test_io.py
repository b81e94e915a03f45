"""Tables say what they hold, and what they were made from."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground import tables
from figureground.errors import StoreError
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.types import TableRef

WRITTEN = ["source_id", "path", "license", "file", "sha256"]
PROVENANCE = ["title", "uploader", "page", "uploaded", "site", "clip_id"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path))


def videos(store: Store, source: str = "park") -> pd.DataFrame:
    file = f"videos/{source}/a.mp4"
    row = {"source_id": source, "path": "a.mp4", "license": "MIT", "file": file, "sha256": store.write(file, b"clip")}
    return pd.DataFrame([row])


def test_a_table_comes_back_with_its_facts(store: Store) -> None:
    ref = tables.write(store, "videos", "park", videos(store), fingerprint="f" * 64, facts={"truncated": True, "fps": 29.97})
    table = tables.read(store, ref)

    assert (ref.stage, ref.source_id, ref.file, ref.rows) == ("videos", "park", "tables/videos/park.parquet", 1)
    assert table.rows.to_dict("records") == videos(store).assign(**dict.fromkeys(PROVENANCE, "")).to_dict("records")
    assert table.facts == {"truncated": True, "fps": 29.97}
    assert tables.find(store, "videos", "park") == ref
    assert tables.sources(store, "videos") == ["park"]


def test_a_table_that_is_older_than_its_provenance_is_read(store: Store) -> None:
    old = pa.Table.from_pylist(videos(store).to_dict("records")).replace_schema_metadata({"fingerprint": "f", "facts": "{}"})
    place = store.path("tables/videos/park.parquet")
    place.parent.mkdir(parents=True)
    pq.write_table(old, place)
    before = place.read_bytes()

    found = tables.latest(store, "videos", "park")
    assert found and list(found.rows.columns) == [*WRITTEN, *PROVENANCE]
    assert found.rows.to_dict("records")[0] == videos(store).to_dict("records")[0] | dict.fromkeys(PROVENANCE, "")
    assert tables.fresh(store, "videos", "park", "f")
    assert place.read_bytes() == before
    pq.write_table(old.drop_columns(["license"]), place)
    assert tables.find(store, "videos", "park") is None


VALUES = {
    "string": st.text(max_size=8),
    "int64": st.integers(-(2**60), 2**60),
    "double": st.floats(allow_nan=False),
    "bool": st.booleans(),
    "binary": st.binary(max_size=8),
    "list<item: list<item: float>>": st.lists(st.lists(st.floats(width=32, allow_nan=False), max_size=3), max_size=3),
    "list<item: float>": st.lists(st.floats(width=32, allow_nan=False), max_size=4),
    "list<item: string>": st.lists(st.text(max_size=4), max_size=3),
}


@pytest.mark.slow
@settings(deadline=None)  # a busy machine is no defect
@given(data=st.data(), stage=st.sampled_from(sorted(tables.SCHEMAS)), count=st.integers(0, 3))
def test_every_schema_gives_back_what_was_written(data: st.DataObject, stage: str, count: int) -> None:
    store = Store("memory://tables")
    row = st.fixed_dictionaries(
        {column.name: VALUES[str(column.type).replace("element", "item")] for column in tables.SCHEMAS[stage]}
    )
    rows = [data.draw(row) for _ in range(count)]
    ref = tables.write(store, stage, "any", pd.DataFrame(rows), fingerprint="")

    assert tables.read(store, ref).rows.to_dict("records") == rows
    assert list(tables.read(store, ref).rows.columns) == [column.name for column in tables.SCHEMAS[stage]]


def test_what_could_not_be_measured_stays_nan(store: Store) -> None:
    rows = [{"crop_id": "a", "check": "sharpness", "value": float("nan")}, {"crop_id": "b", "check": "sharpness", "value": 3}]
    values = tables.read(store, tables.write(store, "scores", "park", pd.DataFrame(rows), fingerprint="f")).rows["value"]

    assert [str(value) for value in values] == ["nan", "3.0"]


def test_two_runs_give_the_same_bytes(store: Store) -> None:
    rows = videos(store)
    first = tables.write(store, "videos", "park", rows, fingerprint="f", facts={"a": 1, "b": 2})
    second = tables.write(store, "videos", "park", rows[rows.columns[::-1]], fingerprint="f", facts={"b": 2, "a": 1})

    assert first == second


def test_every_column_says_what_it_means() -> None:
    for stage, columns in tables.SCHEMAS.items():
        assert len({column.name for column in columns}) == len(columns), stage
        assert all(column.meaning for column in columns), stage


# --- fingerprints -----------------------------------------------------------------------------------------------------

REF = TableRef("videos", "park", "tables/videos/park.parquet", "0" * 64, 1)


def test_a_fingerprint_does_not_depend_on_the_order_of_settings() -> None:
    assert tables.fingerprint("frames", [REF], version=1, a=1, b={"x": 1, "y": 2}) == tables.fingerprint(
        "frames", [REF], version=1, b={"y": 2, "x": 1}, a=1
    )


@pytest.mark.parametrize(
    ("stage", "inputs", "settings"),
    [
        ("crops", [REF], {"every": 1}),
        ("frames", [], {"every": 1}),
        ("frames", [TableRef("videos", "park", REF.file, "1" * 64, 1)], {"every": 1}),
        ("frames", [REF], {"every": 2}),
        ("frames", [REF], {}),
    ],
)
def test_a_fingerprint_depends_on_everything_else(stage: str, inputs: list[TableRef], settings: dict[str, int]) -> None:
    assert tables.fingerprint(stage, inputs, version=1, **settings) != tables.fingerprint("frames", [REF], version=1, every=1)


def test_a_fingerprint_depends_on_the_version_of_the_stage() -> None:
    assert tables.fingerprint("frames", [REF], version=1) != tables.fingerprint("frames", [REF], version=2)


def test_fresh_means_same_fingerprint_and_whole_files(store: Store) -> None:
    ref = tables.write(store, "videos", "park", videos(store), fingerprint="f")

    assert tables.fresh(store, "videos", "park", "f") == ref
    assert tables.fresh(store, "videos", "park", "g") is None
    assert tables.fresh(store, "videos", "walk", "f") is None
    store.path("videos/park/a.mp4").write_bytes(b"damaged")
    assert tables.fresh(store, "videos", "park", "f") is None
    store.path("videos/park/a.mp4").unlink()
    assert tables.fresh(store, "videos", "park", "f") is None


def test_a_damaged_table_is_made_again_and_refused_when_asked_for(store: Store) -> None:
    ref = tables.write(store, "videos", "park", videos(store), fingerprint="f")
    content = store.path(ref.file).read_bytes()
    store.path(ref.file).write_bytes(content[:-20])

    assert tables.find(store, "videos", "park") is None
    assert tables.fresh(store, "videos", "park", "f") is None
    with pytest.raises(StoreError, match=r"tables/videos/park\.parquet in .* is damaged: expected sha256"):
        tables.read(store, ref)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_missing_and_unknown_columns_are_named(store: Store) -> None:
    rows = videos(store).rename(columns={"license": "licence"})

    with pytest.raises(StoreError, match=r"table tables/videos/park\.parquet needs the columns .*license.*found .*licence"):
        tables.write(store, "videos", "park", rows, fingerprint="f")


def test_a_value_of_the_wrong_type_is_named(store: Store) -> None:
    rows = videos(store).assign(license=[3])

    with pytest.raises(StoreError, match=r"tables/videos/park\.parquet holds a value of the wrong type"):
        tables.write(store, "videos", "park", rows, fingerprint="f")


def test_a_table_of_another_schema_is_refused(store: Store) -> None:
    ref = tables.write(store, "verdicts", "park", pd.DataFrame(), fingerprint="f")
    as_videos = TableRef("videos", "park", ref.file, ref.sha256, 0)

    with pytest.raises(StoreError, match=r"another schema than this version writes; expected source_id.*found crop_id"):
        tables.read(store, as_videos)


def test_what_is_no_parquet_is_refused(store: Store) -> None:
    digest = store.write("tables/videos/park.parquet", b"hello")

    with pytest.raises(StoreError, match=r"park\.parquet is not a readable parquet table"):
        tables.read(store, TableRef("videos", "park", "tables/videos/park.parquet", digest, 0))
    assert sha256(b"hello") == digest


def test_the_file_is_plain_parquet(store: Store) -> None:
    ref = tables.write(store, "videos", "park", videos(store), fingerprint="f")

    assert pq.read_table(store.path(ref.file)).column_names == [*WRITTEN, *PROVENANCE]
