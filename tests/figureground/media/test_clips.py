"""What a page says of a clip is not trusted: words become one line, licences one spelling, ids parts of names."""

import math
import re
import time
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from figureground.catalog import LimitsEntry
from figureground.media import clips
from figureground.media.clips import Clip

CLIP = Clip("Vimeo", "7", "https://vimeo.com/7", license="CC-BY-4.0", seconds=60, bytes=1000)


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("Creative Commons Attribution license (reuse allowed)", "CC-BY-3.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/deed.de", "CC-BY-NC-SA-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "Public-Domain"),
        ("cc by-sa 4.0", "CC-BY-SA-4.0"),
        ("CC0 1.0", "CC0-1.0"),
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("Standard YouTube License", "Standard YouTube License"),
        ("BY", "BY"),
        (None, ""),
    ],
)
def test_licences_have_one_spelling(said: str | None, name: str) -> None:
    assert clips.normalize_license(said) == name


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<link href="https://creativecommons.org/licenses/by/4.0/" rel="license">', "CC-BY-4.0"),
        ("<a class=x rel='nofollow license' href='https://example.org/terms'>x</a>", "https://example.org/terms"),
        (
            '<a rel="license" href="https://creativecommons.org/licenses/by/4.0/"><a rel=license href="https://b.org">',
            "",
        ),  # two
        ('<a href="https://creativecommons.org/licenses/by/4.0/">somebody else\'s</a>', ""),
        ('<a rel="licensed" href="x">', ""),
        ("", ""),
    ],
)
def test_a_page_states_its_licence(page: str, found: str) -> None:
    assert clips.find_license(page) == found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, ""),
        ({"license": "cc by 4.0"}, "licence: cc by 4.0; allowed: CC-BY-4.0, CC0-1.0"),  # read() spells it, nothing else does
        ({"license": "CC-BY-NC-4.0"}, "licence: CC-BY-NC-4.0; allowed: CC-BY-4.0, CC0-1.0"),
        ({"license": ""}, "licence: unknown; allowed: CC-BY-4.0, CC0-1.0"),
        ({"live": True}, "live: it has not ended yet"),
        ({"seconds": 2.0}, "length: 2 seconds; seconds_at_least: 3"),
        ({"seconds": 61.5}, "length: 61.5 seconds; seconds_at_most: 60"),
        ({"seconds": math.nan}, ""),  # nobody says: the limit of size holds
        ({"bytes": 1001}, "size: 1001 bytes; bytes_at_most: 1000"),
        ({"bytes": 0}, ""),
    ],
)
def test_what_may_be_taken(change: dict[str, object], reason: str) -> None:
    limits = LimitsEntry(seconds_at_least=3, seconds_at_most=60, bytes_at_most=1000)
    assert clips.rejection_reason(replace(CLIP, **change), ("CC-BY-4.0", "CC0-1.0"), limits) == reason  # type: ignore[arg-type]


HOSTILE = st.one_of(
    st.text(max_size=300), st.sampled_from(["../../etc/passwd", "a/../../b", "\0", "CON", "\u202egpj.mp4", "~", "-rf"])
)


@settings(deadline=None)
@given(
    clip_id=HOSTILE,
    site=st.sampled_from([clips.GENERIC, "Youtube"]),
    source=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}", fullmatch=True),
)
@example(clip_id="dQw4w9WgXcQ", site="Youtube", source="walks")
def test_whatever_a_site_calls_a_clip_its_name_is_a_name(clip_id: str, site: str, source: str) -> None:
    named = clips.make_source_id(source, clip_id, site, ())
    assert re.fullmatch(rf"{source}-[a-z0-9][a-z0-9-]*", named)
    assert len(named) <= 70
    assert named == clips.make_source_id(source, clip_id, site, ())


@settings(deadline=None)
@given(one=HOSTILE, other=HOSTILE, site=st.sampled_from([clips.GENERIC, "Youtube"]))
def test_two_clips_have_two_names(one: str, other: str, site: str) -> None:
    first = clips.make_source_id("walks", one, site, ())
    assert one == other or clips.make_source_id("walks", other, site, {first}) != first


def test_ids_that_differ_in_case_only_stay_apart() -> None:
    assert clips.make_source_id("walks", "aBc", "Youtube", ()) != clips.make_source_id("walks", "abC", "Youtube", ())


@settings(deadline=None)
@given(found=st.dictionaries(
    st.sampled_from(["title", "uploader", "license", "upload_date", "duration", "filesize", "is_live", "live_status"]),
    st.one_of(st.none(), st.text(), st.integers(), st.floats(), st.lists(st.text(), max_size=2)),
))  # fmt: skip
@example(found={"filesize": math.inf, "duration": math.inf})
@example(found={"filesize": 10**400, "duration": 10**400})
@example(found={"filesize": 10**30, "duration": 10**30})
def test_whatever_an_extractor_says_is_read(found: dict[str, object]) -> None:
    clip = clips.parse_clip(found, "Vimeo", "7", "https://vimeo.com/7")
    for words in (clip.title, clip.uploader, clip.license):
        assert (len(words) <= 300 and words.isprintable()) or not words.isascii()
        assert "\n" not in words and "\x1b" not in words
    assert re.fullmatch(r"(\d{4}-\d\d-\d\d)?", clip.uploaded)
    assert 0 <= clip.bytes < 2**63 and not clip.seconds <= 0


@pytest.mark.parametrize(
    "page",
    [
        "<a " * 400_000,
        "<a rel=" * 200_000 + ">",
        '<a rel="' + "license " * 100_000,
        "<a " + "rel = " * 200_000 + ">",
        '<link rel="license" href=' + "a" * 1_000_000 + ">",
        "<a" + " a" * 1_900 + "><a" * 100_000,
        "<a rel='\"" * 100_000 + ">",
    ],
)
def test_a_page_is_read_in_time_by_its_length(page: str) -> None:
    began = time.process_time()
    assert clips.find_license(page) == ""
    assert time.process_time() - began < 3


@pytest.mark.parametrize("value", [10**400, -1, float("nan"), float("inf"), "60", [1], {}, None, 2**63])
def test_a_number_that_no_table_holds_is_unknown(value: object) -> None:
    read = clips.parse_clip({"duration": value, "filesize": value, "title": value, "upload_date": value}, "Vimeo", "7", "")
    assert math.isnan(read.seconds) and read.bytes == 0
    assert len(read.title) <= 300 and read.uploaded == ""
