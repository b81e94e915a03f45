"""Looking at everything outside, one finding a thing."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from figureground import assets, tables
from figureground.catalog import Catalog
from figureground.errors import FiguregroundError, StoreError
from figureground.store import Store
from tasks import label_studio

_ROOM = 2_000_000_000  # bytes; a few thousand frames
_PROBE = ".probe"


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
        yield _found("picture", lambda: _picture(catalog))
        yield _found("prediction", lambda: _prediction(catalog))


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
    if "://" in catalog.storage_root:
        return f"{catalog.storage_root} can be written"
    free = shutil.disk_usage(catalog.storage_root).free
    if free < _ROOM:
        raise StoreError(
            f"{catalog.storage_root} has {free / 1e9:.1f} GB left; expected at least {_ROOM / 1e9:.0f} GB: make room"
        )
    return f"{catalog.storage_root} can be written, {free / 1e9:.0f} GB left"


def _server(catalog: Catalog) -> str:
    return f"{label_studio.connect(catalog).url} takes our token"


def _project(catalog: Catalog) -> str:
    project = label_studio.find_project(label_studio.connect(catalog), catalog)
    return "none yet; the first push makes it" if project is None else f"{project.url} has the catalog's labelling interface"


def _picture(catalog: Catalog) -> str:
    """Fetch one pushed picture the way an annotator's browser will."""
    server = label_studio.connect(catalog)
    task = next(_pushed(catalog), None)
    if task is None:
        return "nothing is pushed yet"
    return label_studio.fetch_picture(server, task)


def _prediction(catalog: Catalog) -> str:
    """Make sure that an annotator sees what was pushed, not only the picture."""
    interface, _ = label_studio.interface(catalog)
    task = next(_pushed(catalog), None)
    if task is None:
        return "nothing is pushed yet"
    return label_studio.see_prediction(label_studio.connect(catalog), task, interface)


def _pushed(catalog: Catalog) -> Iterator[int]:
    store = Store(catalog.storage_root)
    for source_id in tables.sources(store, "tasks"):
        if (ref := tables.find(store, "tasks", source_id)) and ref.rows:
            yield int(tables.read(store, ref).rows["task_id"].iloc[0])
