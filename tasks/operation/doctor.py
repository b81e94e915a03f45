"""Looking at everything outside, one finding a thing."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from figureground import tables
from figureground.annotation import predictions
from figureground.annotation.label_interface import load_interface
from figureground.catalog import Catalog
from figureground.clients.label_studio import AnnotationServer
from figureground.errors import FiguregroundError, LabelError, StoreError
from figureground.storage import assets
from figureground.storage.hashing import sha256
from figureground.storage.store import Store
from tasks.annotation.connection import connect

_ROOM = 2_000_000_000  # bytes; a few thousand frames
_PROBE = ".probe"
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, whether it is fine, and what was seen."""

    what: str
    fine: bool
    said: str


def examine(catalog: Catalog) -> list[Finding]:
    """Look at weights, storage and Label Studio; what is ill is a finding, never an exception.

    Returns
    -------
    list of Finding
        In the order a run needs them.
    """
    return list(_findings(catalog))


def _findings(catalog: Catalog) -> Iterator[Finding]:
    for weights in catalog.weights():
        yield _found(f"weights {weights.name}", lambda weights=weights: f"verified, {assets.locate(weights)}")
    yield _found("storage", lambda: _storage(catalog))
    server = _found("Label Studio", lambda: _server(catalog))
    yield server
    if server.fine:
        yield _found("project", lambda: _project(catalog))
        yield _found("pictures", lambda: _pictures(catalog))
        yield _found("predictions", lambda: _predictions(catalog))
        yield _found("blank tasks", lambda: _blank(catalog))


def _found(what: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(what, True, look())
    except FiguregroundError as error:
        return Finding(what, False, str(error))


def _storage(catalog: Catalog) -> str:
    store = Store(catalog.storage_root)
    store.write(_PROBE, b"figureground doctor\n")
    store.read(_PROBE)
    store.remove(_PROBE)
    if "://" in catalog.storage_root.url:
        return f"{catalog.storage_root} can be written"
    free = shutil.disk_usage(catalog.storage_root.url).free
    if free < _ROOM:
        raise StoreError(
            f"{catalog.storage_root} has {free / 1e9:.1f} GB left; expected at least {_ROOM / 1e9:.0f} GB: make room"
        )
    return f"{catalog.storage_root} can be written, {free / 1e9:.0f} GB left"


def _server(catalog: Catalog) -> str:
    with connect(catalog) as server:
        return f"{server.url} takes our token"


def _project(catalog: Catalog) -> str:
    with connect(catalog) as server:
        project = server.find_project(catalog)
    return "none yet; the first push makes it" if project is None else f"{project.url} has the catalog's labelling interface"


def _pictures(catalog: Catalog) -> str:
    """Fetch every pushed picture through the server, as an annotator's browser will, and compare it with the stored one."""
    stored = _stored(catalog)
    with connect(catalog) as server:
        project = server.find_project(catalog)
        pushed = [] if project is None else list(server.list_images(project))
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            told = list(pool.map(lambda task: _ill(server, *task, stored), pushed))
    if not pushed:
        return "nothing is pushed yet"
    ill = [reason for reason in told if reason]
    missing = len(stored.keys() - {address for _, address in pushed})
    if ill:
        raise LabelError(f"{len(ill)} of {len(pushed)} pictures are not seen: {ill[0]}")
    gone = f"; {missing} pushed pictures have no task there any more: push again" if missing else ""
    return f"{server.url} serves all {len(pushed)} pictures of {project.url if project else ''}{gone}"


def _ill(server: AnnotationServer, task: int, address: str, stored: Mapping[str, str]) -> str:
    """Say why an annotator would not see a task's picture, or ""."""
    if not address:
        return f"task {task} names no picture; push its source again"
    try:
        found = sha256(server.fetch_image(address))
    except FiguregroundError as error:
        return f"task {task}: {error}"
    if stored.get(address, found) != found:
        return f"task {task}: {address} is another picture there than in the storage; look which folder the server serves"
    return ""


def _stored(catalog: Catalog) -> dict[str, str]:
    """Give the hash of every pushed picture by its address."""
    store, found = Store(catalog.storage_root), {}
    for source_id in tables.sources(store, "tasks"):
        tasks, crops = (tables.find(store, stage, source_id) for stage in ("tasks", "crops"))
        if tasks and crops:
            pushed = set(tables.read(store, tasks).rows["crop_id"])
            rows = tables.read(store, crops).rows.to_dict("records")
            found |= {predictions.image_url(row["file"]): str(row["sha256"]) for row in rows if row["crop_id"] in pushed}
    return found


def _predictions(catalog: Catalog) -> str:
    """Make sure that the queue shows what was pushed: by the project's settings, and by one task of each source."""
    interface, _ = load_interface(catalog.label_config_file, catalog.label_studio.mask)
    with connect(catalog) as server:
        project = server.find_project(catalog)
        keys = _predicted(catalog)
        if project is None or not keys:
            return "none is pushed yet"
        server.check_queue(project)
        found = server.find_tasks(project, keys)
        said = [server.check_prediction(found[key][0].task_id, interface) for key in keys if key in found]
    if not said:
        raise LabelError(f"{project.url} has none of the tasks that were pushed: push again")
    return f"{said[0]}; {len(said)} looked at, one a source"


def _blank(catalog: Catalog) -> str:
    """Say how many tasks have no prediction, why, and which scenes are stopped because it does not pay."""
    store, reasons, stopped = Store(catalog.storage_root), Counter[str](), set[str]()
    for source_id in tables.sources(store, "tasks"):
        if ref := tables.find(store, "tasks", source_id):
            table = tables.read(store, ref)
            reasons.update(table.rows["blank"])
            stopped |= set(table.facts.get("stopped", ()))
    told = ", ".join(f"{count} {why}" for why, count in sorted(reasons.items()) if why) or "none"
    return f"{told} (of {reasons.total()})" + (
        f"; pre-annotating does not pay in {', '.join(sorted(stopped))}" if stopped else ""
    )


def _predicted(catalog: Catalog) -> list[str]:
    """Give the key of one task a source that was pushed with a prediction."""
    store, keys = Store(catalog.storage_root), []
    for source_id in tables.sources(store, "tasks"):
        if ref := tables.find(store, "tasks", source_id):
            rows = tables.read(store, ref).rows
            keys += list(rows["key"][rows["prediction_sha256"] != ""][:1])
    return [str(key) for key in keys]
