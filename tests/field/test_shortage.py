"""A lack of memory is called so, retried, and noted about no input: with memory the next run finishes."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from av.error import err_check

from figureground import shortage, tables
from figureground.catalog import Catalog
from figureground.errors import ShortageError
from figureground.media import decoding, photos
from figureground.storage.store import Store
from tasks.ingest.fetch import fetch
from tasks.ingest.sample import sample
from tests.field import footage_cases as cases
from tests.field.ingested import RECIPE, sample_all

ROOT = Path(__file__).parents[2]


def catalog_of(folder: Path, **entry: str) -> Catalog:
    sources = {"park": {"license": "CC0-1.0", **entry}}
    return Catalog.model_validate({"folder": folder, "storage": "data", "sources": sources, "recipe": RECIPE})


def sampled(catalog: Catalog) -> list[tables.FrameRow]:
    source = catalog.source("park")
    return tables.read_rows(Store(catalog.storage_root), sample.fn(source, fetch.fn(source, catalog), catalog), tables.FrameRow)


@pytest.fixture
def short_of_memory(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Give all memory back at the call."""
    real = shortage.has_memory
    monkeypatch.setattr(shortage, "has_memory", lambda needed_bytes: False)
    return lambda: monkeypatch.setattr(shortage, "has_memory", real)


def test_a_video_that_no_decoder_gets_memory_for_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_of_memory: Callable[[], None]
) -> None:
    cases.clip(tmp_path / "a.mp4")
    catalog = catalog_of(tmp_path, path="a.mp4")
    monkeypatch.setattr("tasks.refuse_short_memory", lambda action, needed_bytes: None)
    with monkeypatch.context() as patch:
        patch.setattr(decoding.VideoReader, "_decode_packet", lambda *_: err_check(-errno.EINVAL))
        with pytest.raises(ShortageError, match=r"a\.mp4 cannot be decoded: this machine lacks memory"):
            sampled(catalog)
    assert tables.find(Store(catalog.storage_root), "frames", "park") is None
    short_of_memory()
    assert [row.reason for row in sampled(catalog)] == [""] * 30


def test_a_photo_without_memory_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, short_of_memory: Callable[[], None]
) -> None:
    (tmp_path / "album").mkdir()
    (tmp_path / "album/a.jpg").write_bytes(cases.jpeg())
    catalog = catalog_of(tmp_path, path="album", kind="images")
    monkeypatch.setattr("tasks.refuse_short_memory", lambda action, needed_bytes: None)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(photos, "_upright_rgb", fail)
        with pytest.raises(ShortageError, match="cannot be read: this machine lacks memory"):
            sampled(catalog)
    assert tables.find(Store(catalog.storage_root), "frames", "park") is None
    short_of_memory()
    assert [row.reason for row in sampled(catalog)] == [""]


@pytest.mark.parametrize("function", ["_copy", "_verify"])
@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("entry", [{"path": "album", "kind": "images"}, {"path": "a.mp4"}])
def test_a_file_that_cannot_be_opened_now_keeps_no_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int, entry: dict[str, str]
) -> None:
    cases.clip(tmp_path / "a.mp4")
    (tmp_path / "album").mkdir()
    (tmp_path / "album/a.jpg").write_bytes(cases.jpeg())
    catalog = catalog_of(tmp_path, **entry)

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(f"figureground.clients.sources.fetching.{function}", fail)
        with pytest.raises(ShortageError, match="this machine lacks open files"):
            sampled(catalog)
    assert {row.reason for row in sampled(catalog)} == {""}


def test_a_stage_does_not_begin_without_memory_and_the_others_end_by_themselves(
    tmp_path: Path, short_of_memory: Callable[[], None]
) -> None:
    cases.clip(tmp_path / "a.mp4")
    ends = sample_all(tmp_path, {"park": {"path": "a.mp4"}})
    assert "the stage fetch: this machine lacks memory" in ends["park"].error
    short_of_memory()
    assert len(sample_all(tmp_path, {"park": {"path": "a.mp4"}})["park"].frames) == 30


READ = """
import resource, sys
from pathlib import Path
from figureground.media import decoding
from figureground.errors import ShortageError
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20), resource.RLIM_INFINITY))
try:
    with decoding.VideoReader(Path(sys.argv[1])) as video:
        print(sum(1 for _ in video.frames()))
except ShortageError as error:
    print("short of memory")
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux only")
def test_whatever_memory_there_is_a_healthy_video_is_read_or_memory_is_short(tmp_path: Path) -> None:
    path, ends = cases.clip(tmp_path / "a.mp4"), set()
    for megabytes in (1, 8, 16, 32, 64, 96, 128, 192, 256, 512):
        command = [sys.executable, "-c", READ, str(path), str(megabytes)]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0 and done.stdout.strip() in ("30", "short of memory"), (megabytes, done)
        ends.add(done.stdout.strip())
    assert ends == {"30", "short of memory"}
