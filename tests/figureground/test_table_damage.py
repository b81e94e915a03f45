"""One changed bit anywhere in a table: it is noticed, or the table still says the same."""

import io
import json
import random

import pandas as pd
import pyarrow.parquet as pq
import pytest

from figureground import tables
from figureground.errors import StoreError
from figureground.storage.store import Store

ROWS = pd.DataFrame([{"crop_id": f"park-{number:06d}-00", "check": "größe", "value": number / 7} for number in range(40)])


@pytest.fixture
def written(tmp_path):
    store = Store(str(tmp_path))
    ref = tables.write(store, "scores", "park", ROWS, fingerprint="f" * 64, facts={"crops": ["a", "b"], "smeared": 3})
    return store, ref, store.read(ref.file)


def said(store: Store) -> str:
    """What the table says to whoever looks for it by name; "" when it counts as none."""
    try:
        found = tables.latest(store, "scores", "park")
    except StoreError:
        return ""
    return "" if found is None else json.dumps([found.rows.to_dict("records"), found.facts], sort_keys=True)


@pytest.mark.slow
def test_a_changed_bit_is_noticed_or_changes_nothing(written) -> None:
    store, ref, content = written
    whole, dice, noticed = said(store), random.Random(3), 0
    for _ in range(250):
        hurt = bytearray(content)
        hurt[dice.randrange(len(hurt))] ^= 1 << dice.randrange(8)
        store.path(ref.file).write_bytes(hurt)
        found = said(store)
        assert found in ("", whole)
        noticed += not found
        assert tables.fresh(store, "scores", "park", "f" * 64) is None or found == whole
    assert noticed > 60


def test_a_table_cut_short_anywhere_counts_as_none(written) -> None:
    store, ref, content = written
    for size in range(0, len(content), 37):
        store.path(ref.file).write_bytes(content[:size])
        assert tables.find(store, "scores", "park") is None


def test_a_table_written_before_there_were_seals_is_read(written, monkeypatch) -> None:
    store, _, content = written


    table = pq.read_table(io.BytesIO(content))
    old = table.replace_schema_metadata({key: value for key, value in table.schema.metadata.items() if key != b"seal"})
    buffer = io.BytesIO()
    pq.write_table(old, buffer, compression="zstd")
    store.path("tables/scores/park.parquet").write_bytes(buffer.getvalue())
    assert tables.latest(store, "scores", "park").facts == {"crops": ["a", "b"], "smeared": 3}
