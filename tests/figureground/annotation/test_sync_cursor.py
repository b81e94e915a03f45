"""A pull that looks only at changes, and looks back far enough."""

from hypothesis import given
from hypothesis import strategies as st

from figureground.annotation.sync_cursor import ListedTask, SyncCursor, read_cursor

NOON, LATER, LATEST = (f"2026-11-30T12:{minute:02}:00.000000Z" for minute in (0, 3, 9))
END = "2026-11-30T13:00:00.000000Z"


def test_the_first_time_all_is_unseen():
    assert SyncCursor().since == ""
    found = [ListedTask(1, NOON, 0), ListedTask(2, LATER, 1)]
    assert SyncCursor().unseen(found) == found


def test_what_was_seen_in_this_state_is_not_looked_at_again():
    cursor = SyncCursor().after([ListedTask(1, NOON, 0), ListedTask(2, LATER, 1)], END)
    assert cursor.time == LATER
    assert cursor.since == "2026-11-30T12:02:00.000000Z"
    assert cursor.recent == {2: LATER}
    assert cursor.unseen([ListedTask(2, LATER, 1), ListedTask(3, LATER, 0)]) == [ListedTask(3, LATER, 0)]
    assert cursor.unseen([ListedTask(2, LATEST, 1)]) == [ListedTask(2, LATEST, 1)]


def test_a_change_that_came_after_the_list_was_begun_does_not_move_the_cursor_beyond_it():
    """A task listed first may have changed while later ones were listed."""
    cursor = SyncCursor().after([ListedTask(1, NOON, 0), ListedTask(2, LATEST, 1)], started=LATER)
    assert cursor.time == LATER


def test_answered_follows_the_last_state():
    cursor = SyncCursor(answered=frozenset({1, 2, 9})).after(
        [ListedTask(1, NOON, 0), ListedTask(2, NOON, 3), ListedTask(3, NOON, 1)], END
    )
    assert cursor.answered == {2, 3, 9}
    assert cursor.after([ListedTask(3, LATER, 1), ListedTask(3, LATER, 0)], END).answered == {2, 9}


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 59), st.integers(0, 2)), max_size=30), st.integers(0, 30))
def test_in_one_go_or_in_portions_the_same_is_known(changes, cut):
    seen = sorted(
        (ListedTask(task, f"2026-11-30T12:{minute:02}:00.000000Z", n) for task, minute, n in changes), key=lambda s: s[1]
    )
    whole = SyncCursor().after(seen, END)
    parts = SyncCursor().after(seen[:cut], END).after(seen[cut:], END)
    assert parts == whole
    assert read_cursor(whole.facts()) == whole
