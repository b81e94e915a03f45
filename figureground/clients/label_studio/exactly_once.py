"""Each key becomes exactly one task with exactly its prediction, however often this is tried and however a try ended.

Before anything is created, keys are looked up: an existing task is left alone, a missing one is sent, and an unknown outcome
(a lost connection, a time-out, a killed process) is settled by looking again, never by sending again.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from figureground.clients.label_studio.pending_creates import PendingCreates
from figureground.clients.label_studio.protocol import AnnotationServer
from figureground.clients.label_studio.records import Project, ServerTask
from figureground.errors import LabelError, TransientError
from figureground.retry import retry

TaskContent = Mapping[str, Any]
"""A task as it is sent: its ``data`` with the key, and its ``predictions``: one, or none for a blank task."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


def repeat(action: Callable[[], _T], pauses_seconds: Sequence[float]) -> _T:
    """Repeat an action that is safe to repeat while the connection or the server is broken, with pauses in between."""
    return retry(
        action, pauses_seconds, should_retry=lambda error: isinstance(error, TransientError), log=_log.warning
    )


@dataclass(frozen=True, slots=True)
class TaskWriter:
    """Writes tasks of one project.

    ``pending`` records what was sent and not confirmed; ``pauses_seconds`` are the pauses between tries.
    """

    server: AnnotationServer
    project: Project
    pending: PendingCreates
    pauses_seconds: tuple[float, ...]

    def settle(
        self, contents: Mapping[str, TaskContent], known: Mapping[str, Sequence[ServerTask]]
    ) -> dict[str, ServerTask]:
        """Bring a batch to exactly one task with the right prediction for each key.

        Parameters
        ----------
        contents
            From key to what is wanted.
        known
            What the server had when it was looked up. After a failure it is looked up again.

        Raises
        ------
        LabelError
            When a key has several annotated tasks.
        TransientError
            When the connection broke and did not come back.
        """
        changed: set[str] = set()
        first = [known]

        def attempt() -> dict[str, ServerTask]:
            return self._write(contents, first.pop() if first else self._look(contents, changed), changed)

        return repeat(attempt, self.pauses_seconds)

    def _write(
        self, contents: Mapping[str, TaskContent], known: Mapping[str, Sequence[ServerTask]], changed: set[str]
    ) -> dict[str, ServerTask]:
        """Create what is missing, repair what is wrong, and read it back. `changed` collects the repaired keys."""
        missing = [key for key in contents if key not in known]
        if missing:
            with self.pending.creating(missing):
                self.server.create_tasks(self.project, [contents[key] for key in missing])
        repaired = {key for key in contents if key in known and self._repair(contents[key], known[key])}
        changed |= repaired
        if missing or repaired:
            known = self._look(contents, changed)
        wrong = [key for key in contents if not self._is_settled(known.get(key, ()), contents[key])]
        if wrong:
            crop_id = contents[wrong[0]]["data"]["crop_id"]
            raise TransientError(
                f"the Label Studio at {self.server.url} does not hold what it took: {len(wrong)} of {len(contents)} tasks, "
                f"first that of {crop_id}, are not there once with what was predicted"
            )
        return {key: known[key][0] for key in contents}

    def _look(self, contents: Mapping[str, TaskContent], changed: set[str]) -> dict[str, list[ServerTask]]:
        """Look up the keys. Predictions of changed keys are counted one by one.

        The server's own count may be wrong after two programs have replaced a task's prediction at once.
        """
        tasks = self.server.find_tasks(self.project, list(contents))
        return tasks | {
            key: [replace(task, predictions=self.server.count_predictions(task)) for task in tasks[key]]
            for key in sorted(changed & tasks.keys())
        }

    def _is_settled(self, tasks: Sequence[ServerTask], content: TaskContent) -> bool:
        """Tell whether a key has exactly one task, which may stay as it is."""
        return len(tasks) == 1 and (_is_right(tasks[0], content) or self.server.is_annotated(tasks[0]))

    def _repair(self, content: TaskContent, tasks: Sequence[ServerTask]) -> bool:
        """Bring a key's tasks to one with the right prediction; tell whether anything was changed."""
        if self._is_settled(tasks, content):
            return False
        annotated = [task for task in tasks if self.server.is_annotated(task)]
        if len(annotated) > 1:
            raise LabelError(
                f"crop {content['data']['crop_id']} has {len(annotated)} annotated tasks at {self.server.url} (numbers "
                f"{', '.join(str(task.task_id) for task in annotated)}): delete all but the one to keep, then push again"
            )
        kept = (annotated or list(tasks))[0]
        for duplicate in tasks:
            if duplicate is not kept:
                self.server.delete_task(duplicate)
        if not annotated and not _is_right(kept, content):
            self.server.replace_prediction(kept, content["predictions"], content["data"])
        return True

    def ask_annotators(self, tasks: Mapping[str, ServerTask], wanted: Mapping[str, int]) -> dict[str, ServerTask]:
        """Give tasks to as many annotators as wanted; a task that was given to more stays so.

        Raises
        ------
        TransientError
            When the server did not do it.
        """
        short = [key for key, task in tasks.items() if task.overlap < wanted[key]]
        for key in short:
            self.server.set_overlap(tasks[key], wanted[key])
        again = {key: same[0] for key, same in (self.server.find_tasks(self.project, short) if short else {}).items()}
        lost = [key for key in short if key not in again or again[key].overlap < wanted[key]]
        if lost:
            raise TransientError(f"the Label Studio at {self.server.url} did not give {len(lost)} tasks to two people")
        return {**tasks, **again}


def _is_right(task: ServerTask, content: TaskContent) -> bool:
    """Tell whether a task may stay as it is. An annotated one always may."""
    same = task.content["data"].get("prediction_sha256") == content["data"]["prediction_sha256"]
    return task.annotations > 0 or (task.predictions == len(content["predictions"]) and same)
