"""Lists of pairs and of scenes as users met them: each line is read for itself."""

import os
import re
from pathlib import Path

import pytest

from tests.field.dataset_cases import LINES, figure, healthy, lists, png, write
from tests.field.test_datasets import import_source

BOTH = ["images/vidA/0001.jpg", "images/vidB/0002.jpg"]


@pytest.mark.parametrize(
    "content",
    [LINES, b"\xef\xbb\xbf" + LINES, LINES.replace(b"\n", b"\r\n"), b"\n\n" + LINES + b"  \n", LINES.rstrip(b"\n")],
    ids=["plain", "byte-order mark", "lines of Windows", "empty lines", "no last line end"],
)
def test_both_lines_of_a_list_are_read(tmp_path: Path, content: bytes) -> None:
    lists(tmp_path / "other", content)
    taken, reasons = import_source(tmp_path, {"human_parsing": {}})
    assert (sorted(taken), reasons) == (BOTH, [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"images/caf\xe9.jpg labels/caf\xe9.png", "train.txt, line 3: .* bytes that are not UTF-8; save the list as UTF-8"),
        (b"images/a.jpg", "train.txt, line 3: expected an image and a label below this folder; found 'images/a.jpg'"),
        (b"/etc/hostname labels/a.png", "line 3: expected an image and a label below this folder"),
        (b"images/../../a.jpg labels/a.png", "line 3: expected an image and a label below this folder"),
        (b"a\0b.jpg c.png", "is listed and missing"),
        (b"x" * 5000 + b".jpg c.png", "is listed and missing"),
        (b"y" * 1_000_000, "line 3: expected an image and a label below this folder"),
        (b"images images", "images is listed and missing"),
    ],
)
def test_a_line_that_names_no_pair_is_refused_by_its_number(tmp_path: Path, line: bytes, reason: str) -> None:
    lists(tmp_path / "other", LINES + line + b"\n")
    taken, reasons = import_source(tmp_path, {"human_parsing": {}})
    assert sorted(taken) == BOTH
    (found,) = reasons
    assert re.search(reason, found), found
    assert len(found) < 12_000


def test_a_list_in_another_encoding_leaves_the_other_lists(tmp_path: Path) -> None:
    lists(tmp_path / "other", LINES)
    (tmp_path / "other/val.txt").write_bytes(LINES.decode().encode("utf-16"))
    taken, reasons = import_source(tmp_path, {"human_parsing": {}})
    assert sorted(taken) == BOTH
    assert any("val.txt, line 1" in reason for reason in reasons)


def test_a_list_of_scenes_that_cannot_be_read_is_named_and_the_pictures_are_taken(tmp_path: Path) -> None:
    healthy(tmp_path / "other")
    write(tmp_path / "other/split_dir/park.txt", b"one\n\xe9\n")
    write(tmp_path / "other/split_dir/.. x.txt", b"one\n")
    taken, reasons = import_source(tmp_path, {"mmseg_custom": {}})
    assert sorted(taken) == ["img_dir/train/one.jpg", "img_dir/train/two.jpg"]
    assert any("split_dir/park.txt: line 2 is not UTF-8; save the list as UTF-8" in reason for reason in reasons)
    assert any("the scene '.. x' cannot be a file's name" in reason for reason in reasons)


def test_a_pipe_where_a_list_is_expected_is_not_waited_for(tmp_path: Path) -> None:
    healthy(tmp_path / "other")
    (tmp_path / "other/split_dir").mkdir()
    os.mkfifo(tmp_path / "other/split_dir/park.txt")
    taken, reasons = import_source(tmp_path, {"mmseg_custom": {}})
    assert len(taken) == 2
    assert any("park.txt: it is no ordinary file" in reason for reason in reasons)


def test_a_mask_in_a_format_that_a_name_hides_is_refused(tmp_path: Path) -> None:
    lists(tmp_path / "other", LINES)
    write(tmp_path / "other/labels/vidB/0002.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 160 240\n")
    taken, reasons = import_source(tmp_path, {"human_parsing": {}})
    assert taken == BOTH[:1]
    assert "no picture; expected 8 bits and one channel" in reasons[0]
    write(tmp_path / "other/labels/vidB/0002.png", png(figure(0)[1][:100]))
    assert "160x100 pixels, its image 160x240" in import_source(tmp_path, {"human_parsing": {}})[1][0]
