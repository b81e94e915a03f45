"""A moved file, an edited comment or docstring re-runs nothing; a raised VERSION re-runs the stage and what depends on it."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests/flows/format_1"

# Once per line that it reads: the packages of others are imported once, ours anew, as they now stand in the files.
PROGRAM = """
import importlib, json, os, sys
from pathlib import Path
for _ in sys.stdin:
    for name in [name for name in sys.modules if name.split(".")[0] in ("figureground", "tasks")]:
        del sys.modules[name]
    importlib.invalidate_caches()
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
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] in ("figureground", "tasks")]
    assert all(str(module.__file__).startswith(os.getcwd()) for module in modules)
    print(json.dumps({stage: str(found) for stage, found in prints.items()}), flush=True)
os._exit(0)  # on a busy machine a thread of a native library can abort an interpreter that ends at once
"""


class Checkout(NamedTuple):
    """A copy of the code with a storage, a process that imports the copy, and the fingerprints before any change."""

    folder: Path
    process: "subprocess.Popen[str]"
    before: dict[str, str]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("figureground", "tasks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(OLD, folder / "old")
    environment = os.environ | {"PYTHONPATH": str(folder)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what was not edited is compiled once
    command = [sys.executable, "-c", PROGRAM, str(folder / "old/catalog.yaml")]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        unchanged = Checkout(folder, process, {})
        yield unchanged._replace(before=fingerprints(unchanged))
        process.communicate(timeout=60)


def fingerprints(checkout: Checkout) -> dict[str, str]:
    assert checkout.process.stdin is not None and checkout.process.stdout is not None
    checkout.process.stdin.write("\n")
    checkout.process.stdin.flush()
    line = checkout.process.stdout.readline()
    assert line, "the program ended; its traceback is on stderr"
    return dict(json.loads(line))


def test_comments_docstrings_and_moved_files_change_no_fingerprint(checkout: Checkout) -> None:
    folder = checkout.folder
    for name in ("figureground/storage/store.py", "figureground/checks/sharpness.py", "tasks/ingest/measure.py"):
        text = (folder / name).read_text(encoding="utf-8")
        edited = re.sub('^"""', '"""An edited docstring. ', text, count=1) + "\n# an edited comment\n"
        (folder / name).write_text(edited, encoding="utf-8")
    assert fingerprints(checkout) == checkout.before

    shutil.move(folder / "figureground/imaging/geometry.py", folder / "figureground/imaging/boxes_moved.py")
    for file in [*(folder / "figureground").rglob("*.py"), *(folder / "tasks").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        moved = re.sub(r"\bimaging import ((?:\w+, )*)geometry\b", r"imaging import \1boxes_moved as geometry", text)
        moved = moved.replace("figureground.imaging.geometry import", "figureground.imaging.boxes_moved import")
        if moved != text:
            file.write_text(moved, encoding="utf-8")
    assert fingerprints(checkout) == checkout.before


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
def test_a_raised_version_changes_the_fingerprints_of_what_depends_on_it(
    checkout: Checkout, file: str, changed: set[str]
) -> None:
    """Tables made from that table follow, because their inputs have another hash."""
    text = (checkout.folder / file).read_text(encoding="utf-8")
    raised = re.sub(r"^( *VERSION(?:: ClassVar\[int\])? = )[0-9]+$", r"\g<1>1000", text, count=1, flags=re.MULTILINE)
    assert raised != text
    (checkout.folder / file).write_text(raised, encoding="utf-8")
    try:
        after = fingerprints(checkout)
    finally:
        (checkout.folder / file).write_text(text, encoding="utf-8")
    assert {stage for stage, found in checkout.before.items() if found != after[stage]} == changed
