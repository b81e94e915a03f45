"""Shards give the outputs of an undivided run, in its order, whatever is lost on the way."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from figureground import progress
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import Fingerprint, shards
from figureground.tables.shards import ShardedStage, split

counts = st.integers(0, 300)
few = st.integers(1, 12)


@given(counts, few, st.integers(1, 40), few)
def test_shards_are_all_rows_in_order_and_no_call_is_cut(rows, at_most, at_least, together) -> None:
    parts = split(rows, at_most, at_least, together)
    assert len(parts) != 1 and len(parts) <= at_most
    if parts:
        assert [row for first, end in parts for row in range(first, end)] == list(range(rows))
        assert all(first % together == 0 for first, _ in parts)
        sizes = [end - first for first, end in parts]
        assert min(sizes) >= at_least and max(sizes) - min(sizes) < 2 * together
    else:
        assert at_most == 1 or rows < 2 * (at_least + together - 1)


def test_too_few_rows_are_not_cut() -> None:
    assert split(127, at_most=8, at_least=64, batch_size=1) == []
    assert split(128, at_most=8, at_least=64, batch_size=1) == [(0, 64), (64, 128)]
    assert split(1000, at_most=1, at_least=1, batch_size=4) == []


def files_of(output):
    return [(file["file"], file["sha256"]) for file in output["files"]]


def same(value):
    return value


class Stage:
    """Adds up each row's call, so that a call cut in two would show; counts what it was asked."""

    def __init__(self, folder, rows: int, together: int = 3, mark: str = "a" * 64) -> None:
        self.asked: list[int] = []
        self.store = Store(str(folder))
        given = [{"number": number} for number in range(rows)]
        self.sharded = ShardedStage(
            self.store, "crop", "crops", "park", Fingerprint(mark), together, lambda: given, self.process, files_of, same, same
        )

    def process(self, rows):
        for start in range(0, len(rows), self.sharded.batch_size):
            call = [row["number"] for row in rows[start : start + self.sharded.batch_size]]
            self.asked += call
            for number in call:
                name = f"crops/park/{number}.jpg"
                file = {"file": name, "sha256": self.store.write(name, str(number).encode())}
                value = float("nan") if number % 5 == 0 else float(np.float32(number) / 3)
                yield {"number": number, "call": sum(call), "value": value, "files": [file]}

    def together(self) -> str:
        return json.dumps(list(self.sharded.process_all(self.sharded.read_inputs())))


SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.slow
@SLOW
@given(st.integers(1, 60), st.integers(1, 5), st.lists(st.integers(1, 6), max_size=3), st.data())
def test_what_shards_left_and_what_is_missing_are_together_the_whole(tmp_path_factory, rows, together, several, data) -> None:
    """Also when runs with several numbers of shards were killed, and some of what they left is damaged."""
    folder = tmp_path_factory.mktemp("shards")
    stage, parts = Stage(folder, rows, together), set()
    for at_most in several:
        parts |= set(split(rows, at_most, 1, together))
    parts = sorted(parts)
    left = data.draw(st.lists(st.sampled_from(parts), unique=True)) if parts else []
    for part in left:
        stage.sharded.process_shard(*part, "crop of many")
    for part in data.draw(st.lists(st.sampled_from(left), unique=True)) if left else []:
        path = stage.store.path(stage.sharded._name(*part))
        path.write_bytes(path.read_bytes().replace(b"call", b"cell"))
    assert stage.together() == Stage(folder / "alone", rows, together).together()


@pytest.fixture
def stage(tmp_path) -> Stage:
    """One with nine rows, of which the first six were done ahead."""
    stage = Stage(tmp_path, 9)
    stage.sharded.process_shard(0, 6, "crop 1/2")
    stage.asked.clear()
    return stage


def test_what_was_left_is_not_done_again(stage) -> None:
    stage.sharded.process_shard(0, 6, "crop 1/2")
    assert stage.asked == []
    stage.together()
    assert stage.asked == [6, 7, 8]


def test_a_shard_whose_file_is_lost_is_done_again(stage) -> None:
    stage.store.remove("crops/park/4.jpg")
    stage.together()
    assert stage.asked == list(range(9)) and stage.store.exists("crops/park/4.jpg")


def test_a_shard_of_something_else_is_not_taken(stage, tmp_path) -> None:
    name, other = stage.sharded._name(0, 6), Stage(tmp_path, 9, mark="a" * 63 + "b")
    assert name == other.sharded._name(0, 6), "they begin alike"
    other.together()
    assert other.asked == list(range(9))
    shorter = json.dumps({"fingerprint": "a" * 64, "outputs": []}).encode()
    stage.store.write(name, f"{sha256(shorter)}\n".encode() + shorter)
    stage.together()
    assert stage.asked == list(range(9))


def test_progress_is_of_the_shard_and_of_the_stage(tmp_path) -> None:
    heard: list[tuple[str, str, int, int]] = []
    silence = progress.subscribe(lambda *told: heard.append(told))
    try:
        stage = Stage(tmp_path, 9)
        stage.sharded.process_shard(3, 9, "crop 2/2")
        assert heard[-1] == ("crop 2/2", "park", 6, 6)
        stage.together()
        assert heard[-1] == ("crop", "park", 9, 9)
    finally:
        silence()


def test_what_is_done_leaves_no_shards(stage) -> None:
    other = ShardedStage(
        stage.store, "crop", "crops", "beach", Fingerprint("b" * 64), 1, lambda: [{}], same, lambda _: (), same, same
    )
    other.process_shard(0, 1, "crop 1/1")
    assert shards.remove_shards(stage.store, ["park", "gone"]) == [stage.sharded._name(0, 6)]
    assert stage.store.names("shards") == [other._name(0, 1)], "somebody works on that one"
    assert shards.remove_shards(stage.store, ["beach"]) == [other._name(0, 1)]
    assert not stage.store.path("shards").exists()
    assert shards.remove_shards(stage.store, ["beach"]) == []
