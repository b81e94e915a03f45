"""What pushing, pulling, the webhook and the simulated annotator ask of an annotation server."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, Self

from figureground.annotation.label_interface import Interface
from figureground.catalog import Catalog
from figureground.clients.label_studio.records import Project, ServerTask


class AnnotationServer(Protocol):
    """A server with projects, tasks, predictions and annotations.

    Every method may raise `LabelError` (the server refuses: repeating changes nothing) and `TransientError` (the connection
    or the server broke: it may help). ``request_seconds`` after it was sent, a request without a reply is not executed any
    more.
    """

    url: str
    request_seconds: float

    def __enter__(self) -> Self:
        """Open nothing: the connection stands."""

    def __exit__(self, *_: object) -> None:
        """Close the connection."""

    def read_clock(self) -> str:
        """Read the server's own time, as it writes times: the end of the current second."""

    def find_project(self, catalog: Catalog) -> Project | None:
        """Find the catalog's project by its title, or None.

        Of several with the title, the one with annotations is taken, else the first with the catalog's labelling interface:
        two programs that make it at the same moment on a slow server may both have begun to fill theirs, and have to agree.

        Raises
        ------
        LabelError
            When there are several with annotations, or it has another labelling interface than the catalog.
        """

    def make_project(self, catalog: Catalog) -> Project:
        """Find the catalog's project or make it, with the storage its images are served from.

        Raises
        ------
        LabelError
            As `find_project`; also when the server cannot see the storage folder.
        """

    def make_view(self, project: Project) -> None:
        """Make the tab that lists the tasks of all sources, lowest score first, unless the project has it."""

    def check_queue(self, project: Project) -> None:
        """Check that the project's queue shows our predictions.

        Raises
        ------
        LabelError
            When the project is set to show no predictions, or those of another model version.
        """

    def rename_project(self, project: Project, title: str) -> None:
        """Give a project a title; with the title it has, this only triggers the project's webhooks."""

    def find_tasks(self, project: Project, keys: Sequence[str]) -> dict[str, list[ServerTask]]:
        """Find tasks by their keys: from key to its tasks, lowest number first; keys without a task are missing."""

    def list_changed_tasks(self, project: Project, source_id: str, since: str) -> list[ServerTask]:
        """List a source's tasks that changed since a time, oldest change first; "" lists all of them.

        Each page asks for tasks behind the last one's number: an edit, a new or a deleted task between two pages can show a
        task in an older or newer state, but can never hide one.

        Parameters
        ----------
        project
            The project.
        source_id
            The source in the tasks' data.
        since
            A time as the server writes it, such as ``2026-11-30T12:00:00.000000Z``: changes at that time count.
        """

    def list_annotated_tasks(self, project: Project, keys: Sequence[str]) -> Iterator[ServerTask]:
        """List the annotated tasks among the keys, their whole annotations in ``content``."""

    def list_tasks(self, project: Project) -> list[ServerTask]:
        """List all tasks that have a key, by crop and number; their predictions and annotations in ``content``."""

    def count_annotated_tasks(self, project: Project, source_id: str = "") -> int:
        """Count a source's annotated tasks, or all: a list of changes cannot show that a task was deleted."""

    def list_images(self, project: Project) -> Iterator[tuple[int, str]]:
        """List each task's number and the address of its image in its data; "" where there is none."""

    def create_tasks(self, project: Project, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Create tasks with their predictions; the request is sent once."""

    def replace_prediction(
        self, task: ServerTask, predictions: Sequence[Mapping[str, Any]], data: Mapping[str, Any]
    ) -> None:
        """Give a task exactly these predictions (one, or none for a blank task) and this data, which is written last.

        Raises
        ------
        TransientError
            Also when another program that pushes has deleted the task: looking again settles it.
        """

    def count_predictions(self, task: ServerTask) -> int:
        """Count a task's predictions themselves; `ServerTask` has the server's count of them."""

    def set_overlap(self, task: ServerTask, annotators: int) -> None:
        """Keep a task in the queue until so many annotators have annotated it."""

    def delete_task(self, task: ServerTask) -> None:
        """Delete a task, for example a duplicate without annotations.

        Raises
        ------
        TransientError
            Also when the number is another task's by now: looking again settles it.
        """

    def delete_source_tasks(self, project_id: int, source_id: str) -> int:
        """Delete all tasks of a source with their annotations, and count them; called again, it deletes the rest."""

    def is_annotated(self, task: ServerTask) -> bool:
        """Tell whether a task has an annotation, by its annotations and not by the server's count of them."""

    def recount_annotations(self, project: Project, source_id: str) -> int:
        """Make the server count annotations of a source's tasks that it missed, and count those tasks.

        While a Label Studio (1.23) deletes a project it does not notice what else is saved, and after two such deletions at
        once it does so no more until it is started again: a task that was annotated then looks open in every list. Saving its
        annotations again, as they are, makes a server that notices count them.

        Raises
        ------
        LabelError
            When the server still does not count.
        """

    def list_annotators(self) -> dict[int, str]:
        """List each user's name by number: the user name where there is one, else the email address."""

    def make_annotator(self, name: str, email: str) -> int:
        """Find a user by email address or make one; give the number."""

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

    def return_to_queue(self, task: ServerTask, annotation_ids: Sequence[int], note: Mapping[str, Any]) -> None:
        """Put a task back into the annotators' queue: its annotations count as skipped, and nothing painted is lost.

        The note is kept in the task's data under ``returned``.
        """

    def fetch_image(self, address: str) -> bytes:
        """Fetch an image through the server, as an annotator's browser does.

        Raises
        ------
        LabelError
            When the server does not serve it.
        """

    def check_prediction(self, task_id: int, interface: Interface) -> str:
        """Check that an annotator sees a task's prediction, and describe it.

        The server shows nothing, and reports nothing, when a prediction names a tag, label or size that is not the project's
        or the image's: so it is compared with the label config and with the image as it is served.

        Raises
        ------
        LabelError
            When there is not exactly one prediction, or it would not be shown.
        """

    def register_webhook(self, project: Project, address: str, headers: Mapping[str, str], actions: Sequence[str]) -> int:
        """Make the project call an address for these actions, once however often this is called; give its number."""

    def delete_webhook(self, webhook_id: int) -> None:
        """Delete a webhook, if it is there."""
