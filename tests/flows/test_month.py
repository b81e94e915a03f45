"""A month unattended: new videos, missed nights, two starts at once, Label Studio away for a day, people answering."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from figureground.catalog import defaults as catalog_defaults

ROOT = Path(__file__).parents[2]
DAYS = 31 if int(os.environ.get("FIGUREGROUND_ROUNDS", "1")) > 1 else 9
CLIPS = 7

pytestmark = [pytest.mark.weights, pytest.mark.studio, pytest.mark.soak]


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory, studio_executable: str, demo_clip, cut) -> Path:
    """A folder after all its days."""
    from figureground.clients import local_label_studio

    folder = tmp_path_factory.mktemp("month")
    for name in ("coming", "inbox", "heard"):
        (folder / name).mkdir()
    whole = demo_clip("park")
    for number in range(CLIPS):
        # the third and the sixth come on the days of two starts, and give the first of them something to do
        cut(whole, folder / f"coming/{number}.mp4", number * 0.8, number * 0.8 + (3.0 if number in (2, 5) else 0.7))
    shutil.copy(demo_clip("walk"), folder / "held.webm")
    write_catalog(folder, local_label_studio.find_free_port())
    environment = os.environ | {"PYTHONPATH": str(ROOT), "FIGUREGROUND_STUDIO": studio_executable, "COLUMNS": "200"}
    command = [sys.executable, str(Path(__file__).with_name("month.py")), str(folder), str(DAYS)]
    with (folder / "said.txt").open("wb") as said:
        done = subprocess.run(command, cwd=folder, env=environment, stdout=said, stderr=said, timeout=3000)
    assert done.returncode == 0, (folder / "said.txt").read_text()[-4000:]
    return folder


def write_catalog(folder: Path, port: int) -> None:
    content = catalog_defaults() | yaml.safe_load((ROOT / "data_catalog.yaml").read_text())
    entry = {"license": "BSD-3-Clause", "scenes": ["park"]}
    content["sources"] = {
        "inbox": {**entry, "path": "inbox/*.mp4", "split": "train"},
        "held": {**entry, "path": "held.webm", "split": "val"},
    }
    content["recipe"] |= {"checks": {"size": {}}, "remover": {"rembg": {"model": "u2netp"}}}
    content["label_studio"] |= {
        "url": f"http://127.0.0.1:{port}",
        "label_config": str(ROOT / "label_config/person.xml"),
    }
    content["schedules"] = {"ingest": "0 2 * * *", "pull": "30 */12 * * *", "release": "0 6 * * 1"}
    hear = "import sys, uuid, pathlib; pathlib.Path('heard', uuid.uuid4().hex).write_text(sys.stdin.read())"
    content["notify"] = {"command": [sys.executable, "-c", hear], "repeat_after_hours": 20}
    (folder / "data_catalog.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def told(month: Path) -> dict:
    return json.loads((month / "diary.json").read_text())


def days(told: dict, what: str, **more: object) -> list[str]:
    entries = (one for one in told["diary"] if one["what"] == what)
    return [one["when"][:10] for one in entries if all(one[name] == value for name, value in more.items())]


def test_every_clip_is_ingested_once_and_pushed_once(month: Path, told: dict) -> None:
    clips = sorted(path.stem for path in (month / "inbox").iterdir())
    assert len(clips) == (7 if DAYS > 10 else 3)
    for stage in ("videos", "frames", "crops", "mattes", "tasks"):
        there = {path.stem for path in (month / f"data/tables/{stage}").iterdir()}
        assert there == {"held", *(f"inbox-{clip}" for clip in clips)}
    assert told["written twice"] == []
    tasks = pd.concat(pd.read_parquet(path) for path in (month / "data/tables/tasks").iterdir())
    assert sorted(told["keys"]) == sorted(tasks["key"]), "one task a crop, and no other"
    assert set(told["keys"].values()) == {1}
    assert told["predictions"] == [1]


def test_every_answer_is_pulled_and_released(month: Path, told: dict) -> None:
    labels = pd.concat(pd.read_parquet(path) for path in (month / "data/tables/labels").iterdir())
    assert len(told["answered"]) > 5
    answered_before_the_last_pull = set(labels["crop_id"])
    assert answered_before_the_last_pull <= set(told["answered"])
    assert len(told["answered"]) - len(labels) <= days_answered(told)[-1], "only the last evening's are not pulled yet"
    releases = sorted(path.name for path in (month / "data/releases").iterdir())
    assert releases == [f"CustomSeg_Person_{day.replace('-', '')}_community" for day in released(told)]


def days_answered(told: dict) -> list[int]:
    return [one["answered"] for one in told["diary"] if one["what"] == "people"]


def released(told: dict) -> list[str]:
    runs = (one for one in told["diary"] if one["what"] == "weekly-release")
    return [one["when"][:10] for one in runs if one["said"].startswith("released and verified")]


def test_missed_nights_are_caught_up(told: dict) -> None:
    expected = ["2027-01-07", "2027-01-12"] if DAYS <= 10 else ["2027-01-08", "2027-01-19", "2027-01-25"]
    made_up = days(told, "made up", run="nightly-ingest")
    assert len(made_up) == len(expected)
    runs = days(told, "nightly-ingest")
    for day in made_up:
        assert runs.count(day) >= 1
    if DAYS <= 10:
        assert released(told) == ["2027-01-12"], "Monday's release was missed, and made on Tuesday"


def test_of_two_starts_one_leaves_the_sources_alone(told: dict) -> None:
    rivals = [one for one in told["diary"] if one["what"] == "the other start"]
    assert [one["code"] for one in rivals] == [0] * len(rivals) and rivals
    cancelled = [one for one in told["diary"] if one["what"] == "nightly-ingest" and one["state"] == "Cancelled"]
    assert len(cancelled) == len(rivals)
    assert all("left alone" in one["said"] for one in cancelled)


def test_a_day_without_label_studio_is_reported_once_and_caught_up(month: Path, told: dict) -> None:
    away = days(told, "Label Studio is away")
    failed = [one for one in told["diary"] if one.get("state") == "Failed"]
    assert {one["when"][:10] for one in failed} == set(away)
    letters = [path.read_text() for path in (month / "heard").iterdir()]
    flows = {(one["what"], one["when"][:10]) for one in failed}
    assert len(letters) == len(flows), "each flow tells its trouble once a day, not at each run"
    assert all("Label Studio at" in letter for letter in letters)
