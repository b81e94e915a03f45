"""What people's work on all tasks of a storage says: tasks and labels joined."""

from collections.abc import Iterator, Mapping
from typing import Any

from figureground import tables
from figureground.annotation import preannotation_gate
from figureground.annotation.preannotation_gate import Work
from figureground.reports.annotation_statistics import Deed
from figureground.storage.store import Store


def deeds(store: Store) -> Iterator[Deed]:
    """Give what became of each labelled task, source by source; tasks that cannot be pre-annotated are left out.

    Raises
    ------
    StoreError
        When a table is damaged.
    """
    for source_id in tables.sources(store, "labels"):
        asked, answered = (tables.find(store, stage, source_id) for stage in ("tasks", "labels"))
        if asked is None or answered is None:
            continue
        pushed = tables.read(store, asked)
        tasks = {row["crop_id"]: row for row in pushed.rows.to_dict("records")}
        scenes = tuple(pushed.facts.get("scenes", ()))
        for label in tables.read(store, answered).rows.to_dict("records"):
            task = tasks.get(label["crop_id"])
            if task is not None and task["blank"] != preannotation_gate.NO_PARTS:
                yield _deed(source_id, scenes, task, label)


def _deed(source_id: str, scenes: tuple[str, ...], task: Mapping[Any, Any], label: Mapping[Any, Any]) -> Deed:
    number, seconds = int(label["annotation_id"]), float(label["seconds_spent"])
    return Deed(
        work=Work(number, scenes, str(task["remover"]), bool(task["blank"]), seconds),
        source_id=source_id,
        annotator=label["annotator"],
        verdict=label["verdict"],
        origin=label["origin"],
        changed=label["changed"],
        boundary_iou=label["boundary_iou_with_matte"],
        second_annotator=label["second_annotator"],
        second_verdict=label["second_verdict"],
        agreement=label["agreement"],
        boundary_agreement=label["boundary_agreement"],
    )
