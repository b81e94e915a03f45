"""How far a pull has come: which tasks it listed in which state, so that the next pull looks at changes only. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
LOOK_BACK = timedelta(seconds=60)


class ListedTask(NamedTuple):
    """A task as a list shows it: its number, when it was last changed (see `TIME`), how many annotations it has."""

    task_id: int
    updated_at: str
    annotations: int


@dataclass(frozen=True, slots=True)
class SyncCursor:
    """How far a pull has come.

    ``time`` is that of the last listed change. A change is written a moment before it is visible, so the next pull looks
    `LOOK_BACK` further; ``recent`` has the states listed in that stretch, by task. ``answered`` are the annotated tasks.
    """

    time: str = ""
    recent: Mapping[int, str] = field(default_factory=dict)
    answered: frozenset[int] = frozenset()

    @property
    def since(self) -> str:
        """From when on changes have to be listed; "" is all of them."""
        return _earlier(self.time) if self.time else ""

    def unseen(self, tasks: Iterable[ListedTask]) -> list[ListedTask]:
        """Pick the tasks that were not listed in this state before."""
        return [task for task in tasks if self.recent.get(task.task_id) != task.updated_at]

    def after(self, tasks: Sequence[ListedTask], started: str) -> "SyncCursor":
        """Give the cursor after these tasks were pulled.

        Parameters
        ----------
        tasks
            The pulled tasks; the later state of a task comes later.
        started
            The server's time when the list was begun: later changes may be missing from the list.

        Examples
        --------
        >>> cursor = SyncCursor().after([ListedTask(7, "2026-11-30T12:00:00.000000Z", 1)], "2026-11-30T12:05:00.000000Z")
        >>> cursor.since, sorted(cursor.answered)
        ('2026-11-30T11:59:00.000000Z', [7])
        """
        latest = min(started, max((task.updated_at for task in tasks), default=""))
        time = max(self.time, latest)
        states = {**self.recent, **{task.task_id: task.updated_at for task in tasks}}
        recent = {task: state for task, state in sorted(states.items()) if not time or state >= _earlier(time)}
        annotated = {task.task_id: task.annotations > 0 for task in tasks}
        kept = {task for task in self.answered if annotated.get(task, True)}
        return SyncCursor(time, recent, frozenset(kept | {task for task, present in annotated.items() if present}))

    def facts(self) -> dict[str, Any]:
        """Give the facts that a table keeps of it; `read_cursor` reads them."""
        recent = {str(task): state for task, state in self.recent.items()}
        return {"watermark": self.time, "recent": recent, "answered": sorted(self.answered)}


def read_cursor(facts: Mapping[str, Any]) -> SyncCursor:
    """Read a cursor from a table's facts.

    >>> read_cursor(SyncCursor("2026-11-30T12:00:00.000000Z", {7: "x"}, frozenset({7})).facts()).recent
    {7: 'x'}
    """
    recent = {int(task): str(state) for task, state in facts.get("recent", {}).items()}
    return SyncCursor(str(facts.get("watermark", "")), recent, frozenset(map(int, facts.get("answered", ()))))


def _earlier(time: str) -> str:
    return (datetime.strptime(time, TIME).replace(tzinfo=UTC) - LOOK_BACK).strftime(TIME)
