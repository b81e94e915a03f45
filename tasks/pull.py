"""Annotations in Label Studio → labels: people's masks and verdicts, with who, how long and from what."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from figureground import labelling, masks, metrics, progress, tables
from figureground.catalog import Catalog
from figureground.errors import LabelError, TransientError
from figureground.labelling import Answer, Interface
from figureground.store import Store
from figureground.types import Mask, TableRef
from tasks import label_studio, verb
from tasks.label_studio import Remote

_log = logging.getLogger(__name__)


@verb
def pull(crops: TableRef, mattes: TableRef, tasks: TableRef, catalog: Catalog) -> TableRef:
    """Fetch what people answered for one source's tasks.

    Of several annotations of one task the latest counts; skipped ones never do. An annotation that cannot be used is
    named in the table's facts under ``unusable`` and the others go on.

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
        ``labels/<source>/<crop_id>.png``, 0 or 255 in the crop's size; rejected ones have their reason and no file.

    Raises
    ------
    LabelError
        When the server cannot be used, or the project is not there.
    TransientError
        When the connection broke; nothing is lost, running again carries on.
    StoreError
        When a matte is missing or damaged, or a label cannot be written.
    """
    store = Store(catalog.storage_root)
    asked = tables.read(store, tasks).rows.to_dict("records")
    interface, xml = label_studio.interface(catalog)
    if not asked:
        mark = tables.fingerprint("labels", [crops, mattes, tasks], interface=xml, answers=[])
        return tables.fresh(store, "labels", crops.source_id, mark) or tables.write(
            store, "labels", crops.source_id, pd.DataFrame(), fingerprint=mark
        )
    try:
        return _pulled(store, crops, mattes, tasks, asked, interface, xml, catalog)
    except TransientError as error:
        raise TransientError(
            f"{error}. Pulling {crops.source_id} stopped; nothing is lost and the labels before it stand: "
            f"run `figureground pull {crops.source_id}` when the server answers again"
        ) from error


def _pulled(
    store: Store,
    crops: TableRef,
    mattes: TableRef,
    tasks: TableRef,
    asked: Sequence[Mapping[str, Any]],
    interface: Interface,
    xml: str,
    catalog: Catalog,
) -> TableRef:
    source_id, keys = crops.source_id, [str(row["key"]) for row in asked]
    with label_studio.connect(catalog) as server:
        project = label_studio.find_project(server, catalog)
        if project is None:
            raise LabelError(
                f"the Label Studio at {server.url} has no project {catalog.label_studio.project!r} any more; "
                f"run `figureground push {source_id}`, or set label_studio.project in the catalog"
            )
        answers = sorted(
            [task.key, one["id"], str(one["updated_at"])]
            for task in label_studio.annotated(server, project, keys)
            for one in _standing(task)
        )
        mark = tables.fingerprint("labels", [crops, mattes, tasks], interface=xml, answers=answers)
        if ref := tables.fresh(store, "labels", source_id, mark):
            return ref
        names = label_studio.annotators(server)
        answered = sorted({key for key, _, _ in answers})
        latest = {
            task.key: _latest(task)
            for task in progress.track(label_studio.details(server, project, answered), "pull", source_id, len(answered))
            if _standing(task)
        }
    return _written(store, _Shelf(store, interface, names), crops, mattes, asked, latest, mark)


def _standing(task: Remote) -> list[Mapping[str, Any]]:
    """Give a task's annotations that were submitted and not cancelled."""
    return [one for one in task.content.get("annotations") or () if not one.get("was_cancelled")]


def _latest(task: Remote) -> Mapping[str, Any]:
    return max(_standing(task), key=lambda one: (str(one["updated_at"]), one["id"]))


class _Shelf(NamedTuple):
    """Where answers are put, and what is needed to read them."""

    store: Store
    interface: Interface
    names: Mapping[int, str]

    def put(self, crop: Mapping[str, Any], matte: Mapping[str, Any], task: Mapping[str, Any], found: Any) -> dict[str, Any]:
        """Decode one annotation, write its mask and give its row."""
        answer = labelling.answer(found, self.interface, crop["width"], crop["height"], crop["crop_id"])
        row = {
            "crop_id": crop["crop_id"],
            "annotation_id": answer.annotation_id,
            "annotator": _name(found.get("completed_by"), self.names),
            "seconds_spent": answer.seconds_spent,
            "origin": _origin(answer, task),
            "verdict": answer.verdict,
            "scenes": list(answer.scenes),
            "iou_with_matte": float("nan"),
            "file": "",
            "sha256": "",
        }
        if answer.mask is None:
            return row
        mask = (answer.mask >= 128).astype(np.uint8)
        file = f"labels/{crop['source_id']}/{crop['crop_id']}.png"
        digest = self.store.write(file, masks.to_png(masks.from_mask(mask)))
        return row | {"iou_with_matte": metrics.iou(mask, self._matte(matte)), "file": file, "sha256": digest}

    def _matte(self, matte: Mapping[str, Any]) -> Mask:
        return masks.to_mask(masks.from_png(self.store.read(matte["file"], matte["sha256"]), matte["file"]))


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


def _written(
    store: Store,
    shelf: _Shelf,
    crops: TableRef,
    mattes: TableRef,
    asked: Sequence[Mapping[str, Any]],
    latest: Mapping[str, Mapping[str, Any]],
    mark: str,
) -> TableRef:
    tasks = {row["crop_id"]: row for row in asked}
    matted = {row["crop_id"]: row for row in tables.read(store, mattes).rows.to_dict("records")}
    rows, unusable = [], []
    for crop in tables.read(store, crops).rows.to_dict("records"):
        task = tasks.get(crop["crop_id"])
        found = latest.get(task["key"]) if task else None
        if task is None or found is None:
            continue
        try:
            rows.append(shelf.put(crop, matted[crop["crop_id"]], task, found))
        except LabelError as error:
            _log.warning("%s", error)
            unusable.append({"crop_id": crop["crop_id"], "annotation_id": found["id"], "reason": str(error)})
    facts = {"unusable": unusable} if unusable else {}
    return tables.write(store, "labels", crops.source_id, pd.DataFrame(rows), fingerprint=mark, facts=facts)
