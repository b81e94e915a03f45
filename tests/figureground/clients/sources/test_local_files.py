"""A watched folder: what is new is taken, what is still being written is left for the next run."""

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from figureground.catalog import Catalog, LimitsEntry
from figureground.clients.sources import local_files
from figureground.clients.sources.identity import describe_unfinished_files, expand
from tasks.ingest.fetch import fetch


@pytest.fixture
def watched(tmp_path: Path, make_catalog: Callable[..., Catalog]) -> Catalog:
    made = make_catalog(tmp_path)
    limits = LimitsEntry(seconds_untouched_at_least=0.3)
    (tmp_path / "in").mkdir()
    park = made.sources["park"].model_copy(update={"path": "in", "limits": limits})
    return made.model_copy(update={"sources": {"park": park}})


def ids(catalog: Catalog) -> list[str]:
    return [one.source_id for one in expand(catalog.source("park"), catalog)]


def test_what_is_new_is_taken_and_what_is_being_written_waits(watched: Catalog, caplog: pytest.LogCaptureFixture) -> None:
    done, growing = watched.folder / "in/done.mp4", watched.folder / "in/growing.mp4"
    done.write_bytes(b"clip")
    stop = threading.Event()

    def grow() -> None:
        with growing.open("wb", buffering=0) as file:
            while not stop.wait(0.02):
                file.write(b"more")

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        while not growing.exists():
            time.sleep(0.01)
        with caplog.at_level(logging.WARNING):
            assert ids(watched) == ["park-done"]
            told = describe_unfinished_files(watched.source("park"), watched)
    finally:
        stop.set()
        writer.join()
    assert told == "in/growing.mp4: still being written; the next run takes it"
    assert describe_unfinished_files(watched.source("park"), watched) == ""
    assert "in/growing.mp4 is still being written: it changed within the last 0.3 seconds; the next run takes it" in caplog.text
    assert ids(watched) == ["park-done", "park-growing"]


def test_only_what_is_new_is_fetched(watched: Catalog) -> None:
    (watched.folder / "in/a.mp4").write_bytes(b"a")
    before = [fetch.fn(one, watched) for one in expand(watched.source("park"), watched)]
    written = (watched.folder / "data/tables/videos/park-a.parquet").stat().st_mtime_ns
    (watched.folder / "in/b.mp4").write_bytes(b"b")
    after = [fetch.fn(one, watched) for one in expand(watched.source("park"), watched)]

    assert (len(before), after[0]) == (1, before[0])
    assert [ref.source_id for ref in after] == ["park-a", "park-b"]
    assert (watched.folder / "data/tables/videos/park-a.parquet").stat().st_mtime_ns == written


def test_old_files_wait_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    os.utime(tmp_path / "a.mp4", (1, 1))
    monkeypatch.setattr(local_files.time, "sleep", lambda _: pytest.fail("nobody waits"))
    files = [tmp_path / "a.mp4", tmp_path / "gone.mp4"]
    assert local_files.finished_files(files, 5) == files


def test_a_clock_that_is_ahead_hides_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"a")
    os.utime(tmp_path / "a.mp4", (time.time() + 3600,) * 2)
    assert local_files.finished_files([tmp_path / "a.mp4"], 0.05) == [tmp_path / "a.mp4"]
