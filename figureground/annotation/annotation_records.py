"""The annotation records of a storage: its tasks and labels tables, joined."""

from collections.abc import Iterator

from figureground import tables
from figureground.annotation import preannotation_gate
from figureground.annotation.preannotation_gate import TimedAnnotation
from figureground.annotation.statistics import AnnotationRecord
from figureground.storage.store import Store
from figureground.tables import LabelRow, TaskRow


def read_annotation_records(store: Store) -> Iterator[AnnotationRecord]:
    """Read the record of each labelled task, source by source; tasks that cannot be pre-annotated are left out.

    Raises
    ------
    StoreError
        When a table is damaged.
    """
    for source_id in tables.sources(store, "labels"):
        tasks_ref, labels_ref = (tables.find(store, stage, source_id) for stage in ("tasks", "labels"))
        if tasks_ref is None or labels_ref is None:
            continue
        tasks = {task.crop_id: task for task in tables.read_rows(store, tasks_ref, TaskRow)}
        scenes = tuple(tables.read_facts(store, tasks_ref).get("scenes", ()))
        for label in tables.iterate_rows(store, labels_ref, LabelRow):
            task = tasks.get(label.crop_id)
            if task is not None and task.blank != preannotation_gate.NO_PARTS:
                yield _join(source_id, scenes, task, label)


def _join(source_id: str, scenes: tuple[str, ...], task: TaskRow, label: LabelRow) -> AnnotationRecord:
    return AnnotationRecord(
        timing=TimedAnnotation(label.annotation_id, scenes, task.remover, bool(task.blank), label.seconds_spent),
        source_id=source_id,
        annotator=label.annotator,
        verdict=label.verdict,
        origin=label.origin,
        changed=label.changed,
        boundary_iou=label.boundary_iou_with_matte,
        second_annotator=label.second_annotator,
        second_verdict=label.second_verdict,
        agreement=label.agreement,
        boundary_agreement=label.boundary_agreement,
    )
