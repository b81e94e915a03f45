"""A moved file, an edited comment or docstring re-runs nothing; a raised VERSION re-runs the stage and what depends on it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/flows/format_1"

PROGRAM = """
import json, os, sys
from pathlib import Path
from figureground import catalog as catalogs, tables
from figureground.storage.store import Store
from tasks.ingest import crop, deduplicate, judge, matte, measure, sample
catalog = catalogs.load(Path(sys.argv[1]))
store = Store(catalog.storage_root)
ref = lambda stage: tables.find(store, stage, "park")
prints = {
    "frames": sample.fingerprint(ref("videos"), "video", catalog),
    "crops": crop.sharded_stage(ref("frames"), catalog).fingerprint,
    "measures": measure.sharded_stage(ref("crops"), catalog).fingerprint,
    "mattes": matte.sharded_stage(ref("crops"), ref("verdicts"), catalog).fingerprint,
}
print(json.dumps({stage: str(found) for stage, found in prints.items()}), flush=True)
os._exit(0)  # on a busy machine a thread of a native library can abort an interpreter that ends at once
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code, and a storage with tables."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("figureground", "tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(OLD, folder / "old")
    return folder


def fingerprints(checkout: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(checkout), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", PROGRAM, str(checkout / "old/catalog.yaml")]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_comments_docstrings_and_moved_files_change_no_fingerprint(checkout: Path) -> None:
    before = fingerprints(checkout)
    for name in ("figureground/storage/store.py", "figureground/checks/sharpness.py", "tasks/ingest/measure.py"):
        text = (checkout / name).read_text(encoding="utf-8")
        edited = re.sub('^"""', '"""An edited docstring. ', text, count=1) + "\n# an edited comment\n"
        (checkout / name).write_text(edited, encoding="utf-8")
    assert fingerprints(checkout) == before

    shutil.move(checkout / "figureground/imaging/geometry.py", checkout / "figureground/imaging/boxes_moved.py")
    for file in [*(checkout / "figureground").rglob("*.py"), *(checkout / "tasks").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        moved = re.sub(r"\bimaging import ((?:\w+, )*)geometry\b", r"imaging import \1boxes_moved as geometry", text)
        moved = moved.replace("figureground.imaging.geometry import", "figureground.imaging.boxes_moved import")
        if moved != text:
            file.write_text(moved, encoding="utf-8")
    assert fingerprints(checkout) == before


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("tasks/ingest/sample.py", {"frames"}),
        ("tasks/ingest/crop.py", {"crops"}),
        ("tasks/ingest/measure.py", {"measures"}),
        ("figureground/checks/exposure.py", {"measures"}),
        ("figureground/removers/rembg.py", {"mattes"}),
        ("figureground/checks/ghosting.py", set()),
    ],
)
def test_a_raised_version_changes_the_fingerprints_of_what_depends_on_it(checkout: Path, file: str, changed: set[str]) -> None:
    """Tables made from that table follow, because their inputs have another hash."""
    before, text = json.loads(fingerprints(checkout)), (checkout / file).read_text(encoding="utf-8")
    raised = re.sub(r"^( *VERSION(?:: ClassVar\[int\])? = )[0-9]+$", r"\g<1>1000", text, count=1, flags=re.MULTILINE)
    assert raised != text
    (checkout / file).write_text(raised, encoding="utf-8")
    try:
        after = json.loads(fingerprints(checkout))
    finally:
        (checkout / file).write_text(text, encoding="utf-8")
    assert {stage for stage in before if before[stage] != after[stage]} == changed
