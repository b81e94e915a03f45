"""Annotations in Label Studio → labels: masks and verdicts, with the annotator, the time spent and what it started from.

A pull looks only at tasks that changed since the last one (see `figureground.annotation.sync_cursor`). A list of changes
cannot show that a task was deleted, so the number of annotated tasks is compared with the server's each time; when it
differs, all tasks are listed, and labels of deleted tasks are dropped. A list only says where to look: what counts is what is
fetched then.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from figureground import progress, tables
from figureground.annotation import edit_fusion, label_interface
from figureground.annotation.label_table import LabelTable, ReturnNote, annotator_id
from figureground.annotation.sync_cursor import ListedTask, SyncCursor
from figureground.catalog import Catalog
from figureground.clients.annotation_server import Connect, connect
from figureground.clients.label_studio import AnnotationServer, Project, ServerTask
from figureground.clients.label_studio.errors import DeepAnswerError
from figureground.errors import LabelError, TransientError
from figureground.storage.store import Store
from figureground.types import TableRef
from tasks import retried_task

VERSION = 1
"""Raised by 1 when the labels change for the same annotations."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PullSettings:
    """How many tasks are fetched at once, and after how many such portions a first pull writes its table."""

    portion: int = 100
    portions_per_table: int = 5


@retried_task
def pull(
    crops: TableRef,
    mattes: TableRef,
    tasks: TableRef,
    catalog: Catalog,
    connect: Connect = connect,
    settings: PullSettings = PullSettings(),
) -> TableRef:
    """Fetch the annotations of one source's tasks since the last pull.

    Of several annotations of one task the latest counts; skipped and deleted ones never do. What an annotator changed is
    fused into the stored matte (see `figureground.annotation.edit_fusion`). An annotation that cannot be used, or should be
    checked again, becomes no label: it is named in the table's facts under ``unusable``, and its task goes back into the
    annotators' queue.

    A task that was left blank says nothing of the matte: its label is the annotator's mask alone, its border softened. Where
    two people annotated, the label says how far they agree. Of parts each pixel's class is kept, too (see
    `figureground.annotation.class_resolution`).

    Parameters
    ----------
    crops, mattes, tasks
        One source's tables.
    catalog
        Gives the storage, the server, the project and the label config.
    connect, settings
        How to reach the server and how much to fetch at once.

    Returns
    -------
    TableRef
        The labels table in the crops' order: one row an annotated task. Kept ones have a file
        ``labels/<source>/<crop_id>.png``, 8-bit alpha in the crop's size; rejected ones have their reason and no file. Parts
        are class ids in ``labels/<source>/<crop_id>.parts.png``.

    Raises
    ------
    LabelError
        When the server cannot be used, or the project is not there.
    TransientError
        When the connection broke; nothing is lost, running again carries on.
    StoreError
        When an image or matte is missing or damaged, or a label cannot be written.
    """
    store, source_id = Store(catalog.storage_root), crops.source_id
    interface, xml = label_interface.load_interface(catalog.label_config_file, catalog.label_studio.mask)
    server_project = [catalog.label_studio.url, catalog.label_studio.project]
    fingerprint = tables.fingerprint(
        "labels", [crops, mattes, tasks], version=VERSION, interface=xml, server=server_project, reach=edit_fusion.REACH
    )
    table = LabelTable(store, interface, crops, mattes, tasks, fingerprint)
    if not tasks.rows:
        return tables.fresh(store, "labels", source_id, fingerprint) or table.write(SyncCursor())
    try:
        with connect(catalog) as server:
            return _Pull(server, _find_project(server, catalog, source_id), table, source_id, settings).run()
    except TransientError as error:
        raise TransientError(
            f"{error}. Pulling {source_id} stopped; nothing is lost and the labels before it stand: "
            f"run `figureground pull {source_id}` when the server answers again"
        ) from error


def _find_project(server: AnnotationServer, catalog: Catalog, source_id: str) -> Project:
    project = server.find_project(catalog)
    if project is None:
        raise LabelError(
            f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r} any more; "
            f"run `figureground push {source_id}`, or set label_studio.project in the catalog"
        )
    return project


@dataclass(frozen=True, slots=True)
class _Pull:
    """Brings one source's label table up to date."""

    server: AnnotationServer
    project: Project
    table: LabelTable
    source_id: str
    settings: PullSettings
    lost: list[str] = field(default_factory=list)

    def run(self) -> TableRef:
        before = cursor = self.table.restore()
        started = self.server.read_clock()
        self._recount()
        changed = self.server.list_changed_tasks(self.project, self.source_id, cursor.since)
        after = cursor.after([_seen(task) for task in changed], started)
        annotated = self.server.count_annotated_tasks(self.project, self.source_id)
        if cursor.time and len(after.answered) != annotated:
            _log.info("source %s: %d tasks are annotated, not %d; listing all", self.source_id, annotated, len(after.answered))
            every = self.server.list_changed_tasks(self.project, self.source_id, "")
            changed, cursor = self._compare(every, cursor)
        unseen = {seen.task_id for seen in cursor.unseen(map(_seen, changed))}
        todo = [task for task in changed if task.task_id in unseen]
        if self.table.current and not todo and cursor == before:
            return self.table.current
        for number, portion in enumerate(self._portions(todo), 1):
            returned = self._update(portion)
            if not self.lost:  # what the server could not send is listed again by the next pull
                cursor = cursor.after([_seen(task) for task in (*portion, *returned)], started)
            if number % self.settings.portions_per_table == 0 and self.table.grows:
                self.table.write(cursor)
        table = self.table.write(cursor)
        if self.lost:
            raise TransientError(f"{len(self.lost)} tasks could not be read, all others are pulled; the first: {self.lost[0]}")
        return table

    def _recount(self) -> None:
        """Make sure that the server's lists show every annotation that it has."""
        if self.server.count_annotated_tasks(self.project) < self.project.annotated_tasks:
            missed = self.server.recount_annotations(self.project, self.source_id)
            _log.warning(
                "the Label Studio at %s had not counted the annotations of %d tasks of %s",
                self.server.url,
                missed,
                self.source_id,
            )

    def _compare(self, every: Sequence[ServerTask], cursor: SyncCursor) -> tuple[list[ServerTask], SyncCursor]:
        """Drop labels of deleted tasks; give the tasks that changed, or that gained or lost their annotation."""
        self.table.keep({task.key for task in every})
        existing, annotated = {task.task_id for task in every}, {task.task_id for task in every if task.annotations}
        flipped = annotated ^ (cursor.answered & existing)
        tasks = [task for task in every if task.updated_at >= cursor.since or task.task_id in flipped]
        recent = {task: state for task, state in cursor.recent.items() if task in existing - flipped}
        return tasks, SyncCursor(cursor.time, recent, frozenset(annotated))

    def _portions(self, todo: Sequence[ServerTask]) -> Iterator[Sequence[ServerTask]]:
        """Split the tasks, oldest change first: a table written in between is right up to its cursor."""
        for start in range(0, len(todo), self.settings.portion):
            progress.report("pull", self.source_id, start, len(todo))
            yield todo[start : start + self.settings.portion]
        progress.report("pull", self.source_id, len(todo), len(todo))

    def _update(self, portion: Sequence[ServerTask]) -> list[ServerTask]:
        """Update a portion's labels; give the tasks that went back to the annotators, as they are now."""
        listed = {task.key: task for task in portion if self.table.has_task(task.key)}
        keys = [key for key, task in listed.items() if task.annotations or self.table.has_label(key)]
        whole = self._read_whole(keys)
        if any(whole.values()) and not self.table.names:
            self.table.names = self.server.list_annotators()
        read = {key: task for key, task in listed.items() if key in whole or key not in keys}
        returned = [key for key, task in read.items() if not self._label(task, whole.get(key, ()))]
        return [task for same in self.server.find_tasks(self.project, returned).values() for task in same]

    def _read_whole(self, keys: Sequence[str]) -> dict[str, list[ServerTask]]:
        """Read tasks with their annotations, without those that cannot be read: one annotator's answer hides no other's."""
        whole: dict[str, list[ServerTask]] = {key: [] for key in keys}
        try:
            for task in self.server.list_annotated_tasks(self.project, keys):
                whole.setdefault(task.key, []).append(task)
            return whole
        except (DeepAnswerError, TransientError) as error:
            self.server.read_clock()  # a server that does not answer at all ends the pull
            if len(keys) > 1:
                middle = len(keys) // 2
                return self._read_whole(keys[:middle]) | self._read_whole(keys[middle:])
            if isinstance(error, DeepAnswerError):
                self.table.note_unreadable(keys[0], str(error))
            else:
                self.lost.append(str(error))
            return {}

    def _label(self, listed: ServerTask, whole: Sequence[ServerTask]) -> bool:
        """Make a label of a task's latest annotation, or return the task to the annotators and give False."""
        standing = [(_age(annotation), task, annotation) for task in whole for annotation in _standing(task)]
        if not standing:
            self.table.drop(listed.key, _read_note(listed))
            return True
        standing.sort(key=lambda entry: entry[0], reverse=True)
        _, task, latest = standing[0]
        others = [other for _, _, other in standing if annotator_id(other) != annotator_id(latest)]
        returned = _read_note(task)
        note = self.table.put(task.key, latest, others[0] if others else None, insisted=bool(returned and returned["doubt"]))
        if note is None:
            return True
        # where two are asked, the other's annotation stands, and one more is asked
        unusable = [latest] if others and task.overlap > 1 else [annotation for _, _, annotation in standing]
        self.server.return_to_queue(task, [int(annotation["id"]) for annotation in unusable], note)
        return False


def _seen(task: ServerTask) -> ListedTask:
    return ListedTask(task.task_id, task.updated_at, task.annotations)


def _read_note(task: ServerTask) -> ReturnNote | None:
    """Read why a task was returned to the annotators; None when it was not. They may change a task's data themselves."""
    note = task.content["data"].get("returned")
    if not isinstance(note, Mapping) or type(note.get("annotation")) is not int or not isinstance(note.get("reason"), str):
        return None
    return ReturnNote(annotation=note["annotation"], reason=note["reason"], doubt=bool(note.get("doubt")))


def _age(annotation: Mapping[str, Any]) -> tuple[str, int]:
    return str(annotation["updated_at"]), int(annotation["id"])


def _standing(task: ServerTask) -> list[Mapping[str, Any]]:
    """List a task's annotations that were submitted and not cancelled."""
    return [annotation for annotation in task.content.get("annotations") or () if not annotation.get("was_cancelled")]
