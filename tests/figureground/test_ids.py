"""Names of files become parts of ids."""

import re

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
    found = ids.make_distinct_slugs(files, 40)
    assert len(set(found)) == len(files)
    assert dict(zip(files[::-1], ids.make_distinct_slugs(files[::-1], 40), strict=True)) == dict(zip(files, found, strict=True))


def test_long_names_that_begin_alike_stay_apart() -> None:
    one, two = ids.make_distinct_slugs(["a" * 50 + "1.jpg", "a" * 50 + "2.jpg"], 24)
    assert one != two and max(len(one), len(two)) <= 24
