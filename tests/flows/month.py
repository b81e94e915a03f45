"""A month of unattended nights, its clock wound by hand: `python month.py FOLDER DAYS`, run by test_month.py.

The folder holds a catalog and ``coming/``, one clip for each day that brings one. Every moment at which the catalog's schedules
come due is gone to; there the scheduled flow runs with real weights and a real Label Studio. What befalls which day stands in
`happens`. ``diary.json`` tells what came of it.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from figureground.catalog import load
from flows.scheduling.engine import configure_prefect

FIRST = datetime(2027, 1, 4, tzinfo=UTC)  # a Monday


def happens(days):
    """Say what befalls which days: new clips, the machine off (on a release's day, too), two starts at once, no server."""
    every = {"clips": [0, 1, 4], "off": [2, 7], "twice": [4], "away": [5]}
    if days > 10:
        every = {"clips": [0, 1, 4, 9, 11, 18, 25], "off": [2, 3, 13, 14, 20], "twice": [4, 18], "away": [5, 22]}
    return {what: [day for day in some if day < days] for what, some in every.items()}


class Month:
    """What is scheduled, what befalls it, and the diary."""

    def __init__(self, folder, days):
        self.file, self.days, self.happens = folder / "data_catalog.yaml", days, happens(days)
        self.folder, self.diary, self.seen, self.doubled = folder, [], {}, set()
        self.catalog = load(self.file)

    def write(self, what, **more):
        self.diary.append({"what": what, "when": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", **more})
        sys.stdout.write(f"{self.diary[-1]}\n")
        sys.stdout.flush()

    def go(self):
        from flows.scheduling.schedules import scheduled_flows

        plans, clock = scheduled_flows(self.file), FIRST - timedelta(minutes=1)
        for day in range(self.days):
            morning = FIRST + timedelta(days=day)
            with time_machine.travel(morning, tick=True):
                self.morning(day)
            if day in self.happens["off"]:
                continue
            for plan, moment in self.due(plans, clock, morning + timedelta(days=1), made_up=day - 1 in self.happens["off"]):
                with time_machine.travel(moment, tick=True):
                    self.run(plan, day)
            clock = morning + timedelta(days=1)
            with time_machine.travel(morning + timedelta(hours=20), tick=True):
                self.evening(day)

    def due(self, plans, start, end, made_up):
        """List what runs in a day: what was missed, once, as `figureground schedule` does it, then what comes due."""
        from flows.scheduling.schedules import last_missed

        begun = end - timedelta(days=1)
        again = [(plan, begun) for plan in plans if made_up and last_missed(self.catalog, plan, begun) is not None]
        with time_machine.travel(begun):
            for plan, _ in again:
                self.write("made up", run=plan.name)
        moments = [(plan, begun + timedelta(hours=hour)) for plan in plans for hour in self.hours(plan.name, begun)]
        again += [(plan, moment) for plan, moment in moments if moment > start]
        return sorted(again, key=lambda found: found[1])

    def hours(self, run, day):
        """Give the hours at which a flow is due, as the catalog of test_month.py says it for Prefect."""
        if run == "weekly-release" and day.weekday() != 0:
            return ()
        return {"nightly-ingest": (2,), "frequent-pull": (0.5, 12.5), "weekly-release": (6,)}[run]

    def morning(self, day):
        from figureground.clients import local_label_studio

        if day in self.happens["clips"]:
            clip = self.folder / f"coming/{self.happens['clips'].index(day)}.mp4"
            shutil.copy(clip, self.folder / f"inbox/day{day}.mp4")
        if day in self.happens["away"]:
            local_label_studio.stop(self.catalog)
            self.write("Label Studio is away")
        elif local_label_studio.find_running(self.catalog) is None:
            local_label_studio.start(self.catalog, int(self.catalog.label_studio.url.rpartition(":")[2]))

    def run(self, plan, day):
        # only the day's first ingest has work that another one can meet: what was made up may have left the second none
        first = plan.name == "nightly-ingest" and day in self.happens["twice"] and day not in self.doubled
        self.doubled |= {day} if first else set()
        rival = self.rival() if first else None
        state = plan.flow(**plan.parameters, return_state=True)
        if rival is not None:
            self.write("the other start", code=rival.wait(600), said=rival.stdout.read().decode()[-2000:])
        said = state.message if state.is_cancelled() or state.is_failed() else state.result()
        self.write(plan.name, state=state.name, said=str(said))
        self.remember()

    def rival(self):
        """Start an ingest by hand, and wait until it has taken the sources."""
        command = [sys.executable, "-m", "flows.cli", "ingest", "--catalog", str(self.file)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=os.environ)
        taken = self.folder / "data/.locks/make"
        until = time.monotonic() + 300
        while not list(taken.glob("*.json")):
            assert process.poll() is None and time.monotonic() < until, "the other ingest took nothing"
            time.sleep(0.05)
        return process

    def evening(self, day):
        """Answer half of what is open, as people do."""
        if day in self.happens["away"]:
            return
        from figureground.clients.annotation_server import connect

        with connect(self.catalog) as server:
            project = server.find_project(self.catalog)
            open_ = [task for task in server.list_tasks(project) if not task.annotations] if project else []
            for task in open_[: (len(open_) + 1) // 2]:
                (prediction,) = task.content["predictions"]
                server.add_annotation(task, prediction["result"], annotator_id=1, seconds=3.0, prediction_id=prediction["id"])
            self.write("people", answered=(len(open_) + 1) // 2)

    def remember(self):
        """Count how often a file of the pipeline was written: a second time is one too many."""
        for stage in ("videos", "frames", "crops", "mattes"):
            for path in sorted((self.folder / "data" / stage).rglob("*.*")):
                self.seen.setdefault(str(path), set()).add((path.stat().st_ino, path.stat().st_mtime_ns))

    def end(self):
        from figureground.clients import local_label_studio
        from figureground.clients.annotation_server import connect

        with connect(self.catalog) as server:
            project = server.find_project(self.catalog)
            every = server.list_tasks(project) if project else []
        keys = Counter(task.key for task in every)
        told = {
            "diary": self.diary,
            "written twice": sorted(path for path, states in self.seen.items() if len(states) > 1),
            "keys": dict(keys),
            "predictions": sorted({len(task.content["predictions"]) for task in every}),
            "answered": sorted(str(task.content["data"]["crop_id"]) for task in every if task.annotations),
        }
        (self.folder / "diary.json").write_text(json.dumps(told, indent=1))
        local_label_studio.stop(self.catalog)


def main():
    folder, days = Path(sys.argv[1]), int(sys.argv[2])
    configure_prefect(folder)
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows.scheduling.prefect_server import run_server

    # as under `figureground schedule`: its server is the one that commands by hand use, too
    with run_server(folder) as api, temporary_settings({PREFECT_API_URL: api}):
        month = Month(folder, days)
        try:
            month.go()
        finally:
            month.end()


if __name__ == "__main__":
    main()
