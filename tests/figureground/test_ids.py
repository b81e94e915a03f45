"""Names of files become parts of ids, which never change."""

import os
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


ALPHABET = "abAB01.-_/ eé\u0301公ß" + os.fsdecode(b"\xe9\xff")
paths = st.text(st.sampled_from(ALPHABET), min_size=1, max_size=8)
path_sets = st.sets(paths.filter(lambda path: path.strip("./ ") and not path.endswith("/")), max_size=8)


def assign(found: set[str], given: dict[str, str] | None = None) -> dict[str, str]:
    return ids.assign_item_ids("park", {path: path.rpartition(".")[0] or path for path in found}, given)


@given(found=path_sets)
def test_no_two_items_share_an_id_and_the_order_of_the_items_does_not_matter(found: set[str]) -> None:
    assigned = assign(found)
    assert len(set(assigned.values())) == len(found)
    assert all(re.fullmatch("park-[a-z0-9][a-z0-9-]*", item_id) for item_id in assigned.values())
    reverse = {path: path.rpartition(".")[0] or path for path in sorted(found, reverse=True)}
    assert ids.assign_item_ids("park", reverse) == assigned


@given(found=path_sets, beside=path_sets, away=st.sets(st.integers(0, 7)))
def test_files_laid_beside_or_taken_away_never_change_an_id_that_was_given(
    found: set[str], beside: set[str], away: set[int]
) -> None:
    given = assign(found)
    later = assign(found | beside, given)
    assert {path: later[path] for path in found} == given
    assert len(set(later.values())) == len(found | beside)
    left = {path for place, path in enumerate(sorted(found)) if place not in away}
    assert assign(left, later) == {path: given[path] for path in left}


@given(found=path_sets, beside=path_sets)
def test_the_id_of_a_file_that_is_gone_is_given_to_no_other(found: set[str], beside: set[str]) -> None:
    given = assign(found)
    assert set(assign(beside - found, given).values()).isdisjoint(given.values())


@pytest.mark.parametrize("old", ["photos/IMG_1.JPG", "photos/cafe\u0301.jpg"])
def test_an_id_goes_with_a_path_of_which_only_the_case_or_the_unicode_form_changed(old: str) -> None:
    new = {"photos/IMG_1.JPG": "Photos/img_1.jpg", "photos/cafe\u0301.jpg": "photos/caf\u00e9.jpg"}[old]
    assert ids.keep_renamed([new], {old: "park-1"}) == {new: "park-1"}
    assert ids.keep_renamed([new, old], {old: "park-1"}) == {old: "park-1"}
    assert ids.keep_renamed([], {old: "park-1"}) == {old: "park-1"}


@pytest.mark.parametrize(
    ("name", "shown"), [(os.fsdecode(b"b\xe9.mp4"), r"b\xe9.mp4"), ("公园.mp4", "公园.mp4"), (r"b\xe9.mp4", r"b\\xe9.mp4")]
)
def test_names_that_are_not_utf8_are_written_so_that_no_two_become_one(name: str, shown: str) -> None:
    assert ids.escape_name(name) == shown


def test_names_that_are_not_utf8_give_ids_that_are_readable_and_apart() -> None:
    slugs = [ids.make_slug(os.fsdecode(name), 40) for name in (b"b\xe9b\xe9", b"b\xffb\xe9", b"bb", b"\xe9")]
    assert all(re.fullmatch("[a-z0-9-]{2,12}", slug) for slug in slugs)
    assert len(set(slugs)) == 4
    assert slugs[0] == "b-b-8fe27bc8"
