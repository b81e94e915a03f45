"""Kept crops and their mattes → tasks in Label Studio, each exactly once.

A task's identity is its key, a content hash that is also in the task's data. Whatever happens, keys are looked up
before anything is created: what is there is left alone, what is missing is sent, and an unknown outcome (a lost
connection, a time-out, a killed process) is settled by looking again, never by sending again.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import pandas as pd
from filelock import FileLock, Timeout

from figureground import plugins, progress, tables
from figureground.annotation import labelling, preannotation_gate
from figureground.annotation.labelling import Interface
from figureground.catalog import Catalog
from figureground.clients import label_studio, local_label_studio
from figureground.clients.label_studio import Project, Remote, Server
from figureground.errors import LabelError, StoreError, TransientError
from figureground.imaging import masks
from figureground.parallel import ordered
from figureground.retry import retry
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.types import Mask, Source, TableRef
from tasks import retried_task
from tasks.annotation.annotation_records import deeds
from tasks.annotation.pending_creates import Doubts

BATCH = 25
_BATCH_AT_LEAST = 5
_PAUSES = (1.0, 4.0, 10.0)
_LOCK_SECONDS = 3600

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class _Plan(NamedTuple):
    """One crop to push; the matte's pixels are read when its turn comes."""

    key: str
    crop: Mapping[str, Any]
    matte: Mapping[str, Any]
    seconds: float


@retried_task
def push(crops: TableRef, mattes: TableRef, source: Source, catalog: Catalog) -> TableRef:
    """Make sure that every matted crop is one task with one prediction, the least sure first.

    A task is left blank, without prediction, where no parts can be predicted, and where the catalog's ``preannotation_gate``
    says so (see
    `figureground.annotation.preannotation_gate`). That is decided once: a task that is there stays what it is. A share of
    ``second_opinions`` is given to two people.

    Parameters
    ----------
    crops, mattes
        One source's tables.
    source
        Gives the scenes and the licence.
    catalog
        Gives the storage, the server, the project and the label config.

    Returns
    -------
    TableRef
        The tasks table, its rows in the crops' order.

    Raises
    ------
    LabelError
        When the server cannot be used: no token, another interface, a folder it does not see; or a prediction that
        nobody would see.
    TransientError
        When the connection broke and did not come back; what is safe is in the message.
    StoreError
        When a picture or matte is missing or damaged, or a picture's copy cannot be written (of a storage behind a URL: the
        server serves pictures from ``local``).
    """
    store = Store(catalog.storage_root)
    interface, xml = label_studio.interface(catalog)
    frames = tables.find(store, "frames", source.source_id)
    if frames is None:
        raise StoreError(f"source {source.source_id} has no table frames; run `figureground ingest {source.source_id}`")
    mark = tables.fingerprint(
        "tasks",
        [frames, crops, mattes],
        server=[catalog.label_studio.url, catalog.label_studio.project],
        interface=sha256(xml.encode()),
        told=[source.scenes, source.license],
        remover=plugins.describe(catalog.remover()),
        second_opinions=catalog.label_studio.second_opinions,
    )
    if ref := tables.fresh(store, "tasks", source.source_id, mark):
        _serve_again(store, ref, crops)
        return ref
    plans = _plans(store, frames, crops, mattes)
    unknown = sorted(set(source.scenes) - set(interface.choices.get("scenes", ())))
    if unknown:
        _log.warning("source %s: %s does not offer the scenes %s", source.source_id, catalog.label_config_file, unknown)
    rule = _rule(store, source, interface, catalog)
    rows = _pushed(store, plans, _Letter(store, source, interface, rule), catalog) if plans else []
    facts = {"scenes": list(source.scenes), **({"scenes_not_offered": unknown} if unknown else {})}
    if rule.stopped:
        facts["stopped"] = list(rule.stopped)
    return tables.write(store, "tasks", source.source_id, pd.DataFrame(rows), fingerprint=mark, facts=facts)


def _plans(store: Store, frames: TableRef, crops: TableRef, mattes: TableRef) -> list[_Plan]:
    seconds = tables.read(store, frames).rows.set_index("frame_id")["seconds"].to_dict()
    matted = {row["crop_id"]: row for row in tables.read(store, mattes).rows.to_dict("records")}
    rows = [row for row in tables.read(store, crops).rows.to_dict("records") if row["crop_id"] in matted]
    strays = [row["crop_id"] for row in rows if row["frame_id"] not in seconds]
    if strays:
        raise StoreError(
            f"crop {strays[0]} is cut from a frame that {frames.file} does not have; "
            f"run `figureground ingest {frames.source_id}`"
        )
    return [
        _Plan(labelling.key(row["crop_id"], row["sha256"]), row, matted[row["crop_id"]], float(seconds[row["frame_id"]]))
        for row in rows
    ]


def _version(catalog: Catalog) -> str:
    """Name the remover and its weights: what Label Studio calls the model's version."""
    remover = catalog.remover()
    found = plugins.weights(remover)
    return "-".join([plugins.describe(remover)["name"], *(f"{one.name}-{one.sha256[:8]}" for one in found)])


class _Rule(NamedTuple):
    """Which tasks are left blank, and which are given to two people; ``stopped`` are the scenes that do not pay."""

    version: str
    parts: bool
    left_blank: float
    stopped: tuple[str, ...]
    second_opinions: float

    def blank(self, key: str, there: Sequence[Remote]) -> str:
        """Say why a task has no prediction, or "": one that is there stays what it is."""
        if there:
            return str(there[0].content["data"].get("blank") or "")
        return (
            preannotation_gate.NO_PARTS
            if self.parts
            else preannotation_gate.why_blank(key, self.left_blank, bool(self.stopped))
        )

    def people(self, key: str) -> int:
        """Say how many people a task is given to."""
        return 2 if preannotation_gate.asks_two(key, self.second_opinions) else 1


def _rule(store: Store, source: Source, interface: Interface, catalog: Catalog) -> _Rule:
    version, entry = _version(catalog), catalog.label_studio
    parts = labelling.PERSON not in interface.labels
    if entry.preannotation_gate is None:
        return _Rule(version, parts, 0.0, (), entry.second_opinions)
    labels_at_least = entry.preannotation_gate.labels_at_least
    found = preannotation_gate.gates((deed.work for deed in deeds(store) if deed.kept), labels_at_least)
    stopped = preannotation_gate.stopped(found, source.scenes, version)
    if stopped:
        _log.warning("source %s: pre-annotating does not pay: %s; new tasks are blank", source.source_id, ", ".join(stopped))
    return _Rule(version, parts, entry.preannotation_gate.left_blank, stopped, entry.second_opinions)


class _Letter(NamedTuple):
    """What turns a plan into what the server is sent."""

    store: Store
    source: Source
    interface: Interface
    rule: _Rule

    def write(self, plan: _Plan, there: Sequence[Remote]) -> dict[str, Any]:
        """Give a task with its prediction, checked; or without, and why."""
        blank = self.rule.blank(plan.key, there)
        mask, predictions = (None, []) if blank else self._predicted(plan)
        crop = plan.crop
        content = {
            self.interface.value: labelling.url(crop["file"]),
            "key": plan.key,
            "crop_id": crop["crop_id"],
            "source": self.source.source_id,
            "seconds": round(plan.seconds, 3),
            "scenes": list(self.source.scenes),
            "license": self.source.license,
            "score": round(float(plan.matte["score"]), 4),
            "remover": self.rule.version,
            "blank": blank,
            "prediction_sha256": "" if mask is None else hashlib.sha256(mask.tobytes()).hexdigest(),
        }
        return {"data": content, "predictions": predictions}

    def _predicted(self, plan: _Plan) -> tuple[Mask, list[dict[str, Any]]]:
        crop = plan.crop
        alpha = masks.from_png(self.store.read(plan.matte["file"], plan.matte["sha256"]), plan.matte["file"])
        if alpha.shape != (crop["height"], crop["width"]):
            raise LabelError(
                f"matte of {crop['crop_id']} is {alpha.shape[1]}x{alpha.shape[0]}, its crop {crop['width']}x{crop['height']}; "
                f"run `figureground ingest {self.source.source_id}`"
            )
        mask = labelling.hard(alpha)
        prediction = labelling.prediction(
            mask,
            self.interface,
            score=float(plan.matte["score"]),
            model_version=label_studio.MODEL,
            scenes=self.source.scenes,
        )
        labelling.check_prediction(prediction, self.interface, crop["width"], crop["height"], crop["crop_id"])
        return mask, [prediction]


def _pushed(store: Store, plans: Sequence[_Plan], letter: _Letter, catalog: Catalog) -> list[dict[str, Any]]:
    source_id = letter.source.source_id
    with _alone(store), label_studio.connect(catalog) as server:
        doubts = Doubts(store.path(f".locks/{source_id}.sent"), label_studio.REQUEST_SECONDS)
        rows: list[dict[str, Any]] = []
        try:
            project = _patient(lambda: label_studio.make_project(server, catalog))
            there = _patient(lambda: label_studio.look_up(server, project, [plan.key for plan in plans]))
            label_studio.make_view(server, project)
            for batch in _batches(_least_sure_first(plans)):
                progress.tell("push", source_id, len(rows), len(plans))
                letters = {plan.key: letter.write(plan, there.get(plan.key, ())) for plan in batch}
                _serve(store, (plan.crop for plan in batch))
                settled = _settle(server, project, letters, there, doubts)
                asked = _asked(server, project, settled, letter.rule)
                rows += [_row(plan, project, asked[plan.key]) for plan in batch]
            rows = _without_doubt(server, project, plans, rows, letter, doubts)
            now = _patient(lambda: label_studio.find_project(server, catalog))
        except TransientError as error:
            raise _stopped(error, source_id, len(rows), len(plans), catalog) from error
        if now is None or now.project_id != project.project_id:
            raise TransientError(
                f"{project.url} was the project {catalog.label_studio.project!r} when {source_id} was pushed to it, and is no "
                f"more: that is {now.url if now else 'none'} now (somebody renamed or deleted it, or made one at the same "
                f"moment). Run `figureground push {source_id}` to have the tasks in the right one"
            )
    progress.tell("push", source_id, len(plans), len(plans))
    order = {plan.crop["crop_id"]: number for number, plan in enumerate(plans)}
    return sorted(rows, key=lambda row: order[row["crop_id"]])


def _serve(store: Store, crops: Iterable[Mapping[str, Any]]) -> None:
    """Have the pictures where the server can serve them before it is told of them."""
    for _ in ordered(lambda crop: store.serve(crop["file"], crop["sha256"]), crops) if not store.local_only else ():
        continue


def _serve_again(store: Store, tasks: TableRef, crops: TableRef) -> None:
    """Make again what is missing of the copies that were served; a storage in a folder has none."""
    if not store.local_only:
        pushed = set(tables.read(store, tasks).rows["crop_id"])
        _serve(store, [row for row in tables.read(store, crops).rows.to_dict("records") if row["crop_id"] in pushed])


def _without_doubt(
    server: Server, project: Project, plans: Sequence[_Plan], rows: list[dict[str, Any]], letter: _Letter, doubts: Doubts
) -> list[dict[str, Any]]:
    """Look once more at all, and settle what is not as it was.

    What was sent and not heard of may have arrived after everybody had looked, as a twin; that is waited for. And somebody
    who pushes the same source with another lock (a storage behind a URL has one a machine) may have kept the other twin.
    """
    if doubts.keys:
        _log.warning("some tasks were sent and not heard of; looking for late ones in %.0f s", doubts.left())
        time.sleep(doubts.left())
    numbers = {str(row["key"]): row["task_id"] for row in rows}
    there = _patient(lambda: label_studio.look_up(server, project, [plan.key for plan in plans]))
    late = [plan for plan in plans if [one.task_id for one in there.get(plan.key, ())] != [numbers[plan.key]]]
    fresh: dict[str, dict[str, Any]] = {}
    for batch in _batches(late):
        letters = {plan.key: letter.write(plan, there.get(plan.key, ())) for plan in batch}
        asked = _asked(server, project, _settle(server, project, letters, there, doubts), letter.rule)
        fresh |= {plan.key: _row(plan, project, asked[plan.key]) for plan in batch}
    doubts.clear()
    return [fresh.get(str(row["key"]), row) for row in rows]


def _stopped(error: TransientError, source_id: str, done: int, total: int, catalog: Catalog) -> TransientError:
    """Say what happened, what is safe and what to run next; it is final, because waiting was tried already."""
    start = "start the server again with `figureground studio up`" if local_label_studio.local(catalog) else "see to the server"
    stopped = TransientError(
        f"{error}. Pushing {source_id} stopped after {done} of {total} tasks. What was pushed is safe: {done} tasks were read "
        "back as they shall be, and whether more have arrived is looked up before anything is sent again, so nothing will be "
        f"there twice. To carry on, {start}, then run `figureground push {source_id}`"
    )
    stopped.final = True
    return stopped


def _patient(deed: Callable[[], _T]) -> _T:
    """Do what looks first what is there, and so may be done again, until it works or patience ends."""
    return retry(deed, _PAUSES, should_retry=lambda error: isinstance(error, TransientError), log=_log.warning)


@contextmanager
def _alone(store: Store) -> Iterator[None]:
    """Let one push at a time write: a server on SQLite loses predictions otherwise. The lock of a dead process is free."""
    path = store.path(".locks/push.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=_LOCK_SECONDS):
            yield
    except Timeout as error:
        raise TransientError(f"another push has held {path} for {_LOCK_SECONDS} s; end it or wait for it") from error
    except OSError as error:
        raise StoreError(f"cannot lock {path}: {error}; make the storage writable, then run again") from error


def _least_sure_first(plans: Sequence[_Plan]) -> list[_Plan]:
    """Order what is pushed as it shall be annotated: Label Studio serves tasks in the order of their numbers."""
    return sorted(plans, key=lambda plan: (float(plan.matte["score"]), str(plan.crop["crop_id"])))


def _asked(server: Server, project: Project, settled: Mapping[str, Remote], rule: _Rule) -> Mapping[str, Remote]:
    """Give the tasks of the share to two people. One that has been given to two stays so, whatever the share is now."""
    short = [key for key, remote in settled.items() if remote.people < rule.people(key)]
    for key in short:
        label_studio.ask_people(server, settled[key], rule.people(key))
    again = {key: remotes[0] for key, remotes in (label_studio.look_up(server, project, short) if short else {}).items()}
    lost = [key for key in short if key not in again or again[key].people < rule.people(key)]
    if lost:
        raise TransientError(f"the Label Studio at {server.url} did not give {len(lost)} tasks to two people")
    return {**settled, **again}


def _batches(plans: Sequence[_Plan]) -> Iterator[Sequence[_Plan]]:
    """Give portions; what would be one is made two, so that half of a small push is known to be there early."""
    size = BATCH if len(plans) > BATCH else max(_BATCH_AT_LEAST, -(-len(plans) // 2))
    for start in range(0, len(plans), size):
        yield plans[start : start + size]


def _settle(
    server: Server,
    project: Project,
    letters: Mapping[str, Mapping[str, Any]],
    there: Mapping[str, list[Remote]],
    doubts: Doubts,
) -> dict[str, Remote]:
    """Bring a batch to one task with the right prediction a key.

    Every try begins with what is known to be there, so trying again is safe however the last try ended.
    """
    known: Mapping[str, list[Remote]] | None = there
    touched = set[str]()

    def settle_once() -> dict[str, Remote]:
        nonlocal known
        first, known = known, None  # another try looks anew what is there
        remotes = _look(server, project, letters, touched) if first is None else first
        return _filled(server, project, letters, remotes, doubts, touched)

    return _patient(settle_once)


def _filled(
    server: Server,
    project: Project,
    letters: Mapping[str, Mapping[str, Any]],
    known: Mapping[str, list[Remote]],
    doubts: Doubts,
    touched: set[str],
) -> dict[str, Remote]:
    """Create what is missing, mend what is there, read it back and prove it. `touched` grows by the keys that were mended."""
    missing = [letter for key, letter in letters.items() if key not in known]
    if missing:
        with doubts.over(key for key in letters if key not in known):
            label_studio.create_tasks(server, project, missing)
    mended = {key for key, letter in letters.items() if key in known and _mend(server, letter, known[key])}
    touched |= mended
    if missing or mended:
        known = _look(server, project, letters, touched)
    wrong = [key for key, letter in letters.items() if not _stands(server, known.get(key, ()), letter)]
    if wrong:
        crop_id = letters[wrong[0]]["data"]["crop_id"]
        raise TransientError(
            f"the Label Studio at {server.url} does not hold what it took: {len(wrong)} of {len(letters)} tasks, first that of "
            f"{crop_id}, are not there once with what was predicted"
        )
    return {key: known[key][0] for key in letters}


def _look(
    server: Server, project: Project, letters: Mapping[str, Mapping[str, Any]], touched: set[str]
) -> dict[str, list[Remote]]:
    """Look what is there. Predictions of touched keys are counted one by one.

    The server's own count may be wrong after two have replaced a task's prediction at once.
    """
    found = label_studio.look_up(server, project, list(letters))
    return found | {
        key: [replace(one, predictions=label_studio.count_predictions(server, one)) for one in found[key]]
        for key in sorted(touched & found.keys())
    }


def _right(remote: Remote, letter: Mapping[str, Any]) -> bool:
    """Tell whether a task may stay as it is. What people have worked on always may."""
    same = remote.content["data"].get("prediction_sha256") == letter["data"]["prediction_sha256"]
    return remote.annotations > 0 or (remote.predictions == len(letter["predictions"]) and same)


def _stands(server: Server, remotes: Sequence[Remote], letter: Mapping[str, Any]) -> bool:
    """Tell whether a key has one task, which may stay as it is."""
    return len(remotes) == 1 and (_right(remotes[0], letter) or label_studio.is_answered(server, remotes[0]))


def _mend(server: Server, letter: Mapping[str, Any], remotes: Sequence[Remote]) -> bool:
    """Bring what is there under one key to one task with the right prediction; tell whether anything was done."""
    if _stands(server, remotes, letter):
        return False
    annotated = [remote for remote in remotes if label_studio.is_answered(server, remote)]
    if len(annotated) > 1:
        raise LabelError(
            f"crop {letter['data']['crop_id']} has {len(annotated)} annotated tasks at {server.url} (numbers "
            f"{', '.join(str(remote.task_id) for remote in annotated)}): delete all but the one to keep, then push again"
        )
    kept = (annotated or list(remotes))[0]
    for twin in remotes:
        if twin is not kept:
            label_studio.delete_task(server, twin)
    if annotated or _right(kept, letter):
        return True
    label_studio.replace_prediction(server, kept, letter["predictions"], letter["data"])
    return True


def _row(plan: _Plan, project: Project, remote: Remote) -> dict[str, Any]:
    return {
        "crop_id": plan.crop["crop_id"],
        "key": plan.key,
        "project_id": project.project_id,
        "task_id": remote.task_id,
        "prediction_sha256": remote.content["data"].get("prediction_sha256", ""),
        "blank": str(remote.content["data"].get("blank") or ""),
        "remover": str(remote.content["data"].get("remover") or plan.matte["remover"]),
        "people": remote.people,
    }
