"""A full disk, files cut short, originals that are gone: one message each, then the bytes of an undisturbed run."""

import os
import shutil
import subprocess
from pathlib import Path

import av
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults
from figureground.catalog import load
from figureground.clients.sources.fetching import fetch_asset
from figureground.errors import SourceError, StoreError
from tasks.ingest.crop import crop
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.fetch import fetch
from tasks.ingest.judge import judge
from tasks.ingest.matte import matte
from tasks.ingest.measure import measure
from tasks.ingest.report import report
from tasks.ingest.sample import sample

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A second of the park clip."""
    folder = tmp_path_factory.mktemp("clip")
    catalog = load(ROOT / "data_catalog.yaml").model_copy(update={"storage": str(folder)})
    fetch.fn(catalog.source("park"), catalog)
    with (
        av.open(str(next((folder / "videos/park").iterdir()))) as source,
        av.open(str(folder / "short.mp4"), "w") as into,
    ):
        stream = source.streams.video[0]
        copy = into.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None and float(packet.pts * stream.time_base) < 1.0:
                packet.stream = copy
                into.mux(packet)
    return folder / "short.mp4"


def write_catalog(folder: Path, clip: Path, storage: str = "data") -> None:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["sources"] = {"short": {"license": "BSD-3-Clause", "scenes": ["park"], "path": str(clip)}}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content | {"storage": storage}, sort_keys=False))


def ingested(folder: Path) -> None:
    """The stages of an ingest, one after the other, without Prefect."""
    catalog = load(folder / "data_catalog.yaml")
    for weights in catalog.weights():
        fetch_asset(catalog.asset(weights.name))
    source = catalog.source("short")
    crops = crop.fn(sample.fn(source, fetch.fn(source, catalog), catalog), catalog)
    matte.fn(crops, judge.fn(deduplicate.fn(measure.fn(crops, catalog), catalog), catalog), catalog)
    report.fn("short", catalog)


@pytest.fixture(scope="module")
def calm(tmp_path_factory, clip) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("calm")
    write_catalog(folder, clip)
    ingested(folder)
    return folder


@pytest.fixture
def disk(tmp_path):
    """A disk of our own whose size can be set."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("only root may mount a tmpfs here")
    yield place, lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", place], check=True)
    subprocess.run(["umount", "-l", place], check=True)


def stopped_by(folder: Path) -> str:
    """Run the stages and give the message that ended them, or ""."""
    try:
        ingested(folder)
    except StoreError as error:
        return str(error)
    return ""


def test_a_full_disk_is_one_message_and_with_room_the_run_ends_in_the_same_bytes(
    calm, clip, tmp_path, disk, folder_contents
) -> None:
    place, resize = disk
    write_catalog(tmp_path, clip, str(place / "data"))
    whole = sum(path.stat().st_size for path in (calm / "data").rglob("*") if path.is_file())
    stopped = set()
    for share in (0.05, 0.5, 0.75, 0.9):  # in the video, the frames, the crops or mattes, the report
        resize(max(4096, int(share * whole)))
        told = stopped_by(tmp_path)
        if told:
            assert "No space left on device" in told and "free some space" in told
            stopped.add(told.partition("/data/")[2].partition("/")[0])
        assert not list(place.rglob(".tmp-*"))
    assert len(stopped) >= 2, stopped
    resize("64m")
    ingested(tmp_path)
    assert folder_contents(place / "data") == folder_contents(calm / "data")


def test_every_truncated_output_is_made_again(calm, tmp_path, folder_contents) -> None:
    shutil.copytree(calm, tmp_path / "hurt", copy_function=shutil.copy2)
    data = tmp_path / "hurt/data"
    tables = sorted((data / "tables").rglob("*.parquet"))
    firsts = [next(iter(sorted((data / kind / "short").iterdir()))) for kind in ("frames", "crops", "mattes")]
    for number, path in enumerate([*tables, *firsts, data / "reports/short.html"]):
        os.truncate(path, path.stat().st_size * (number % 3) // 3)
    ingested(tmp_path / "hurt")
    assert folder_contents(data) == folder_contents(calm / "data")


def test_a_damaged_original_is_fetched_again_or_named(calm, clip, tmp_path) -> None:
    shutil.copytree(calm, tmp_path / "hurt", copy_function=shutil.copy2)
    shutil.copy(clip, tmp_path / "clip.mp4")
    write_catalog(tmp_path / "hurt", tmp_path / "clip.mp4")
    ingested(tmp_path / "hurt")
    original = tmp_path / "hurt/data/videos/short/clip.mp4"
    before = original.read_bytes()
    original.write_bytes(before[:1000])
    ingested(tmp_path / "hurt")
    assert original.read_bytes() == before
    original.write_bytes(before[:1000])
    (tmp_path / "clip.mp4").unlink()
    with pytest.raises(SourceError, match=r"clip\.mp4"):
        ingested(tmp_path / "hurt")
