"""Calls about projects: the catalog's project is found by its title, made once, and its duplicates are renamed."""

import logging
import time

from figureground.annotation import label_interface
from figureground.catalog import Catalog
from figureground.clients import local_label_studio
from figureground.clients.label_studio.connection import Connection
from figureground.clients.label_studio.errors import ignore_missing
from figureground.clients.label_studio.records import MODEL_VERSION, Project
from figureground.errors import LabelError
from figureground.storage.store import Store

VIEW = "least sure first"
_BY_SCORE = "tasks:data.score"  # numbers of four digits after the point: their text has the same order
# two programs that make the same project see each other's after these seconds, or after this many times the seconds that the
# making took: the other program began before our project was visible, on the same server
_SETTLE_SECONDS, _SETTLE_TIMES = 1.0, 3.0
_DUPLICATE, _TITLE_LETTERS = "unused twin of", 50

_log = logging.getLogger(__name__)


class ProjectCalls(Connection):
    """What is asked of the server about projects."""

    def find_project(self, catalog: Catalog) -> Project | None:
        """Find the catalog's project by its title, or None; see `AnnotationServer.find_project`."""
        return self._choose(catalog)[0]

    def make_project(self, catalog: Catalog) -> Project:
        """Find the catalog's project or make it, with the storage its images are served from."""
        title = catalog.label_studio.project
        project, duplicates = self._choose(catalog)
        if project is None:
            began = time.monotonic()
            with self.translating(f"making the project {title!r}"):
                created = self.sdk.projects.create(title=title, label_config=_read_xml(catalog), show_collab_predictions=True)
            time.sleep(max(_SETTLE_SECONDS, _SETTLE_TIMES * (time.monotonic() - began)))
            project, duplicates = self._choose(catalog)
            project = project or Project(created.id, f"{self.url}/projects/{created.id}")
            _log.info("made the project %r: %s", title, project.url)
        for duplicate in duplicates:
            # A program that still pushes to it finds in the end that it is not the project, and pushes again. It is not
            # deleted: while a project is deleted the server counts nothing, and after two at once never again (see
            # `AnnotationServer.recount_annotations`).
            _log.warning("renaming project %d of %s, a twin of %s without annotations", duplicate, self.url, project.url)
            with self.translating(f"renaming project {duplicate}, a twin without annotations"), ignore_missing():
                self.sdk.projects.update(duplicate, title=f"{_DUPLICATE} {title}"[:_TITLE_LETTERS])
        # of a storage behind a URL the first copy may be yet to come
        Store(catalog.storage_root).served_path("crops").mkdir(parents=True, exist_ok=True)
        self._serve_folder(project, str(local_label_studio.served_crops(catalog)))
        return project

    def make_view(self, project: Project) -> None:
        """Make the tab that lists the tasks of all sources, lowest score first, unless the project has it."""
        with self.translating("reading the project's tabs"):
            views = self.sdk.views.list(project=project.project_id)
        if any((view.data or {}).get("title") == VIEW for view in views):
            return
        data = {"title": VIEW, "type": "list", "target": "tasks", "ordering": [_BY_SCORE]}
        with self.translating(f"making the tab {VIEW!r}"):
            self.sdk.views.create(project=project.project_id, data=data)

    def check_queue(self, project: Project) -> None:
        """Check that the project's queue shows predictions, and ours."""
        with self.translating(f"reading the settings of {project.url}"):
            settings = self.sdk.projects.get(project.project_id)
        if not settings.show_collab_predictions:
            raise LabelError(
                f"{project.url} shows no predictions: switch on 'Use predictions to prelabel tasks' in its settings"
            )
        if settings.model_version not in (None, "", MODEL_VERSION):
            raise LabelError(
                f"{project.url} shows predictions of the model version {settings.model_version!r} only, ours are called "
                f"{MODEL_VERSION!r}: choose that one in its settings, under Annotation"
            )

    def rename_project(self, project: Project, title: str) -> None:
        """Give a project a title; with the title it has, this only triggers the project's webhooks."""
        with self.translating(f"renaming {project.url}"):
            self.sdk.projects.update(project.project_id, title=title)

    def _choose(self, catalog: Catalog) -> tuple[Project | None, list[int]]:
        """Find the catalog's project, and the numbers of its duplicates: same title, same interface, no annotation."""
        title = catalog.label_studio.project
        fields = {"include": "id,title,label_config,num_tasks_with_annotations", "page_size": 100}
        with self.translating(f"looking for the project {title!r}"):
            titled = [project for project in self.sdk.projects.list(title=title, **fields) if project.title == title]
        if not titled:
            return None, []
        titled.sort(key=lambda project: int(project.id))
        xml = _read_xml(catalog)
        same = [project for project in titled if label_interface.same_interface(project.label_config or "", xml)]
        annotated = [project for project in titled if project.num_tasks_with_annotations]
        if len(annotated) > 1:
            raise LabelError(
                f"the Label Studio at {self.url} has {len(annotated)} projects called {title!r} with answers in them "
                f"(numbers {', '.join(str(project.id) for project in annotated)}): rename all but one"
            )
        chosen = [*annotated, *same, *titled][0]
        address = f"{self.url}/projects/{chosen.id}"
        if chosen not in same:
            raise LabelError(_describe_difference(catalog, address))
        duplicates = [project.id for project in same if project.id != chosen.id]
        return Project(chosen.id, address, int(chosen.num_tasks_with_annotations or 0)), duplicates

    def _serve_folder(self, project: Project, folder: str) -> None:
        """Let the server serve a folder to the project's members. It is never synced: only pushing makes tasks."""
        with self.translating("reading the project's storages"):
            rows = self.sdk.import_storage.local.list(project=project.project_id)
        if any((row.path or "").rstrip("/") == folder for row in rows):
            return
        try:
            with self.translating(f"serving images from {folder}"):
                self.sdk.import_storage.local.create(
                    project=project.project_id, path=folder, title="figureground crops", use_blob_urls=True
                )
        except LabelError as error:
            raise LabelError(
                f"{error}. Its machine must have this folder: start it with LOCAL_FILES_SERVING_ENABLED=true and "
                f"LOCAL_FILES_DOCUMENT_ROOT={folder.rpartition('/')[0]}, or use `figureground studio up`"
            ) from error


def _read_xml(catalog: Catalog) -> str:
    return label_interface.load_interface(catalog.label_config_file, catalog.label_studio.mask)[1]


def _describe_difference(catalog: Catalog, address: str) -> str:
    bitmask = catalog.label_studio.mask == "bitmask"
    tag = " with BitmaskLabels for BrushLabels (label_studio.mask is bitmask)" if bitmask else ""
    return (
        f"the project {catalog.label_studio.project!r} ({address}) has another labelling interface than "
        f"{catalog.label_config_file}{tag}: paste that {'so ' if bitmask else 'file '}into {address}/settings/labeling, or "
        "name another project in label_studio.project"
    )
