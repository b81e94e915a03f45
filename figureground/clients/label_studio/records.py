"""What the server says about projects and tasks, as values without a connection."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from figureground.annotation import sync_cursor

# The queue shows predictions of the one model version that a project has, and the first import sets that: so all have one
# name, and which remover made a prediction stands in the task's data.
MODEL_VERSION = "figureground"


@dataclass(frozen=True, slots=True)
class Project:
    """A project. ``annotated_tasks`` is how many of its tasks had an annotation when the project was read."""

    project_id: int
    url: str
    annotated_tasks: int = 0


@dataclass(frozen=True, slots=True)
class ServerTask:
    """A task as the server lists it.

    ``predictions`` and ``annotations`` are the server's counts, cancelled annotations not included. ``overlap`` is how many
    annotators the task is given to: so many annotations by different people finish it. ``content`` is the task's JSON, as
    far as it was asked for.
    """

    task_id: int
    key: str
    predictions: int
    annotations: int
    updated_at: str
    content: Mapping[str, Any] = field(repr=False)
    overlap: int = 1


def parse_task(task: Any) -> ServerTask:
    """Parse a task of the SDK or of the API's JSON."""
    content = task if isinstance(task, Mapping) else task.dict()
    return ServerTask(
        int(content["id"]),
        str((content.get("data") or {}).get("key") or ""),
        int(content.get("total_predictions") or 0),
        int(content.get("total_annotations") or 0),
        format_time(content.get("updated_at")),
        content,
        int(content.get("overlap") or 1),
    )


def format_time(value: Any) -> str:
    """Format a time the one way it can be compared and asked for: UTC, to the microsecond; "" for no time."""
    if not value:
        return ""
    when = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).replace("Z", "+00:00"))
    return when.astimezone(UTC).strftime(sync_cursor.TIME)


def image_address(data: Mapping[str, Any]) -> str:
    """Find the address of a task's image in its data, or ""."""
    return next((str(value) for value in data.values() if str(value).startswith(("/data/", "http"))), "")
