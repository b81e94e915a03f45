"""Takes over a storage of an older format: everything stays, and what is proven unchanged is not made again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from figureground import tables
from figureground.catalog import Catalog
from figureground.errors import CatalogError, StoreError
from figureground.storage import locks
from figureground.storage.store import Store
from figureground.tables import Fingerprint, formats

STAGES = ("frames", "crops", "measures", "mattes")
"""The stages that decode videos or run networks; the others take seconds."""

_MADE_FROM = {"crops": "frames", "measures": "crops", "mattes": "crops"}

Expect = Callable[[Store, str, Catalog], Mapping[str, Fingerprint]]
"""Gives for a source the fingerprint that each of `STAGES` expects, see `flows.upgrade`."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What happens to one source: ``kept`` stages stand as they are, ``repeated`` ones run once more with the next ingest."""

    source_id: str
    kept: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    reason: str = ""


def upgrade(catalog: Catalog, expect: Expect) -> list[Taken]:
    """Take over the storage: check what its tables were made from, and write the marker of the current format.

    A table of format 1 is kept when its fingerprint is the one that the last code of format 1 gives for the same inputs and
    settings. Nothing is deleted and no table is written; a stage that runs once more replaces its own table.

    Parameters
    ----------
    catalog
        The catalog, with the sources and settings that the storage was made with.
    expect
        Gives the fingerprints that the stages expect of a source's tables.

    Returns
    -------
    list of Taken
        One entry for each source with frames; empty when the storage has the current format or no tables.

    Raises
    ------
    StoreError
        When the storage has an unknown format, another run is using it, or it cannot be read or written.
    """
    store = Store(catalog.storage_root)
    on_disk = formats.read_format(store)
    if on_disk == formats.FORMAT:
        return []
    _refuse_running(store)
    taken = [_take(store, source_id, catalog, expect) for source_id in tables.sources(store, "frames")] if on_disk else []
    formats.write_marker(store)
    return taken


def _refuse_running(store: Store) -> None:
    folder = store.path(".locks")
    running = [f"{source}: {note}" for kind in locks.KINDS for source, note in locks.read_notes(folder, kind).items()]
    if running:
        in_use = "; ".join(running)
        raise StoreError(f"storage {store.root} is in use: expected no other run, found {in_use}; wait until it ends")


def _take(store: Store, source_id: str, catalog: Catalog, expect: Expect) -> Taken:
    if source_id not in tables.sources(store, "measures"):
        return Taken(source_id, reason="an imported dataset: the next ingest compares its files")
    try:
        expected = expect(store, source_id, catalog)
    except CatalogError:
        return Taken(source_id, reason="not in the catalog: its tables stay as they are")
    kept: list[str] = []
    repeated: list[str] = []
    for stage, fingerprint in expected.items():
        recorded = tables.recorded_fingerprint(store, stage, source_id)
        proven = recorded is not None and fingerprint.matches(recorded) and _MADE_FROM.get(stage) not in repeated
        (kept if proven else repeated).append(stage)
    return Taken(source_id, tuple(kept), tuple(repeated))
