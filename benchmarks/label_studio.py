"""Push and pull against a real, local Label Studio: ``python benchmarks/label_studio.py FOLDER [TASKS...]``.

For each number of tasks: push them, answer 20, pull for the first time, answer 20 others, pull again. The last figure should
hardly grow with the number of tasks. FOLDER keeps the server and its pictures; FIGUREGROUND_STUDIO names the program.
"""

import sys
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "tests/tasks")]

from conftest import catalog_in, material_in  # noqa: E402

from figureground import watermark  # noqa: E402
from tasks import label_studio, studio  # noqa: E402
from tasks.pull import pull  # noqa: E402
from tasks.push import push  # noqa: E402

ANSWERS = 20


def timed(what, count, deed, *given):
    start = time.perf_counter()
    found = deed(*given)
    seconds = time.perf_counter() - start
    print(f"{what:32} {seconds:7.2f} s   {count / seconds:7.1f} a second", flush=True)
    return found


def answer(catalog, some):
    with label_studio.connect(catalog) as server:
        for task in some:
            result = [item | {"origin": "prediction"} for item in task.content["predictions"][0]["result"]]
            label_studio.annotate(server, task, result, by=1, seconds=2.0, prediction=task.content["predictions"][0]["id"])


def measure(folder, url, count):
    name = f"bench-{count}-{int(time.time())}"
    catalog = catalog_in(folder, url, name)
    material = material_in(catalog, name, count)
    tasks = timed(f"push {count}", count, push.fn, material.crops, material.mattes, material.source, catalog)
    with label_studio.connect(catalog) as server:
        every = label_studio.everything(server, label_studio.find_project(server, catalog))
    given = (material.crops, material.mattes, tasks, catalog)
    time.sleep(watermark.LOOK_BACK.total_seconds() + 5)  # nobody has answered all in the minute of the push
    answer(catalog, every[:ANSWERS])
    timed(f"first pull, 20 of {count}", ANSWERS, pull.fn, *given)
    answer(catalog, every[-ANSWERS:])
    timed(f"pull 20 changed of {count}", ANSWERS, pull.fn, *given)
    timed(f"pull 0 changed of {count}", 1, pull.fn, *given)


def main():
    folder = Path(sys.argv[1]).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    catalog = catalog_in(folder)
    was = studio.running(catalog)
    server = was or studio.up(catalog)
    try:
        for count in map(int, sys.argv[2:] or ["200", "2000"]):
            measure(folder, server.url, count)
    finally:
        if was is None:
            studio.down(catalog)


if __name__ == "__main__":
    main()
