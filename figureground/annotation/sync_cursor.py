"""How far a pull has come: which tasks were seen in which state, so that the next one looks at changes only. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
LOOK_BACK = timedelta(seconds=60)


class Seen(NamedTuple):
    """A task as a list shows it: its number, when it was last changed (see `TIME`), how many annotations it has."""

    task_id: int
    updated_at: str
    annotations: int


@dataclass(frozen=True, slots=True)
class Watermark:
    """How far a pull has come.

    ``time`` is that of the last change seen. A change is written a moment before others can see it, so the next pull looks
    `LOOK_BACK` further; ``recent`` has what was seen in that stretch, by task. ``answered`` are the annotated tasks.
    """

    time: str = ""
    recent: Mapping[int, str] = field(default_factory=dict)
    answered: frozenset[int] = frozenset()

    @property
    def since(self) -> str:
        """From when on changes have to be listed; "" is all of them."""
        return _earlier(self.time) if self.time else ""

    def unseen(self, found: Iterable[Seen]) -> list[Seen]:
        """Pick what was not seen in this state."""
        return [one for one in found if self.recent.get(one.task_id) != one.updated_at]

    def after(self, seen: Sequence[Seen], started: str) -> "Watermark":
        """Give the watermark after these were looked at.

        Parameters
        ----------
        seen
            What was looked at; the later state of a task comes later.
        started
            The server's time when the list was begun: what changed after it may be missing from the list.

        Examples
        --------
        >>> mark = Watermark().after([Seen(7, "2026-11-30T12:00:00.000000Z", 1)], "2026-11-30T12:05:00.000000Z")
        >>> mark.since, sorted(mark.answered)
        ('2026-11-30T11:59:00.000000Z', [7])
        """
        latest = min(started, max((one.updated_at for one in seen), default=""))
        time = max(self.time, latest)
        states = {**self.recent, **{one.task_id: one.updated_at for one in seen}}
        recent = {task: state for task, state in sorted(states.items()) if not time or state >= _earlier(time)}
        annotated = {one.task_id: one.annotations > 0 for one in seen}
        kept = {task for task in self.answered if annotated.get(task, True)}
        return Watermark(time, recent, frozenset(kept | {task for task, there in annotated.items() if there}))

    def facts(self) -> dict[str, Any]:
        """Give what a table keeps of it; `read` gives it back."""
        recent = {str(task): state for task, state in self.recent.items()}
        return {"watermark": self.time, "recent": recent, "answered": sorted(self.answered)}


def read(facts: Mapping[str, Any]) -> Watermark:
    """Read a watermark from a table's facts.

    >>> read(Watermark("2026-11-30T12:00:00.000000Z", {7: "x"}, frozenset({7})).facts()).recent
    {7: 'x'}
    """
    recent = {int(task): str(state) for task, state in facts.get("recent", {}).items()}
    return Watermark(str(facts.get("watermark", "")), recent, frozenset(map(int, facts.get("answered", ()))))


def _earlier(time: str) -> str:
    return (datetime.strptime(time, TIME).replace(tzinfo=UTC) - LOOK_BACK).strftime(TIME)
