"""Names of files become parts of ids, which never change."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from figureground import ids

name = st.text("abAB019._- é公园", min_size=1, max_size=30).filter(lambda name: name.strip("."))
names = st.lists(name, unique=True, max_size=8)


@given(name=st.text(max_size=200), at_most=st.integers(9, 60))
def test_any_name_gives_a_usable_part_of_an_id(name: str, at_most: int) -> None:
    assert re.fullmatch("[a-z0-9][a-z0-9-]*", ids.make_slug(name, at_most))
    assert len(ids.make_slug(name, at_most)) <= at_most


@given(files=names)
def test_files_stay_apart_whatever_their_order(files: list[str]) -> None:
    slugs = ids.make_distinct_slugs(files, 40)
    assert len(set(slugs)) == len(files)
    assert dict(zip(files[::-1], ids.make_distinct_slugs(files[::-1], 40), strict=True)) == dict(zip(files, slugs, strict=True))


def test_long_names_that_begin_alike_stay_apart() -> None:
    first, second = ids.make_distinct_slugs(["a" * 50 + "1.jpg", "a" * 50 + "2.jpg"], 24)
    assert first != second and max(len(first), len(second)) <= 24


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("IMG_0042 (Été)", "img-0042-ete"),
        ("公园", "e852dca9"),
        ("東京 2024", "2024"),
        ("Привет", "dd679c0b"),
        ("straße", "strae"),
        ("Ørsted", "rsted"),
        ("½ way", "12-way"),
        ("1,000", "1-000"),
        ("...", "ab5df625"),
        ("x" * 80, "x" * 31 + "-d929cdee"),
    ],
)
def test_slugs_never_change(name: str, slug: str) -> None:
    assert ids.make_slug(name, 40) == slug
