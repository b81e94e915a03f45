"""What each stage gives on a small input. The networks are made up, so that only the stages' own code shows."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import yaml

from figureground import catalog as catalogs
from figureground import plugins, tables
from figureground.catalog import Catalog
from figureground.reports import source_report
from figureground.similarity import duplicates, signatures
from figureground.storage.store import Store
from figureground.tables.rows import ROW_CLASSES, to_json
from figureground.types import Box, Person, Sample, TableRef
from tasks.datasets import compose as composing
from tasks.datasets import filter_backgrounds, load_cutouts
from tasks.datasets.composite_report import write_composite_report
from tasks.ingest import crop, deduplicate, fetch, import_dataset, judge, matte, measure, sample
from tests.contracts.goldens import FOLDER, GoldenCheck, page_content, thumbnail

ROOT = Path(__file__).parents[2]

PACKAGES = ("figureground", "tasks", "flows")


@dataclass(frozen=True)
class Bright:
    """A detector that finds one or two people in an image, by its brightness."""

    VERSION = 1

    def find(self, images: Any) -> list[list[Person]]:
        return [[self._person(image, number) for number in range(1 + int(image.mean() > 60))] for image in images]

    def _person(self, image: Any, number: int) -> Person:
        left = 10.0 + 60 * number
        joints = np.tile(np.array([left + 20, 40, 0.9], np.float32), (17, 1))
        return Person(Box(left, 10.25, left + 40, 85.0 + number), 0.9 - number / 10, joints)


@dataclass(frozen=True)
class Halves:
    """A remover that takes the left half of a crop for the person."""

    VERSION = 1

    def estimate_alphas(self, crops: Any) -> list[Any]:
        return [np.repeat(np.linspace(1, 0, crop.image.shape[1], dtype=np.float32)[None], len(crop.image), 0) for crop in crops]


@dataclass(frozen=True)
class Nobody:
    """A detector that finds nobody."""

    VERSION = 1

    def find(self, images: Any) -> list[list[Person]]:
        return [[] for _ in images]


def image(seed: int, width: int = 160, height: int = 96) -> Any:
    coarse = np.random.default_rng(seed).integers(0, 60 + 60 * (seed % 3), (6, 8, 3)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def write_clip(path: Path) -> None:
    with av.open(str(path), "w") as into:
        stream = into.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 160, 96, "yuv420p"
        for number in range(30):
            into.mux(stream.encode(av.VideoFrame.from_ndarray(image(number // 10), format="rgb24")))
        into.mux(stream.encode())


def output(catalog: Catalog, ref: TableRef) -> dict[str, Any]:
    """Give a table's rows and facts, and in place of each file's hash what its image shows."""
    store = Store(catalog.storage_root)
    rows = [to_json(row) for row in tables.read_rows(store, ref, ROW_CLASSES[ref.stage])]
    for row in rows:
        if row.get("file"):
            row["sha256"] = _shown(store.read(row["file"], row["sha256"]))
        if "signature" in row:
            row["signature"] = len(row["signature"])
    found: dict[str, Any] = {"rows": rows, "facts": tables.read_facts(store, ref)}
    placed: dict[str, Any] = json.loads(json.dumps(found).replace(str(catalog.folder), ""))
    return placed


def _shown(content: bytes) -> Any:
    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    return "no image" if pixels is None else {"shape": list(pixels.shape), "pixels": thumbnail(pixels, 4)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, dict[str, TableRef]]:
    """All tables of a small clip."""
    folder = tmp_path_factory.mktemp("stages")
    write_clip(folder / "a.avi")
    checks = {"size": {"at_least": 20}, "sharpness": {"at_least": 0}, "duplicate": {"at_most": 1.0}, "overlap": {}}
    recipe = {"sample": {"every_seconds": 0.5}, "detector": {"yolo": {}}, "checks": checks, "remover": {"rembg": {}}}
    recipe["crop"] = {"short_side_at_least": 20}
    sources = {"park": {"path": "a.avi", "license": "MIT", "scenes": ["park"]}}
    catalog = Catalog.model_validate({"folder": folder, "storage": "data", "sources": sources, "recipe": recipe})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Catalog, "detector", lambda _: Bright())
        patch.setattr(Catalog, "remover", lambda _: Halves())
        source, refs = catalog.source("park"), {}
        refs["fetch"] = fetch.fetch.fn(source, catalog)
        refs["sample"] = sample.sample.fn(source, refs["fetch"], catalog)
        refs["crop"] = crop.crop.fn(refs["sample"], catalog)
        refs["measure"] = measure.measure.fn(refs["crop"], catalog)
        refs["deduplicate"] = deduplicate.deduplicate.fn(refs["measure"], catalog)
        refs["judge"] = judge.judge.fn(refs["deduplicate"], catalog)
        refs["matte"] = matte.matte.fn(refs["crop"], refs["judge"], catalog)
    return catalog, refs


@pytest.mark.parametrize("stage", [fetch, sample, crop, measure, deduplicate, judge, matte])
def test_a_stage_of_an_ingest_gives_the_output_of_its_version(made: Any, golden: GoldenCheck, stage: Any) -> None:
    """Other builds of FFmpeg and OpenCV may round otherwise: numbers within a fiftieth."""
    catalog, refs = made
    name = stage.__name__.rpartition(".")[2]
    golden(f"stages.{stage.__name__}", stage.VERSION, output(catalog, refs[name]), tolerance=0.02)


def test_signatures_are_those_of_their_version(golden: GoldenCheck) -> None:
    """A few of an image's signs lie beside zero and may turn on another processor, so their sums are compared."""
    found = [duplicates.compute_signature(image(seed, 64, 64)).astype(int) for seed in range(3)]
    signs = [[int(part.sum()) for part in np.array_split(one, 8)] for one in found]
    golden("stages.figureground.similarity.signatures", signatures.VERSION, signs, tolerance=0.05)


def test_an_imported_dataset_gives_the_output_of_its_version(tmp_path: Path, golden: GoldenCheck) -> None:
    jpegs = [bytes(cv2.imencode(".jpg", image(number))[1]) for number in range(2)]
    alphas = [(image(number)[..., 0] > 40).astype(np.float32) for number in range(2)]
    samples = [Sample(f"a-{n}", "train", (), jpeg, alpha) for n, (jpeg, alpha) in enumerate(zip(jpegs, alphas, strict=True))]
    plugins.build("layouts", "mmseg_custom", {}).write(samples, tmp_path / "set")
    recipe = {"sample": {"every_seconds": 1}, "detector": {"yolo": {}}, "checks": {}, "remover": {"rembg": {}}}
    entry = {"kind": "layout", "path": "set", "layout": {"mmseg_custom": {}}, "license": "MIT"}
    content = {"folder": tmp_path, "storage": "data", "sources": {"set": entry}, "recipe": recipe}
    catalog = Catalog.model_validate(content)
    import_dataset.import_dataset.fn(catalog.source("set"), catalog)
    store = Store(catalog.storage_root)
    refs = [tables.find(store, stage, "set") for stage in ("videos", "frames", "crops", "labels")]
    found = {ref.stage: output(catalog, ref)["rows"] for ref in refs if ref}
    golden("stages.tasks.ingest.import_dataset", import_dataset.VERSION, found, tolerance=0.02)


@pytest.fixture
def composition(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    monkeypatch.setattr(Catalog, "background_detector", lambda _: Nobody())
    for number in range(3):
        (tmp_path / "people").mkdir(exist_ok=True)
        (tmp_path / "scenes").mkdir(exist_ok=True)
        y, x = np.mgrid[:220, :80]
        inside = np.uint8(255) * (np.hypot((x - 40) / 34, (y - 110) / 104) < 1)
        cv2.imwrite(str(tmp_path / f"people/p{number}.png"), np.dstack([image(number, 80, 220), inside]))
        cv2.imwrite(str(tmp_path / f"scenes/s{number}.jpg"), image(10 + number, 320, 240))
    content = catalogs.defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text(encoding="utf-8"))
    small = {"width": 128, "height": 96, "pictures": 4, "val": 0.25, "people_at_most": 2}
    content["compose"] = {"people": ["people"], "backgrounds": [{"path": "scenes"}], **small}
    (tmp_path / "data_catalog.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return catalogs.load(tmp_path / "data_catalog.yaml", build_plugins=False)


@pytest.mark.slow
def test_a_composition_gives_the_outputs_of_its_versions(composition: Catalog, golden: GoldenCheck) -> None:
    people = load_cutouts.load_cutouts.fn(composition)
    backgrounds = filter_backgrounds.filter_backgrounds.fn({}, composition)
    for stage, ref in ((load_cutouts, people), (filter_backgrounds, backgrounds)):
        golden(f"stages.{stage.__name__}", stage.VERSION, output(composition, ref), tolerance=0.02)
    release = composing.compose.fn(people, backgrounds, composition, 1)
    images = {path.name: _shown(path.read_bytes()) for path in sorted(Path(release.folder).rglob("0000*.*"))}
    golden("stages.tasks.datasets.compose", composing.VERSION, images, tolerance=0.05)
    page = Store(composition.storage_root).read(write_composite_report.fn(people, backgrounds, release, composition))
    *lines, _ = re.sub(rb"[0-9a-f]{64}", b"DIGEST", page).decode().splitlines()
    content = page_content("\n".join(lines))
    golden("stages.tasks.datasets.composite_report", source_report.VERSION, content, tolerance=0.05)


def stages_in(root: Path) -> dict[str, int]:
    """Find the modules with a VERSION of their own; those of plug-ins are their classes', see test_golden.py."""
    found = {}
    for file in sorted(path for package in PACKAGES for path in (root / package).rglob("*.py")):
        version = re.search(r"^VERSION\b[^=\n]*=\s*(\d+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        if version:
            found[".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")] = int(version[1])
    return found


def without_golden(root: Path) -> list[str]:
    return [name for name in stages_in(root) if not (FOLDER / f"stages.{name}.json").exists()]


def test_each_version_has_a_golden_output_of_it() -> None:
    stages = stages_in(ROOT)
    assert {"tasks.ingest.crop", "tasks.annotation.push", "figureground.reports.source_report"} < set(stages)
    assert without_golden(ROOT) == [], "run the stage in a test of tests/contracts that takes the fixture `golden`"
    kept = {name: json.loads((FOLDER / f"stages.{name}.json").read_text(encoding="utf-8"))["version"] for name in stages}
    assert kept == stages


def test_a_new_stage_without_a_golden_output_is_named(tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
    (tmp_path / "tasks/new.py").write_text("VERSION: int = 1\n\"\"\"Raised by 1.\"\"\"\n", encoding="utf-8")
    (tmp_path / "tasks/old.py").write_text("TITLE = 'no stage'\n", encoding="utf-8")
    assert without_golden(tmp_path) == ["tasks.new"]


def test_no_golden_output_is_left_of_a_stage_that_is_gone() -> None:
    kept = {file.name.removeprefix("stages.").removesuffix(".json") for file in FOLDER.glob("stages.*.json")}
    assert kept - set(stages_in(ROOT)) == {"tasks.datasets.composite_report"}, "its version is that of source_report"


def test_a_golden_output_is_of_small_numbers_and_has_a_version() -> None:
    for file in FOLDER.glob("*.json"):
        content = json.loads(file.read_text(encoding="utf-8"))
        assert set(content) == {"version", "tolerance", "output"}, file
        assert file.stat().st_size < 60_000, file
