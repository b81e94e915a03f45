"""Calls about annotations and the people who make them."""

from collections.abc import Mapping, Sequence
from typing import Any

from figureground.clients.label_studio.errors import ignore_missing
from figureground.clients.label_studio.queries import annotations_counted, make_query, of_source
from figureground.clients.label_studio.records import Project, ServerTask
from figureground.clients.label_studio.tasks import WHOLE_ANNOTATIONS, TaskCalls
from figureground.errors import LabelError


class AnnotationCalls(TaskCalls):
    """What is asked of the server about annotations and annotators."""

    def is_annotated(self, task: ServerTask) -> bool:
        """Tell whether a task has an annotation, by its annotations and not by the server's count of them."""
        if task.annotations:
            return True
        with self.translating(f"looking for annotations of task {task.task_id}"), ignore_missing():
            return any(not annotation.was_cancelled for annotation in self.sdk.annotations.list(task.task_id))
        return False

    def recount_annotations(self, project: Project, source_id: str) -> int:
        """Make the server count annotations that it missed; see `AnnotationServer.recount_annotations`."""
        query = make_query(of_source(source_id), annotations_counted(more_than_zero=False))
        tasks = self._list(project, query=query, fields="all", include=WHOLE_ANNOTATIONS)
        missed = [task for task in tasks if not all(map(_is_cancelled, task.content.get("annotations") or ()))]
        for task in missed:
            for annotation in task.content["annotations"]:
                with self.translating(f"saving annotation {annotation['id']} again"), ignore_missing():
                    self.sdk.annotations.update(annotation["id"], was_cancelled=_is_cancelled(annotation))
        if missed and not any(task.annotations for task in self.find_tasks(project, [missed[0].key])[missed[0].key]):
            raise LabelError(
                f"the Label Studio at {self.url} has stopped counting: {len(missed)} tasks of {source_id} have answers and "
                "look open to it (that comes from projects being deleted while it is used). Start that server again (a local "
                "one: `figureground studio down`, then `up`), and run this again; no answer is lost"
            )
        return len(missed)

    def list_annotators(self) -> dict[int, str]:
        """List each user's name by number: the user name where there is one, else the email address."""
        with self.translating("listing the annotators"):
            return {user.id: user.username or user.email for user in self.sdk.users.list()}

    def make_annotator(self, name: str, email: str) -> int:
        """Find a user by email address or make one; give the number."""
        with self.translating(f"looking for the annotator {name!r}"):
            for user in self.sdk.users.list():
                if user.email == email:
                    return int(user.id)
            return int(self.sdk.users.create(username=name, email=email, first_name=name).id)

    def add_annotation(
        self,
        task: ServerTask,
        result: Sequence[Mapping[str, Any]],
        *,
        annotator_id: int,
        seconds: float,
        prediction_id: int | None,
    ) -> None:
        """Add an annotation to a task, as an annotator's submit does."""
        parent = {} if prediction_id is None else {"parent_prediction": prediction_id}
        with self.translating(f"annotating task {task.task_id}"):
            self.sdk.annotations.create(
                task.task_id, result=list(result), completed_by=annotator_id, lead_time=seconds, **parent
            )

    def return_to_queue(self, task: ServerTask, annotation_ids: Sequence[int], note: Mapping[str, Any]) -> None:
        """Put a task back into the annotators' queue; see `AnnotationServer.return_to_queue`."""
        with self.translating(f"returning task {task.task_id} to the annotators"):
            # the note first: killed between, the next run does both again
            self.sdk.tasks.update(str(task.task_id), data={**task.content["data"], "returned": dict(note)})
            for annotation_id in annotation_ids:
                self.sdk.annotations.update(annotation_id, was_cancelled=True)


def _is_cancelled(annotation: Mapping[str, Any]) -> bool:
    return bool(annotation.get("was_cancelled"))
