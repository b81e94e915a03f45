"""Random SIGKILLs over an ingest, and damage between them: `python kills.py FOLDER ROUNDS SEED`, run by test_soak.py.

The folder holds two folders with a catalog each: ``calm``, ingested once, undisturbed, and ``rough``. One Prefect server runs
for both, as under `figureground schedule`. Each run is the whole command in a process of its own, forked from this one, which
has imported what is slow to import and nothing else: a round takes seconds, and the kills fall on the work. ``told.json`` says
what came of it.
"""

import collections
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from flows.scheduling.prefect_server import run_server


def contents(folder):
    """Hash every file but what tells of runs."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    named = ((path.relative_to(folder), path) for path in files)
    return {
        str(name): hashlib.sha256(path.read_bytes()).hexdigest()
        for name, path in named
        if not {".locks", "runs"} & set(name.parts)
    }


def start(folder):
    """Run the command line in a process of its own."""
    assert threading.active_count() == 1, "a process with threads must not be forked"
    pid = os.fork()
    if pid:
        return pid
    os.setsid()
    os.chdir(folder)
    said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1), os.dup2(said, 2)
    sys.argv = ["figureground", "ingest"]
    code = 1
    try:
        from flows.cli.app import main

        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


def ended(pid, seconds):
    """Wait so long for a process; give its exit code, or None when it goes on."""
    until = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(0.005)


def at_work(pid, folder):
    """Wait until a run has taken its sources, or has ended."""
    notes = folder / "data/.locks/make"
    while (code := ended(pid, 0.01)) is None and not any(f'"{pid}@' in text for text in map(read, notes.glob("*.json"))):
        pass
    return code


def read(path):
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def stages(folder):
    """Tell what a run is at, from the notes beside its locks."""
    notes = (read(path) for path in sorted((folder / "data/.locks/make").glob("*.json")))
    return sorted({json.loads(note)["stage"] or "start" for note in notes if note})


def damage(folder, dice):
    """Cut one stored file short, or change a bit of it; originals are left alone, these are only reported."""
    kinds = {"frames", "crops", "mattes", "tables", "reports"}
    made = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.relative_to(folder).parts[0] in kinds]
    if not made:
        return "nothing"
    chosen = dice.choice(made)
    content = bytearray(chosen.read_bytes())
    if dice.random() < 0.5 or not content:
        del content[dice.randrange(len(content) or 1) :]
        how = "short"
    else:
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        how = "bit"
    chosen.write_bytes(content)
    return f"{chosen.relative_to(folder).parts[0]} {how}"


def calm(folder):
    """Ingest undisturbed; give how long the work took once the sources were taken, and what is there then."""
    pid = start(folder)
    assert at_work(pid, folder) is None, read(folder / "said.txt")
    begun = time.monotonic()
    assert ended(pid, 900) == 0, read(folder / "said.txt")
    return time.monotonic() - begun, contents(folder / "data")


def rough(folder, rounds, dice, whole, expected):
    """Kill and damage; what is finished is compared, removed and begun anew."""
    kills, damages, ends = collections.Counter(), collections.Counter(), 0
    while kills.total() < rounds:
        pid = start(folder)
        # one of eight dies before it has its sources
        code = ended(pid, dice.uniform(0, 2)) if dice.random() < 0.125 else at_work(pid, folder)
        code = ended(pid, dice.uniform(0, 0.9) * whole) if code is None else code
        if code is None:
            for stage in stages(folder) or ["start"]:
                kills[stage] += 1 / len(stages(folder) or [1])
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        else:
            assert code == 0, read(folder / "said.txt")
            ends += 1
            found = contents(folder / "data")
            assert found == expected, sorted(set(found.items()) ^ set(expected.items()))
            shutil.rmtree(folder / "data")
        if (folder / "data").exists() and dice.random() < 0.3:
            damages[damage(folder / "data", dice)] += 1
        sys.stdout.write(f"{kills.total():.0f} kills, {ends} ends, {damages.total()} damages\n"), sys.stdout.flush()
    return kills, damages, ends


def main():
    folder, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    with run_server(folder) as api:
        os.environ["PREFECT_API_URL"] = api
        import flows.cli.app
        import flows.ingest  # noqa: F401 - what every run imports

        begun = time.monotonic()
        whole, expected = calm(folder / "calm")
        kills, damages, ends = rough(folder / "rough", rounds, random.Random(seed), whole, expected)
    told = {"kills": round(kills.total()), "at": {stage: round(count, 1) for stage, count in kills.most_common()}}
    told |= {"damages": dict(damages), "ends": ends, "files": len(expected)}
    told |= {"undisturbed_s": round(whole, 1), "seconds": round(time.monotonic() - begun), "expected": expected}
    (folder / "told.json").write_text(json.dumps(told))


if __name__ == "__main__":
    main()
