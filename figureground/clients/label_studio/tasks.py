"""Calls about tasks: looked up by their keys, listed by what changed, created, repaired and deleted."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any

from figureground.clients.label_studio.connection import Connection
from figureground.clients.label_studio.errors import expect_task, ignore_missing
from figureground.clients.label_studio.queries import (
    annotations_counted,
    make_query,
    number_above,
    of_source,
    queries_of_keys,
    updated_since,
)
from figureground.clients.label_studio.records import Project, ServerTask, image_address, parse_task
from figureground.errors import TransientError

_TASKS_PER_PAGE = 100
# the server applies `include` to what is inside a task, too: an annotation without "result" would look empty
WHOLE_ANNOTATIONS = (
    "data,annotations,total_annotations,id,result,score,completed_by,lead_time,parent_prediction,was_cancelled,created_at,"
    "updated_at"
)


class TaskCalls(Connection):
    """What is asked of the server about tasks and their predictions."""

    def find_tasks(self, project: Project, keys: Sequence[str]) -> dict[str, list[ServerTask]]:
        """Find tasks by their keys, whatever their numbers are; see `AnnotationServer.find_tasks`."""
        tasks: dict[str, list[ServerTask]] = {}
        include = "id,data,total_predictions,total_annotations,updated_at,overlap"
        for query in queries_of_keys(keys):
            for task in self._list(project, query=query, fields="task_only", include=include):
                tasks.setdefault(task.key, []).append(task)
        return {key: sorted(tasks[key], key=lambda task: task.task_id) for key in sorted(tasks)}

    def list_changed_tasks(self, project: Project, source_id: str, since: str) -> list[ServerTask]:
        """List a source's tasks that changed since a time; see `AnnotationServer.list_changed_tasks`."""
        tasks: list[ServerTask] = []
        filters = [of_source(source_id), *([updated_since(since)] if since else [])]
        include = "id,data,total_annotations,updated_at"
        while True:
            last = tasks[-1].task_id if tasks else 0
            with self.translating(f"looking for changed tasks of {project.url}"):
                reply = self.sdk.tasks.list(
                    project=project.project_id,
                    page_size=self.tasks_per_page,
                    query=make_query(*filters, number_above(last)),
                    fields="task_only",
                    include=include,
                )
            page = sorted(map(parse_task, reply.items), key=lambda task: task.task_id)
            tasks += page
            if not page or len(page) >= reply.response.total:
                return sorted(tasks, key=lambda task: (task.updated_at, task.task_id))

    def list_annotated_tasks(self, project: Project, keys: Sequence[str]) -> Iterator[ServerTask]:
        """List the annotated tasks among the keys, their whole annotations in ``content``."""
        for query in queries_of_keys(keys, annotations_counted(more_than_zero=True)):
            yield from self._list(project, query=query, fields="all", include=f"overlap,{WHOLE_ANNOTATIONS}")

    def list_tasks(self, project: Project) -> list[ServerTask]:
        """List all tasks that have a key, by crop and number; their predictions and annotations in ``content``."""
        tasks = self._list(project, fields="all", include=f"predictions,{WHOLE_ANNOTATIONS}")
        pushed = [task for task in tasks if task.key]
        return sorted(pushed, key=lambda task: (str(task.content["data"].get("crop_id")), task.task_id))

    def count_annotated_tasks(self, project: Project, source_id: str = "") -> int:
        """Count a source's annotated tasks, or all of them when no source is named."""
        query = make_query(*([of_source(source_id)] if source_id else []), annotations_counted(more_than_zero=True))
        with self.translating(f"counting annotated tasks of {project.url}"):
            reply = self.sdk.tasks.list(
                project=project.project_id, page_size=1, query=query, fields="task_only", include="id"
            )
        return int(reply.response.total)

    def list_images(self, project: Project) -> Iterator[tuple[int, str]]:
        """List each task's number and the address of its image in its data; "" where there is none."""
        for task in self._list(project, fields="task_only", include="id,data"):
            if task.key:
                yield task.task_id, image_address(task.content["data"])

    def create_tasks(self, project: Project, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Create tasks with their predictions; the request is sent once."""
        with self.translating(f"creating {len(tasks)} tasks"):
            self.sdk.projects.import_tasks(project.project_id, request=tasks, return_task_ids=True)

    def replace_prediction(
        self, task: ServerTask, predictions: Sequence[Mapping[str, Any]], data: Mapping[str, Any]
    ) -> None:
        """Give a task exactly these predictions and this data; see `AnnotationServer.replace_prediction`."""
        with self.translating(f"replacing the prediction of task {task.task_id}"), expect_task(self.url, task.task_id):
            self._check_key(task)
            for old in self.sdk.predictions.list(task=task.task_id):
                with ignore_missing():
                    self.sdk.predictions.delete(old.id)
            for prediction in predictions:
                self.sdk.predictions.create(task=task.task_id, **prediction)
            # last: killed before, the next run sees the old data and does it all again
            self.sdk.tasks.update(str(task.task_id), data=dict(data))

    def count_predictions(self, task: ServerTask) -> int:
        """Count a task's predictions themselves; `ServerTask` has the server's count of them."""
        with self.translating(f"counting the predictions of task {task.task_id}"), expect_task(self.url, task.task_id):
            return len(self.sdk.predictions.list(task=task.task_id))

    def set_overlap(self, task: ServerTask, annotators: int) -> None:
        """Keep a task in the queue until so many annotators have annotated it."""
        # the task's own overlap: the project's share of overlapping tasks is drawn anew with each import
        with self.translating(f"giving task {task.task_id} to {annotators} people"), expect_task(self.url, task.task_id):
            self.sdk.tasks.update(
                str(task.task_id), request_options={"additional_body_parameters": {"overlap": annotators}}
            )

    def delete_task(self, task: ServerTask) -> None:
        """Delete a task, for example a duplicate without annotations."""
        with self.translating(f"deleting task {task.task_id}, which is there twice"), ignore_missing():
            self._check_key(task)
            self.sdk.tasks.delete(str(task.task_id))

    def delete_source_tasks(self, project_id: int, source_id: str) -> int:
        """Delete all tasks of a source with their annotations, and count them."""
        project = Project(project_id, f"{self.url}/projects/{project_id}")
        query = make_query(of_source(source_id))
        tasks = list(self._list(project, query=query, fields="task_only", include="id,data"))
        for task in tasks:
            with self.translating(f"deleting task {task.task_id} of {source_id}"), ignore_missing():
                self.sdk.tasks.delete(str(task.task_id))
        return len(tasks)

    def _list(self, project: Project, **request: Any) -> Iterator[ServerTask]:
        """Page by the total that the server names: the SDK's own paging asks for one page too many."""
        for page in count(1):
            with self.translating(f"looking up tasks of {project.url}"):
                reply = self.sdk.tasks.list(
                    project=project.project_id, page=page, page_size=_TASKS_PER_PAGE, **request
                )
            yield from map(parse_task, reply.items)
            if page * _TASKS_PER_PAGE >= reply.response.total:
                return

    def _check_key(self, task: ServerTask) -> None:
        """Check that a number still means the task: a server on SQLite gives a deleted task's number to the next."""
        key = str((self.sdk.tasks.get(str(task.task_id)).data or {}).get("key") or "")
        if key != task.key:
            raise TransientError(
                f"task {task.task_id} at {self.url} is another one now: another program deleted it just now"
            )
