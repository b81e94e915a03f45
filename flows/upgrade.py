"""A storage of an older format is taken over, with the fingerprints that today's stages expect."""

from collections.abc import Iterator, Mapping

from figureground import tables
from figureground.catalog import Catalog
from figureground.storage.store import Store
from figureground.tables import Fingerprint
from tasks.ingest import crop, matte, measure, sample
from tasks.operation import upgrade as operation
from tasks.operation.upgrade import Taken


def upgrade(catalog: Catalog) -> list[Taken]:
    """Take over the storage of a catalog; see `tasks.operation.upgrade`."""
    return operation.upgrade(catalog, expect_fingerprints)


def expect_fingerprints(store: Store, source_id: str, catalog: Catalog) -> Mapping[str, Fingerprint]:
    """Give the fingerprint that each stage expects of its table, with the inputs that are there.

    Raises
    ------
    CatalogError
        When the catalog has no such source.
    """
    return dict(_fingerprints(store, source_id, catalog))


def _fingerprints(store: Store, source_id: str, catalog: Catalog) -> Iterator[tuple[str, Fingerprint]]:
    there = {stage: tables.find(store, stage, source_id) for stage in ("videos", "frames", "crops", "verdicts", "mattes")}
    videos, frames, crops, verdicts = (there[stage] for stage in ("videos", "frames", "crops", "verdicts"))
    kind = catalog.source(catalog.entry_of(source_id)).kind
    if videos and frames:
        yield "frames", sample.fingerprint(videos, "video" if kind == "web" else kind, catalog)
    if frames and crops:
        yield "crops", crop.sharded_stage(frames, catalog).fingerprint
    if crops:
        yield "measures", measure.sharded_stage(crops, catalog).fingerprint
    if crops and verdicts and there["mattes"]:
        yield "mattes", matte.sharded_stage(crops, verdicts, catalog).fingerprint

