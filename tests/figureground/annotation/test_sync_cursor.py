"""A pull that looks only at changes, and looks back far enough."""

from hypothesis import given
from hypothesis import strategies as st

from figureground.annotation.sync_cursor import Seen, Watermark, read

NOON, LATER, LATEST = (f"2026-11-30T12:{minute:02}:00.000000Z" for minute in (0, 3, 9))
END = "2026-11-30T13:00:00.000000Z"


def test_the_first_time_all_is_unseen():
    assert Watermark().since == ""
    found = [Seen(1, NOON, 0), Seen(2, LATER, 1)]
    assert Watermark().unseen(found) == found


def test_what_was_seen_in_this_state_is_not_looked_at_again():
    mark = Watermark().after([Seen(1, NOON, 0), Seen(2, LATER, 1)], END)
    assert mark.time == LATER
    assert mark.since == "2026-11-30T12:02:00.000000Z"
    assert mark.recent == {2: LATER}
    assert mark.unseen([Seen(2, LATER, 1), Seen(3, LATER, 0)]) == [Seen(3, LATER, 0)]
    assert mark.unseen([Seen(2, LATEST, 1)]) == [Seen(2, LATEST, 1)]


def test_a_change_that_came_after_the_list_was_begun_does_not_move_the_mark_beyond_it():
    """A task listed first may have changed while later ones were listed."""
    mark = Watermark().after([Seen(1, NOON, 0), Seen(2, LATEST, 1)], started=LATER)
    assert mark.time == LATER


def test_answered_follows_the_last_state():
    mark = Watermark(answered=frozenset({1, 2, 9})).after([Seen(1, NOON, 0), Seen(2, NOON, 3), Seen(3, NOON, 1)], END)
    assert mark.answered == {2, 3, 9}
    assert mark.after([Seen(3, LATER, 1), Seen(3, LATER, 0)], END).answered == {2, 9}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 59), st.integers(0, 2)), max_size=30), st.integers(0, 30))
def test_in_one_go_or_in_portions_the_same_is_known(changes, cut):
    seen = sorted((Seen(task, f"2026-11-30T12:{minute:02}:00.000000Z", n) for task, minute, n in changes), key=lambda s: s[1])
    whole = Watermark().after(seen, END)
    parts = Watermark().after(seen[:cut], END).after(seen[cut:], END)
    assert parts == whole
    assert read(whole.facts()) == whole
