"""Checks everything outside figureground: weights, storage, Label Studio."""

import functools
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from figureground import tables
from figureground.annotation import predictions
from figureground.annotation.label_interface import load_interface
from figureground.catalog import Catalog
from figureground.clients.annotation_server import connect
from figureground.clients.label_studio import AnnotationServer
from figureground.errors import FiguregroundError, LabelError, StoreError
from figureground.storage import assets
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from figureground.tables.io import read_rows
from figureground.tables.rows import CropRow, TaskRow
from figureground.types import Weights

_MIN_FREE_BYTES = 2_000_000_000  # a few thousand frames
_PROBE = ".probe"
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Parameters
    ----------
    subject
        What was checked.
    passed
        Whether it is as it should be.
    message
        What was found, and what to do when it is wrong.
    """

    subject: str
    passed: bool
    message: str


def examine(catalog: Catalog) -> list[Finding]:
    """Check the weights, the storage and Label Studio. What is wrong is a finding, never an exception.

    Parameters
    ----------
    catalog
        Names the weights, the storage and the server.

    Returns
    -------
    list of Finding
        In the order in which a run needs the subjects.
    """
    return list(_run_checks(catalog))


def _run_checks(catalog: Catalog) -> Iterator[Finding]:
    for weights in catalog.weights():
        yield _check(f"weights {weights.name}", functools.partial(_check_weights, weights))
    yield _check("storage", lambda: _check_storage(catalog))
    server = _check("Label Studio", lambda: _check_server(catalog))
    yield server
    if server.passed:
        yield _check("project", lambda: _check_project(catalog))
        yield _check("images", lambda: _check_images(catalog))
        yield _check("predictions", lambda: _check_predictions(catalog))
        yield _check("blank tasks", lambda: _count_blank_tasks(catalog))


def _check(subject: str, check: Callable[[], str]) -> Finding:
    try:
        return Finding(subject, True, check())
    except FiguregroundError as error:
        return Finding(subject, False, str(error))


def _check_weights(weights: Weights) -> str:
    return f"verified, {assets.locate(weights)}"


def _check_storage(catalog: Catalog) -> str:
    store = Store(catalog.storage_root)
    store.write(_PROBE, b"figureground doctor\n")
    store.read(_PROBE)
    store.remove(_PROBE)
    if "://" in catalog.storage_root.url:
        return f"{catalog.storage_root} can be written"
    free = shutil.disk_usage(catalog.storage_root.url).free
    if free < _MIN_FREE_BYTES:
        raise StoreError(
            f"{catalog.storage_root} has {free / 1e9:.1f} GB left; expected at least {_MIN_FREE_BYTES / 1e9:.0f} GB: make room"
        )
    return f"{catalog.storage_root} can be written, {free / 1e9:.0f} GB left"


def _check_server(catalog: Catalog) -> str:
    with connect(catalog) as server:
        return f"{server.url} takes our token"


def _check_project(catalog: Catalog) -> str:
    with connect(catalog) as server:
        project = server.find_project(catalog)
    if project is None:
        return "none yet; the first push creates it"
    return f"{project.url} has the catalog's labelling interface"


def _check_images(catalog: Catalog) -> str:
    """Download every pushed image through the server, as an annotator's browser does, and compare it with the stored image."""
    stored = _read_image_hashes(catalog)
    with connect(catalog) as server:
        project = server.find_project(catalog)
        pushed = [] if project is None else list(server.list_images(project))
        with ThreadPoolExecutor(_THREADS) as pool:
            problems = list(pool.map(lambda task: _check_image(server, task[0], task[1], stored), pushed))
    if not pushed:
        return "nothing is pushed yet"
    unseen = [problem for problem in problems if problem]
    missing = len(stored.keys() - {address for _, address in pushed})
    if unseen:
        raise LabelError(f"{len(unseen)} of {len(pushed)} images cannot be seen: {unseen[0]}")
    hint = f"; {missing} pushed images have no task there any more: push again" if missing else ""
    return f"{server.url} serves all {len(pushed)} images of {project.url if project else ''}{hint}"


def _check_image(server: AnnotationServer, task: int, address: str, stored: Mapping[str, str]) -> str:
    """Explain why an annotator would not see a task's image; "" when it is seen."""
    if not address:
        return f"task {task} names no image; push its source again"
    try:
        served = sha256(server.fetch_image(address))
    except FiguregroundError as error:
        return f"task {task}: {error}"
    if stored.get(address, served) != served:
        return f"task {task}: {address} is another image there than in the storage; check which folder the server serves"
    return ""


def _read_image_hashes(catalog: Catalog) -> dict[str, str]:
    """Read the SHA-256 of every pushed image, by the image's address in Label Studio."""
    store, hashes = Store(catalog.storage_root), dict[str, str]()
    for source_id in tables.sources(store, "tasks"):
        tasks, crops = (tables.find(store, stage, source_id) for stage in ("tasks", "crops"))
        if tasks and crops:
            pushed = {row.crop_id for row in read_rows(store, tasks, TaskRow)}
            rows = [row for row in read_rows(store, crops, CropRow) if row.crop_id in pushed]
            hashes |= {predictions.image_url(row.file): row.sha256 for row in rows}
    return hashes


def _check_predictions(catalog: Catalog) -> str:
    """Check that the queue shows the pushed predictions: the project's settings, and one task per source."""
    interface, _ = load_interface(catalog.label_config_file, catalog.label_studio.mask)
    with connect(catalog) as server:
        project = server.find_project(catalog)
        keys = _sample_keys(catalog)
        if project is None or not keys:
            return "none is pushed yet"
        server.check_queue(project)
        tasks = server.find_tasks(project, keys)
        messages = [server.check_prediction(tasks[key][0].task_id, interface) for key in keys if key in tasks]
    if not messages:
        raise LabelError(f"{project.url} has none of the tasks that were pushed: push again")
    return f"{messages[0]}; {len(messages)} tasks checked, one per source"


def _sample_keys(catalog: Catalog) -> list[str]:
    """Give the key of one task per source that was pushed with a prediction."""
    store, keys = Store(catalog.storage_root), list[str]()
    for source_id in tables.sources(store, "tasks"):
        if ref := tables.find(store, "tasks", source_id):
            keys += [row.key for row in read_rows(store, ref, TaskRow) if row.prediction_sha256][:1]
    return keys


def _count_blank_tasks(catalog: Catalog) -> str:
    """Count the tasks without a prediction by reason, and name the scenes in which pre-annotation was stopped."""
    store, reasons, stopped = Store(catalog.storage_root), Counter[str](), set[str]()
    for source_id in tables.sources(store, "tasks"):
        if ref := tables.find(store, "tasks", source_id):
            table = tables.read(store, ref)
            reasons.update(table.rows["blank"])
            stopped |= set(table.facts.get("stopped", ()))
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()) if reason) or "none"
    scenes = f"; pre-annotation saves no time in {', '.join(sorted(stopped))}" if stopped else ""
    return f"{counts} (of {reasons.total()}){scenes}"
