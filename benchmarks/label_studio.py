"""Push and pull against a real, local Label Studio, beside the SDK: ``python benchmarks/label_studio.py FOLDER [--small]``.

Writes benchmarks/label_studio.md (with ``--small`` it only prints): the codec's ratios; push and pull in tasks a second
beside the SDK's plain import and export of the same tasks; and how long it takes to pull 20 changed answers of few and of
many tasks, which should hardly grow. ``--faults`` also runs the tests of tests/tasks/test_faults.py the long way and writes
what they counted; else that part of the page stays as it is. FOLDER keeps the server and its pictures; FIGUREGROUND_STUDIO
names the program.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/tasks"), str(ROOT / "benchmarks")]

import brush_rle as codec  # noqa: E402
from conftest import catalog_in, material_in  # noqa: E402

from figureground.annotation import sync_cursor  # noqa: E402
from figureground.annotation.label_interface import load_interface  # noqa: E402
from figureground.clients import local_label_studio  # noqa: E402
from figureground.clients.annotation_server import connect  # noqa: E402
from tasks.annotation.pull import pull  # noqa: E402
from tasks.annotation.push import push  # noqa: E402

PAGE = Path(__file__).with_suffix(".md")
CHANGED = 20
ROUNDS = 7
PORTION = 250
FAULTS, SPEED = "# Label Studio under faults", "# Speed"


class Bench:
    """One project with tasks of one source, pushed and timed."""

    def __init__(self, folder, url, count):
        name = f"bench-{count}-{int(time.time())}"
        self.count, self.catalog = count, catalog_in(folder, url, name)
        self.material = material_in(self.catalog, name, count)
        tables = (self.material.crops, self.material.mattes)
        self.push_seconds, tasks = timed(f"push {count}", push.fn, *tables, self.material.source, self.catalog)
        self.given = (*tables, tasks, self.catalog)
        self.server = connect(self.catalog)
        self.project = self.server.find_project(self.catalog)
        self.every = self.server.list_tasks(self.project)

    def answer(self, tasks):
        """Submit predictions as they are."""
        for task in tasks:
            (prediction,) = task.content["predictions"]
            result = [item | {"origin": "prediction"} for item in prediction["result"]]
            self.server.add_annotation(task, result, annotator_id=1, seconds=2.0, prediction_id=prediction["id"])

    def pull(self, what):
        """Pull, and give the seconds."""
        return timed(f"pull {what} of {self.count}", pull.fn, *self.given)[0]

    def changed(self, number):
        """Time the pull of the next few answers."""
        self.answer(self.every[number * CHANGED : (number + 1) * CHANGED])
        return self.pull(f"{CHANGED} changed")

    def plain_import(self):
        """Send the same tasks with their predictions as the SDK does it: nothing is looked up, nothing is read back."""
        tasks = [
            {"data": task.content["data"], "predictions": [sent(prediction) for prediction in task.content["predictions"]]}
            for task in self.every
        ]
        _, xml = load_interface(self.catalog.label_config_file, self.catalog.label_studio.mask)
        project = self.server.sdk.projects.create(title=f"plain {int(time.time())}", label_config=xml)

        def send():
            for start in range(0, len(tasks), PORTION):
                self.server.sdk.projects.import_tasks(project.id, request=tasks[start : start + PORTION])

        return timed(f"plain import {self.count}", send)[0]

    def plain_export(self):
        """Fetch all tasks as the SDK does it: JSON, no masks read."""
        export = self.server.sdk.projects.exports.as_json
        return timed(f"plain export {self.count}", export, self.project.project_id)[0]


def sent(prediction):
    return {name: prediction[name] for name in ("model_version", "score", "result") if name in prediction}


def timed(what, function, *arguments):
    start = time.perf_counter()
    result = function(*arguments)
    seconds = time.perf_counter() - start
    print(f"{what:32} {seconds:7.2f} s", flush=True)
    return seconds, result


def speed(folder, url, few, medium, many):
    """Measure all; give the lines of the page."""
    small, middle = Bench(folder, url, few), Bench(folder, url, medium)
    imported = middle.plain_import()
    middle.answer(middle.every)
    pulled, exported = middle.pull("all"), middle.plain_export()
    large = Bench(folder, url, many)
    at_few, at_many = changes(small, large)
    rate = {
        "push": medium / middle.push_seconds,
        "import": medium / imported,
        "pull": medium / pulled,
        "export": medium / exported,
    }
    return [
        f"Crops of 60 x 80 pixels, SQLite, {os.cpu_count()} CPU cores.\n",
        f"| {medium:,} tasks | tasks/s | what it does |\n|---|---|---|",
        f"| `figureground push` | {rate['push']:.0f} | looked up before, checked, created in batches, read back |",
        f"| the SDK's import | {rate['import']:.0f} | the same JSON, {PORTION} at once; nothing looked up or read back |",
        f"| `figureground pull` | {rate['pull']:.0f} | fetched, decoded, fused into the mattes, written |",
        f"| the SDK's export | {rate['export']:.0f} | fetched as JSON: no mask decoded |\n",
        f"| pull {CHANGED} changed answers | seconds |\n|---|---|",
        f"| of {few:,} tasks | {at_few:.2f} |",
        f"| of {many:,} tasks | {at_many:.2f} |",
        f"| ratio (at most 2 is wanted) | {at_many / at_few:.2f} |",
    ]


def changes(small, large):
    """Time pulls in turn, when nobody has touched the other tasks for as long as a pull looks back; give both medians."""
    time.sleep(sync_cursor.LOOK_BACK.total_seconds() + 5)
    for bench in (small, large):
        bench.changed(0)
    rounds = range(1, 1 + min(ROUNDS, small.count // CHANGED - 1))
    times = [(small.changed(number), large.changed(number)) for number in rounds]
    return [statistics.median(seconds) for seconds in zip(*times, strict=True)]


def faults(folder):
    """Run the tests with a lossy wire and kills, the long way; give what they counted as lines of the page."""
    figures = folder / "faults.jsonl"
    figures.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", "-q", "tests/tasks/test_faults.py"]
    subprocess.run(
        command, cwd=ROOT, check=True, env=os.environ | {"FIGUREGROUND_ROUNDS": "100", "FIGUREGROUND_FIGURES": str(figures)}
    )
    lines = ["A proxy in front of a real Label Studio that answers by lot, and SIGKILLs; see tests/tasks/test_faults.py.\n"]
    for line in figures.read_text(encoding="utf-8").splitlines():
        lines += ["| | |\n|---|---|", *(f"| {what} | {count} |" for what, count in json.loads(line).items()), ""]
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--small", action="store_true", help="few tasks, and the page stays as it is")
    parser.add_argument("--faults", action="store_true", help="also the fault tests the long way")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    before = PAGE.read_text(encoding="utf-8").partition(SPEED)[0].strip() if PAGE.exists() else FAULTS
    catalog = catalog_in(folder)
    was = local_label_studio.find_running(catalog)
    server = was or local_label_studio.start(catalog)
    try:
        lines = speed(folder, server.url, *((60, 80, 100) if options.small else (200, 2_000, 10_000)))
    finally:
        if was is None:
            local_label_studio.stop(catalog)
    first = "\n".join([FAULTS, "", *faults(folder)]) if options.faults else before
    page = "\n".join([first, "", SPEED, "", *lines, "", "# The brush codec", "", *codec.table(), ""])
    print(page)
    if not options.small:
        PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
