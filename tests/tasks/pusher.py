"""Pushes and pulls in processes that can be killed: ``python pusher.py FOLDER URL PROJECT [unlocked]``.

Reads ``push SOURCE`` or ``pull SOURCE`` from stdin, forks for each (imports are done once) and answers ``began PID``; when
the child has ended by itself or was killed, ``ended PID CODE``: 0 done, 3 a connection that broke, negative a signal, else a
failure that is told on stderr.
"""

import os
import sys
import threading
import traceback
from contextlib import nullcontext
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2])]

import label_studio_sdk  # noqa: E402, F401  loaded once, before forking

from figureground import tables  # noqa: E402
from figureground.clients.annotation_server import connect, find_token  # noqa: E402
from figureground.clients.label_studio import LabelStudioClient  # noqa: E402
from figureground.errors import TransientError  # noqa: E402
from figureground.storage.store import Store  # noqa: E402
from tasks.annotation import push as pushing  # noqa: E402
from tasks.annotation.pull import PullSettings, pull  # noqa: E402
from tests.material import catalog_in  # noqa: E402

PUSH, PULL = pushing.PushSettings(batch_size=10, pauses_seconds=(0.05, 0.3)), PullSettings(portion=10, portions_per_table=1)


def connect_hastily(catalog):
    """Connect as one does to a wire that stalls for 11 seconds."""
    return LabelStudioClient(*find_token(catalog), timeout_seconds=10, request_seconds=14)


def work(deed, source_id, catalog, how):
    store = Store(catalog.storage_root)
    refs = {stage: tables.find(store, stage, source_id) for stage in ("crops", "mattes", "tasks")}
    try:
        if deed == "push":
            source = catalog.source("park").__class__(source_id, "video", "park.mp4", "", "BSD-3-Clause", ("park",), "auto")
            pushing.push.fn(refs["crops"], refs["mattes"], source, catalog, connect=how, settings=PUSH)
        else:
            pull.fn(*refs.values(), catalog, connect=how, settings=PULL)
    except TransientError:
        return 3
    except BaseException:  # noqa: BLE001  the parent is told
        traceback.print_exc()
        return 1
    return 0


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def wait(pid):
    _, status = os.waitpid(pid, 0)
    say("ended", pid, os.waitstatus_to_exitcode(status))


def main(folder, url, project, *how):
    if "unlocked" in how:
        pushing.lock_pushing = lambda store, seconds: nullcontext()
    way = connect if "unlocked" in how else connect_hastily
    catalog = catalog_in(Path(folder), url, project)
    say("ready")
    for line in sys.stdin:
        deed, source_id = line.split()
        pid = os.fork()
        if pid == 0:
            os._exit(work(deed, source_id, catalog, way))
        say("began", pid)
        threading.Thread(target=wait, args=(pid,)).start()


if __name__ == "__main__":
    main(*sys.argv[1:])
