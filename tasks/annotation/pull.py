"""Annotations in Label Studio → labels: people's masks and verdicts, with who, how long and from what.

A pull looks only at tasks that were touched since the last one (see `figureground.annotation.sync_cursor`). A list of changes
cannot
show that a task was deleted, so the number of annotated tasks is compared with the server's each time; when it differs, all
tasks are listed, and what is gone is dropped. A list only says where to look: what counts is what is fetched then.
"""

import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from figureground import progress, tables
from figureground.annotation import class_resolution, edit_fusion, labelling, sync_cursor
from figureground.annotation.labelling import Answer, Interface
from figureground.annotation.sync_cursor import Seen, Watermark
from figureground.catalog import Catalog
from figureground.clients import label_studio
from figureground.clients.label_studio import Project, Remote, Server
from figureground.errors import LabelError, TransientError
from figureground.evaluation import metrics
from figureground.imaging import crops as cropping
from figureground.imaging import masks
from figureground.storage.store import Store
from figureground.types import Alpha, Mask, TableRef
from tasks import retried_task

PORTION = 100
_PORTIONS_A_TABLE = 5

_log = logging.getLogger(__name__)


@retried_task
def pull(crops: TableRef, mattes: TableRef, tasks: TableRef, catalog: Catalog) -> TableRef:
    """Fetch what people answered for one source's tasks since the last pull.

    Of several annotations of one task the latest counts; skipped and deleted ones never do. What a person changed is fused
    into the stored matte (see `figureground.annotation.edit_fusion`). An annotation that cannot be used, or had better be
    looked at again,
    becomes no label: it is named in the table's facts under ``unusable``, and its task goes back into the annotators' queue.

    A task that was left blank says nothing of the matte: its label is the person's mask alone, its border softened. Where two
    people answered, the label says how far they agree. Of parts each pixel's class is kept, too (see
    `figureground.annotation.class_resolution`).

    Parameters
    ----------
    crops, mattes, tasks
        One source's tables.
    catalog
        Gives the storage, the server, the project and the label config.

    Returns
    -------
    TableRef
        The labels table in the crops' order: one row an answered task. Kept ones have a file
        ``labels/<source>/<crop_id>.png``, 8-bit alpha in the crop's size; rejected ones have their reason and no file. Parts
        are class ids in ``labels/<source>/<crop_id>.parts.png``.

    Raises
    ------
    LabelError
        When the server cannot be used, or the project is not there.
    TransientError
        When the connection broke; nothing is lost, running again carries on.
    StoreError
        When a picture or matte is missing or damaged, or a label cannot be written.
    """
    store, source_id = Store(catalog.storage_root), crops.source_id
    interface, xml = label_studio.interface(catalog)
    where = [catalog.label_studio.url, catalog.label_studio.project]
    mark = tables.fingerprint("labels", [crops, mattes, tasks], interface=xml, server=where, reach=edit_fusion.REACH)
    shelf = _Shelf(store, interface, crops, mattes, tasks, mark)
    if not tasks.rows:
        return tables.fresh(store, "labels", source_id, mark) or shelf.write(Watermark())
    try:
        with label_studio.connect(catalog) as server:
            return _pulled(server, _project(server, catalog, source_id), shelf, source_id)
    except TransientError as error:
        raise TransientError(
            f"{error}. Pulling {source_id} stopped; nothing is lost and the labels before it stand: "
            f"run `figureground pull {source_id}` when the server answers again"
        ) from error


def _project(server: Server, catalog: Catalog, source_id: str) -> Project:
    project = label_studio.find_project(server, catalog)
    if project is None:
        raise LabelError(
            f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r} any more; "
            f"run `figureground push {source_id}`, or set label_studio.project in the catalog"
        )
    return project


def _pulled(server: Server, project: Project, shelf: "_Shelf", source_id: str) -> TableRef:
    before = mark = shelf.restore()
    started = label_studio.clock(server)
    _noticed(server, project, source_id)
    found = label_studio.changed(server, project, source_id, mark.since)
    after = mark.after([_seen(task) for task in found], started)
    there = label_studio.count_annotated(server, project, source_id)
    if mark.time and len(after.answered) != there:
        _log.info("source %s: %d tasks are answered, not %d; listing all", source_id, there, len(after.answered))
        found, mark = _compared(label_studio.changed(server, project, source_id, ""), shelf, mark)
    unseen = {one.task_id for one in mark.unseen(map(_seen, found))}
    todo = [task for task in found if task.task_id in unseen]
    if shelf.stands and not todo and mark == before:
        return shelf.stands
    for number, portion in enumerate(_portions(todo, source_id), 1):
        again = _taken(server, project, shelf, portion)
        mark = mark.after([_seen(task) for task in (*portion, *again)], started)
        if number % _PORTIONS_A_TABLE == 0 and shelf.grows:
            shelf.write(mark)
    return shelf.write(mark)


def _noticed(server: Server, project: Project, source_id: str) -> None:
    """Make sure that the server's lists show every answer it has."""
    if label_studio.count_annotated(server, project) < project.answered:
        missed = label_studio.recount(server, project, source_id)
        _log.warning("the Label Studio at %s had not counted the answers to %d tasks of %s", server.url, missed, source_id)


def _seen(task: Remote) -> Seen:
    return Seen(task.task_id, task.updated_at, task.annotations)


def _compared(every: Sequence[Remote], shelf: "_Shelf", mark: Watermark) -> tuple[list[Remote], Watermark]:
    """Drop what is gone; give the tasks to look at: those touched, those answered that were not, and the other way round."""
    shelf.keep({task.key for task in every})
    there, answered = {task.task_id for task in every}, {task.task_id for task in every if task.annotations}
    strange = answered ^ (mark.answered & there)
    found = [task for task in every if task.updated_at >= mark.since or task.task_id in strange]
    recent = {task: state for task, state in mark.recent.items() if task in there - strange}
    return found, Watermark(mark.time, recent, frozenset(answered))


def _portions(todo: Sequence[Remote], source_id: str) -> Iterator[Sequence[Remote]]:
    """Give what to look at, oldest change first: a table written between tells the truth up to its watermark."""
    for start in range(0, len(todo), PORTION):
        progress.tell("pull", source_id, start, len(todo))
        yield todo[start : start + PORTION]
    progress.tell("pull", source_id, len(todo), len(todo))


def _taken(server: Server, project: Project, shelf: "_Shelf", portion: Sequence[Remote]) -> list[Remote]:
    """Put a portion's answers on the shelf; give the tasks that went back to the annotators, as they are now."""
    listed = {task.key: task for task in portion if shelf.asks(task.key)}
    look = [key for key, task in listed.items() if task.annotations or shelf.has(key)]
    whole: dict[str, list[Remote]] = {}
    for task in label_studio.details(server, project, look):
        whole.setdefault(task.key, []).append(task)
    names = shelf.names or (label_studio.annotators(server) if whole else {})
    shelf.names = names
    returned = [key for key, task in listed.items() if not _answered(server, shelf, task, whole.get(key, ()))]
    return [task for some in label_studio.look_up(server, project, returned).values() for task in some]


def _answered(server: Server, shelf: "_Shelf", listed: Remote, whole: Sequence[Remote]) -> bool:
    """Take a task's latest standing annotation, or give the task back to the annotators and say False."""
    standing = [(_age(one), task, one) for task in whole for one in _standing(task)]
    if not standing:
        shelf.drop(listed.key, listed.content["data"].get("returned"))
        return True
    standing.sort(key=lambda found: found[0], reverse=True)
    _, task, annotation = standing[0]
    others = [one for _, _, one in standing if _who(one) != _who(annotation)]
    before = task.content["data"].get("returned") or {}
    note = shelf.put(task.key, annotation, others[0] if others else None, insisted=bool(before.get("doubt")))
    if note is None:
        return True
    # where two are asked, the other's work stands, and one more is asked
    bad = [annotation] if others and task.people > 1 else [one for _, _, one in standing]
    label_studio.give_back(server, task, [int(one["id"]) for one in bad], note)
    return False


def _who(annotation: Mapping[str, Any]) -> Any:
    """Give an annotator's number; exports hold the whole user, the API its number."""
    who = annotation.get("completed_by")
    return who.get("id") if isinstance(who, Mapping) else who


def _age(annotation: Mapping[str, Any]) -> tuple[str, int]:
    return str(annotation["updated_at"]), int(annotation["id"])


def _standing(task: Remote) -> list[Mapping[str, Any]]:
    """Give a task's annotations that were submitted and not cancelled."""
    return [one for one in task.content.get("annotations") or () if not one.get("was_cancelled")]


@dataclass
class _Shelf:
    """Where a source's answers are put, and what is needed to read them. ``stands`` is the table that is there."""

    store: Store
    interface: Interface
    crops: TableRef
    mattes: TableRef
    tasks: TableRef
    mark: str
    stands: TableRef | None = None
    grows: bool = False
    names: Mapping[int, str] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    unusable: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what the tables say."""
        self._crops = tables.records(self.store, self.crops)
        self._order = list(self._crops)
        self._mattes = tables.records(self.store, self.mattes)
        self._tasks = tables.records(self.store, self.tasks)
        asked = zip(self._tasks.column("key"), self._tasks, strict=True)
        self._asked = {str(key): crop_id for key, crop_id in asked if crop_id in self._crops}
        self._parts = labelling.PERSON not in self.interface.labels

    def restore(self) -> Watermark:
        """Take up what the last pull left, when it came from the same tables and its files are there."""
        ref = tables.find(self.store, "labels", self.crops.source_id)
        self.grows = ref is None
        if ref is None:
            return Watermark()
        table = tables.read(self.store, ref)
        rows = {str(row["crop_id"]): row for row in table.rows.to_dict("records")}
        there = set(self.store.names(f"labels/{self.crops.source_id}"))
        files = {str(row[name]) for row in rows.values() for name in ("file", "parts") if row[name]}
        if table.facts.get("pulled_from") != self.mark or not files <= there:
            return Watermark()
        self.stands, self.grows = ref, True
        self.rows, self.unusable = rows, {one["crop_id"]: one for one in table.facts.get("unusable", ())}
        return sync_cursor.read(table.facts)

    def write(self, mark: Watermark) -> TableRef:
        """Write the table as far as it is."""
        facts = {"pulled_from": self.mark, **mark.facts()}
        if self.unusable:
            facts["unusable"] = [self.unusable[crop_id] for crop_id in self._order if crop_id in self.unusable]
        rows = pd.DataFrame([self.rows[crop_id] for crop_id in self._order if crop_id in self.rows])
        return tables.write(self.store, "labels", self.crops.source_id, rows, fingerprint=self.mark, facts=facts)

    def asks(self, key: str) -> bool:
        """Tell whether a task is one of ours: a source's former crops may still be there."""
        return key in self._asked

    def has(self, key: str) -> bool:
        """Tell whether there is a label of a task."""
        return self._asked[key] in self.rows

    def keep(self, keys: set[str]) -> None:
        """Drop the labels of all tasks but these."""
        for key in sorted(self._asked.keys() - keys):
            self.drop(key, None)

    def drop(self, key: str, returned: Mapping[str, Any] | None) -> None:
        """Forget a task's label; when it was given back to the annotators, say why."""
        crop_id = self._asked[key]
        self.rows.pop(crop_id, None)
        self.unusable.pop(crop_id, None)
        if returned:
            self.unusable[crop_id] = _unusable(crop_id, returned)

    def put(
        self, key: str, annotation: Mapping[str, Any], other: Mapping[str, Any] | None, insisted: bool
    ) -> dict[str, Any] | None:
        """Decode one annotation and write its label; give a note instead when it cannot be used.

        `other` is somebody else's annotation of the same task. `insisted` says that somebody has been asked already
        whether it is meant.
        """
        crop_id = self._asked[key]
        task, crop = self._tasks[crop_id], self._crops[crop_id]
        self.drop(key, None)
        try:
            answer, drawn = self._read(annotation, crop)
        except LabelError as error:
            return self._refuse(crop_id, annotation, str(error), doubt=False)
        alpha = self._alpha(crop)
        seen = np.zeros_like(alpha) if task["blank"] else alpha
        if answer.mask is not None and not insisted and (doubt := labelling.doubt(answer.mask, labelling.hard(seen))):
            return self._refuse(crop_id, annotation, f"annotation {answer.annotation_id} of {crop_id}: {doubt}", doubt=True)
        row = self._row(crop_id, answer, annotation, task) | self._second(answer, other, crop)
        if answer.mask is not None:
            row |= self._file(crop, alpha, seen, answer) | self._drawn(crop, drawn)
        self.rows[crop_id] = row
        return None

    def _read(self, annotation: Mapping[str, Any], crop: Mapping[str, Any]) -> tuple[Answer, class_resolution.Drawn | None]:
        """Read an annotation; where parts are asked for, the answer's mask is the person they make up."""
        size = int(crop["width"]), int(crop["height"]), str(crop["crop_id"])
        answer = labelling.answer(annotation, self.interface, *size)
        if not self._parts or answer.mask is None:
            return answer, None
        drawn = class_resolution.read(annotation, self.interface, *size)
        return replace(answer, mask=class_resolution.person(drawn, f"annotation {answer.annotation_id} of {size[2]}")), drawn

    def _second(self, answer: Answer, other: Mapping[str, Any] | None, crop: Mapping[str, Any]) -> dict[str, Any]:
        """Say who else answered, and how far the two agree."""
        if other is None:
            return {}
        try:
            second, _ = self._read(other, crop)
        except LabelError as error:
            _log.warning("no second opinion: %s", error)
            return {}
        found = {"second_annotator": _name(other.get("completed_by"), self.names), "second_verdict": second.verdict}
        if answer.mask is None or second.mask is None:
            return found
        one, two = ((mask >= 128).astype(np.uint8) for mask in (answer.mask, second.mask))
        return found | {"agreement": metrics.iou(one, two), "boundary_agreement": metrics.boundary_iou(one, two)}

    def _drawn(self, crop: Mapping[str, Any], drawn: class_resolution.Drawn | None) -> dict[str, Any]:
        """Write each pixel's class."""
        return {} if drawn is None else class_resolution.keep(self.store, str(crop["source_id"]), str(crop["crop_id"]), drawn)

    def _refuse(self, crop_id: str, annotation: Mapping[str, Any], reason: str, doubt: bool) -> dict[str, Any]:
        _log.warning("%s", reason)
        note = {"annotation": int(annotation["id"]), "reason": reason, "doubt": doubt}
        self.unusable[crop_id] = _unusable(crop_id, note)
        return note

    def _row(self, crop_id: str, answer: Answer, annotation: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "crop_id": crop_id,
            "annotation_id": answer.annotation_id,
            "annotator": _name(annotation.get("completed_by"), self.names),
            "seconds_spent": answer.seconds_spent,
            "origin": _origin(answer, task),
            "parent_prediction": answer.parent_prediction or 0,
            "verdict": answer.verdict,
            "scenes": list(answer.scenes),
            **labelling.UNKNOWN,
        }

    def _file(self, crop: Mapping[str, Any], alpha: Alpha, seen: Alpha, answer: Answer) -> dict[str, Any]:
        """Fuse an answer into what was seen (the matte, or nothing), write it and compare it with the matte."""
        assert answer.mask is not None
        image = cropping.decode(self.store.read(crop["file"], crop["sha256"]), crop["file"])
        fused = edit_fusion.fuse(seen, labelling.hard(seen), answer.mask, image)
        file = f"labels/{crop['source_id']}/{crop['crop_id']}.png"
        digest = self.store.write(file, masks.to_label(fused))
        return {**_compared_with(masks.to_mask(alpha), masks.to_mask(fused)), "file": file, "sha256": digest}

    def _alpha(self, crop: Mapping[str, Any]) -> Alpha:
        """Give the crop's matte; where there is none any more, people's work stands alone."""
        matte = self._mattes.get(str(crop["crop_id"]))
        if matte is None:
            return np.zeros((crop["height"], crop["width"]), np.float32)
        return masks.from_png(self.store.read(matte["file"], matte["sha256"]), matte["file"])


def _compared_with(matte: Mask, label: Mask) -> dict[str, float]:
    if np.array_equal(matte, label):
        return {"iou_with_matte": 1.0, "boundary_iou_with_matte": 1.0, "changed": 0.0}
    return {
        "iou_with_matte": metrics.iou(label, matte),
        "boundary_iou_with_matte": metrics.boundary_iou(label, matte),
        "changed": float((label != matte).mean()),
    }


def _unusable(crop_id: str, note: Mapping[str, Any]) -> dict[str, Any]:
    return {"crop_id": crop_id, "annotation_id": note["annotation"], "reason": note["reason"]}


def _name(who: Any, names: Mapping[int, str]) -> str:
    """Name an annotator; exports hold the whole user, the API its number."""
    if isinstance(who, Mapping):
        return str(who.get("username") or who.get("email") or who.get("id"))
    return names.get(who, f"user {who}")


def _origin(answer: Answer, task: Mapping[str, Any]) -> str:
    """Trust the pixels more than the flag: a mask that is not the pushed one was changed."""
    if answer.origin != "prediction" or answer.mask is None:
        return answer.origin
    same = hashlib.sha256(answer.mask.tobytes()).hexdigest() == task["prediction_sha256"]
    return "prediction" if same else "prediction-changed"
