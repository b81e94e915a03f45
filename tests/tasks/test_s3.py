"""The whole way on a storage on s3://, from a server that is busy now and then: the same bytes as in a folder."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from figureground import tables
from figureground.catalog import Catalog, load
from figureground.catalog import defaults as catalog_defaults
from figureground.clients.annotation_server import connect
from figureground.clients.sources.fetching import fetch_asset
from figureground.errors import LabelError, ReleaseError, StoreError, TransientError
from figureground.storage.store import StorageAddress, Store
from tasks.annotation.pull import pull
from tasks.annotation.push import push
from tasks.datasets.forget import forget
from tasks.datasets.release import release
from tasks.datasets.verify import verify
from tasks.ingest.crop import crop
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.fetch import fetch
from tasks.ingest.judge import judge
from tasks.ingest.matte import matte
from tasks.ingest.measure import measure
from tasks.ingest.report import report
from tasks.ingest.sample import sample
from tasks.operation import doctor

ROOT = Path(__file__).parents[2]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),  # aiobotocore's own
]


@pytest.fixture
def bucket(bucket_server, monkeypatch):
    """The server, calm, and an environment that finds it."""
    for name, value in bucket_server.environment.items():
        monkeypatch.setenv(name, value)
    bucket_server.behave(0)
    yield bucket_server
    bucket_server.behave(0)


def contents(root: StorageAddress | str) -> dict[str, str]:
    """Every object's hash below a storage's root."""
    store = Store(root)
    folders = ("videos", "frames", "crops", "mattes", "labels", "tables", "reports", "archive")
    return {name: hashlib.sha256(store.read(name)).hexdigest() for folder in folders for name in store.names(folder)}


def write_catalog(folder: Path, storage: str) -> Path:
    """The default recipe on one short clip."""
    folder.mkdir(parents=True, exist_ok=True)
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["sources"] = {"park": content["sources"]["park"]}
    content["recipe"]["sample"] = {"every_seconds": 2.0}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    content["storage"] = storage
    file = folder / "data_catalog.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return file


def ingested(catalog: Catalog) -> None:
    """The stages of an ingest, one after the other, without Prefect."""
    for weights in catalog.weights():
        fetch_asset(catalog.asset(weights.name))
    for source in [catalog.source(name) for name in catalog.sources]:
        crops = crop.fn(sample.fn(source, fetch.fn(source, catalog), catalog), catalog)
        matte.fn(crops, judge.fn(deduplicate.fn(measure.fn(crops, catalog), catalog), catalog), catalog)
        report.fn(source.source_id, catalog)


@pytest.mark.weights
def test_ingest_gives_the_bytes_of_a_folder_and_touches_little(bucket, tmp_path, folder_contents) -> None:
    ingested(load(write_catalog(tmp_path / "folder", "data")))
    expected = folder_contents(tmp_path / "folder/data")
    there = load(write_catalog(tmp_path / "s3", "s3://bucket/ingest"))
    bucket.behave(0.08, seed=5)
    ingested(there)
    assert sum(count for what, count in bucket.counts().items() if what.endswith("503")) >= 5
    assert contents("s3://bucket/ingest") == expected

    bucket.behave(0)
    ingested(there)
    asked = bucket.counts()
    assert not [what for what in asked if what.startswith(("PUT", "POST", "DELETE"))], asked
    made = len([name for name in expected if name.startswith(("frames/", "crops/", "mattes/"))])
    assert sum(asked.values()) <= 45 + made, asked


@pytest.mark.weights
@pytest.mark.soak
def test_a_killed_ingest_on_s3_ends_in_the_bytes_of_a_folder(bucket, tmp_path, run, folder_contents) -> None:
    write_catalog(tmp_path / "folder", "data")
    write_catalog(tmp_path / "s3", "s3://bucket/killed")
    run("ingest", cwd=tmp_path / "folder")
    bucket.behave(0.05, seed=5)  # one request of twenty is refused; and the process dies in the middle
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "ingest"],
        cwd=tmp_path / "s3",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 600
    while time.monotonic() < until and not Store("s3://bucket/killed").names("crops"):
        time.sleep(0.2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    run("ingest", cwd=tmp_path / "s3")
    assert contents("s3://bucket/killed") == {
        name: digest for name, digest in folder_contents(tmp_path / "folder/data").items() if not name.startswith(".")
    }


@pytest.fixture
def both(labelled, bucket, tmp_path, request):
    """The catalog of a labelled storage in a folder, and that of its copy on s3://."""
    verdicts, splits = {"park": ["keep"] * 3, "walk": ["keep", "blurred"]}, {"park": "train", "walk": "val"}
    catalog = labelled(tmp_path / "folder", verdicts, splits)
    place = f"s3://bucket/{request.node.name}"
    there = Store(place)
    for path in sorted((tmp_path / "folder/data").rglob("*")):
        if path.is_file():
            there.write(str(path.relative_to(tmp_path / "folder/data")), path.read_bytes())
    (tmp_path / "s3").mkdir()
    return catalog, catalog.model_copy(update={"folder": tmp_path / "s3", "storage": place})


def cut(catalog):
    return release.fn([catalog.source(name) for name in catalog.sources], catalog, "demo", "20261130")


def test_a_release_from_s3_is_the_release_from_a_folder_and_lies_here(both, bucket, tmp_path) -> None:
    here, there = both
    bucket.behave(0.1, seed=2)
    made = cut(there)
    assert made.folder == str(tmp_path / "s3/data/releases/CustomSeg_Person_20261130_demo")
    assert made.digest == cut(here).digest
    assert verify(Path(made.folder)).digest == made.digest
    assert cut(there).digest == made.digest  # once more: untouched
    archived = Store(there.storage_root).names("archive")
    assert archived == sorted(Store(here.storage_root).names("archive"))
    assert archived


def test_a_label_that_was_overwritten_on_s3_is_named(both) -> None:
    _, there = both
    store = Store(there.storage_root)
    label = store.names("labels")[0]
    store._fs.pipe_file(store._full(label), b"half")
    with pytest.raises((ReleaseError, StoreError), match=label):
        cut(there)


def test_a_truncated_table_on_s3_counts_as_none(both) -> None:
    _, there = both
    store = Store(there.storage_root)
    name = tables.name("crops", "park")
    store._fs.pipe_file(store._full(name), store.read(name)[:100])
    assert tables.find(store, "crops", "park") is None
    with pytest.raises(ReleaseError, match="no readable table crops"):
        cut(there)


def test_a_server_that_is_away_is_never_taken_for_a_missing_or_damaged_table(both, bucket, monkeypatch) -> None:
    from figureground.storage import remote

    monkeypatch.setattr(remote, "PAUSES", (0.01, 0.01))
    _, there = both
    bucket.behave(1.0)
    store = Store(there.storage_root)
    for ask in (lambda: tables.find(store, "crops", "park"), lambda: tables.sources(store, "crops"), lambda: cut(there)):
        with pytest.raises(TransientError, match=r"s3://bucket/.*tried 3 times"):
            ask()


def test_forgetting_a_source_leaves_no_object_of_it(both) -> None:
    _, there = both
    store = Store(there.storage_root)
    there = there.model_copy(update={"label_studio": there.label_studio.model_copy(update={"url": "http://127.0.0.1:9"})})
    tables.write(store, "tasks", "park", pd.DataFrame(), fingerprint="none")
    gone = forget("park", there)
    assert gone.files > 10
    assert [name for name in contents(there.storage_root) if "park" in name] == []
    assert [name for name in contents(there.storage_root) if "walk" in name]


@pytest.mark.studio
def test_what_is_pushed_from_s3_is_seen_through_label_studio(
    bucket, real_studio, studio_folder, make_catalog, make_material
) -> None:
    """Copies for the server are made before it is told of them, checked by the doctor, made again, and forgotten."""
    here = make_catalog(studio_folder, real_studio.url, "from s3")
    there = here.model_copy(update={"storage": "s3://bucket/pushed"})
    material = make_material(there, "park-s3", 7)
    bucket.behave(0.05, seed=3)
    table = push.fn(material.crops, material.mattes, material.source, there)
    assert table.rows == 7
    copies = studio_folder / "data/crops/park-s3"
    store = Store(there.storage_root)
    assert {path.name: path.read_bytes() for path in copies.iterdir()} == {
        name.rpartition("/")[2]: store.read(name) for name in store.names("crops/park-s3")
    }
    assert "serves all 7 images" in doctor._check_images(there)
    assert "1 tasks checked, one per source" in doctor._check_predictions(there)

    first, second, *_ = sorted(copies.iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:50])
    with pytest.raises(LabelError, match="2 of 7 images cannot be seen"):
        doctor._check_images(there)
    push.fn(material.crops, material.mattes, material.source, there)
    assert "serves all 7 images" in doctor._check_images(there)

    with connect(there) as server:
        project = server.find_project(there)
        [task, *_] = server.list_tasks(project)
        [prediction] = task.content["predictions"]
        server.add_annotation(task, prediction["result"], annotator_id=1, seconds=3.0, prediction_id=prediction["id"])
    pulled = pull.fn(material.crops, material.mattes, table, there)
    assert pulled.rows == 1
    assert len(store.names("labels/park-s3")) == 1
    forget("park-s3", there)
    assert not copies.exists()
    assert not store.names("crops/park-s3")


def test_incomplete_copies_of_a_killed_push_are_removed(bucket, tmp_path) -> None:
    store = Store(StorageAddress("s3://bucket/swept", local_folder=str(tmp_path)))
    orphan = tmp_path / "crops/park" / f".tmp-{os.uname().nodename.replace('-', '_')}-999999999-a.jpg"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"half")
    assert any(str(orphan).endswith(swept) for swept in store.remove_temporary_files())
    assert not orphan.exists()
