"""A take-down: nothing of a source is left but what releases hold, and those are named."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from figureground import tables
from figureground.catalog import Catalog
from figureground.clients.annotation_server import connect
from figureground.errors import StoreError
from figureground.storage.store import Store
from tasks.annotation.push import push
from tasks.datasets.forget import forget
from tasks.datasets.release import release

Make = Callable[..., Catalog]
ROOT = Path(__file__).parents[3]
SOURCES = {"park": ["keep", "keep"], "park-2": ["keep"], "walk": ["keep", "blurred"]}


def names(folder: Path) -> list[str]:
    """All files but the notes of tables, which go with these."""
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in found if not name.startswith(".locks/")]


def cut(catalog: Catalog) -> str:
    made = release.fn([catalog.source(name) for name in catalog.sources], catalog, "demo", "20261130")
    return str(made.name)


def test_everything_of_one_source_goes_and_nothing_else(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, SOURCES, {"park": "train", "walk": "val"})
    released = cut(catalog)
    before = names(tmp_path / "data")
    crops = {(tmp_path / "data" / name).read_bytes() for name in before if name.startswith("crops/park/")}
    (tmp_path / "data/reports").mkdir()
    (tmp_path / "data/reports/park.html").write_text("page")
    gone = forget("park", catalog)
    left = names(tmp_path / "data")
    assert gone.sources == ("park",) and gone.releases == {released: 2} and gone.unreadable == ()
    assert gone.files == len(before) - len(left) + 1
    outside = [name for name in left if not name.startswith("releases/")]
    assert [name for name in outside if "/park/" in name or "/park." in name] == ["tables/tasks/park.parquet"]
    assert not crops & {(tmp_path / "data" / name).read_bytes() for name in outside}
    assert not list((tmp_path / "data/.locks/tallies").glob("*/park.json"))
    assert [name for name in left if "park-2" in name] == [name for name in before if "park-2" in name]
    assert (gone.tasks, len(gone.task_ids)) == (0, 2) and "no token for the Label Studio" in gone.reason


def test_an_expanded_source_goes_with_all_its_files(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, {"clips-a": ["keep"], "clips-b": ["keep"], "clips-x-1": ["keep"]})
    entry = catalog.sources["clips-a"]
    catalog = catalog.model_copy(update={"sources": {"clips": entry, "clips-x": entry}})
    assert forget("clips", catalog).sources == ("clips-a", "clips-b")
    assert [path.name for path in (tmp_path / "data/crops").iterdir()] == ["clips-x-1"]


def test_a_source_that_only_releases_know_is_named_by_them(labelled: Make, tmp_path: Path) -> None:
    catalog = labelled(tmp_path, SOURCES, {"park": "train", "walk": "val"})
    released = cut(catalog)
    forget("park", catalog)
    Store(catalog.storage_root).remove("tables/tasks/park.parquet")
    again = forget("park", catalog)
    assert (again.files, again.releases, again.reason) == (0, {released: 2}, "")


def test_an_unknown_source_is_refused_with_those_there_are(labelled: Make, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"'parc' is in .*park, park-2, walk"):
        forget("parc", labelled(tmp_path, SOURCES))


def run(*words: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | {"COLUMNS": "300"}
    return subprocess.run([sys.executable, "-m", "flows.cli", *words], cwd=ROOT, env=env, capture_output=True, text=True)


@pytest.mark.studio
def test_its_tasks_go_from_a_real_server_once_that_can_be_asked(real, make_catalog, write_down, monkeypatch) -> None:
    material = real(3)
    catalog, name = material.catalog, material.source.source_id
    ref = push.fn(material.crops, material.mattes, material.source, catalog)
    rows = tables.read(Store(catalog.storage_root), ref).rows
    with connect(catalog) as server:
        project = server.find_project(catalog)
        other = {"key": "other", "source": f"{name}-2", "image": "x", "crop_id": "other", "score": "1"}
        server.create_tasks(project, [{"data": other}])
    nowhere = make_catalog(catalog.folder, "http://127.0.0.1:9", catalog.label_studio.project)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "x")
    gone = forget(name, nowhere)
    assert gone.task_ids == tuple(sorted(rows["task_id"])) and gone.tasks == 0 and "127.0.0.1:9" in gone.reason
    assert [file for file in Store(catalog.storage_root).names("tables") if name in file] == [f"tables/tasks/{name}.parquet"]
    monkeypatch.delenv("LABEL_STUDIO_API_KEY")
    done = run("forget", name, "--yes", "--catalog", str(write_down(material)))
    assert done.returncode == 0 and "3 tasks deleted in Label Studio" in done.stdout, done.stdout + done.stderr
    with connect(catalog) as server:
        assert sorted(server.find_tasks(project, [*rows["key"], "other"])) == ["other"]
    with pytest.raises(StoreError, match="nothing of a source"):
        forget(name, catalog)


@pytest.mark.slow
def test_the_command_says_which_tasks_are_left_and_what_to_run(labelled: Make, tmp_path: Path) -> None:
    labelled(tmp_path, {"park": ["keep", "keep"]})
    told = {
        "storage": "data",
        "sources": {"park": {"path": "park.mp4", "license": "MIT"}},
        "assets": {"u2netp.onnx": {"sha256": "3" * 64, "license": "Apache-2.0", "path": "nowhere"}},
        "recipe": {
            "sample": {"every_seconds": 1},
            "detector": {"yolo": {"weights": "u2netp.onnx"}},
            "checks": {},
            "remover": {"rembg": {"model": "u2netp"}},
        },
        "label_studio": {"url": "http://127.0.0.1:9", "project": "people"},
    }
    (tmp_path / "catalog.yaml").write_text(yaml.safe_dump(told))
    done = run("forget", "park", "--yes", "--catalog", str(tmp_path / "catalog.yaml"))
    numbers = tables.latest(Store(str(tmp_path / "data")), "tasks", "park").rows["task_id"]
    assert done.returncode == 1
    left = ", ".join(map(str, sorted(numbers)))
    assert f"left are tasks {left}: then run `figureground forget park --yes` again" in done.stdout
