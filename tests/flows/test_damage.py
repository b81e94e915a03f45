"""A full disk, files cut short, originals that are gone: one message each, and afterwards the bytes of an undisturbed run."""

import os
import shutil
import subprocess
from pathlib import Path

import av
import pytest
import yaml

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.weights, pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """A second of the park clip."""
    from figureground.catalog import load
    from tasks.fetch import fetch

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
    content = yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["sources"] = {"short": {"license": "BSD-3-Clause", "scenes": ["park"], "path": str(clip)}}
    content["label_studio"]["label_config"] = str(ROOT / "label_config/person.xml")
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content | {"storage": storage}, sort_keys=False))


@pytest.fixture(scope="module")
def calm(tmp_path_factory, clip, run) -> Path:
    """An undisturbed run."""
    folder = tmp_path_factory.mktemp("calm")
    write_catalog(folder, clip)
    run("ingest", cwd=folder)
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


def test_a_full_disk_is_one_message_and_with_room_the_run_ends_in_the_same_bytes(
    calm, clip, tmp_path, disk, run, folder_contents
) -> None:
    place, resize = disk
    write_catalog(tmp_path, clip, str(place / "data"))
    whole = sum(path.stat().st_size for path in (calm / "data").rglob("*") if path.is_file())
    stopped = []
    for share in (0.05, 0.6, 0.9):  # the video, the frames and the mattes or what comes after
        resize(int(share * whole))
        found = run("ingest", cwd=tmp_path, expect=None)
        if found.returncode == 0:
            break
        assert found.returncode == 1
        assert "Traceback" not in found.stderr
        assert "No space left on device" in found.stderr
        assert "free some space" in found.stderr
        assert not list(place.rglob(".tmp-*"))
        stopped.append(share)
    assert len(stopped) >= 2
    resize("64m")
    run("ingest", cwd=tmp_path)
    assert folder_contents(place / "data") == folder_contents(calm / "data")


def test_everything_that_was_made_and_is_cut_short_is_made_again(calm, tmp_path, run, folder_contents) -> None:
    shutil.copytree(calm, tmp_path / "hurt", copy_function=shutil.copy2)
    data = tmp_path / "hurt/data"
    tables = sorted((data / "tables").rglob("*.parquet"))
    firsts = [next(iter(sorted((data / kind / "short").iterdir()))) for kind in ("frames", "crops", "mattes")]
    for number, path in enumerate([*tables, *firsts, data / "reports/short.html"]):
        os.truncate(path, path.stat().st_size * (number % 3) // 3)
    run("ingest", cwd=tmp_path / "hurt")
    assert folder_contents(data) == folder_contents(calm / "data")


def test_a_damaged_original_is_fetched_again_or_named(calm, clip, tmp_path, run, folder_contents) -> None:
    shutil.copytree(calm, tmp_path / "hurt", copy_function=shutil.copy2)
    shutil.copy(clip, tmp_path / "clip.mp4")
    write_catalog(tmp_path / "hurt", tmp_path / "clip.mp4")
    run("ingest", cwd=tmp_path / "hurt")
    original = next((tmp_path / "hurt/data/videos/short").iterdir())
    before = original.read_bytes()
    original.write_bytes(before[:1000])
    run("ingest", cwd=tmp_path / "hurt")
    assert original.read_bytes() == before
    original.write_bytes(before[:1000])
    (tmp_path / "clip.mp4").unlink()
    said = run("ingest", cwd=tmp_path / "hurt", expect=1).stderr
    assert "clip.mp4" in said and "Traceback" not in said
