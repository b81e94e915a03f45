"""The command line with footage as users met it, with errors put into every stage, and with little memory."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults
from tests.field import footage_cases as cases

ROOT = Path(__file__).parents[2]
pytestmark = [pytest.mark.weights, pytest.mark.slow]


def write_catalog(folder: Path, sources: dict[str, dict[str, str]]) -> None:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    content["sources"] = {name: {"license": "CC0-1.0", "scenes": ["park"], **entry} for name, entry in sources.items()}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def finished(folder: Path, source_id: str) -> bool:
    files = (f"tables/mattes/{source_id}.parquet", f"reports/{source_id}.html")
    return all((folder / "data" / file).exists() for file in files)


def test_every_odd_file_has_its_outcome_beside_a_healthy_one(tmp_path: Path, run) -> None:
    content = cases.clip(tmp_path / "healthy.mp4").read_bytes()
    cases.clip(tmp_path / "gbk.avi", codec="mpeg4", title="小明散步".encode("gbk"))
    cases.replaced(cases.clip(tmp_path / "duration.mkv"), b"00:00:03.0", b"00:00:03o0")
    (tmp_path / "anim.webp").write_bytes(cases.animation("WEBP"))
    for name in (b"watched/b\xe9b\xe9.mp4", b"watched/plain.mp4"):
        (tmp_path / "watched").mkdir(exist_ok=True)
        (tmp_path / os.fsdecode(name)).write_bytes(content)
    (tmp_path / "album").mkdir()
    for name, png in cases.harmful_pngs().items():
        (tmp_path / f"album/{name}.png").write_bytes(png)
    (tmp_path / "album" / os.fsdecode(b"\xcf\xf0.jpg")).write_bytes(cases.jpeg())
    sources = {name: {"path": name} for name in ("gbk.avi", "duration.mkv", "anim.webp", "healthy.mp4", "watched")}
    write_catalog(
        tmp_path,
        {name.partition(".")[0]: entry for name, entry in sources.items()} | {"album": {"path": "album", "kind": "images"}},
    )
    done = run("ingest", cwd=tmp_path, expect=1)

    assert "Traceback" not in done.stderr + done.stdout and "defect" not in done.stderr
    assert "1 of 7 sources failed" in done.stderr and "magick IN.webp OUT.gif" in done.stderr
    for name in ("gbk", "duration", "healthy", "watched-plain", "album"):
        assert finished(tmp_path, name), name
    assert len(list((tmp_path / "data/tables/mattes").glob("watched-b-b*"))) == 1
    assert done.stdout.count("album: rejected: ") == 4
    page = next((tmp_path / "data/reports").glob("watched-b-b*")).read_text(encoding="utf-8")
    assert r"b\xe9b\xe9.mp4" in page or "watched-b-b" in page
    for command in ("status", "explain watched-plain-000000"):
        run(*command.split(), cwd=tmp_path, expect=None)
    assert "Traceback" not in run("status", cwd=tmp_path).stderr


INJECT = """
import functools, sys
from flows import ingest as module
from tasks.ingest import crop, deduplicate, fetch, judge, matte, measure, report, sample

def failing(name, function, error):
    @functools.wraps(function)
    def call(*arguments, **named):
        first = arguments[0]
        if (first if isinstance(first, str) else first.source_id) == f"bad-{name}":
            raise error
        return function(*arguments, **named)
    return call

errors = [KeyError("injected"), UnicodeDecodeError("utf-8", b"\\xe9", 0, 1, "injected"), SystemError("injected"),
          TypeError("injected"), ValueError("injected"), AssertionError("injected"), RecursionError("injected"),
          ZeroDivisionError("injected")]
for error, (name, stage) in zip(errors, {
    "fetch": fetch.fetch, "sample": sample.sample, "crop": crop.crop, "measure": measure.measure,
    "deduplicate": deduplicate.deduplicate, "judge": judge.judge, "matte": matte.matte, "report": report.report,
}.items()):
    stage.fn = failing(name, stage.fn, error)
module.expand_and_remember = failing("expand", module.expand_and_remember, KeyError("injected"))
module.has_listing = failing("discover", module.has_listing, MemoryError("injected"))
from flows.cli.app import main
main()
"""
STAGES = ("fetch", "sample", "crop", "measure", "deduplicate", "judge", "matte", "report", "expand", "discover")


@pytest.mark.parametrize("verbose", [False, True])
def test_a_foreign_error_in_any_stage_is_the_sources_outcome(tmp_path: Path, prefect_server: str, verbose: bool) -> None:
    cases.clip(tmp_path / "a.mp4", frames=4)
    write_catalog(tmp_path, {name: {"path": "a.mp4"} for name in (*(f"bad-{stage}" for stage in STAGES), "healthy")})
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": prefect_server, "COLUMNS": "200"}
    command = [sys.executable, "-c", INJECT, "ingest", *(["--verbose"] if verbose else [])]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False)
    lines = {line.partition(":")[0]: line for line in done.stderr.splitlines() if line.startswith("bad-")}

    assert done.returncode == 1 and "sources failed; run again to continue" in done.stderr
    assert set(lines) == {f"bad-{stage}" for stage in STAGES}
    for stage in STAGES:
        expected = "lacks memory" if stage == "discover" else "defect: "
        assert expected in lines[f"bad-{stage}"] and "injected" in lines[f"bad-{stage}"], lines[f"bad-{stage}"]
    assert finished(tmp_path, "healthy")
    assert ("Traceback" in done.stderr) == verbose


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_little_memory_is_reported_as_the_outcome_and_the_next_run_finishes(tmp_path: Path, run, prefect_server: str) -> None:
    cases.clip(tmp_path / "a.mp4", frames=4)
    write_catalog(tmp_path, {"park": {"path": "a.mp4"}})
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PREFECT_API_URL": prefect_server}
    limited = f"ulimit -v 1550000; exec {sys.executable} -m flows.cli ingest"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False
    )

    assert done.returncode == 1 and "this machine lacks memory" in done.stderr, done
    assert "damaged" not in done.stderr and "no frame can be read" not in done.stderr and "Traceback" not in done.stderr
    run("ingest", cwd=tmp_path)
    assert finished(tmp_path, "park")
