"""tasks.ingest.judge: verdicts from scores alone."""

import builtins
import io
import os

import pandas as pd
import pytest

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.storage.store import Store
from tasks.ingest.judge import judge

CHECKS = {"size": {"at_least": 50}, "truncation": {"at_most": 0.2}, "sharpness": {"at_least": 0.3}}
SCORES = {
    "park-000000-00": {"size": 90, "truncation": 0.0, "sharpness": 0.5},
    "park-000001-00": {"size": 10, "truncation": 0.9, "sharpness": 0.5},
    "park-000002-00": {"size": 90, "truncation": 0.9, "sharpness": 0.1},
    "park-000003-00": {"size": 90, "truncation": 0.0, "sharpness": float("nan")},
    "park-000004-00": {"size": 50, "truncation": 0.2, "sharpness": 0.3},
}


@pytest.fixture
def catalog(tmp_path):
    def make(checks):
        recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": checks, "remover": {"rembg": {}}}
        return Catalog.model_validate({"folder": tmp_path, "storage": "data", "sources": {}, "recipe": recipe})

    return make


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "data"))


def stored(store, scores):
    rows = [{"crop_id": c, "check": n, "value": float(v)} for c, values in scores.items() for n, v in values.items()]
    return tables.write(store, "scores", "park", pd.DataFrame(rows), fingerprint="scores", facts={"crops": list(scores)})


def verdicts(store, ref):
    rows = tables.read(store, ref).rows
    return {crop: (bool(kept), reason) for crop, kept, reason in rows[["crop_id", "kept", "reason"]].itertuples(index=False)}


def test_the_first_check_in_the_catalogs_order_gives_the_reason(store, catalog):
    found = verdicts(store, judge.fn(stored(store, SCORES), catalog(CHECKS)))
    assert found == {
        "park-000000-00": (True, ""),
        "park-000001-00": (False, "size"),
        "park-000002-00": (False, "truncation"),
        "park-000003-00": (False, "sharpness"),
        "park-000004-00": (True, ""),
    }
    turned = verdicts(store, judge.fn(stored(store, SCORES), catalog(dict(reversed(CHECKS.items())))))
    assert turned["park-000002-00"] == (False, "sharpness") and turned["park-000001-00"] == (False, "truncation")


def test_the_facts_count_the_reasons(store, catalog):
    ref = judge.fn(stored(store, SCORES), catalog(CHECKS))
    assert tables.read(store, ref).facts["reasons"] == {"": 2, "size": 1, "truncation": 1, "sharpness": 1}


def test_a_moved_limit_changes_the_verdicts_and_only_then(store, catalog):
    ref = stored(store, SCORES)
    first = judge.fn(ref, catalog(CHECKS))
    assert judge.fn(ref, catalog(CHECKS)) == first
    moved = judge.fn(ref, catalog({**CHECKS, "size": {"at_least": 5}}))
    assert verdicts(store, moved)["park-000001-00"] == (False, "truncation")


def test_no_checks_keep_every_crop(store, catalog):
    ref = tables.write(store, "scores", "park", pd.DataFrame(), fingerprint="s", facts={"crops": list(SCORES)})
    assert set(verdicts(store, judge.fn(ref, catalog({}))).values()) == {(True, "")}


def test_no_crops_no_verdicts(store, catalog):
    ref = tables.write(store, "scores", "sky", pd.DataFrame(), fingerprint="s", facts={"crops": []})
    assert judge.fn(ref, catalog(CHECKS)).rows == 0


def test_a_crop_without_a_score_is_named(store, catalog):
    scores = {**SCORES, "park-000005-00": {"size": 90, "truncation": 0.0}}
    with pytest.raises(StoreError, match="park-000005-00 has no score of the check 'sharpness'"):
        judge.fn(stored(store, scores), catalog(CHECKS))


def test_a_thousand_crops_are_judged_and_none_is_opened(store, catalog, monkeypatch):
    ref = stored(store, {f"park-{n:06d}-00": {"size": n % 99, "truncation": 0.0, "sharpness": 0.5} for n in range(1000)})
    for n in range(3):
        store.write(f"crops/park/park-{n:06d}-00.jpg", b"never read")
    opened = []

    def watch(module, name):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, lambda file, *a, **k: opened.append(str(file)) or real(file, *a, **k))

    for module, name in ((builtins, "open"), (io, "open"), (os, "open")):
        watch(module, name)
    found = judge.fn(ref, catalog(CHECKS))
    assert found.rows == 1000
    assert any("tables/scores" in file for file in opened), "the watch sees what is opened"
    assert not [file for file in opened if "crops/" in file]
