"""Kept crops and their mattes → tasks in Label Studio, each exactly once.

A task's identity is its key, a content hash that is also in the task's data. How an unknown outcome is settled is described in
`figureground.clients.label_studio.exactly_once`.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from figureground import plugins, progress, tables
from figureground.annotation import label_interface, preannotation_gate, predictions
from figureground.annotation.annotation_records import read_annotation_records
from figureground.annotation.label_interface import Interface
from figureground.catalog import Catalog
from figureground.clients import local_label_studio
from figureground.clients.annotation_server import Connect, connect
from figureground.clients.label_studio import MODEL_VERSION, Project, ServerTask
from figureground.clients.label_studio.exactly_once import TaskContent, TaskWriter, repeat
from figureground.clients.label_studio.pending_creates import PendingCreates
from figureground.errors import LabelError, StoreError, TransientError
from figureground.imaging import masks
from figureground.parallel import map_ordered
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables import CropRow, FrameRow, MatteRow, TaskRow
from figureground.types import Mask, Source, TableRef
from tasks import retried_task

_BATCH_AT_LEAST = 5
VERSION = 1
"""Raised by 1 when the tasks change for the same inputs."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PushSettings:
    """How many tasks are sent at once, how long to wait for another push, and the pauses when a connection is lost."""

    batch_size: int = 25
    lock_seconds: float = 3600
    pauses_seconds: tuple[float, ...] = (1.0, 4.0, 10.0)
    sleep: Callable[[float], None] = time.sleep


class _Plan(NamedTuple):
    """A crop to push; the matte's pixels are read when its batch is sent."""

    key: str
    crop: CropRow
    matte: MatteRow
    seconds: float


@retried_task
def push(
    crops: TableRef,
    mattes: TableRef,
    source: Source,
    catalog: Catalog,
    connect: Connect = connect,
    settings: PushSettings = PushSettings(),
) -> TableRef:
    """Make sure that every matted crop is one task with one prediction, the lowest confidence first.

    A task is left blank, without prediction, where no parts can be predicted, and where the catalog's ``preannotation_gate``
    says so (see `figureground.annotation.preannotation_gate`). That is decided once: an existing task stays what it is. A
    share of ``second_opinions`` is given to two annotators.

    Parameters
    ----------
    crops, mattes
        One source's tables.
    source
        Gives the scenes and the licence.
    catalog
        Gives the storage, the server, the project and the label config.
    connect, settings
        How to reach the server and how long to wait.

    Returns
    -------
    TableRef
        The tasks table, its rows in the crops' order.

    Raises
    ------
    LabelError
        When the server cannot be used: no token, another interface, a folder it does not see; or a prediction that would
        not be shown.
    TransientError
        When the connection broke and did not come back; the message says what is safe.
    StoreError
        When an image or matte is missing or damaged, or an image's copy cannot be written (of a storage behind a URL: the
        server serves images from ``local``).
    """
    store = Store(catalog.storage_root)
    interface, xml = label_interface.load_interface(catalog.label_config_file, catalog.label_studio.mask)
    frames = tables.find(store, "frames", source.source_id)
    if frames is None:
        raise StoreError(f"source {source.source_id} has no table frames; run `figureground ingest {source.source_id}`")
    fingerprint = _fingerprint([frames, crops, mattes], source, xml, catalog)
    if ref := tables.fresh(store, "tasks", source.source_id, fingerprint):
        _serve_again(store, ref, crops)
        return ref
    plans = _plan(store, frames, crops, mattes)
    unknown = sorted(set(source.scenes) - set(interface.choices.get("scenes", ())))
    if unknown:
        _log.warning("source %s: %s does not offer the scenes %s", source.source_id, catalog.label_config_file, unknown)
    rule = _find_rule(store, source, interface, catalog)
    rows = _Push(store, catalog, _TaskComposer(store, source, interface, rule), connect, settings).run(plans) if plans else []
    facts: dict[str, Any] = {"scenes": list(source.scenes), **({"scenes_not_offered": unknown} if unknown else {})}
    if rule.stopped:
        facts["stopped"] = list(rule.stopped)
    return tables.write_rows(store, "tasks", source.source_id, rows, fingerprint=fingerprint, facts=facts)


def _fingerprint(inputs: Sequence[TableRef], source: Source, xml: str, catalog: Catalog) -> tables.Fingerprint:
    return tables.fingerprint(
        "tasks",
        inputs,
        version=VERSION,
        server=[catalog.label_studio.url, catalog.label_studio.project],
        interface=sha256(xml.encode()),
        source=[source.scenes, source.license],
        remover=plugins.identity(catalog.remover()),
        second_opinions=catalog.label_studio.second_opinions,
    )


def _plan(store: Store, frames: TableRef, crops: TableRef, mattes: TableRef) -> list[_Plan]:
    seconds = {row.frame_id: row.seconds for row in tables.read_rows(store, frames, FrameRow)}
    matted = {row.crop_id: row for row in tables.read_rows(store, mattes, MatteRow)}
    rows = [row for row in tables.read_rows(store, crops, CropRow) if row.crop_id in matted]
    strays = [row.crop_id for row in rows if row.frame_id not in seconds]
    if strays:
        raise StoreError(
            f"crop {strays[0]} is cut from a frame that {frames.file} does not have; "
            f"run `figureground ingest {frames.source_id}`"
        )
    return [
        _Plan(predictions.task_key(row.crop_id, row.sha256), row, matted[row.crop_id], float(seconds[row.frame_id]))
        for row in rows
    ]


class _Rule(NamedTuple):
    """Which tasks are left blank, and which are given to two annotators; ``stopped`` are the scenes that do not pay."""

    version: str
    parts: bool
    left_blank: float
    stopped: tuple[str, ...]
    second_opinions: float

    def explain_blank(self, key: str, existing: Sequence[ServerTask]) -> str:
        """Say why a task has no prediction, or "": an existing task stays what it is."""
        if existing:
            return str(existing[0].content["data"].get("blank") or "")
        if self.parts:
            return preannotation_gate.NO_PARTS
        return preannotation_gate.explain_blank(key, self.left_blank, bool(self.stopped))

    def count_annotators(self, key: str) -> int:
        """Count how many annotators a task is given to."""
        return 2 if preannotation_gate.needs_two_annotators(key, self.second_opinions) else 1


def _find_rule(store: Store, source: Source, interface: Interface, catalog: Catalog) -> _Rule:
    version, entry = _describe_remover(catalog), catalog.label_studio
    parts = label_interface.PERSON not in interface.labels
    if entry.preannotation_gate is None:
        return _Rule(version, parts, 0.0, (), entry.second_opinions)
    labels_at_least = entry.preannotation_gate.labels_at_least
    timings = (record.timing for record in read_annotation_records(store) if record.kept)
    gates = preannotation_gate.apply_rules(timings, labels_at_least)
    stopped = preannotation_gate.stopped_scenes(gates, source.scenes, version)
    if stopped:
        _log.warning("source %s: pre-annotating does not pay: %s; new tasks are blank", source.source_id, ", ".join(stopped))
    return _Rule(version, parts, entry.preannotation_gate.left_blank, stopped, entry.second_opinions)


def _describe_remover(catalog: Catalog) -> str:
    """Name the remover and its weights."""
    remover = catalog.remover()
    weights = plugins.weights(remover)
    return "-".join([plugins.describe(remover)["name"], *(f"{file.name}-{file.sha256[:8]}" for file in weights)])


class _TaskComposer(NamedTuple):
    """Turns a plan into the task that the server is sent."""

    store: Store
    source: Source
    interface: Interface
    rule: _Rule

    def compose(self, plan: _Plan, existing: Sequence[ServerTask]) -> TaskContent:
        """Make a task with its checked prediction, or without prediction and with the reason."""
        blank = self.rule.explain_blank(plan.key, existing)
        mask, prediction = (None, []) if blank else self._predict(plan)
        crop = plan.crop
        data = {
            self.interface.value: predictions.image_url(crop.file),
            "key": plan.key,
            "crop_id": crop.crop_id,
            "source": self.source.source_id,
            "seconds": round(plan.seconds, 3),
            "scenes": list(self.source.scenes),
            "license": self.source.license,
            "score": round(float(plan.matte.score), 4),
            "remover": self.rule.version,
            "blank": blank,
            "prediction_sha256": "" if mask is None else hashlib.sha256(mask.tobytes()).hexdigest(),
        }
        return {"data": data, "predictions": prediction}

    def _predict(self, plan: _Plan) -> tuple[Mask, list[dict[str, Any]]]:
        crop, matte = plan.crop, plan.matte
        alpha = masks.from_png(self.store.read(matte.file, matte.sha256), matte.file)
        if alpha.shape != (crop.height, crop.width):
            raise LabelError(
                f"matte of {crop.crop_id} is {alpha.shape[1]}x{alpha.shape[0]}, its crop {crop.width}x{crop.height}; "
                f"run `figureground ingest {self.source.source_id}`"
            )
        mask = predictions.binarize(alpha)
        prediction = predictions.make_prediction(
            mask,
            self.interface,
            score=float(matte.score),
            model_version=MODEL_VERSION,
            scenes=self.source.scenes,
        )
        predictions.check_prediction(prediction, self.interface, crop.width, crop.height, crop.crop_id)
        return mask, [prediction]


@dataclass(frozen=True, slots=True)
class _Push:
    """Sends the plans of one source, batch by batch, and confirms each batch."""

    store: Store
    catalog: Catalog
    composer: _TaskComposer
    connect: Connect
    settings: PushSettings

    @property
    def source_id(self) -> str:
        return self.composer.source.source_id

    def run(self, plans: Sequence[_Plan]) -> list[TaskRow]:
        """Push all plans; give their rows in the plans' order."""
        rows: dict[str, TaskRow] = {}
        pauses = self.settings.pauses_seconds
        with lock_pushing(self.store, self.settings.lock_seconds), self.connect(self.catalog) as server:
            pending = PendingCreates(self.store.path(f".locks/{self.source_id}.sent"), server.request_seconds)
            try:
                project = repeat(lambda: server.make_project(self.catalog), pauses)
                writer = TaskWriter(server, project, pending, pauses)
                existing = self._look_up(writer, plans)
                server.make_view(project)
                # Label Studio serves tasks in the order of their numbers: what needs an annotator most comes first
                for batch in _split_batches(sorted(plans, key=_by_confidence), self.settings.batch_size):
                    progress.report("push", self.source_id, len(rows), len(plans))
                    rows |= self._write(writer, batch, existing)
                rows |= self._confirm(writer, plans, rows)
                current = repeat(lambda: server.find_project(self.catalog), pauses)
            except TransientError as error:
                raise self._stopped(error, len(rows), len(plans)) from error
            self._check_project(project, current)
        progress.report("push", self.source_id, len(plans), len(plans))
        return [rows[plan.key] for plan in plans]

    def _look_up(self, writer: TaskWriter, plans: Sequence[_Plan]) -> dict[str, list[ServerTask]]:
        keys = [plan.key for plan in plans]
        return repeat(lambda: writer.server.find_tasks(writer.project, keys), writer.pauses_seconds)

    def _write(
        self, writer: TaskWriter, batch: Sequence[_Plan], existing: Mapping[str, Sequence[ServerTask]]
    ) -> dict[str, TaskRow]:
        contents = {plan.key: self.composer.compose(plan, existing.get(plan.key, ())) for plan in batch}
        _serve(self.store, (plan.crop for plan in batch))
        settled = writer.settle(contents, existing)
        wanted = {plan.key: self.composer.rule.count_annotators(plan.key) for plan in batch}
        tasks = writer.ask_annotators(settled, wanted)
        return {plan.key: _row(plan, writer.project, tasks[plan.key]) for plan in batch}

    def _confirm(self, writer: TaskWriter, plans: Sequence[_Plan], rows: Mapping[str, TaskRow]) -> dict[str, TaskRow]:
        """Look up all tasks once more, and settle those that have changed.

        A task that was sent without a reply may have arrived after the last look, as a duplicate; that is waited for. And
        another push of the same source with another lock (a storage behind a URL has one a machine) may have kept the other
        duplicate.
        """
        if writer.pending.keys:
            seconds = writer.pending.seconds_left()
            _log.warning("some tasks were sent and not confirmed; looking for late ones in %.0f s", seconds)
            self.settings.sleep(seconds)
        existing = self._look_up(writer, plans)
        late = [plan for plan in plans if [task.task_id for task in existing.get(plan.key, ())] != [rows[plan.key].task_id]]
        fresh: dict[str, TaskRow] = {}
        for batch in _split_batches(late, self.settings.batch_size):
            fresh |= self._write(writer, batch, existing)
        writer.pending.clear()
        return fresh

    def _check_project(self, project: Project, current: Project | None) -> None:
        """Check that the project is still the catalog's after the push."""
        if current is None or current.project_id != project.project_id:
            raise TransientError(
                f"{project.url} was the project {self.catalog.label_studio.project!r} when {self.source_id} was pushed to it, "
                f"and is no more: that is {current.url if current else 'none'} now (it was renamed or deleted, or another "
                f"program made one at the same moment). Run `figureground push {self.source_id}` to have the tasks in the "
                "right one"
            )

    def _stopped(self, error: TransientError, done: int, total: int) -> TransientError:
        """Say what happened, what is safe and what to run next; the error is final, because waiting was tried already."""
        local = local_label_studio.is_local(self.catalog)
        start = "start the server again with `figureground studio up`" if local else "see to the server"
        stopped = TransientError(
            f"{error}. Pushing {self.source_id} stopped after {done} of {total} tasks. What was pushed is safe: {done} tasks "
            "were read back as they shall be, and whether more have arrived is looked up before anything is sent again, so "
            f"nothing will be there twice. To carry on, {start}, then run `figureground push {self.source_id}`"
        )
        stopped.final = True
        return stopped


def _serve(store: Store, crops: Iterable[CropRow]) -> None:
    """Copy the images to where the server serves them, before it is sent their addresses."""
    for _ in map_ordered(lambda crop: store.serve(crop.file, crop.sha256), crops) if not store.local_only else ():
        continue


def _serve_again(store: Store, tasks: TableRef, crops: TableRef) -> None:
    """Restore missing copies of served images; a storage in a folder has none."""
    if not store.local_only:
        pushed = {row.crop_id for row in tables.read_rows(store, tasks, TaskRow)}
        _serve(store, [row for row in tables.read_rows(store, crops, CropRow) if row.crop_id in pushed])


@contextmanager
def lock_pushing(store: Store, seconds: float) -> Iterator[None]:
    """Let one push at a time write: a server on SQLite loses predictions otherwise. The lock of a dead process is free."""
    path = store.path(".locks/push.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path, timeout=seconds):
            yield
    except Timeout as error:
        raise TransientError(f"another push has held {path} for {seconds:g} s; end it or wait for it") from error
    except OSError as error:
        raise StoreError(f"cannot lock {path}: {error}; make the storage writable, then run again") from error


def _by_confidence(plan: _Plan) -> tuple[float, str]:
    return float(plan.matte.score), plan.crop.crop_id


def _split_batches(plans: Sequence[_Plan], size: int) -> Iterator[Sequence[_Plan]]:
    """Split into batches; what would be one batch becomes two, so that half of a small push is confirmed early."""
    size = size if len(plans) > size else max(_BATCH_AT_LEAST, -(-len(plans) // 2))
    for start in range(0, len(plans), size):
        yield plans[start : start + size]


def _row(plan: _Plan, project: Project, task: ServerTask) -> TaskRow:
    data = task.content["data"]
    return TaskRow(
        crop_id=plan.crop.crop_id,
        key=plan.key,
        project_id=project.project_id,
        task_id=task.task_id,
        prediction_sha256=data.get("prediction_sha256", ""),
        blank=str(data.get("blank") or ""),
        remover=str(data.get("remover") or plan.matte.remover),
        people=task.overlap,
    )
