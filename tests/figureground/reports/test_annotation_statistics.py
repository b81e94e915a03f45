"""The meter's figures, from deeds made by hand, and its page."""

import math
import re

import pytest

from figureground.annotation import preannotation_gate
from figureground.annotation.preannotation_gate import Work
from figureground.reports import annotation_statistics
from figureground.reports.annotation_statistics import Deed

NAN = math.nan


def deed(number, *, blank=False, origin="prediction", seconds=10.0, scenes=("park",), changed=0.0, iou=1.0, **more):
    who = {"annotator": "anna", "verdict": "keep", "second_annotator": "", "second_verdict": ""}
    who |= {"agreement": NAN, "boundary_agreement": NAN}
    return Deed(
        work=Work(number, scenes, "person-v1", blank, seconds), source_id="clip", origin=origin, changed=changed,
        boundary_iou=iou, **who | more,
    )  # fmt: skip


def by_hand():
    return [
        *(deed(n, seconds=4.0) for n in range(6)),
        *(deed(n, origin="prediction-changed", seconds=40.0, changed=0.02, iou=0.8) for n in range(6, 10)),
        *(deed(n, origin="manual", blank=True, seconds=60.0, iou=0.6) for n in range(10, 16)),
        deed(16, verdict="blurred", origin="manual", changed=NAN, iou=NAN),
        deed(17, second_annotator="bo", second_verdict="keep", agreement=0.95, boundary_agreement=0.7),
        deed(18, second_annotator="bo", second_verdict="blurred", annotator="chen"),
    ]


def test_a_scene_says_what_was_accepted_changed_and_how_long_it_took():
    (row,) = annotation_statistics.page(by_hand(), gated=True, labels_at_least=5).scenes
    assert (row.name, row.remover) == ("park", "person-v1")
    assert (row.accepted.value, row.accepted.count) == (8 / 12, 12)
    assert row.accepted.low < 8 / 12 < row.accepted.high
    assert (row.changed.value, row.boundary.value, row.blind.value) == (0.0, 1.0, 0.6)
    assert (row.seconds.value, row.drawn.value, row.drawn.count) == (7.0, 60.0, 6)
    assert row.gate.ratio.middle == pytest.approx((6 * 4 + 4 * 40 + 2 * 10) / 12 / 60)
    assert not row.gate.stopped


def test_annotators_and_pairs_are_told_apart():
    page = annotation_statistics.page(by_hand(), gated=False, labels_at_least=5)
    assert [(row.name, row.accepted.count) for row in page.annotators] == [("anna", 11), ("chen", 1)]
    (one,) = page.accords
    assert (one.verdict.value, one.verdict.count) == (0.5, 2)
    assert (one.agreement.value, one.agreement.count, one.boundary.value) == (0.95, 1, 0.7)
    assert dict(page.facts)["seen by two"] == "2"
    assert dict(page.facts)["labels"] == "18 kept, 1 rejected"


def test_a_work_of_two_scenes_counts_in_both_and_one_of_none_is_said():
    page = annotation_statistics.page([deed(0, scenes=("park", "night")), deed(1, scenes=())], gated=True, labels_at_least=5)
    assert [row.name for row in page.scenes] == ["night", "no scene", "park"]


@pytest.mark.parametrize(
    ("deeds", "gated", "said"),
    [
        (by_hand()[:8], True, "too few to tell: 0 of 5 of the smaller kind"),
        (by_hand(), True, "pays"),
        (by_hand(), False, "pays (the catalog has no preannotation_gate: nothing is stopped)"),
        ([deed(n, blank=n % 2 == 0, seconds=10.0 + n % 3 + 90 * (n % 2)) for n in range(20)], True, "does not pay"),
        ([deed(n, blank=n % 2 == 0, seconds=10.0 + n % 5) for n in range(20)], True, "not proven to cost time"),
    ],
)
def test_the_verdict_in_words(deeds, gated, said):
    page = annotation_statistics.page(deeds, gated=gated, labels_at_least=5)
    assert annotation_statistics.verdict(page.scenes[0], page) == said


def test_the_page_needs_no_other_file_escapes_names_and_is_always_the_same():
    some = [*by_hand(), deed(30, scenes=("<b>&",), annotator="<i>")]
    written = annotation_statistics.html(annotation_statistics.page(some, gated=True, labels_at_least=5))
    assert written == annotation_statistics.html(annotation_statistics.page(list(some), gated=True, labels_at_least=5))
    assert not re.search(r"<(link|script)|src=|https?://(?!www\.w3\.org)", written)
    assert "<b>&" not in written
    assert "<i>" not in written
    assert written.count("<svg") == 3
    assert "nan" not in written.lower().replace("tenance", "")


def test_without_labels_the_page_says_what_to_do():
    assert "Nothing is labelled yet" in annotation_statistics.html(
        annotation_statistics.page([], gated=True, labels_at_least=5)
    )


def test_intervals_hold_what_they_promise():
    assert annotation_statistics.share(0, 0).count == 0
    assert annotation_statistics.share(0, 10).low == 0
    assert annotation_statistics.share(0, 10).high == pytest.approx(0.278, abs=0.001)
    assert math.isnan(annotation_statistics.middle([1, 2, 3]).low)
    assert preannotation_gate.ratio([2.0, 2.0], [1.0, 1.0]) == preannotation_gate.Ratio(2.0, 2.0, 2.0)
