"""Rows go into a table and come back as the same rows; the file is the one that a data frame gives."""

import dataclasses
import math
import subprocess
import sys
from pathlib import Path
from typing import Any, get_type_hints

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from figureground import tables
from figureground.errors import StoreError
from figureground.storage.store import Store
from figureground.tables import CropRow, Row, ScoreRow, VerdictRow, VideoRow

ROOT = Path(__file__).parents[3]
_FLOAT32 = st.floats(width=32, allow_nan=False)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(max_size=8),
    int: st.integers(-(2**60), 2**60),
    float: st.floats(allow_nan=False),
    bool: st.booleans(),
    bytes: st.binary(max_size=8),
    tuple[str, ...]: st.lists(st.text(max_size=4), max_size=3).map(tuple),
    tuple[float, ...]: st.lists(_FLOAT32, max_size=4).map(tuple),
    tuple[tuple[float, ...], ...]: st.lists(st.lists(_FLOAT32, max_size=3).map(tuple), max_size=3).map(tuple),
}


def rows_of(row_class: type[Row]) -> st.SearchStrategy[list[Any]]:
    hints = get_type_hints(row_class)
    fields = [field.name for field in dataclasses.fields(row_class)]  # type: ignore[arg-type]
    return st.lists(st.builds(row_class, **{name: VALUES[hints[name]] for name in fields}), max_size=3)


@pytest.mark.slow
@settings(deadline=None)  # a busy machine is no defect
@given(data=st.data(), stage=st.sampled_from(sorted(tables.ROW_CLASSES)))
def test_every_row_class_gives_back_what_was_written(data: st.DataObject, stage: str) -> None:
    store, row_class = Store("memory://rows"), tables.ROW_CLASSES[stage]
    rows = data.draw(rows_of(row_class))
    ref = tables.write_rows(store, stage, "any", rows, fingerprint="f", facts={"a": 1})

    assert tables.read_rows(store, ref, row_class) == rows
    assert list(tables.iterate_rows(store, ref, row_class)) == rows
    assert tables.read_facts(store, ref) == {"a": 1}
    frame = pd.DataFrame([dataclasses.asdict(row) for row in rows])
    assert tables.write(store, stage, "any", frame, fingerprint="f", facts={"a": 1}) == ref


@pytest.mark.parametrize("row_class", tables.ROW_CLASSES.values())
def test_a_row_class_is_frozen_slotted_and_names_its_table(row_class: type[Row]) -> None:
    assert row_class.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert not hasattr(row_class, "__dict__") or "__slots__" in vars(row_class)
    assert tables.ROW_CLASSES[row_class.stage] is row_class
    assert list(vars(row_class)["__slots__"]) == [column.name for column in tables.SCHEMAS[row_class.stage]]


def test_nan_stays_nan(tmp_path: Path) -> None:
    row = ScoreRow(crop_id="a", check="sharpness", value=math.nan)
    store = Store(str(tmp_path))
    ref = tables.write_rows(store, "scores", "park", [row], fingerprint="f")

    assert math.isnan(tables.read_rows(store, ref, ScoreRow)[0].value)


def test_a_row_of_another_table_is_refused(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    row = VerdictRow(crop_id="a", kept=True, reason="")
    with pytest.raises(StoreError, match=r"tables/scores/park\.parquet holds rows of ScoreRow; found a VerdictRow"):
        tables.write_rows(store, "scores", "park", [row], fingerprint="f")
    ref = tables.write_rows(store, "verdicts", "park", [row], fingerprint="f")
    with pytest.raises(StoreError, match=r"verdicts/park\.parquet is a table of verdicts; ScoreRow is a row of scores"):
        tables.read_rows(store, ref, ScoreRow)


def test_a_value_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    row = VideoRow(source_id="park", path="a.mp4", license=3, file="a", sha256="0")  # type: ignore[arg-type]
    with pytest.raises(StoreError, match=r"tables/videos/park\.parquet holds a value of the wrong type"):
        tables.write_rows(Store(str(tmp_path)), "videos", "park", [row], fingerprint="f")


def test_a_column_that_a_file_may_lack_has_a_default() -> None:
    absent = {column.name for columns in tables.SCHEMAS.values() for column in columns if column.absent is not None}
    assert absent == {"title", "uploader", "page", "uploaded", "site", "clip_id", "instances"}
    assert CropRow.stage == "crops"


def test_the_row_classes_need_neither_pandas_nor_pyarrow() -> None:
    code = "import sys; from figureground.tables import CropRow; print({'pandas', 'pyarrow'} & set(sys.modules) or 'light')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "light"
