"""Names of files that are not UTF-8: taken under a readable id, shown escaped, and held by every table."""

import json
import os
from pathlib import Path

import pytest

from figureground.errors import SourceError
from flows.outcomes import Outcome
from tests.field import footage_cases as cases
from tests.field.ingested import sample_all


@pytest.mark.slow
def test_a_clip_whose_name_is_not_utf8_is_taken_and_shown_escaped(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    content = cases.clip(tmp_path / "healthy.mp4").read_bytes()
    for name in (b"b\xe9b\xe9.mp4", b"\xff\xfe.mp4", b"plain.mp4", b"odd.m\xe9p"):
        (tmp_path / "in" / os.fsdecode(name)).write_bytes(content)
        os.utime(tmp_path / "in" / os.fsdecode(name), (0, 0))  # finished long ago
    ends, again = (sample_all(tmp_path, {"in": {"path": "in"}}) for _ in range(2))

    assert ends == again and len(ends) == 3
    assert all(source_id.isascii() and source_id.isprintable() and len(end.frames) == 30 for source_id, end in ends.items())
    assert any(source_id.startswith("in-b-b") for source_id in ends) and "in-plain" in ends
    assert {end.frames[0].original for end in ends.values()} == {r"in/b\xe9b\xe9.mp4", r"in/\xff\xfe.mp4", "in/plain.mp4"}
    assert all(frame.file.isascii() and "\\" not in frame.file for end in ends.values() for frame in end.frames)
    assert all("\\" not in path.name for path in (tmp_path / "data/videos").rglob("*.mp4"))


def test_a_clip_that_cannot_be_read_is_named_with_its_name_escaped(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / os.fsdecode(b"b\xe9.mp4")).write_bytes(b"")
    cases.clip(tmp_path / "in/good.mp4")
    for path in (tmp_path / "in").iterdir():
        os.utime(path, (0, 0))
    ends = sample_all(tmp_path, {"in": {"path": "in"}})
    [error] = [end.error for end in ends.values() if end.error]

    assert r"b\xe9.mp4: the file is empty" in error
    assert len(ends["in-good"].frames) == 30


def test_messages_and_outcomes_hold_no_byte_that_json_and_terminals_refuse() -> None:
    name = os.fsdecode(b"b\xe9.mp4")
    outcome = Outcome("in", f"{name}: damaged", f"{name}: still being written")

    json.dumps([str(SourceError(f"{name}: damaged")), outcome.error, outcome.left], ensure_ascii=False).encode()
    assert outcome.error == str(SourceError(f"{name}: damaged")) == r"b\xe9.mp4: damaged"
