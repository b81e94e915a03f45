"""The page of the annotation statistics."""

import re

import pytest

from figureground.annotation.statistics import compute_statistics
from figureground.reports import annotation_statistics
from tests.figureground.annotation.annotation_records import made_by_hand, record


@pytest.mark.parametrize(
    ("records", "gated", "said"),
    [
        (made_by_hand()[:8], True, "too few labels: 0 of 5 in the smaller group"),
        (made_by_hand(), True, "pays"),
        (made_by_hand(), False, "pays (the catalog has no preannotation_gate: nothing is stopped)"),
        ([record(n, blank=n % 2 == 0, seconds=10.0 + n % 3 + 90 * (n % 2)) for n in range(20)], True, "does not pay"),
        ([record(n, blank=n % 2 == 0, seconds=10.0 + n % 5) for n in range(20)], True, "not proven to cost time"),
    ],
)
def test_the_verdict_in_words(records, gated, said):
    page = compute_statistics(records, gated=gated, labels_at_least=5)
    assert annotation_statistics.describe_gate(page.scenes[0], page) == said


def test_the_page_needs_no_other_file_escapes_names_and_is_always_the_same():
    some = [*made_by_hand(), record(30, scenes=("<b>&",), annotator="<i>")]
    written = annotation_statistics.render(compute_statistics(some, gated=True, labels_at_least=5))
    assert written == annotation_statistics.render(compute_statistics(list(some), gated=True, labels_at_least=5))
    assert not re.search(r"<(link|script)|src=|https?://(?!www\.w3\.org)", written)
    assert "<b>&" not in written
    assert "<i>" not in written
    assert written.count("<svg") == 3
    assert "nan" not in written.lower().replace("tenance", "")


def test_without_labels_the_page_says_what_to_do():
    assert "Nothing is labelled yet" in annotation_statistics.render(
        compute_statistics([], gated=True, labels_at_least=5)
    )
