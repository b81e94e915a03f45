"""What is parsed of text, JSON and YAML from outside, and what is refused before it takes memory."""

import os
from pathlib import Path

import pytest

from figureground import documents

BOMB = "\n".join(
    ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    + [f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
)


def test_aliases_are_counted_as_what_they_stand_for() -> None:
    with pytest.raises(ValueError, match=r"its aliases stand for 1,234,567,909 values in all"):
        documents.parse_yaml(BOMB)
    _, content = documents.parse_yaml("a: &a [1, 2]\nb: *a")
    assert content == {"a": [1, 2], "b": [1, 2]}


def test_merged_mappings_count_too() -> None:
    merged = "\n".join(
        ["a: &a {x: 1, y: 2}"]
        + [f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 10)}]}}" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    )
    with pytest.raises(ValueError, match=r"stand for .* values"):
        documents.parse_yaml(merged)


def test_what_is_in_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="in itself"):
        documents.parse_yaml("a: &a [1, *a]")


@pytest.mark.parametrize("text", ["[" * 20_000, "a: " * 1 + "[" * 3000 + "]" * 3000, "!!int x", "!!set [1]", "? [a]\n: b"])
def test_odd_yaml_is_a_value_error_or_the_parsers(text: str) -> None:
    import yaml

    with pytest.raises((ValueError, yaml.YAMLError)):
        documents.parse_yaml(text)


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b'{"a":' * 200_000, "[" * 100_000 + "]" * 100_000, b"\xff\xfe\xfa", b"", b"1" * 5000]
)
def test_json_that_cannot_be_parsed_is_a_value_error(content: bytes | str) -> None:
    with pytest.raises(ValueError, match=r"nest too deep|Expecting|decode|Exceeds the limit"):
        documents.parse_json(content)


def test_a_byte_order_mark_is_left_out() -> None:
    assert documents.parse_json(b'\xef\xbb\xbf{"a": 1}') == documents.parse_json('\ufeff{"a": 1}') == {"a": 1}
    assert documents.decode_lines("\ufeffa\nb\n".encode()) == ["a", "b"]


def test_a_line_that_is_not_utf8_is_none_and_the_others_are_read() -> None:
    assert documents.decode_lines(b"a\n\xe9\r\nb") == ["a", None, "b"]
    assert documents.decode_lines(b"") == []


def test_a_file_is_measured_before_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1234")
    assert documents.read_bytes(tmp_path / "a", 4) == b"1234"
    with pytest.raises(ValueError, match="it has 4 bytes; expected at most 3"):
        documents.read_bytes(tmp_path / "a", 3)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no ordinary file"):
        documents.read_bytes(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no ordinary file"):
        documents.read_bytes(tmp_path)


def test_a_value_is_shown_in_few_words_however_deep_and_long_it_is() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep] * 8
    assert len(documents.abridge(deep)) < 2000
    assert len(documents.abridge({"a": "b" * 10_000})) < 100
