"""Where everything stands: read from footers, notes and summaries, fast, and right about each state."""

import json
import os
import shutil
import time
from typing import Any

import pandas as pd

from figureground import progress, tables
from figureground.catalog import Catalog
from figureground.storage import locks, run_records
from figureground.storage.store import Store
from figureground.tables import formats
from tasks.operation.status import as_json, read_status


def write(store: Store, stage: str, source: str, rows: list[dict[str, Any]]) -> None:
    tables.write(store, stage, source, pd.DataFrame(rows), fingerprint=f"{stage} {len(rows)}")


def frames(count: int, source: str = "park") -> list[dict[str, Any]]:
    fixed = {"source_id": source, "width": 9, "height": 9, "original": "a", "reason": "", "file": "", "sha256": ""}
    return [{"frame_id": f"{source}-{n:06d}", "index": n, "seconds": n / 2, **fixed} for n in range(count)]


def verdicts(count: int) -> list[dict[str, Any]]:
    return [{"crop_id": f"park-{n:06d}-00", "kept": n % 2 == 0, "reason": "" if n % 2 == 0 else "size"} for n in range(count)]


def tasks(count: int) -> list[dict[str, Any]]:
    fixed = {"key": "k", "project_id": 1, "task_id": 1, "prediction_sha256": "", "blank": "", "remover": "r", "people": 1}
    return [{"crop_id": f"park-{n:06d}-00", **fixed} for n in range(count)]


def test_each_state_is_shown(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    write(store, "frames", "park", frames(6))
    write(store, "verdicts", "park", verdicts(6))
    write(store, "tasks", "park", tasks(3))
    summary = run_records.RunSummary("20261121T020000.000Z-ingest", "ingest", "failed", "", "2026-11-21T03:00:00Z", 3600.0)
    run_records.write(
        store, run_records.RunSummary(**{**vars_of(summary), "sources": (run_records.SourceOutcome("park", "no detector"),)})
    )
    with locks.hold_locks(store.path(".locks"), "make", "ingest", ["park"]):
        progress.report("crop", "park", 3, 6)
        [park] = read_status(catalog).sources
    stages = {stage.stage: stage for stage in park.stages}
    assert (stages["crops"].state, stages["crops"].done, stages["crops"].total) == ("running", 3, 6)
    assert (park.kept, park.pushed, park.waiting, park.answered, park.released) == (3, 3, 3, 0, 0)
    assert park.running.startswith("ingest (process ")
    assert park.failed == "ingest at 2026-11-21T03:00:00Z: no detector"
    assert json.loads(json.dumps(as_json(read_status(catalog))))["sources"][0]["pending"] == list(
        read_status(catalog).sources[0].pending
    )


def vars_of(summary: run_records.RunSummary) -> dict[str, Any]:
    return {name: getattr(summary, name) for name in run_records.RunSummary.__slots__}


def test_a_failure_that_was_repaired_since_is_not_shown(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    for hour, error in ((1, "no detector"), (2, "")):
        run = f"20261121T0{hour}0000.000Z-ingest"
        run_records.write(
            store,
            run_records.RunSummary(run, "ingest", "done", "", "", 1.0, sources=(run_records.SourceOutcome("park", error),)),
        )
    [park] = read_status(catalog).sources
    assert park.failed == ""


def test_a_table_older_than_what_it_is_made_from_is_pending(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    for stage in ("videos", "frames", "crops", "measures", "scores", "verdicts", "mattes"):
        write(store, stage, "park", [])
    [park] = read_status(catalog).sources
    assert park.pending == ()
    later = time.time() + 60
    os.utime(store.path("tables/crops/park.parquet"), (later, later))
    [park] = read_status(catalog).sources
    assert park.pending == ("verdicts", "mattes")


def test_a_damaged_table_is_one_that_has_to_be_made(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    formats.write_marker(store)
    store.write("tables/videos/park.parquet", b"PAR1 and nothing more")
    [park] = read_status(catalog).sources
    assert park.pending[0] == "videos"


def test_ten_thousand_frames_are_counted_in_a_fraction_of_a_second(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    write(store, "frames", "park", frames(10_000))
    write(store, "verdicts", "park", verdicts(10_000))
    begun = time.process_time()
    [park] = read_status(catalog).sources
    cold, begun = time.process_time() - begun, time.process_time()
    assert (park.kept, next(stage.rows for stage in park.stages if stage.stage == "frames")) == (5_000, 10_000)
    assert read_status(catalog).sources == (park,)
    warm = time.process_time() - begun
    assert cold < 0.5 and warm < 0.1, (cold, warm)  # of a processor's time: a wall clock would time the neighbours


def test_a_row_count_of_another_table_is_ignored(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    write(store, "frames", "park", frames(6))
    note = store.path(".locks/tallies/frames/park.json")
    older = note.read_text()
    write(store, "frames", "park", frames(3))
    note.write_text(older)
    [park] = read_status(catalog).sources
    assert park.stages[1].rows == 3
    note.write_text("{")
    store.path(".locks/tallies.json").unlink()
    assert read_status(catalog).sources == (park,)


def test_a_storage_that_cannot_be_written_has_a_status(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    write(store, "frames", "park", frames(6))
    shutil.rmtree(store.path(".locks"))
    store.path(".locks").write_text("no folder can be made here")
    [park] = read_status(catalog).sources
    assert {stage.stage: stage.rows for stage in park.stages}["frames"] == 6


def test_stray_files_beside_notes_and_summaries_are_no_runs(catalog: Catalog) -> None:
    store = Store(catalog.storage_root)
    strays = (".locks/._copy.json", ".locks/make/._park.json", ".locks/runs/._copy.json", "runs/._copy.json", "runs/copy.json")
    for name in strays:
        store.path(name).parent.mkdir(parents=True, exist_ok=True)
        store.path(name).write_bytes(b"\x00\x05\x16\x07")
    status = read_status(catalog)
    assert (status.working, status.runs) == ((), ())
