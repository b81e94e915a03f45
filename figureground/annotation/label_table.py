"""The labels table of one source while it is pulled: annotations become rows and files, or notes why they cannot."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import nan
from typing import Any, TypedDict

import numpy as np

from figureground import documents, tables
from figureground.annotation import annotations, class_resolution, edit_fusion, predictions, sync_cursor
from figureground.annotation.annotations import Annotation
from figureground.annotation.label_interface import PERSON, Interface
from figureground.annotation.sync_cursor import SyncCursor
from figureground.errors import ArrayError, LabelError
from figureground.imaging import crops as cropping
from figureground.imaging import mask_metrics, masks
from figureground.shortage import find_shortage
from figureground.storage.store import Store
from figureground.tables import CropRow, LabelRow, MatteRow, TaskRow
from figureground.types import Alpha, Mask, TableRef

_log = logging.getLogger(__name__)
_FOREIGN = (ArithmeticError, ArrayError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class ReturnNote(TypedDict):
    """Why a task went back to the annotators, as the task's data keep it."""

    annotation: int
    reason: str
    doubt: bool
    """Whether it counts when an annotator submits the same again."""


class UnusableAnnotation(TypedDict):
    """An annotation that became no label, as the facts of the labels table list it."""

    crop_id: str
    annotation_id: int
    reason: str


@dataclass
class LabelTable:
    """One source's labels, and the tables that are needed to make them.

    ``current`` is the table that is in the storage when it is still right; without any, a table ``grows``: it is written
    several times on the way. ``names`` are the annotators' names by number.
    """

    store: Store
    interface: Interface
    crops: TableRef
    mattes: TableRef
    tasks: TableRef
    fingerprint: tables.Fingerprint
    current: TableRef | None = None
    grows: bool = False
    names: Mapping[int, str] = field(default_factory=dict)
    rows: dict[str, LabelRow] = field(default_factory=dict)
    unusable: dict[str, UnusableAnnotation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read the tables; each row is parsed only when it is needed."""
        self._crops = tables.records(self.store, self.crops)
        self._order = list(self._crops)
        self._mattes = tables.records(self.store, self.mattes)
        self._tasks = tables.records(self.store, self.tasks)
        pairs = zip(self._tasks.column("key"), self._tasks, strict=True)
        self._crop_ids = {str(key): crop_id for key, crop_id in pairs if crop_id in self._crops}

    def restore(self) -> SyncCursor:
        """Read what the last pull left, when it came from the same tables and its files are there."""
        ref = tables.find(self.store, "labels", self.crops.source_id)
        self.grows = ref is None
        if ref is None:
            return SyncCursor()
        rows = {row.crop_id: row for row in tables.read_rows(self.store, ref, LabelRow)}
        facts = tables.read_facts(self.store, ref)
        stored = set(self.store.names(f"labels/{self.crops.source_id}"))
        files = {file for row in rows.values() for file in (row.file, row.parts) if file}
        if not self.fingerprint.matches(facts.get("pulled_from", "")) or not files <= stored:
            return SyncCursor()
        self.current, self.grows = ref, True
        self.rows, self.unusable = rows, {note["crop_id"]: note for note in facts.get("unusable", ())}
        return sync_cursor.read_cursor(facts)

    def write(self, cursor: SyncCursor) -> TableRef:
        """Write the table as far as it is."""
        facts: dict[str, Any] = {"pulled_from": str(self.fingerprint), **cursor.facts()}
        if self.unusable:
            facts["unusable"] = [self.unusable[crop_id] for crop_id in self._order if crop_id in self.unusable]
        rows = [self.rows[crop_id] for crop_id in self._order if crop_id in self.rows]
        source_id = self.crops.source_id
        return tables.write_rows(self.store, "labels", source_id, rows, fingerprint=self.fingerprint, facts=facts)

    def has_task(self, key: str) -> bool:
        """Tell whether a task was pushed for one of the crops: tasks of a source's former crops may still be there."""
        return key in self._crop_ids

    def has_label(self, key: str) -> bool:
        """Tell whether there is a label of a task."""
        return self._crop_ids[key] in self.rows

    def keep(self, keys: set[str]) -> None:
        """Drop the labels of all tasks except these."""
        for key in sorted(self._crop_ids.keys() - keys):
            self.drop(key, None)

    def drop(self, key: str, returned: ReturnNote | None) -> None:
        """Drop a task's label; when the task was returned to the annotators, keep the reason."""
        crop_id = self._crop_ids[key]
        self.rows.pop(crop_id, None)
        self.unusable.pop(crop_id, None)
        if returned:
            self.unusable[crop_id] = _unusable(crop_id, returned)

    def put(
        self, key: str, annotation: Mapping[str, Any], other: Mapping[str, Any] | None, insisted: bool
    ) -> ReturnNote | None:
        """Decode an annotation and write its label; when it cannot be used, give a note instead.

        Parameters
        ----------
        key
            The task's key.
        annotation
            The annotation that counts.
        other
            Another annotator's annotation of the same task.
        insisted
            Whether an annotator was asked already to check an almost empty mask.
        """
        crop_id = self._crop_ids[key]
        task, crop = TaskRow(**self._tasks[crop_id]), CropRow(**self._crops[crop_id])
        self.drop(key, None)
        try:
            read, drawn = read_with_classes(annotation, self.interface, crop.width, crop.height, crop_id)
        except LabelError as error:
            return self._refuse(crop_id, int(annotation["id"]), str(error), doubt=False)
        alpha = self._read_alpha(crop)
        shown = np.zeros_like(alpha) if task.blank else alpha
        if read.mask is not None and not insisted:
            reason = annotations.explain_collapse(read.mask, predictions.binarize(shown))
            if reason:
                where = f"annotation {read.annotation_id} of {crop_id}"
                return self._refuse(crop_id, read.annotation_id, f"{where}: {reason}", doubt=True)
        row = self._compare_annotators(self._row(crop_id, read, annotation, task), read, other, crop)
        if read.mask is not None:
            row = self._write_mask(row, crop, alpha, shown, read.mask)
            if drawn is not None:
                row = class_resolution.write_class_map(self.store, crop.source_id, row, drawn)
        self.rows[crop_id] = row
        return None

    def note_unreadable(self, key: str, reason: str) -> None:
        """Drop a task's label, and note why its annotations could not be read from the server."""
        self.drop(key, None)
        self._refuse(self._crop_ids[key], 0, reason, doubt=False)

    def _compare_annotators(
        self, row: LabelRow, read: Annotation, other: Mapping[str, Any] | None, crop: CropRow
    ) -> LabelRow:
        """Name the second annotator, and measure how far the two agree."""
        if other is None:
            return row
        try:
            second, _ = read_with_classes(other, self.interface, crop.width, crop.height, crop.crop_id)
        except LabelError as error:
            _log.warning("no second opinion: %s", error)
            return row
        row = replace(row, second_annotator=self._name(other), second_verdict=second.verdict)
        if read.mask is None or second.mask is None:
            return row
        own, others = ((mask >= 128).astype(np.uint8) for mask in (read.mask, second.mask))
        agreement, of_boundaries = mask_metrics.iou(own, others), mask_metrics.boundary_iou(own, others)
        return replace(row, agreement=agreement, boundary_agreement=of_boundaries)

    def _refuse(self, crop_id: str, annotation_id: int, reason: str, doubt: bool) -> ReturnNote:
        reason = reason.encode("utf-8", "backslashreplace").decode()  # half a character ends up in no table
        _log.warning("%s", reason)
        note = ReturnNote(annotation=annotation_id, reason=reason, doubt=doubt)
        self.unusable[crop_id] = _unusable(crop_id, note)
        return note

    def _row(self, crop_id: str, read: Annotation, annotation: Mapping[str, Any], task: TaskRow) -> LabelRow:
        return unpainted_label(
            crop_id=crop_id,
            annotation_id=read.annotation_id,
            annotator=self._name(annotation),
            seconds_spent=read.seconds_spent,
            origin=_origin(read, task),
            parent_prediction=read.parent_prediction or 0,
            verdict=read.verdict,
            scenes=read.scenes,
        )

    def _write_mask(self, row: LabelRow, crop: CropRow, alpha: Alpha, shown: Alpha, mask: Mask) -> LabelRow:
        """Fuse a mask into what the annotator was shown (the matte, or nothing), write it and compare it with the matte."""
        image = cropping.decode(self.store.read(crop.file, crop.sha256), crop.file)
        fused = edit_fusion.fuse(shown, predictions.binarize(shown), mask, image)
        file = f"labels/{crop.source_id}/{crop.crop_id}.png"
        digest = self.store.write(file, masks.to_label(fused))
        return replace(_compare(row, masks.to_mask(alpha), masks.to_mask(fused)), file=file, sha256=digest)

    def _read_alpha(self, crop: CropRow) -> Alpha:
        """Read the crop's matte; where there is none any more, the annotator's mask stands alone."""
        if crop.crop_id not in self._mattes:
            return np.zeros((crop.height, crop.width), np.float32)
        matte = MatteRow(**self._mattes[crop.crop_id])
        return masks.from_png(self.store.read(matte.file, matte.sha256), matte.file)

    def _name(self, annotation: Mapping[str, Any]) -> str:
        """Name an annotation's annotator; exports hold the whole user, the API its number."""
        user = annotation.get("completed_by")
        if isinstance(user, Mapping):
            return str(user.get("username") or user.get("email") or user.get("id"))
        return self.names.get(user, f"user {user}") if isinstance(user, int) else f"user {user}"


def read_with_classes(
    annotation: Mapping[str, Any], interface: Interface, width: int, height: int, crop_id: str
) -> tuple[Annotation, class_resolution.ResolvedClasses | None]:
    """Read an annotation of any form; where parts are asked for, its mask is the person they make up.

    Parameters
    ----------
    annotation
        As the server gives it.
    interface
        The label config.
    width, height
        The crop's size in pixels.
    crop_id
        For messages.

    Raises
    ------
    LabelError
        When it cannot be used: whatever its form makes our code raise is a reason.
    """
    try:
        read = annotations.read_annotation(annotation, interface, width, height, crop_id)
        if PERSON in interface.labels or read.mask is None:
            return read, None
        drawn = class_resolution.read_classes(annotation, interface, width, height, crop_id)
    except _FOREIGN as error:
        if find_shortage(error):
            raise
        where = f"annotation {annotation['id']} of {crop_id}: it has a form that no editor gives"
        raise LabelError(f"{where} ({type(error).__name__}: {documents.abridge(str(error))})") from error
    mask = class_resolution.merge_to_person(drawn, f"annotation {read.annotation_id} of {crop_id}")
    return replace(read, mask=mask), drawn


def annotator_id(annotation: Mapping[str, Any]) -> Any:
    """Give the number of an annotation's annotator; exports hold the whole user, the API its number."""
    user = annotation.get("completed_by")
    return user.get("id") if isinstance(user, Mapping) else user


def unpainted_label(
    *,
    crop_id: str,
    annotation_id: int,
    annotator: str,
    seconds_spent: float,
    origin: str,
    parent_prediction: int,
    verdict: str,
    scenes: tuple[str, ...],
) -> LabelRow:
    """Give the row of a label without a mask, without parts and without a second annotation."""
    return LabelRow(
        crop_id=crop_id,
        annotation_id=annotation_id,
        annotator=annotator,
        seconds_spent=seconds_spent,
        origin=origin,
        parent_prediction=parent_prediction,
        verdict=verdict,
        scenes=scenes,
        iou_with_matte=nan,
        boundary_iou_with_matte=nan,
        changed=nan,
        second_annotator="",
        second_verdict="",
        agreement=nan,
        boundary_agreement=nan,
        file="",
        sha256="",
        parts="",
        parts_sha256="",
        classes=0,
        overlaps=(),
    )


def _compare(row: LabelRow, matte: Mask, label: Mask) -> LabelRow:
    if np.array_equal(matte, label):
        return replace(row, iou_with_matte=1.0, boundary_iou_with_matte=1.0, changed=0.0)
    of_boundaries, changed = mask_metrics.boundary_iou(label, matte), float((label != matte).mean())
    return replace(row, iou_with_matte=mask_metrics.iou(label, matte), boundary_iou_with_matte=of_boundaries, changed=changed)


def _unusable(crop_id: str, note: ReturnNote) -> UnusableAnnotation:
    return UnusableAnnotation(crop_id=crop_id, annotation_id=note["annotation"], reason=note["reason"])


def _origin(read: Annotation, task: TaskRow) -> str:
    """Trust the pixels more than the flag: a mask that is not the pushed one was changed."""
    if read.origin != "prediction" or read.mask is None:
        return read.origin
    same = hashlib.sha256(read.mask.tobytes()).hexdigest() == task.prediction_sha256
    return "prediction" if same else "prediction-changed"
