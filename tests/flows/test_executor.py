"""A Dask cluster by the catalog alone: the bytes that threads give, also when a worker is killed in the middle."""

import logging
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest
import yaml
from prefect.states import Completed, Failed

from figureground import progress, tables
from figureground.catalog import Catalog, DaskEntry
from figureground.errors import CatalogError, StoreError, TransientError
from figureground.imaging import crops as cutting
from figureground.storage.store import Store
from figureground.types import TableRef
from flows import executor, worker
from flows.executor import open_executor
from flows.worker import run_stage

ROOT = Path(__file__).parents[2]
ASYNC = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")  # distributed's own


def small(folder: Path, **runner: object) -> Catalog:
    sources = {"park": {"path": "park.mp4", "license": "CC0-1.0"}}
    recipe = {"sample": {"every_seconds": 0.5}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    assets = {"u2netp.onnx": {"sha256": "3" * 64, "license": "Apache-2.0", "path": "nowhere"}}
    return Catalog.model_validate({"folder": folder, "sources": sources, "recipe": recipe, "assets": assets, **runner})


def test_a_worker_looks_the_verb_up_and_raises_what_it_raises(tmp_path, monkeypatch) -> None:
    catalog = small(tmp_path)
    monkeypatch.setattr(worker, "_prepare", lambda catalog: None)
    ref = TableRef("crops", "park", "tables/crops/park.parquet", "0" * 64, 0)
    with pytest.raises(StoreError, match=r"tables/crops/park\.parquet"):
        run_stage("tasks.ingest.measure", "measure", (ref, catalog))


def test_the_progress_of_shards_is_shown_as_one_stage() -> None:
    heard: list[tuple[str, str, int, int]] = []
    silence, shards = progress.subscribe(lambda *told: heard.append(told)), executor._ShardProgress()
    try:
        with shards.adding("matte", "park", ["matte 1/2", "matte 2/2"], 10):
            for told in (["matte 1/2", "park", 2, 5], ["crop", "sea", 1, 3], ["matte 2/2", "park", 5, 5]):
                shards.receive((0.0, told))
            shards.receive((0.0, ["matte 1/2", "park", 5, 5]))
        shards.receive((0.0, ["matte 1/2", "park", 5, 5]))
    finally:
        silence()
    assert heard == [("matte", "park", 2, 10), ("crop", "sea", 1, 3), ("matte", "park", 7, 10), ("matte", "park", 9, 10)]


class Busy:
    """A detector that finds nobody, and the first time it is asked cannot be had."""

    VERSION = 1

    def __init__(self) -> None:
        self.asked: list[int] = []

    def find(self, images: list[object]) -> list[list[object]]:
        self.asked.append(len(images))
        if len(self.asked) == 1:
            raise StoreError("no memory left")
        return [[] for _ in images]


def without_prefect(**_: object) -> Callable[..., object]:
    """Do what a Prefect task does, without a server that takes half a minute to start."""

    def decorate(body: Callable[[], object]) -> Callable[..., object]:
        def call(*, return_state: bool) -> object:
            try:
                return Completed(data=body())
            except StoreError as error:
                return Failed(data=error)

        return call

    return decorate


@ASYNC
@pytest.mark.slow
def test_what_a_failed_shard_left_undone_is_done_by_the_stage(tmp_path, monkeypatch, caplog) -> None:
    from distributed import LocalCluster

    busy, catalog = Busy(), small(tmp_path)
    monkeypatch.setattr(executor, "task", without_prefect)
    monkeypatch.setattr(worker, "_prepare", lambda given: None)
    monkeypatch.setattr(Catalog, "detector", lambda self: busy)
    monkeypatch.setattr("figureground.plugins.describe", lambda plugin: {"name": "busy"})
    monkeypatch.setattr("figureground.plugins.weights", lambda plugin: [])
    store, dark = Store(catalog.storage_root), cutting.encode(np.zeros((64, 64, 3), np.uint8))
    shown = {"source_id": "park", "original": "park.mp4", "reason": "", "width": 64, "height": 64}
    shown |= {"file": "frames/park/a.jpg", "sha256": store.write("frames/park/a.jpg", dark)}
    rows = [shown | {"frame_id": f"park-{index:06d}", "index": index, "seconds": float(index)} for index in range(9)]
    given = tables.write(store, "frames", "park", pd.DataFrame(rows), fingerprint="frames"), catalog
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            protocol="tcp",
            dashboard_address=None,
            silence_logs=logging.ERROR,
        ) as here,
        executor._connect(DaskEntry(address=here.scheduler_address, shard_at_least=4)) as cluster,
    ):
        assert cluster._process_shards("crop", "tasks.ingest.crop", given) is None
        assert sum(busy.asked) in (8, 9) and len(store.names("shards/park")) == 1
        ref = cluster._run("crop", "crop", run_stage, "tasks.ingest.crop", "crop", given)
        asked = sum(busy.asked)
        assert cluster._process_shards("crop", "tasks.ingest.crop", given) == ref
    assert tables.read(store, ref).facts["frames"] == 9
    assert asked in (13, 14) and sum(busy.asked) == asked, "only the shard that failed was done again"
    assert "failed, the stage processes that part itself: no memory left" in caplog.text


class Silent:
    """A client whose cluster lost its workers."""

    def nthreads(self) -> dict[str, int]:
        return {}

    def scheduler_info(self, n_workers: int) -> dict[str, object]:
        return {"workers": {}}


class Gone:
    """A client whose scheduler went away."""

    def nthreads(self) -> dict[str, int]:
        raise OSError("closed")

    def scheduler_info(self, n_workers: int) -> dict[str, object]:
        raise TimeoutError


@pytest.mark.parametrize("client", [Silent(), Gone()])
@pytest.mark.parametrize("stage", ["matte", "crop"])
def test_without_workers_a_stage_is_not_split_into_shards(client, stage) -> None:
    entry = DaskEntry(workers=2, gpu_stages=["matte"])
    cluster, ref = executor._Cluster(client, entry, None, None), TableRef("crops", "park", "", "", 10_000)
    assert cluster._count_slots_of(stage) == 0
    assert cluster._process_shards(stage, f"tasks.{stage}", (ref,)) is None


class Never:
    def result(self, timeout: float) -> None:
        raise TimeoutError

    def done(self) -> bool:
        return False


@ASYNC
@pytest.mark.slow
def test_a_cluster_without_workers_is_not_waited_for_for_ever() -> None:
    with pytest.raises(TransientError, match="matte: the cluster has had no worker for 120 s"):
        executor._wait_for(Silent(), Never(), "matte")


@ASYNC
@pytest.mark.slow
def test_no_scheduler_at_an_address_is_one_message(monkeypatch) -> None:
    monkeypatch.setattr(executor, "_CONNECT_SECONDS", 0.5)
    entry = DaskEntry(address="tcp://127.0.0.1:9")
    with pytest.raises(TransientError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"), executor._connect(entry):
        pass


@contextmanager
def dask(folder: Path, *workers: tuple[str, ...]) -> Iterator[str]:
    """A scheduler and workers as an administrator starts them."""
    file, started, environment = folder / "scheduler.json", [], os.environ | {"PYTHONPATH": str(ROOT)}
    python = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    commands = [[*python, "--port", "0", "--no-dashboard", "--host", "127.0.0.1", "--scheduler-file", str(file)]]
    python = [sys.executable, "-m", "distributed.cli.dask_worker", "--scheduler-file", str(file), "--no-dashboard"]
    commands += [[*python, "--nthreads", "1", "--local-directory", str(folder), *more] for more in workers]
    with (folder / "dask.log").open("wb") as log:
        try:
            for command in commands:
                started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True))
            until = time.monotonic() + 60
            while not file.exists():
                assert time.monotonic() < until, (folder / "dask.log").read_text()
                time.sleep(0.1)
            yield str(yaml.safe_load(file.read_text())["address"])
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@ASYNC
@pytest.mark.slow
def test_a_gpu_stage_needs_a_worker_with_one(tmp_path, monkeypatch) -> None:
    with dask(tmp_path, ()) as address:
        asked = small(tmp_path, runner={"dask": {"address": address, "gpu_stages": ["matte"]}})
        with (
            pytest.raises(CatalogError, match=r"no worker at tcp.* has the resource GPU, which gpu_stages"),
            open_executor(asked),
        ):
            pass
        monkeypatch.setattr(executor, "__version__", "another")
        plain = small(tmp_path, runner={"dask": {"address": address}})
        with (
            pytest.raises(CatalogError, match="expected figureground another on every worker; found tcp"),
            open_executor(plain),
        ):
            pass


@pytest.fixture(scope="module")
def write_catalog(clips, write_catalog_of) -> Callable[..., None]:
    """Write a catalog with the clips and so many frames that each stage of one of them can be done in shards."""

    def write(folder: Path, **more: object) -> None:
        file = write_catalog_of(folder, {name: clips[name] for name in ("early", "late")}, **more)
        content = yaml.safe_load(file.read_text())
        content["recipe"]["sample"] = {"every_seconds": 0.2, "sharpest_within": 0.0}
        file.write_text(yaml.safe_dump(content, sort_keys=False))

    return write


SHARDS = {"shards": 2, "shard_at_least": 2}


@pytest.fixture(scope="module")
def by_threads(write_catalog, tmp_path_factory, run, folder_contents) -> dict[str, str]:
    """What threads make of the clips."""
    folder = tmp_path_factory.mktemp("threads")
    write_catalog(folder)
    run("ingest", cwd=folder)
    return dict(folder_contents(folder / "data"))


def workers_of(process: subprocess.Popen) -> list[psutil.Process]:
    """The living workers of a run's own cluster; who ends while we look is none."""
    found = []
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "spawn_main" in " ".join(child.cmdline()):
                    found.append(child)
    return found


def until_both_work(process: subprocess.Popen, crops: Path) -> list[psutil.Process]:
    """Wait for the first crop, and give the two workers."""
    until = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < until:
        if list(crops.glob("*/*.jpg")) and len(found := workers_of(process)) == 2:
            return found
        time.sleep(0.02)
    process.kill()
    raise AssertionError(f"no two workers with a crop before the run ended ({process.poll()}): {process.communicate()[0]}")


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.faults
def test_two_workers_with_shards_one_of_them_killed_give_the_bytes_of_threads(
    write_catalog, tmp_path, by_threads, folder_contents
) -> None:
    write_catalog(tmp_path, runner={"dask": {"workers": 2, **SHARDS}})
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "ingest"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        victims = until_both_work(process, tmp_path / "data/crops")
        victims[0].kill()
        # what it was writing when it died, whether it was or not
        (tmp_path / f"data/crops/.tmp-{platform.node().replace('-', '_')}-{victims[0].pid}-half.jpg").write_bytes(b"half")
        mattes = len(list(tmp_path.glob("data/mattes/*/*.png")))
        shards, until = set(), time.monotonic() + 600
        while process.poll() is None and time.monotonic() < until:
            shards |= {path.name.partition("-")[0] for path in tmp_path.glob("data/shards/*/[!.]*.json")}
            time.sleep(0.05)
        said = process.communicate(timeout=10)[0]
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert "Traceback" not in said
    assert mattes < sum(name.startswith("mattes/") for name in by_threads), "it was killed in the middle"
    assert folder_contents(tmp_path / "data") == by_threads
    assert shards == {"crop", "measure", "matte"}
    assert said.count("late · matte") == 1  # how far a worker is comes back to who waits


@pytest.mark.weights
@pytest.mark.soak
def test_a_running_cluster_with_one_gpu_worker_gives_the_bytes_of_threads(
    write_catalog, tmp_path, run, by_threads, folder_contents
) -> None:
    with dask(tmp_path, (), ("--resources", "GPU=1")) as address:
        write_catalog(tmp_path / "dask", runner={"dask": {"address": address, "gpu_stages": ["matte"], **SHARDS}})
        run("ingest", cwd=tmp_path / "dask")
    assert folder_contents(tmp_path / "dask/data") == by_threads
