"""A storage of an older format is refused with one message, and taken over without making anything again.

``format_1/`` was written by the last code of format 1: its checks ran, its detector and its remover were made up.
"""

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from figureground import catalog as catalogs
from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import StoreError
from figureground.imaging import crops as cropping
from figureground.storage import locks
from figureground.storage.store import Store
from figureground.tables import CropRow, formats
from figureground.types import TableRef
from flows.cli import app
from flows.upgrade import upgrade
from tasks.ingest import crop, matte, measure, sample
from tasks.ingest.deduplicate import deduplicate
from tasks.ingest.judge import judge
from tasks.operation.status import read_status
from tasks.operation.upgrade import STAGES, Taken

OLD = Path(__file__).parent / "format_1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A copy of the old storage with its catalog."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


@pytest.fixture(autouse=True)
def stages_of_format_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stages as format 1 had them: one whose version was raised since runs again after an upgrade, as always."""
    monkeypatch.setattr(sample, "VERSION", 1)


@pytest.fixture
def catalog(old: Path) -> Catalog:
    return catalogs.load(old / "catalog.yaml")


def ref(catalog: Catalog, stage: str) -> TableRef:
    found = tables.find(Store(catalog.storage_root), stage, "park")
    assert found
    return found


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_storage_of_format_1_is_refused_with_what_to_do(catalog: Catalog) -> None:
    message = r"storage .*storage was written by an older figureground: expected format 2 in tables/format\.json, found tables"
    with pytest.raises(StoreError, match=f"{message} without it; run `figureground upgrade` once, it keeps all files"):
        formats.require_current(Store(catalog.storage_root))
    with pytest.raises(StoreError, match=message):
        read_status(catalog)


COMMANDS = ["status", "ingest", "judge", "pull", "push", "release", "prune", "explain park", "forget park", "annotation-stats"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_reads_tables_refuses_it(old: Path, command: str) -> None:
    before = content(old / "storage")
    found = CliRunner().invoke(app.app, [*command.split(), "--catalog", str(old / "catalog.yaml")])
    assert found.exit_code == 1
    assert "run `figureground upgrade` once" in str(found.exception) + found.output
    assert content(old / "storage") == before


def test_an_upgrade_keeps_everything_and_nothing_runs_again(
    old: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(old)
    assert upgrade(catalog) == [Taken("park", kept=STAGES)]
    assert content(old) == before | {"storage/tables/format.json": b'{"format": 2}\n'}
    assert upgrade(catalog) == []

    monkeypatch.setattr(cropping, "decode", lambda *_: pytest.fail("an image was decoded"))
    store = Store(catalog.storage_root)
    assert tables.fresh(store, "frames", "park", sample.fingerprint(ref(catalog, "videos"), "video", catalog))
    assert crop.sharded_stage(ref(catalog, "frames"), catalog).fresh() == ref(catalog, "crops")
    measures = measure.measure.fn(ref(catalog, "crops"), catalog)
    verdicts = judge.fn(deduplicate.fn(measures, catalog), catalog)
    assert matte.matte.fn(ref(catalog, "crops"), verdicts, catalog) == ref(catalog, "mattes")
    assert read_status(catalog).sources[0].kept == 2
    after = content(old)
    assert {name: after[name] for name in before} == before


def test_mattes_of_an_old_storage_are_recognised_by_their_marks(
    old: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a limit moves, the table of the mattes is made again from the mattes that are there."""
    upgrade(catalog)
    mattes = content(old / "storage/mattes")
    [first, second] = tables.read_rows(Store(catalog.storage_root), ref(catalog, "crops"), CropRow)
    monkeypatch.setattr("figureground.removers.rembg.Rembg.estimate_alphas", lambda *_: pytest.fail("the network ran"))
    edited = yaml.safe_load((old / "catalog.yaml").read_text())
    edited["recipe"]["checks"]["duplicate"] = {"at_most": 0.5}
    (old / "catalog.yaml").write_text(yaml.safe_dump(edited))
    moved = catalogs.load(old / "catalog.yaml")
    verdicts = judge.fn(deduplicate.fn(ref(moved, "measures"), moved), moved)
    made = tables.read_rows(Store(moved.storage_root), matte.matte.fn(ref(moved, "crops"), verdicts, moved), tables.MatteRow)
    assert len(made) == 1 and made[0].crop_id in (first.crop_id, second.crop_id)
    assert content(old / "storage/mattes") == mattes


@pytest.mark.parametrize(
    ("plugin", "repeated"),
    [
        ("figureground.checks.exposure.Exposure", ("measures",)),
        ("figureground.removers.rembg.Rembg", ("mattes",)),
        ("figureground.detectors.yolo.Yolo", ("crops", "measures", "mattes")),
    ],
)
def test_what_has_another_version_since_runs_once_more(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, plugin: str, repeated: tuple[str, ...]
) -> None:
    monkeypatch.setattr(f"{plugin}.VERSION", 2)
    [taken] = upgrade(catalog)
    assert taken == Taken("park", tuple(stage for stage in STAGES if stage not in repeated), repeated)


def test_changed_settings_and_sources_that_are_gone_are_named(old: Path, catalog: Catalog) -> None:
    edited = yaml.safe_load((old / "catalog.yaml").read_text())
    edited["recipe"]["crop"]["margin"] = 0.2
    (old / "catalog.yaml").write_text(yaml.safe_dump(edited))
    [taken] = upgrade(catalogs.load(old / "catalog.yaml"))
    assert (taken.kept, taken.repeated) == (("frames",), ("crops", "measures", "mattes"))

    (old / "storage/tables/format.json").unlink()
    edited["sources"] = {"lake": edited["sources"]["park"]}
    (old / "catalog.yaml").write_text(yaml.safe_dump(edited))
    [taken] = upgrade(catalogs.load(old / "catalog.yaml"))
    assert taken == Taken("park", reason="not in the catalog: its tables stay as they are")


@pytest.mark.parametrize("marker", [b'{"format": 3}', b"{", b"[]", b"\xff"])
def test_an_unknown_format_is_refused(old: Path, catalog: Catalog, marker: bytes) -> None:
    (old / "storage/tables/format.json").write_bytes(marker)
    for read in (read_status, upgrade):
        with pytest.raises(StoreError, match=r'format\.json in .*expected \{"format": 2\}, found .*newer figureground'):
            read(catalog)


def test_a_storage_in_use_is_not_taken_over(catalog: Catalog) -> None:
    folder = Store(catalog.storage_root).path(".locks")
    message = r"is in use: expected no other run, found park"
    with locks.hold_locks(folder, locks.KINDS[0], "ingest", ["park"]), pytest.raises(StoreError, match=message):
        upgrade(catalog)
    assert formats.read_format(Store(catalog.storage_root)) == 1


def test_a_new_storage_gets_its_marker_with_the_first_table(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    assert formats.read_format(store) is None
    formats.require_current(store)
    tables.write_rows(store, "verdicts", "park", [], fingerprint="f")
    assert store.read("tables/format.json") == b'{"format": 2}\n'
    store.remove("tables/format.json")
    tables.write_rows(store, "verdicts", "lake", [], fingerprint="f")
    assert formats.read_format(store) == 1, "a storage that has tables keeps its format"


def test_the_command_says_what_is_kept(old: Path) -> None:
    found = CliRunner().invoke(app.app, ["upgrade", "--catalog", str(old / "catalog.yaml")])
    assert (found.exit_code, found.output) == (0, "park: kept: frames, crops, measures, mattes\n")
    again = CliRunner().invoke(app.app, ["upgrade", "--catalog", str(old / "catalog.yaml")])
    assert "nothing to take over" in again.output
